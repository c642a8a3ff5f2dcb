"""A hosted tool for tests: it writes every run of a call into a file, and fails, waits or asks as its arguments say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import Announced, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.wire.hosted_events import WebSearchCompleted, WebSearchInProgress, WebSearchSearching
from kodo.server.wire.hosted_items import McpApprovalRequest, WebSearchCall
from kodo.server.wire.hosted_tools import HostedChoice, HostedToolEntry, WebSearchTool
from kodo.server.wire.items import Item
from kodo.server.wire.tools import FunctionTool

SCHEMA = {
    "type": "object",
    "properties": {
        "q": {"type": "string"},
        "effect": {"enum": ["none", "read", "write"]},
        "seconds": {"type": "number"},
        "mode": {"enum": ["ask", "raise", "refuse", "half"]},
        "size": {"type": "integer"},
        "marker": {"type": "string"},
    },
    "required": ["q"],
    "additionalProperties": False,
}


def read_journal(journal: Path) -> list[str]:
    """The lines of a journal: begin or end, what was looked up, the response."""
    return journal.read_text().splitlines() if journal.exists() else []


class JournalTool:
    """Answers a call ``{"q": …}`` with ``found: …``. ``journal`` gets a line for each beginning and end of a run."""

    types = frozenset({"web_search"})

    def __init__(self, journal: Path, *, opens: bool = False) -> None:
        self.journal = journal
        self.opens = opens
        self.contexts: list[ToolContext] = []
        self.running = 0
        self.most = 0

    def note(self, word: str, call: HostedCall, context: ToolContext) -> None:
        """One more line."""
        with self.journal.open("a") as file:
            file.write(f"{word} {self._arguments(call).get('q')} {context.response_id}\n")

    def lines(self) -> list[str]:
        """The journal so far, without the names of the responses."""
        return [line.rpartition(" ")[0] for line in read_journal(self.journal)]

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """One function."""
        if isinstance(entry, WebSearchTool) and entry.filters:
            raise InvalidRequest("No filters here.", param="filters")
        return [FunctionTool(name="look_up", description="Look something up.", parameters=SCHEMA)]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """All of them."""
        return [function.name for function in functions]

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """A call before the first turn, where the test wants one."""
        if not self.opens:
            return []
        arguments = json.dumps({"q": "opening", "seconds": 0})
        return [HostedCall(call_id="open", name="look_up", arguments=arguments, entry=entry, opening=True)]

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """A search in progress."""
        effect: Any = self._arguments(call).get("effect", "read")
        return Announced(item=WebSearchCall(status="in_progress", action=self._action(call)), effect=effect)

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """Two events, a pause, a result."""
        arguments = self._arguments(call)
        self.contexts.append(context)
        self.note("begin", call, context)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield WebSearchInProgress()
            yield WebSearchSearching()
            await asyncio.sleep(arguments.get("seconds", 0))
            mode = arguments.get("mode")
            if mode == "raise":
                raise RuntimeError("a bug")
            if mode == "half":
                yield Done(item=WebSearchCall(status="completed", action={"query": "\ud800"}), output="x")
                return
            if mode == "refuse":
                raise InvalidRequest("not this")
            if mode == "ask":
                yield Done(
                    item=McpApprovalRequest(server_label="s", name="n", arguments=call.arguments), output=None
                )
                return
            self.note("end", call, context)
            text = f"found: {arguments.get('q')}" + "x" * arguments.get("size", 0)
            marker = arguments.get("marker")
            source = {"type": "url_citation", "url": "https://a.example/", "title": "A"}
            yield Done(
                item=WebSearchCall(status="completed", action=self._action(call)),
                output=text,
                events=(WebSearchCompleted(),),
                sources={marker: source} if marker else {},
                usage={"web_search": 1},
            )
        finally:
            self.running -= 1

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """A failed search."""
        item = msgspec.structs.replace(announced, status="failed")  # type: ignore[call-arg]  # announced is a WebSearchCall
        return Done(item=item, output=f"error: {message}", events=(WebSearchCompleted(),))

    def _arguments(self, call: HostedCall) -> dict[str, Any]:
        try:
            value = json.loads(call.arguments)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def _action(self, call: HostedCall) -> dict[str, Any]:
        return {"type": "search", "query": str(self._arguments(call).get("q")), "queries": []}
