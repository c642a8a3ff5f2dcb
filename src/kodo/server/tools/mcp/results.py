"""What a server answers: as text for the model and as fields of the items."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kodo.server.tools.mcp.excess import TooMuch

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool

MAX_DESCRIPTION = 16_384
MAX_SCHEMA = 65_536
"""Characters of a tool's description, and of its schema as JSON."""
UNREACHABLE = 502
"""The code of an ``http_error`` where there was no answer with a status."""


_STAND_INS = frozenset({"Not Found", "McpSession terminated", "Server returned an error response"})
"""What the SDK says where a server's answer with an error status holds no error of the protocol."""
_CONNECTION = frozenset({-32000, -32001})
"""Codes of the SDK's own for a connection that was closed, or had no answer in time."""


class CallFailed(Exception):
    """A call, or a listing, has failed. ``error`` is the item's error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "")))
        self.error = error


def wire_tools(tools: list[Tool], most: int) -> list[dict[str, Any]]:
    """Tools in the contract's form, ``most`` of them. A schema that is too large to be shown to a model becomes any object."""
    return [
        {
            "name": tool.name,
            "description": None if tool.description is None else tool.description[:MAX_DESCRIPTION],
            "input_schema": _bounded(tool.input_schema),
            "annotations": None
            if tool.annotations is None
            else tool.annotations.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
        for tool in tools[:most]
    ]


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    return schema if len(json.dumps(schema)) <= MAX_SCHEMA else {"type": "object"}


def output_text(result: CallToolResult) -> str:
    """A result as text: its texts, or its structure where there are none; a note for what is no text."""
    parts = [_block_text(block.model_dump(by_alias=True, mode="json")) for block in result.content]
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)


def _block_text(block: dict[str, Any]) -> str:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text", ""))
    resource = block.get("resource")
    if kind == "resource" and isinstance(resource, dict) and isinstance(resource.get("text"), str):
        return str(resource["text"])
    if kind == "resource_link":
        return f"[{block.get('name')}: {block.get('uri')}]"
    return f"[{kind} {block.get('mimeType') or ''}: not shown]"


def execution_error(result: CallToolResult) -> dict[str, Any]:
    """The error object of a tool that says that it failed."""
    content = [block.model_dump(by_alias=True, exclude_none=True, mode="json") for block in result.content]
    return {"type": "mcp_tool_execution_error", "content": content}


def error_of(error: BaseException, status: int | None) -> dict[str, Any]:
    """The error object for what the SDK raised. ``status``: the HTTP status of the server's last answer, where it was an
    error. It tells what happened, never a header or a URL with its query."""
    code, message = _protocol_error(error)
    if status is not None and (code is None or message in _STAND_INS):
        return {"type": "http_error", "code": status, "message": f"The server answered {status}."}
    if code is not None:
        return {"type": "mcp_protocol_error", "code": code, "message": message}
    first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    if isinstance(first, BaseExceptionGroup):
        return error_of(first, status)
    if isinstance(first, TimeoutError):
        return {"type": "http_error", "code": 504, "message": "The server did not answer in time."}
    if isinstance(first, TooMuch):
        return {"type": "http_error", "code": UNREACHABLE, "message": str(first)}
    return {
        "type": "http_error",
        "code": UNREACHABLE,
        "message": f"The server could not be reached ({type(first).__name__}).",
    }


def is_answer(error: BaseException, status: int | None) -> bool:
    """Whether an error is a sound server's answer, so that its session can be kept."""
    code, message = _protocol_error(error)
    return code is not None and code not in _CONNECTION and not (status is not None and message in _STAND_INS)


def _protocol_error(error: BaseException) -> tuple[int | None, str]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            code, message = _protocol_error(inner)
            if code is not None:
                return code, message
        return None, ""
    code = getattr(error, "code", None)
    text = getattr(error, "message", None)
    if isinstance(code, int) and isinstance(text, str):
        return code, text
    if type(error).__name__ == "ValidationError":
        return -32603, "The server's answer does not fit the protocol."
    return None, ""
