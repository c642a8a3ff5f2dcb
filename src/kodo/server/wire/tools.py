"""Tools that a request may offer, and the choices among them.

Sources: Open Responses 2026-04-24 (``ResponsesToolParam``, ``ToolChoiceParam``), openai-python 3.54 (``ToolParam``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.hosted_tools import (
    Callers,
    ContainerShellTool,
    HostedChoice,
    HostedToolEntry,
    without_secrets,
)
from kodo.server.wire.items import Name, StrictWire


class FunctionTool(StrictWire, frozen=True, kw_only=True, tag="function", rename={"async_": "async"}):
    """A function, with a JSON Schema for its arguments."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | UnsetType | None = UNSET
    """Whether the model is shown it only once a search for tools has found it."""
    allowed_callers: Callers | UnsetType | None = UNSET
    output_schema: dict[str, Any] | UnsetType | None = UNSET
    async_: bool | UnsetType | None = UNSET
    """These three are echoed: a model here calls a tool itself, and waits for its output."""


class TextInput(StrictWire, frozen=True, kw_only=True, tag="text"):
    """The input of a free-form tool is any text."""


class GrammarInput(StrictWire, frozen=True, kw_only=True, tag="grammar"):
    """The input of a free-form tool is what a grammar allows."""

    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(StrictWire, frozen=True, kw_only=True, tag="custom", rename={"async_": "async"}):
    """A free-form tool. Without a ``format`` its input is any text."""

    name: Name
    description: str | UnsetType | None = UNSET
    format: TextInput | GrammarInput | UnsetType | None = UNSET
    defer_loading: bool | UnsetType | None = UNSET
    allowed_callers: Callers | UnsetType | None = UNSET
    async_: bool | UnsetType | None = UNSET


class NamespaceTool(StrictWire, frozen=True, kw_only=True, tag="namespace"):
    """A group of functions and free-form tools under a common name."""

    name: Name
    description: str | None = None
    tools: tuple[FunctionTool | CustomTool, ...]


class LocalShellTool(StrictWire, frozen=True, kw_only=True, tag="local_shell"):
    """Lets the model ask the client to run a command."""


class LocalSkill(StrictWire, frozen=True, kw_only=True):
    """A folder on the client's machine with instructions for one kind of work."""

    name: str
    description: str
    path: str


class LocalEnvironment(StrictWire, frozen=True, kw_only=True):
    """``environment`` of a shell whose commands the client runs. The model is told of the skills."""

    type: Literal["local"]
    skills: tuple[LocalSkill, ...] | UnsetType | None = UNSET


class ShellTool(StrictWire, frozen=True, kw_only=True, tag="shell"):
    """Lets the model ask the client to run commands. Replaces ``local_shell``."""

    environment: dict[str, Any] | UnsetType | None = UNSET
    allowed_callers: Callers | UnsetType | None = UNSET


class ApplyPatchTool(StrictWire, frozen=True, kw_only=True, tag="apply_patch"):
    """Lets the model ask the client to apply patches to files."""

    allowed_callers: Callers | UnsetType | None = UNSET


Tool: TypeAlias = FunctionTool | CustomTool | NamespaceTool | LocalShellTool | ShellTool | ApplyPatchTool

RequestTool: TypeAlias = Tool | HostedToolEntry
"""What a request may list. Engines are offered :data:`Tool` only."""

_NO_ENGINE = "no local engine can run them"
_NO_SEARCH = (
    "name a search service in [tools.web_search] of config.toml, "
    'such as backend = "searxng" and url = "http://127.0.0.1:8888"'
)
CONTAINER_SHELL = "container_shell"
"""This server's own name for a shell whose environment is a container."""
_NO_CODE = "the settings turn code off (tools.code_interpreter.enabled)"
HOSTED_TOOLS: Mapping[str, str] = {
    "code_interpreter": _NO_CODE,
    "computer": _NO_ENGINE,
    "computer_use_preview": _NO_ENGINE,
    "container_shell": _NO_CODE,
    "file_search": "the store of this server has no index for it",
    "image_generation": _NO_ENGINE,
    "mcp": "name the servers that may be reached in [tools.mcp.servers] of config.toml",
    "programmatic_tool_calling": "this server does not run programs of the model's",
    "tool_search": "the Responses API runs it",
    "web_search": _NO_SEARCH,
    "web_search_2025_08_26": _NO_SEARCH,
    "web_search_preview": _NO_SEARCH,
    "web_search_preview_2025_03_11": _NO_SEARCH,
}
"""Types of tool that the server itself would run, and what to do where it does not."""


class ToolName(StrictWire, frozen=True, kw_only=True):
    """A tool in the list of an ``allowed_tools`` choice, by type and name."""

    type: str
    name: str | UnsetType = UNSET
    namespace: str | UnsetType = UNSET


def type_on_wire(kind: str) -> str:
    """The type of a tool as a client knows it."""
    return "shell" if kind == CONTAINER_SHELL else kind


def echoed(tool: RequestTool) -> RequestTool:
    """A tool as a Response shows it."""
    if isinstance(tool, ContainerShellTool):
        return ShellTool(environment=tool.environment, allowed_callers=tool.allowed_callers)
    return without_secrets(tool)


class FunctionChoice(StrictWire, frozen=True, kw_only=True, tag="function"):
    """The model must call this function."""

    name: str
    namespace: str | UnsetType = UNSET


class CustomChoice(StrictWire, frozen=True, kw_only=True, tag="custom"):
    """The model must call this free-form tool."""

    name: str
    namespace: str | UnsetType = UNSET


class ShellChoice(StrictWire, frozen=True, kw_only=True, tag="shell"):
    """The model must call the shell."""


class ApplyPatchChoice(StrictWire, frozen=True, kw_only=True, tag="apply_patch"):
    """The model must create a patch."""


class AllowedTools(StrictWire, frozen=True, kw_only=True, tag="allowed_tools"):
    """The model may use only the listed tools."""

    tools: Annotated[tuple[ToolName, ...], Meta(min_length=1, max_length=128)]
    mode: Literal["none", "auto", "required"] = "auto"


ToolChoice: TypeAlias = (
    Literal["none", "auto", "required"]
    | FunctionChoice
    | CustomChoice
    | ShellChoice
    | ApplyPatchChoice
    | AllowedTools
)
RequestToolChoice: TypeAlias = ToolChoice | HostedChoice
"""What a request may choose. Engines get a :data:`ToolChoice`."""


class TextFormat(StrictWire, frozen=True, kw_only=True, tag="text"):
    """Plain text."""


class JsonObjectFormat(StrictWire, frozen=True, kw_only=True, tag="json_object"):
    """Any JSON object."""


class JsonSchemaFormat(
    StrictWire,
    frozen=True,
    kw_only=True,
    tag="json_schema",
    rename={"schema_": "schema"},
):
    """JSON that conforms to a schema."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | None = None
    schema_: dict[str, Any]
    strict: bool = False
    """Echoed; the schema is enforced either way."""


Format: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat
