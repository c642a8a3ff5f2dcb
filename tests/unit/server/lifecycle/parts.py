"""Responses, rows and runs to test the lifecycle with, over the store in memory."""

from __future__ import annotations

import msgspec
from tests.contract.memory_store import MemoryStore

from kodo.server.lifecycle import plan
from kodo.server.lifecycle.ports import ContextItem, ModelCard
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.lifecycle.run import Run
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, InputText, Item, Message
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response

CARD = ModelCard(name="m", engine="scripted", context_window=1000, max_output_tokens=1000, parallel=4)


def initial_response(*, background: bool = False, name: str = "resp_1") -> Response:
    """A response that begins."""
    return plan.initial_response(
        name, CreateResponse(model="m"), CARD, 1000.0, background=background, store=True
    )


async def stored_run(store: MemoryStore, *, background: bool = False, name: str = "resp_1") -> Run:
    """A run whose row is stored."""
    begun = initial_response(background=background, name=name)
    row = ResponseRow(
        id=begun.id,
        owner="ada",
        status=begun.status,
        created_at=1000.0,
        background=background,
        request=b"{}",
        response=msgspec.json.encode(begun),
    )
    await store.create_response(row, [])
    run = Run("ada", begun, store=store, row=row)
    run.created()
    return run


def user(text: str, role: str = "user") -> ContextItem:
    """A message."""
    return ContextItem(item=Message(id=text, role=role, content=(InputText(text=text),)))  # type: ignore[arg-type]


def call(call_id: str) -> ContextItem:
    """A call."""
    return ContextItem(item=FunctionCall(id=f"fc_{call_id}", call_id=call_id, name="f", arguments="{}"))


def output(call_id: str) -> ContextItem:
    """Its output."""
    return ContextItem(item=FunctionCallOutput(id=f"fco_{call_id}", call_id=call_id, output="done"))


def names(items: tuple[ContextItem, ...] | list[Item]) -> list[str]:
    """Ids, in order."""
    return [str((one.item if isinstance(one, ContextItem) else one).id) for one in items]
