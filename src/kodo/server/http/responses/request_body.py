"""The body of a request to the Responses API, with the tools that the settings add to every one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from kodo.server.config import Settings
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.service import Service
from kodo.server.wire.decode import BadBody, create_response, tools
from kodo.server.wire.hosted_tools import HostedToolEntry, McpTool, type_of
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.tools import RequestTool


def decode_request(service: Service, raw: Mapping[str, object]) -> CreateResponse:
    """A body as a request. Raises :class:`BadBody`."""
    request = create_response(raw, service.tools)
    if not service.always:
        return request
    there = {_name(tool) for tool in request.tools}
    added = tuple(tool for tool in service.always if _name(tool) not in there)
    return msgspec.structs.replace(request, tools=(*request.tools, *added))


def always_offered(settings: Settings, types: Collection[str]) -> tuple[RequestTool, ...]:
    """The tools that the settings add. ``types``: those of tools that the server runs.

    Raises:
        ServiceError: one of them cannot be used; the message says which.
    """
    if not settings.tools.always:
        return ()
    try:
        found = tools(list(settings.tools.always), "tools.always", types)
    except BadBody as error:
        raise ServiceError(f"Setting tools.always: {error.message}") from None
    for number, tool in enumerate(found):
        if not isinstance(tool, HostedToolEntry):
            raise ServiceError(
                f"Setting tools.always[{number}]: only tools that the server runs can be added."
            )
    if len(found) < len(settings.tools.always):
        raise ServiceError("Setting tools.always names a type of tool that this server does not run.")
    return found


def _name(tool: RequestTool) -> tuple[str, str]:
    """What an entry is told from others by: its type, and an MCP server's label."""
    if isinstance(tool, McpTool):
        return "mcp", tool.server_label
    return (type_of(tool) if isinstance(tool, HostedToolEntry) else str(id(tool))), ""
