"""Which of the offered tools a ``tool_choice`` means, and the rule that there is one. The same for every engine.

What an engine makes of a choice is the engine's: a grammar, or a field of another server's request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.wire.tools import (
    AllowedTools,
    ApplyPatchChoice,
    ApplyPatchTool,
    CustomChoice,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    LocalShellTool,
    NamespaceTool,
    ShellChoice,
    ShellTool,
    Tool,
    ToolChoice,
    ToolName,
)


def check_choice(tools: Sequence[Tool], choice: ToolChoice) -> None:
    """Check that a choice can be met with the tools that are offered.

    Raises:
        InvalidRequest: it says ``required`` and there are none, or it names one that is not offered.
    """
    if choice == "required" and not tools:
        raise InvalidRequest("tool_choice is 'required', but there are no tools.", param="tool_choice")
    if isinstance(choice, str):
        return
    listed = choice.tools if isinstance(choice, AllowedTools) else (chosen_name(choice),)
    offered = list(offered_names(tools))
    for wanted in listed:
        if any(is_meant(wanted, name) for name in offered):
            continue
        if isinstance(choice, AllowedTools):
            raise InvalidRequest(
                f"tool_choice allows a tool that is not offered: {_label(wanted)}.", param="tool_choice.tools"
            )
        raise InvalidRequest(
            f"tool_choice names a tool that is not offered: {_label(wanted)}.", param="tool_choice"
        )


def chosen_name(choice: FunctionChoice | CustomChoice | ShellChoice | ApplyPatchChoice) -> ToolName:
    """The tool that a choice of one tool names."""
    match choice:
        case FunctionChoice():
            return ToolName(type="function", name=choice.name, namespace=choice.namespace)
        case CustomChoice():
            return ToolName(type="custom", name=choice.name, namespace=choice.namespace)
        case ShellChoice():
            return ToolName(type="shell")
        case ApplyPatchChoice():
            return ToolName(type="apply_patch")


def offered_names(tools: Sequence[Tool]) -> Iterator[ToolName]:
    """The tools of a request one by one, those of a namespace under its name."""
    for tool in tools:
        match tool:
            case NamespaceTool():
                yield from (tool_name(inner, tool.name) for inner in tool.tools)
            case FunctionTool() | CustomTool():
                yield tool_name(tool)
            case ShellTool():
                yield ToolName(type="shell")
            case LocalShellTool():
                yield ToolName(type="local_shell")
            case ApplyPatchTool():
                yield ToolName(type="apply_patch")


def tool_name(tool: FunctionTool | CustomTool, namespace: str | None = None) -> ToolName:
    """What a choice calls a function or a custom tool."""
    kind = "function" if isinstance(tool, FunctionTool) else "custom"
    return ToolName(type=kind, name=tool.name, namespace=namespace or UNSET)


def is_meant(wanted: ToolName, offered: ToolName) -> bool:
    """Whether a choice's entry means an offered tool. ``shell`` also means the local shell, a namespace all its tools, and a
    name may have its namespace before it (``weather.get``)."""
    if wanted.type == "namespace":
        return bool(wanted.name) and offered.namespace == wanted.name
    if wanted.type != offered.type and (wanted.type, offered.type) != ("shell", "local_shell"):
        return False
    if wanted.namespace and offered.namespace != wanted.namespace:
        return False
    if not wanted.name or wanted.name == offered.name:
        return True
    return bool(offered.namespace) and wanted.name == f"{offered.namespace}.{offered.name}"


def _label(name: ToolName) -> str:
    return f"{name.type} '{name.name}'" if name.name else name.type
