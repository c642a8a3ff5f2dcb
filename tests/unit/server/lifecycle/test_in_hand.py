"""Which unfinished rows nobody works on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.contract.stores import response

from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.records import ResponseRow


async def test_rows_that_are_worked_on_at_any_time_of_the_reading_are_not_left() -> None:
    """One that was begun or whose end was stored meanwhile may have been read as unfinished; the next reading knows better."""
    held = InHand()
    held.take("before")
    going = asyncio.Event()

    async def read() -> Sequence[ResponseRow]:
        await going.wait()
        return [response(name) for name in ("before", "meanwhile", "nobody")]

    reading = asyncio.create_task(held.left(read))
    await asyncio.sleep(0)
    held.release("before")
    held.take("meanwhile")
    held.release("meanwhile")
    going.set()
    assert [row.id for row in await reading] == ["nobody"]
    assert [row.id for row in await held.left(read)] == ["before", "meanwhile", "nobody"]


async def test_a_reading_that_fails_leaves_nothing_behind() -> None:
    """The next one is as the first."""
    held = InHand()

    async def broken() -> Sequence[ResponseRow]:
        raise OSError

    with pytest.raises(OSError):
        await held.left(broken)
    assert held._readings == []
