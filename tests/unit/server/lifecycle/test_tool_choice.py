"""Which tools a choice means, and that there is one."""

from __future__ import annotations

from typing import Any

import pytest

from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.tool_choice import check_choice
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
    ToolName,
)

PLAIN = FunctionTool(name="get")
FREE = CustomTool(name="grep")
SPACE = NamespaceTool(name="sky", description="", tools=(FunctionTool(name="look"),))


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ((), "auto"),
        ((), "none"),
        ((PLAIN,), "required"),
        ((PLAIN,), FunctionChoice(name="get")),
        ((SPACE,), FunctionChoice(name="look")),
        ((SPACE,), FunctionChoice(name="look", namespace="sky")),
        ((SPACE,), FunctionChoice(name="sky.look")),
        ((FREE,), CustomChoice(name="grep")),
        ((ShellTool(),), ShellChoice()),
        ((LocalShellTool(),), ShellChoice()),
        ((ApplyPatchTool(),), ApplyPatchChoice()),
        ((PLAIN, FREE), AllowedTools(tools=(ToolName(type="function", name="get"), ToolName(type="custom")))),
        ((SPACE,), AllowedTools(tools=(ToolName(type="namespace", name="sky"),))),
    ],
)
def test_a_choice_of_an_offered_tool_is_taken(tools: tuple[Tool, ...], choice: Any) -> None:
    """By type and name, with and without its namespace."""
    check_choice(tools, choice)


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ((), "required", "tool_choice"),
        ((), FunctionChoice(name="get"), "tool_choice"),
        ((PLAIN,), FunctionChoice(name="got"), "tool_choice"),
        ((PLAIN,), CustomChoice(name="get"), "tool_choice"),
        ((PLAIN,), FunctionChoice(name="get", namespace="sky"), "tool_choice"),
        ((SPACE,), FunctionChoice(name="look", namespace="sea"), "tool_choice"),
        ((SPACE,), FunctionChoice(name="sky"), "tool_choice"),
        ((PLAIN,), ShellChoice(), "tool_choice"),
        ((ShellTool(),), ApplyPatchChoice(), "tool_choice"),
        ((ShellTool(),), AllowedTools(tools=(ToolName(type="local_shell"),)), "tool_choice.tools"),
        ((PLAIN,), AllowedTools(tools=(ToolName(type="namespace"),)), "tool_choice.tools"),
        (
            (PLAIN,),
            AllowedTools(tools=(ToolName(type="function", name="get"), ToolName(type="function", name="x"))),
            "tool_choice.tools",
        ),
    ],
)
def test_a_choice_that_cannot_be_met_names_its_field(
    tools: tuple[Tool, ...], choice: Any, param: str
) -> None:
    """A tool that is not offered is the caller's mistake, also where it is one of several."""
    with pytest.raises(InvalidRequest) as caught:
        check_choice(tools, choice)
    assert caught.value.param == param
