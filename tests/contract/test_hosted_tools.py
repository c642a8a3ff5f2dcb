"""What every hosted tool promises, whatever it does: :class:`kodo.server.lifecycle.hosted.ports.HostedTool`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.contract.hosted_tools import CASES, Case

from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.wire.items import Item

ITEM: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
HOSTILE = ["", "not json", "[]", "null", "{}", '{"q": 1}', '{"\\u0000": "\\ud800"}', "{" * 500, "x" * 100_000]


@pytest.fixture(params=sorted(CASES))
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    """Each tool."""
    async with CASES[request.param](tmp_path) as made:
        yield made


def context_of(case: Case) -> ToolContext:
    """What the tool may know."""
    return ToolContext(owner="ada", response_id="resp_1", items=case.items, deferred=case.deferred)


def call_of(case: Case, arguments: str | None = None) -> HostedCall:
    """The case's call, or one with other arguments."""
    return HostedCall(
        call_id="call_1",
        name=case.name,
        arguments=case.arguments if arguments is None else arguments,
        entry=case.entry,
        item_id="x_1",
    )


def check_item(item: Item) -> None:
    """An item is one of the contract's, in the SDK's strict type, once it has an id."""
    ITEM.validate_json(msgspec.json.encode(msgspec.structs.replace(item, id="x_1")), strict=True)


async def updates_of(case: Case, call: HostedCall) -> list[ToolUpdate]:
    """All that a run gives."""
    return [update async for update in case.tool.run(call, context_of(case))]


async def test_declared_functions_are_a_function_of_entry_and_history(case: Case) -> None:
    """The same twice, with valid schemas; the case's call is one of them; openings come out the same, too."""
    first = await case.tool.declare(case.entry, context_of(case))
    assert first == await case.tool.declare(case.entry, context_of(case))
    assert case.name in [function.name for function in first]
    for function in first:
        jsonschema.Draft202012Validator.check_schema(function.parameters or {})
    opened = case.tool.openings(case.entry, context_of(case))
    assert opened == case.tool.openings(case.entry, context_of(case))


async def test_a_run_gives_events_and_one_result(case: Case) -> None:
    """Events of the contract, then the result, of the announced type; text for the model."""
    announced = case.tool.announce(call_of(case), context_of(case))
    check_item(announced.item)
    *events, done = await updates_of(case, call_of(case))
    assert isinstance(done, Done)
    assert not any(isinstance(event, Done) for event in events)
    assert type(done.item) is type(announced.item)
    assert done.output
    for item in (done.item, *done.more):
        check_item(item)
    for event in (*events, *done.events):
        placed = msgspec.structs.replace(event, sequence_number=1, output_index=0, item_id="x_1")  # type: ignore[type-var]
        EVENT.validate_json(msgspec.json.encode(placed), strict=True)


@pytest.mark.parametrize("arguments", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_arguments_break_a_tool(case: Case, arguments: str) -> None:
    """Any text is announced; its run ends with one result, or with an error that the loop tells the model."""
    announced = case.tool.announce(call_of(case, arguments), context_of(case))
    check_item(announced.item)
    try:
        updates = await updates_of(case, call_of(case, arguments))
    except ServiceError:
        return
    assert [isinstance(update, Done) for update in updates].count(True) == 1
    assert isinstance(updates[-1], Done)
    check_item(updates[-1].item)


async def test_a_call_that_was_cut_off_has_a_result(case: Case) -> None:
    """The item says so in the contract's terms, and the model is told why."""
    announced = case.tool.announce(call_of(case), context_of(case))
    done = case.tool.failed(call_of(case), announced.item, "It took too long.")
    check_item(done.item)
    assert type(done.item) is type(announced.item)
    assert "took too long" in (done.output or "")
