"""Entries of a request's ``tools`` that this server runs itself, and the choices that name them.

Source: ``ToolParam`` and ``ToolChoiceTypes`` of openai-python 3.54. An entry is decoded only where the server's settings
turn its type on (see :data:`kodo.server.wire.tools.HOSTED_TOOLS`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import StrictWire

T = TypeVar("T")
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z][a-zA-Z0-9_-]*$")]
Callers: TypeAlias = tuple[Literal["direct", "programmatic"], ...]
"""Who may call a tool; echoed, because a model here calls every tool itself."""


# --- MCP -------------------------------------------------------------------------------------------------------------


class McpFilter(StrictWire, frozen=True, kw_only=True):
    """Some of a server's tools: by name, or those that are (or are not) marked as read-only; both must fit."""

    tool_names: tuple[str, ...] | UnsetType | None = UNSET
    read_only: bool | UnsetType | None = UNSET


class McpApproval(StrictWire, frozen=True, kw_only=True):
    """Which tools need an approval. Those in neither list do."""

    always: McpFilter | UnsetType | None = UNSET
    never: McpFilter | UnsetType | None = UNSET


class McpTool(StrictWire, frozen=True, kw_only=True, tag="mcp"):
    """The tools of an MCP server. ``authorization`` and the values of ``headers`` are secret: never stored nor echoed."""

    server_label: Label
    server_url: Annotated[str, Meta(min_length=1, max_length=2048)] | UnsetType | None = UNSET
    connector_id: str | UnsetType | None = UNSET
    tunnel_id: str | UnsetType | None = UNSET
    server_description: Annotated[str, Meta(max_length=4096)] | UnsetType | None = UNSET
    allowed_tools: tuple[str, ...] | McpFilter | UnsetType | None = UNSET
    require_approval: Literal["always", "never"] | McpApproval | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    allowed_callers: Callers | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET


# --- search for tools ------------------------------------------------------------------------------------------------


class ToolSearchTool(StrictWire, frozen=True, kw_only=True, tag="tool_search"):
    """Lets the model look for tools that are loaded later. ``client``: the client answers the search."""

    execution: Literal["server", "client"] | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET


# --- files, web, code ------------------------------------------------------------------------------------------------


class FileSearchTool(StrictWire, frozen=True, kw_only=True, tag="file_search"):
    """Search in vector stores. ``filters`` and ``ranking_options`` are checked by the tool."""

    vector_store_ids: tuple[str, ...]
    filters: dict[str, Any] | UnsetType | None = UNSET
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | UnsetType | None = UNSET
    ranking_options: dict[str, Any] | UnsetType | None = UNSET


class _WebSearch(StrictWire, frozen=True, kw_only=True):
    """``filters`` and ``user_location`` are checked by the tool."""

    filters: dict[str, Any] | UnsetType | None = UNSET
    search_content_types: tuple[Literal["text", "image"], ...] | UnsetType | None = UNSET
    search_context_size: Literal["low", "medium", "high"] | UnsetType | None = UNSET
    user_location: dict[str, Any] | UnsetType | None = UNSET
    external_web_access: bool | UnsetType | None = UNSET


class WebSearchTool(_WebSearch, frozen=True, kw_only=True, tag="web_search"):
    """Search on the web."""


class DatedWebSearchTool(_WebSearch, frozen=True, kw_only=True, tag="web_search_2025_08_26"):
    """The same under its dated name."""


class WebSearchPreviewTool(_WebSearch, frozen=True, kw_only=True, tag="web_search_preview"):
    """The same under its first name, which has no filters."""


class DatedWebSearchPreviewTool(_WebSearch, frozen=True, kw_only=True, tag="web_search_preview_2025_03_11"):
    """The same under its first, dated name."""


class CodeInterpreterTool(StrictWire, frozen=True, kw_only=True, tag="code_interpreter"):
    """Python in a container: the id of one, or ``{"type": "auto", …}``."""

    container: str | dict[str, Any]
    allowed_callers: Callers | UnsetType | None = UNSET


class ContainerShellTool(StrictWire, frozen=True, kw_only=True, tag="container_shell"):
    """``{"type": "shell"}`` with a container as its ``environment``. On the wire its type is ``shell``, as that of the tool
    that a client runs; the type here is this server's own, and a client cannot name it."""

    environment: dict[str, Any]
    allowed_callers: Callers | UnsetType | None = UNSET


HostedToolEntry: TypeAlias = (
    McpTool
    | ToolSearchTool
    | FileSearchTool
    | WebSearchTool
    | DatedWebSearchTool
    | WebSearchPreviewTool
    | DatedWebSearchPreviewTool
    | CodeInterpreterTool
    | ContainerShellTool
)


# --- choices ---------------------------------------------------------------------------------------------------------


class McpChoice(StrictWire, frozen=True, kw_only=True, tag="mcp"):
    """The model must call a tool of this MCP server: ``name``, or any."""

    server_label: str
    name: str | UnsetType | None = UNSET


class FileSearchChoice(StrictWire, frozen=True, kw_only=True, tag="file_search"):
    """The model must search in the vector stores."""


class WebSearchChoice(StrictWire, frozen=True, kw_only=True, tag="web_search"):
    """The model must search on the web."""


class WebSearchPreviewChoice(StrictWire, frozen=True, kw_only=True, tag="web_search_preview"):
    """The same under its first name."""


class DatedWebSearchPreviewChoice(StrictWire, frozen=True, kw_only=True, tag="web_search_preview_2025_03_11"):
    """The same under its first, dated name."""


class CodeInterpreterChoice(StrictWire, frozen=True, kw_only=True, tag="code_interpreter"):
    """The model must run code."""


HostedChoice: TypeAlias = (
    McpChoice
    | FileSearchChoice
    | WebSearchChoice
    | WebSearchPreviewChoice
    | DatedWebSearchPreviewChoice
    | CodeInterpreterChoice
)


def without_secrets(tool: T) -> T:
    """A tool as it is stored and echoed."""
    if isinstance(tool, McpTool):
        return msgspec.structs.replace(tool, authorization=UNSET, headers=UNSET)
    return tool


def type_of(value: HostedToolEntry | HostedChoice) -> str:
    """The ``type`` of an entry or a choice."""
    return str(type(value).__struct_config__.tag)
