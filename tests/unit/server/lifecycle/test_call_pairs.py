"""Calls and outputs come in pairs, whichever kind they are and whoever runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from kodo.server.lifecycle.call_pairs import check_calls, check_outputs
from kodo.server.lifecycle.errors import UnpairedCall
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.hosted_items import ToolSearchCall, ToolSearchOutput
from kodo.server.wire.items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    Compaction,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
)

PAIRS: dict[str, tuple[Item, Item]] = {
    "function call": (
        FunctionCall(call_id="call_1", name="f", arguments="{}"),
        FunctionCallOutput(call_id="call_1", output="x"),
    ),
    "custom tool call": (
        CustomToolCall(call_id="call_1", name="f", input=""),
        CustomToolCallOutput(call_id="call_1", output="x"),
    ),
    "local shell call": (
        LocalShellCall(id="lsh_1", call_id="call_1", action={}),
        LocalShellCallOutput(id="any", call_id="call_1", output="x"),
    ),
    "shell call": (ShellCall(call_id="call_1", action={}), ShellCallOutput(call_id="call_1", output=())),
    "apply patch call": (
        ApplyPatchCall(call_id="call_1", operation={}),
        ApplyPatchCallOutput(call_id="call_1"),
    ),
    "tool search call": (
        ToolSearchCall(call_id="call_1", execution="client"),
        ToolSearchOutput(call_id="call_1", execution="client", tools=[]),
    ),
}
CHECKED_OUTPUTS = [kind for kind in PAIRS if kind != "tool search call"]
"""An output of a search for tools brings them along, whoever searched."""
COMPACTION = Compaction(id="c", encrypted_content="sealed")
CALL, OUTPUT = PAIRS["function call"]


def refused(check: Callable[[Sequence[ContextItem]], None], *items: Item) -> UnpairedCall:
    """The error of a check."""
    with pytest.raises(UnpairedCall) as caught:
        check([ContextItem(item=item) for item in items])
    return caught.value


def taken(*items: Item) -> None:
    """Both checks pass."""
    context = [ContextItem(item=item) for item in items]
    check_outputs(context)
    check_calls(context)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_call_needs_its_output(kind: str) -> None:
    """The error is that of the hosted API: its message names the kind and the call, and it has no code."""
    call, output = PAIRS[kind]
    error = refused(check_calls, call)
    assert (error.message, error.param, error.code) == (
        f"No tool output found for {kind} call_1.",
        "input",
        None,
    )
    taken(call, output)


@pytest.mark.parametrize("kind", CHECKED_OUTPUTS)
def test_an_output_needs_its_call_before_it(kind: str) -> None:
    """A call of another kind or behind it is none."""
    call, output = PAIRS[kind]
    others = [other for name, (other, _) in PAIRS.items() if name != kind]
    error = refused(check_outputs, *others, output, call)
    assert (error.message, error.param, error.code) == (
        f"No tool call found for {kind} output with call_id call_1.",
        "input",
        None,
    )


def test_an_output_of_the_local_shell_may_name_the_item_of_its_call() -> None:
    """Its type has the id of the call only, as a client that follows the types writes it."""
    call = PAIRS["local shell call"][0]
    taken(call, LocalShellCallOutput(id="lsh_1", output="x"))
    taken(call, LocalShellCallOutput(id="call_1", output="x"))
    assert "lsh_2" in refused(check_outputs, call, LocalShellCallOutput(id="lsh_2", output="x")).message


def test_one_of_several_calls_without_an_output_is_named() -> None:
    """Parallel calls are all answered, in any order."""
    second = msgspec.structs.replace(CALL, call_id="call_2")
    answer = msgspec.structs.replace(OUTPUT, call_id="call_2")
    taken(CALL, second, answer, OUTPUT)
    assert "call_2" in refused(check_calls, CALL, second, OUTPUT).message


def test_calls_that_are_not_the_clients_to_run_need_no_output() -> None:
    """A call that was cut off, one that a service runs, and one that this server has run."""
    cut = msgspec.structs.replace(CALL, status="incomplete")
    hosted = ShellCall(call_id="call_2", action={}, environment={"type": "container_reference"})
    searched = ToolSearchCall(call_id="call_3", execution="server")
    taken(cut, hosted, searched)
    check_calls([ContextItem(item=CALL, shown=(CALL, OUTPUT))])
    local = msgspec.structs.replace(hosted, environment={"type": "local"})
    assert "call_2" in refused(check_calls, local).message


def test_a_compaction_stands_for_what_came_before_it() -> None:
    """A call before it needs no output; an output behind it may answer a call inside it."""
    taken(CALL, COMPACTION, OUTPUT)
    refused(check_calls, COMPACTION, CALL)
    refused(check_outputs, OUTPUT, COMPACTION)
