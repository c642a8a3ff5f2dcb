"""One response alive: one writer, many readers, and a store that may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from tests.contract.memory_store import MemoryStore
from tests.unit.server.lifecycle.parts import initial_response, stored_run

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.ports import TextDelta, Usage
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.lifecycle.run import Run
from kodo.server.wire.events import sse

DONE = event_log.Ended(status="completed", at=2000.0, usage=Usage(input=1, output=2))


class Gated(MemoryStore):
    """A store in memory whose log and ends wait for a gate, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.failing = 0

    async def _pass(self) -> None:
        await self.open_gate.wait()
        if self.failing:
            self.failing -= 1
            raise StoreFailed("The disk is full.")

    async def append_log(self, response_id: str, first: int, entries: Sequence[bytes]) -> None:
        """The store's, behind the gate."""
        await self._pass()
        await super().append_log(response_id, first, entries)

    async def finish_response(self, *args: Any, **options: Any) -> None:
        """The store's, behind the gate."""
        await self._pass()
        await super().finish_response(*args, **options)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kodo.server.lifecycle.run.FLUSH_SECONDS", 0.01)
    monkeypatch.setattr("kodo.server.lifecycle.run.RETRY_SECONDS", 0.01)


async def read(run: Run, after: int = -1) -> bytes:
    """All a reader sees."""
    return b"".join([sse(event) async for batch in run.events(after) for event in batch])


async def test_readers_from_any_number_see_the_same_bytes() -> None:
    """Some from the start, some that come in between, some after the end."""
    run = await stored_run(MemoryStore(), background=True)
    readers = []
    for number in range(20):
        run.emit(event_log.Began() if number == 0 else TextDelta(text=f"{number} "))
        readers.append((number, asyncio.create_task(read(run, number - 1))))
        await asyncio.sleep(0)
    await run.end(DONE)
    frames = (await read(run)).split(b"\n\n")
    for number, reader in readers:
        assert await reader == b"\n\n".join(frames[number:])


async def test_a_background_event_is_shown_once_it_is_stored_and_no_sooner() -> None:
    """Neither the stream nor the Response shows what a crash would take back."""
    store = Gated()
    run = await stored_run(store, background=True)
    store.open_gate.clear()
    reader = aiter(run.events())
    assert len(await anext(reader)) == 1  # response.created: the row is there
    run.emit(event_log.Began())
    run.emit(TextDelta(text="a"))
    nothing = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.05)
    assert not nothing.done()
    assert (run.visible.status, run.response.status) == ("queued", "in_progress")
    store.open_gate.set()
    shown = await nothing
    assert len(shown) == 4
    assert run.visible.status == "in_progress"
    store.open_gate.clear()
    ending = asyncio.create_task(run.end(DONE))
    await asyncio.sleep(0.02)
    assert (run.visible.status, run.response.status, run.finished) == ("in_progress", "completed", False)
    store.open_gate.set()
    await ending
    assert (run.visible.status, run.finished) == ("completed", True)


async def test_in_the_foreground_only_the_first_and_the_last_event_wait() -> None:
    """The log follows; the end is shown when everything is stored."""
    store = Gated()
    run = await stored_run(store)
    store.open_gate.clear()
    run.emit(event_log.Began())
    run.emit(TextDelta(text="a"))
    assert len(await anext(aiter(run.events()))) == 5
    ending = asyncio.create_task(run.end(DONE))
    waiting = asyncio.create_task(run.wait())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    store.open_gate.set()
    await ending
    assert (await waiting).status == "completed"
    assert len(await store.read_log("resp_1")) == 3


async def test_the_log_survives_a_store_that_fails_for_a_while() -> None:
    """Entries are kept and written again; none is lost, none comes twice."""
    store = Gated()
    run = await stored_run(store, background=True)
    store.failing = 3
    run.emit(event_log.Began())
    run.emit(TextDelta(text="a"))
    while len(await store.read_log("resp_1")) < 2:
        await asyncio.sleep(0.005)
    await run.end(DONE)
    assert [event_log.decode(data) for data in await store.read_log("resp_1")] == run.entries


async def test_a_background_end_that_cannot_be_stored_waits() -> None:
    """Who waits for it is told at once; readers see the end when it is stored."""
    store = Gated()
    run = await stored_run(store, background=True)
    run.emit(event_log.Began())
    store.failing = 1000
    ending = asyncio.create_task(run.end(DONE))
    with pytest.raises(StoreFailed):
        await run.wait_until_done()
    assert not run.finished
    store.failing = 0
    await ending
    assert run.visible.status == "completed"


async def test_a_foreground_end_that_cannot_be_stored_is_a_failure_and_stays_one() -> None:
    """The events before stay as they were; what is stored later is what was told."""
    store = Gated()
    run = await stored_run(store)
    run.emit(event_log.Began())
    run.emit(TextDelta(text="half"))
    before = [sse(event) for event in await anext(aiter(run.events()))]
    store.failing = 1000
    ending = asyncio.create_task(run.end(DONE))
    with pytest.raises(StoreFailed):
        await run.wait()
    events = (await read(run)).split(b"\n\n")
    assert [event + b"\n\n" for event in events[: len(before)]] == before
    assert b"response.failed" in events[-2]
    store.failing = 0
    await ending
    row = await store.get_response("ada", "resp_1")
    assert row is not None
    assert row.status == run.visible.status == "failed"


async def test_a_stopped_server_leaves_the_row_unfinished_and_its_readers_free() -> None:
    """As after a crash, but with the log written."""
    store = MemoryStore()
    run = await stored_run(store, background=True)
    run.emit(event_log.Began())
    run.emit(TextDelta(text="half"))
    reader = asyncio.create_task(read(run))
    await asyncio.sleep(0)
    await run.abandon()
    await reader
    assert len(await store.read_log("resp_1")) == 2
    (row,) = await store.unfinished()
    again = Run(
        "ada",
        initial_response(background=True),
        store=store,
        row=row,
        entries=[event_log.decode(data) for data in await store.read_log("resp_1")],
    )
    again.created()
    again.emit(TextDelta(text=" and half"))
    await again.end(DONE)
    assert again.response.output[0].content[0].text == "half and half"  # type: ignore[union-attr]
    assert len(await store.read_log("resp_1")) == 4


async def test_an_end_waits_for_the_row() -> None:
    """A run may be over before its row is written, and the writes of a store may pass one another."""
    store = MemoryStore()
    begun = initial_response()
    row = ResponseRow(
        id=begun.id,
        owner="ada",
        status=begun.status,
        created_at=1000.0,
        request=b"{}",
        response=msgspec.json.encode(begun),
    )
    run = Run("ada", begun, store=store, row=row)
    run.emit(event_log.Began())
    ending = asyncio.create_task(run.end(DONE))
    await asyncio.sleep(0.01)
    assert not run.finished
    await store.create_response(row, [])
    run.created()
    await ending
    stored = await store.get_response("ada", run.id)
    assert stored is not None
    assert stored.status == "completed"


async def test_an_end_is_over_where_the_row_cannot_be_written() -> None:
    """Nothing of it is stored then, and its readers are released."""
    begun = initial_response()
    row = ResponseRow(
        id=begun.id, owner="ada", status=begun.status, created_at=1.0, request=b"{}", response=b"{}"
    )
    run = Run("ada", begun, store=MemoryStore(), row=row)
    run.emit(event_log.Began())
    ending = asyncio.create_task(run.end(DONE))
    await asyncio.sleep(0.01)
    run.discard()
    await ending
    assert run.finished


@pytest.mark.parametrize("background", [True, False])
async def test_an_end_that_a_stop_breaks_off_is_told_to_nobody(background: bool) -> None:
    """The server is taken for dead, or stops while the database is away: who waits for the end gets an error, not the answer."""
    store = Gated()
    run = await stored_run(store, background=background)
    run.emit(event_log.Began())
    run.emit(TextDelta(text="a"))
    store.open_gate.clear()
    ending = asyncio.create_task(run.end(DONE))
    waiting = [asyncio.create_task(work()) for work in (run.wait, run.wait_until_done)]
    reading = asyncio.create_task(read(run))
    await asyncio.sleep(0.05)
    ending.cancel()
    for one in waiting:
        with pytest.raises(StoreFailed, match="before the end"):
            await one
    assert b"response.completed" not in await reading
    assert run.visible.status != "completed"
    await asyncio.gather(ending, return_exceptions=True)


async def test_a_run_that_is_cancelled_before_its_task_begins_ends() -> None:
    """It is the task that ends it, so it begins first."""
    run = await stored_run(MemoryStore())

    async def drive() -> None:
        run.begun = True
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await run.end(event_log.Ended(status="cancelled", at=2000.0, usage=Usage(input=1)))

    run.task = asyncio.create_task(drive())
    run.cancel()
    await asyncio.wait_for(run.wait_until_done(), 10)
    assert run.response.status == "cancelled"
