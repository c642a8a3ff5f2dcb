"""Group commit: what waits together is committed together, and fails alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kodo.server.lifecycle.errors import Conflict, StoreFailed
from kodo.server.store import connections
from kodo.server.store import writer as writer_module
from kodo.server.store.writer import Writer

Work = Callable[[sqlite3.Connection], None]


class Bench:
    """A writer over a table of numbers, whose thread can be held, so that a batch gathers behind it."""

    def __init__(self, home: Path, *, waiting: int = 100) -> None:
        self.home = home
        connection = connections.open_writer(home)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY CHECK (number >= 0))"
        )
        self.statements: list[str] = []
        connection.set_trace_callback(self.statements.append)
        self.connection = connection
        self.writer = Writer(connection, max_waiting=waiting)
        self.released = threading.Event()

    async def hold(self) -> asyncio.Task[None]:
        """Keep the thread busy until ``released`` is set."""
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait(_: sqlite3.Connection) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert self.released.wait(30)

        task = asyncio.create_task(self.writer.run(wait, durable=False))
        await begun.wait()
        self.statements.clear()
        return task

    def numbers(self) -> list[int]:
        """What another connection sees."""
        reader = connections.open_reader(self.home)
        found = [number for (number,) in reader.execute("SELECT number FROM numbers ORDER BY number")]
        reader.close()
        return found


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.released.set()
    await made.writer.close()


def insert(number: int) -> Work:
    """Work that adds a number."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))

    return work


def refuse(connection: sqlite3.Connection) -> None:
    """Work that writes, and then finds that it may not."""
    connection.execute("INSERT INTO numbers VALUES (1000)")
    raise Conflict("no")


async def test_a_result_is_committed_before_it_is_returned(bench: Bench) -> None:
    """Another connection sees the row as soon as the call returns."""
    for number in range(5):
        await bench.writer.run(insert(number))
        assert bench.numbers() == list(range(number + 1))


async def test_what_waits_is_committed_together(bench: Bench) -> None:
    """Fifty calls behind a busy writer cost one transaction."""
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(insert(number))) for number in range(50)]
    await asyncio.sleep(0)
    bench.released.set()
    await asyncio.gather(held, *tasks)
    assert bench.numbers() == list(range(50))
    assert bench.statements.count("COMMIT") == 2  # the one that held the thread, and the fifty


async def test_a_call_that_is_refused_rolls_back_alone(bench: Bench) -> None:
    """Its neighbours in the same transaction are kept, and it sees its own exception."""
    held = await bench.hold()
    works = [insert(0), refuse, insert(1), refuse]
    tasks = [asyncio.create_task(bench.writer.run(work)) for work in works]
    await asyncio.sleep(0)
    bench.released.set()
    await held
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Conflict, type(None), Conflict]
    assert bench.numbers() == [0, 1]
    assert bench.statements.count("COMMIT") == 2


async def test_a_call_that_breaks_sqlite_fails_alone(bench: Bench) -> None:
    """The batch is rolled back and each call runs again by itself; nobody sees a value of the failed one."""
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(insert(number))) for number in (0, -5, 1)]
    await asyncio.sleep(0)
    bench.released.set()
    await held
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), StoreFailed, type(None)]
    assert "-5" not in str(results[1])
    assert bench.numbers() == [0, 1]


async def test_a_cancelled_caller_does_not_stop_the_others(bench: Bench) -> None:
    """Its work is done all the same: it was handed over."""
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(insert(number))) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    bench.released.set()
    await asyncio.gather(held, *tasks, return_exceptions=True)
    assert tasks[1].cancelled()
    assert bench.numbers() == [0, 1, 2]


async def test_an_error_that_nobody_thought_of_does_not_end_the_thread(tmp_path: Path) -> None:
    """It is raised in the caller; the next write is made."""

    class Broken(Writer):
        broken = True

        def _commit(self, slot: int, jobs: Sequence[Any]) -> list[Any]:
            if self.broken:
                raise RuntimeError("a defect")
            return super()._commit(slot, jobs)

    writer = Broken(connections.open_writer(tmp_path))
    with pytest.raises(RuntimeError, match="a defect"):
        await writer.run(lambda connection: None)
    writer.broken = False
    assert await asyncio.wait_for(writer.run(lambda connection: 7), 10) == 7
    await writer.close()


async def test_callers_wait_when_the_queue_is_full(tmp_path: Path) -> None:
    """With room for three, the fourth is handed over when one has been committed."""
    bench = Bench(tmp_path, waiting=3)
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(insert(number))) for number in range(6)]
    await asyncio.sleep(0.01)
    assert bench.writer.waiting == 2  # the held one has the third place
    bench.released.set()
    await asyncio.gather(held, *tasks)
    assert bench.numbers() == list(range(6))
    await bench.writer.close()


async def test_only_durable_work_waits_for_the_disk(bench: Bench) -> None:
    """A batch is synced when one call in it asks for it; the level is set when it changes only."""
    for durable in (True, True, False, False, True):
        await bench.writer.run(insert(len(bench.statements)), durable=durable)
    levels = [line for line in bench.statements if "synchronous" in line]
    assert levels == [f"PRAGMA synchronous = {level}" for level in ("FULL", "NORMAL", "FULL")]


async def test_closing_commits_what_waits_and_refuses_what_comes(bench: Bench) -> None:
    """Nothing handed over before is lost; a later call is a StoreFailed; closing twice is closing."""
    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(insert(number))) for number in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(bench.writer.close())
    await asyncio.sleep(0)
    bench.released.set()
    await asyncio.gather(held, *tasks, closing)
    assert bench.numbers() == [0, 1, 2]
    with pytest.raises(StoreFailed):
        await bench.writer.run(insert(9))
    await bench.writer.close()


async def test_what_writes_put_off_is_added_up_once_and_not_for_one_that_fails(tmp_path: Path) -> None:
    """Before each commit, in the same transaction; a write that is taken back takes back what it put off."""
    added: list[list[int]] = []
    connection = connections.open_writer(tmp_path)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")

    def add_up(connection: connections.SqliteConnection, put_off: Sequence[int]) -> None:
        assert connection.in_transaction
        added.append(list(put_off))
        connection.execute("INSERT INTO numbers VALUES (?)", (sum(put_off),))

    writer = Writer(connection, add_up=add_up)
    released = threading.Event()

    def write(number: int, *, fails: bool = False) -> Callable[[connections.SqliteConnection], None]:
        def work(connection: connections.SqliteConnection) -> None:
            assert connection.put_off is not None
            connection.put_off.append(number)
            if fails:
                raise Conflict("taken back")

        return work

    held = asyncio.create_task(writer.run(lambda _: released.wait(30)))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(writer.run(write(n, fails=n == 3))) for n in (1, 2, 3, 4)]
    await asyncio.sleep(0.05)
    released.set()
    assert await held
    results = await asyncio.gather(*others, return_exceptions=True)
    await writer.close()
    assert [isinstance(result, Conflict) for result in results] == [False, False, True, False]
    assert added == [[1, 2, 4]]
    reader = connections.open_reader(tmp_path)
    assert reader.execute("SELECT number FROM numbers").fetchall() == [(7,)]
    reader.close()


@pytest.mark.parametrize(("bad", "error"), [(5, StoreFailed), (2**63, OverflowError)])
async def test_what_cannot_be_added_up_fails_its_own_write_alone(
    tmp_path: Path, bad: int, error: type[Exception]
) -> None:
    """The transaction is rolled back, and each write is given one of its own; whatever the error, the thread goes on."""
    connection = connections.open_writer(tmp_path)
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY CHECK (number < 3))")

    def add_up(connection: connections.SqliteConnection, put_off: Sequence[int]) -> None:
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in put_off])

    writer = Writer(connection, add_up=add_up)

    def write(number: int) -> Callable[[connections.SqliteConnection], None]:
        def work(connection: connections.SqliteConnection) -> None:
            assert connection.put_off is not None
            connection.put_off.append(number)

        return work

    released = threading.Event()
    held = asyncio.create_task(writer.run(lambda _: released.wait(30)))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(writer.run(write(number))) for number in (1, bad, 2)]
    await asyncio.sleep(0.05)
    released.set()
    await held
    results = await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 60)
    await writer.close()
    assert [isinstance(result, error) for result in results] == [False, True, False]
    reader = connections.open_reader(tmp_path)
    assert sorted(reader.execute("SELECT number FROM numbers").fetchall()) == [(1,), (2,)]
    reader.close()


async def test_writes_that_succeed_take_no_savepoint(bench: Bench) -> None:
    """Only where one of them fails are all run again, each with one of its own."""
    for works, savepoints in (([insert(0), insert(1)], 0), ([insert(2), refuse, insert(3)], 3)):
        bench.released.clear()
        held = await bench.hold()
        tasks = [asyncio.create_task(bench.writer.run(work)) for work in works]
        await asyncio.sleep(0)
        bench.released.set()
        await held
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bench.statements.count("SAVEPOINT job") == savepoints
    assert bench.numbers() == [0, 1, 2, 3]


@pytest.mark.parametrize(("seconds", "stands"), [(0.002, True), (0.1, False)])
async def test_the_loop_stands_aside_for_the_statements_of_several_writes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float, stands: bool
) -> None:
    """It takes no turn while they run, and waits for a long one only as long as it may."""
    monkeypatch.setattr(writer_module, "MAX_ASIDE_SECONDS", 0.03)
    turns: list[int] = [0]

    async def tick() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    def statement(_: sqlite3.Connection) -> int:
        before = turns[0]
        time.sleep(seconds)
        return turns[0] - before

    held = await bench.hold()
    tasks = [asyncio.create_task(bench.writer.run(statement)) for _ in range(3)]
    await asyncio.sleep(0)
    ticking = asyncio.create_task(tick())
    bench.released.set()
    await held
    passed = await asyncio.gather(*tasks)
    ticking.cancel()
    assert (sum(passed) == 0) is stands


async def test_a_single_write_leaves_the_loop_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is at work that would be in the way."""

    def asked(*_: object) -> None:
        raise AssertionError("the loop was asked to stand aside")

    monkeypatch.setattr(writer_module.Turn, "ask", asked)
    for number in range(3):
        await bench.writer.run(insert(number))
    assert bench.numbers() == [0, 1, 2]
