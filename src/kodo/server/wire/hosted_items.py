"""Items of tools that only a hosted service runs: web search, MCP servers and the like.

A history that was begun on another service holds them. This server creates none of them and does not read their
fields: they are stored and listed as they came, and the model sees each as a note. Source: ``ResponseInputItem`` of
openai-python 3.54.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

MAX_NOTE = 1000
"""Characters of a note."""


class HostedItem(Struct, frozen=True, kw_only=True):
    """Base of these items; every field but ``id`` is left out of the JSON where it was not given."""

    id: str | None = None
    status: Any | UnsetType = UNSET


class WebSearchCall(HostedItem, frozen=True, kw_only=True, tag="web_search_call"):
    """A web search, or a page that was opened."""

    action: Any | UnsetType = UNSET
    results: Any | UnsetType = UNSET


class FileSearchCall(HostedItem, frozen=True, kw_only=True, tag="file_search_call"):
    """A search in vector stores."""

    queries: Any | UnsetType = UNSET
    results: Any | UnsetType = UNSET


class ComputerCall(HostedItem, frozen=True, kw_only=True, tag="computer_call"):
    """An action on a screen."""

    call_id: Any | UnsetType = UNSET
    action: Any | UnsetType = UNSET
    actions: Any | UnsetType = UNSET
    pending_safety_checks: Any | UnsetType = UNSET


class ComputerCallOutput(HostedItem, frozen=True, kw_only=True, tag="computer_call_output"):
    """The screen after an action."""

    call_id: Any | UnsetType = UNSET
    output: Any | UnsetType = UNSET
    acknowledged_safety_checks: Any | UnsetType = UNSET


class CodeInterpreterCall(HostedItem, frozen=True, kw_only=True, tag="code_interpreter_call"):
    """Code that ran in a container."""

    code: Any | UnsetType = UNSET
    container_id: Any | UnsetType = UNSET
    outputs: Any | UnsetType = UNSET


class ImageGenerationCall(HostedItem, frozen=True, kw_only=True, tag="image_generation_call"):
    """An image that was generated; ``result`` is its base64."""

    result: Any | UnsetType = UNSET
    action: Any | UnsetType = UNSET
    background: Any | UnsetType = UNSET
    output_format: Any | UnsetType = UNSET
    quality: Any | UnsetType = UNSET
    revised_prompt: Any | UnsetType = UNSET
    size: Any | UnsetType = UNSET


class McpCall(HostedItem, frozen=True, kw_only=True, tag="mcp_call"):
    """A call of a tool of an MCP server, with its output."""

    server_label: Any | UnsetType = UNSET
    name: Any | UnsetType = UNSET
    arguments: Any | UnsetType = UNSET
    output: Any | UnsetType = UNSET
    error: Any | UnsetType = UNSET
    approval_request_id: Any | UnsetType = UNSET


class McpListTools(HostedItem, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server."""

    server_label: Any | UnsetType = UNSET
    tools: Any | UnsetType = UNSET
    error: Any | UnsetType = UNSET


class McpApprovalRequest(HostedItem, frozen=True, kw_only=True, tag="mcp_approval_request"):
    """A call of an MCP tool that a person was asked to approve."""

    server_label: Any | UnsetType = UNSET
    name: Any | UnsetType = UNSET
    arguments: Any | UnsetType = UNSET


class McpApprovalResponse(HostedItem, frozen=True, kw_only=True, tag="mcp_approval_response"):
    """The person's answer."""

    approval_request_id: Any | UnsetType = UNSET
    approve: Any | UnsetType = UNSET
    reason: Any | UnsetType = UNSET


class ToolSearchCall(HostedItem, frozen=True, kw_only=True, tag="tool_search_call"):
    """A search for tools."""

    call_id: Any | UnsetType = UNSET
    execution: Any | UnsetType = UNSET
    arguments: Any | UnsetType = UNSET
    created_by: Any | UnsetType = UNSET


class ToolSearchOutput(HostedItem, frozen=True, kw_only=True, tag="tool_search_output"):
    """The tools that a search found."""

    call_id: Any | UnsetType = UNSET
    execution: Any | UnsetType = UNSET
    tools: Any | UnsetType = UNSET
    created_by: Any | UnsetType = UNSET


class AdditionalTools(HostedItem, frozen=True, kw_only=True, tag="additional_tools"):
    """Tools that the client makes available from here on."""

    role: Any | UnsetType = UNSET
    tools: Any | UnsetType = UNSET


class Program(HostedItem, frozen=True, kw_only=True, tag="program"):
    """Code that the model wrote to call tools."""

    call_id: Any | UnsetType = UNSET
    code: Any | UnsetType = UNSET
    fingerprint: Any | UnsetType = UNSET


class ProgramOutput(HostedItem, frozen=True, kw_only=True, tag="program_output"):
    """What such code returned."""

    call_id: Any | UnsetType = UNSET
    result: Any | UnsetType = UNSET


AnyHostedItem: TypeAlias = (
    WebSearchCall
    | FileSearchCall
    | ComputerCall
    | ComputerCallOutput
    | CodeInterpreterCall
    | ImageGenerationCall
    | McpCall
    | McpListTools
    | McpApprovalRequest
    | McpApprovalResponse
    | ToolSearchCall
    | ToolSearchOutput
    | AdditionalTools
    | Program
    | ProgramOutput
)

HOSTED_ID_PREFIXES: Final[Mapping[type[AnyHostedItem], str]] = {
    WebSearchCall: "ws",
    FileSearchCall: "fs",
    ComputerCall: "cu",
    ComputerCallOutput: "cuo",
    CodeInterpreterCall: "ci",
    ImageGenerationCall: "ig",
    McpCall: "mcp",
    McpListTools: "mcpl",
    McpApprovalRequest: "mcpr",
    McpApprovalResponse: "mcpa",
    ToolSearchCall: "tsc",
    ToolSearchOutput: "tso",
    AdditionalTools: "adt",
    Program: "prog",
    ProgramOutput: "progo",
}
"""The prefix of the ids of each type of item."""


def note_author(item: AnyHostedItem) -> Literal["user", "assistant"]:
    """Whose turn a note of an item belongs to: the client's for what the client sent, else the model's."""
    return "user" if isinstance(item, ComputerCallOutput | McpApprovalResponse) else "assistant"


def note_text(item: AnyHostedItem) -> str:
    """A note of an item for the model: its type and its fields as JSON, at most :data:`MAX_NOTE` characters."""
    fields = msgspec.to_builtins(item)
    kind = fields.pop("type")
    for name in ("id", "call_id", "status"):
        fields.pop(name, None)
    text = msgspec.json.encode(fields).decode()
    if len(text) > MAX_NOTE:
        text = f"{text[:MAX_NOTE]}…"
    return f"[{kind} on another service: {text}]"
