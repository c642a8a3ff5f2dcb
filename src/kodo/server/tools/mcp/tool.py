"""``{"type": "mcp"}``: lists a server's tools once in a chain, asks for approvals, and calls."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from kodo.server.config import McpSettings
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.lifecycle.hosted.recall import approval_requests, mcp_function
from kodo.server.tools.mcp.listing import ListedTool, allowed, function, listed, needs_approval
from kodo.server.tools.mcp.results import (
    CallFailed,
    error_of,
    execution_error,
    is_answer,
    output_text,
    wire_tools,
)
from kodo.server.tools.mcp.servers import McpServers
from kodo.server.tools.mcp.sessions import McpSession, McpSessions
from kodo.server.wire.foreign_json import NotJson, read_json
from kodo.server.wire.hosted_events import (
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
)
from kodo.server.wire.hosted_items import McpApprovalRequest, McpApprovalResponse, McpCall, McpListTools
from kodo.server.wire.hosted_tools import HostedChoice, HostedToolEntry, McpChoice, McpTool
from kodo.server.wire.items import Item
from kodo.server.wire.tools import FunctionTool

logger = logging.getLogger(__name__)

LIST: Final = "list"
"""The name of the call that lists a server's tools."""
APPROVED: Final = "approved_"
"""How the id of a call begins that a person approved; the id of the request follows."""
INVALID_PARAMS: Final = -32602
MAX_OPENINGS: Final = 64
"""Calls that one request may have approved."""
MAX_PAGES: Final = 50
"""Pages of a server's listing."""


class McpHostedTool:
    """The tools of MCP servers."""

    types: Final = frozenset({"mcp"})

    def __init__(self, settings: McpSettings) -> None:
        self._settings = settings
        self._servers = McpServers(settings)
        self._sessions = McpSessions(settings)

    async def close(self) -> None:
        """Close every session."""
        await self._sessions.close()

    # --- what the model is offered ---

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """See :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`. Nothing before the server is listed."""
        mcp = _entry(entry)
        self._servers.target(mcp)
        _check_approvals(context)
        if len(self.openings(mcp, context)) > MAX_OPENINGS:
            raise InvalidRequest(f"More than {MAX_OPENINGS} approvals wait for their calls.", param="input")
        return [function(mcp, tool) for tool in self._tools(mcp, context)]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """See the port: one tool of a server, or all of them."""
        if not isinstance(choice, McpChoice):
            return []
        if isinstance(choice.name, str):
            wanted = mcp_function(choice.server_label, choice.name)
            return [one.name for one in functions if one.name == wanted]
        return [one.name for one in functions if one.name.startswith(f"{choice.server_label}__")]

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """See the port: the listing, where the chain has none; and the calls that were approved."""
        mcp = _entry(entry)
        calls = []
        if listed(mcp.server_label, context.items) is None:
            calls.append(
                HostedCall(
                    call_id=f"list_{mcp.server_label}", name=LIST, arguments="{}", entry=mcp, opening=True
                )
            )
        made = {
            context.item.approval_request_id for context in context.items if isinstance(context.item, McpCall)
        }
        requests = approval_requests(context.items)
        for one in context.items:
            item = one.item
            if not isinstance(item, McpApprovalResponse) or item.approve is not True:
                continue
            request = requests.get(str(item.approval_request_id))
            if request is not None and request.server_label == mcp.server_label and request.id not in made:
                calls.append(
                    HostedCall(
                        call_id=f"{APPROVED}{request.id}",
                        name=mcp_function(mcp.server_label, str(request.name)),
                        arguments=str(request.arguments),
                        entry=mcp,
                        opening=True,
                    )
                )
                made.add(request.id)
        return calls

    # --- a call ---

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """See the port. What needs an approval is announced as the request for it."""
        mcp = _entry(call.entry)
        if call.name == LIST and call.opening:
            return Announced(item=McpListTools(server_label=mcp.server_label, tools=[]), effect="read")
        name, tool = self._called(call, context)
        request = _approved(call)
        if request is None and (tool is None or needs_approval(mcp, tool)):
            item: Item = McpApprovalRequest(
                server_label=mcp.server_label, name=name, arguments=call.arguments
            )
            return Announced(item=item, effect="none")
        effect = "read" if tool is not None and tool.is_read_only else "write"
        item = McpCall(
            server_label=mcp.server_label,
            name=name,
            arguments="",
            output=None,
            error=None,
            approval_request_id=request,
            status="in_progress",
        )
        return Announced(item=item, effect=effect)  # type: ignore[arg-type]  # one of the two words above

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """See the port."""
        if call.name == LIST and call.opening:
            yield McpListToolsInProgress()
            yield await self._list(call, context)
            return
        announced = self.announce(call, context).item
        if isinstance(announced, McpApprovalRequest):
            yield Done(item=announced, output=None)
            return
        yield McpCallInProgress()
        yield McpCallArgumentsDelta(delta=call.arguments)
        yield McpCallArgumentsDone(arguments=call.arguments)
        yield await self._call(call, context, announced)

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """See the port."""
        if isinstance(announced, McpListTools):
            item = msgspec.structs.replace(announced, tools=[], error=message)
            return Done(item=item, output="", events=(McpListToolsFailed(),))
        error = {"type": "http_error", "code": 504, "message": message}
        return _failure(call, announced, error)

    # --- inside ---

    def _tools(self, mcp: McpTool, context: ToolContext) -> list[ListedTool]:
        return allowed(mcp, listed(mcp.server_label, context.items) or [])[: self._settings.max_tools]

    def _called(self, call: HostedCall, context: ToolContext) -> tuple[str, ListedTool | None]:
        """The name of the tool that a call means, and the tool, where the listing still has it."""
        mcp = _entry(call.entry)
        for tool in self._tools(mcp, context):
            if mcp_function(mcp.server_label, tool.name) == call.name:
                return tool.name, tool
        request = approval_requests(context.items).get(_approved(call) or "")
        return (call.name if request is None else str(request.name)), None

    async def _list(self, call: HostedCall, context: ToolContext) -> Done:
        mcp = _entry(call.entry)
        item = McpListTools(server_label=mcp.server_label, tools=[], error=None)
        try:
            found = await self._listing(mcp, context.owner)
        except CallFailed as failure:
            message = str(failure) or "The server's tools could not be listed."
            logger.info("the MCP server %s could not be listed: %s", mcp.server_label, failure.error["type"])
            return Done(
                item=msgspec.structs.replace(item, error=message), output="", events=(McpListToolsFailed(),)
            )
        names = {tool.name for tool in allowed(mcp, [msgspec.convert(raw, ListedTool) for raw in found])}
        kept = [raw for raw in found if raw["name"] in names]
        return Done(
            item=msgspec.structs.replace(item, tools=kept), output="", events=(McpListToolsCompleted(),)
        )

    async def _listing(self, mcp: McpTool, owner: str) -> list[dict[str, Any]]:
        async def walk(session: McpSession) -> list[dict[str, Any]]:
            client = await session.client()
            tools: list[Any] = []
            cursor = None
            for _ in range(MAX_PAGES):
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None or len(tools) >= self._settings.max_tools:
                    break
            return wire_tools(tools, self._settings.max_tools)

        tools: list[dict[str, Any]] = await self._ask(mcp, owner, walk, again=True)
        return tools

    async def _call(self, call: HostedCall, context: ToolContext, announced: Item) -> Done:
        mcp = _entry(call.entry)
        name, tool = self._called(call, context)
        try:
            arguments = read_json(call.arguments or "{}")
        except NotJson:
            arguments = None
        if not isinstance(arguments, dict):
            message = "The arguments must be a JSON object."
            return _failure(
                call, announced, {"type": "mcp_protocol_error", "code": INVALID_PARAMS, "message": message}
            )

        async def ask(session: McpSession) -> Any:
            client = await session.client()
            return await client.call_tool(name, arguments)

        try:
            result = await self._ask(mcp, context.owner, ask, again=tool is not None and tool.is_read_only)
        except CallFailed as failure:
            return _failure(call, announced, failure.error)
        text = output_text(result)[: context.max_output_chars]
        if result.is_error:
            return _failure(call, announced, execution_error(result), text)
        item = msgspec.structs.replace(
            announced, arguments=call.arguments, output=text, error=None, status="completed"
        )
        return Done(item=item, output=text, events=(McpCallCompleted(),))

    async def _ask(self, mcp: McpTool, owner: str, ask: Any, *, again: bool) -> Any:
        """Ask a server something; where a session that was kept turns out to be gone, once more in a new one.

        ``again``: also where it broke in the middle, because asking twice changes nothing.
        """
        try:
            target = self._servers.target(mcp)
        except InvalidRequest as refused:  # the settings changed while the response waited
            raise CallFailed({"type": "http_error", "code": 403, "message": refused.message}) from None
        for attempt in (1, 2):
            kept, status = False, None
            try:
                async with self._sessions.use(target, owner) as session:
                    kept = session.calls > 0
                    session.calls += 1
                    try:
                        return await ask(session)
                    except Exception as error:
                        status = session.http.status
                        if session.excess is not None:
                            raise session.excess from error
                        if not is_answer(error, status):
                            raise
                        failure = error
            except Exception as error:  # noqa: BLE001 - as above
                is_gone = status == HTTPStatus.NOT_FOUND  # the server knows no such session: nothing was done
                if attempt == 1 and kept and (is_gone or (again and not isinstance(error, TimeoutError))):
                    continue
                failure = error
            raise CallFailed(error_of(failure, status))
        raise AssertionError("the second attempt returns or raises")


def _entry(entry: HostedToolEntry) -> McpTool:
    if not isinstance(entry, McpTool):
        raise TypeError("not an entry of type mcp")
    return entry


def _approved(call: HostedCall) -> str | None:
    """The id of the request whose approval a call follows."""
    return call.call_id.removeprefix(APPROVED) if call.opening and call.call_id.startswith(APPROVED) else None


def _check_approvals(context: ToolContext) -> None:
    """Check that every approval answers a request that there is."""
    requests = approval_requests(context.items)
    for one in context.items:
        item = one.item
        if isinstance(item, McpApprovalResponse) and item.approval_request_id not in requests:
            raise InvalidRequest(
                f"No approval request with id '{item.approval_request_id}' in the history.", param="input"
            )


def _failure(call: HostedCall, announced: Item, error: dict[str, Any], text: str = "") -> Done:
    """A call that failed, and what the model is told."""
    item = msgspec.structs.replace(
        announced, arguments=call.arguments, output=None, error=error, status="failed"
    )
    told = text or str(error.get("message") or "The tool failed.")
    return Done(item=item, output=f"Error: {told}", events=(McpCallFailed(),))
