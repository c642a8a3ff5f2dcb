"""What the store costs, alone: commits, reads, chains, bytes. No server and no engine.

    python bench/bench_state.py [--home FOLDER] [--turns 1000]

Figures are medians. The home folder should be on the disk that counts: on tmpfs, syncing is free.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from kodo.lifecycle.ports import ContextItem
from kodo.lifecycle.records import DocumentRow, ItemRow, KeyRow, ResponseRow
from kodo.store import connections
from kodo.store.sqlite import SqliteStore
from kodo.wire.items import InputText, Message, OutputText

BODY = b'{"x":"' + b"x" * 1000 + b'"}'
QUESTION = "What does this function return when the list is empty? " * 4
ANSWER = "It returns None, since the loop body never runs. " * 8


def item(id_: str, role: str, text: str) -> ItemRow:
    """A message of some 200 to 400 characters; the model's has its tokens."""
    part = OutputText(text=text) if role == "assistant" else InputText(text=text)
    tokens = tuple(range(100)) if role == "assistant" else None
    return ItemRow(
        id=id_, context=ContextItem(item=Message(id=id_, role=role, content=(part,)), tokens=tokens)
    )  # type: ignore[arg-type]


def row(id_: str, status: str, parent: str | None = None) -> ResponseRow:
    """A response row with bodies of 1 kB."""
    return ResponseRow(
        id=id_, owner="ada", status=status, created_at=0.0, parent=parent, request=BODY, response=BODY
    )


async def turn(store: SqliteStore, id_: str, parent: str | None) -> None:
    """A response as the lifecycle stores it: created, logged, finished."""
    await store.create_response(row(id_, "in_progress", parent), [item(f"{id_}-in", "user", QUESTION)])
    await store.append_log(id_, 0, [b"x" * 60] * 30)
    await store.finish_response(row(id_, "completed", parent), [item(f"{id_}-out", "assistant", ANSWER)])


async def producers(count: int, seconds: float, write: Callable[[int, int], Awaitable[object]]) -> float:
    """Calls a second, of so many callers that each wait for their own."""
    end = time.perf_counter() + seconds

    async def one(producer: int) -> int:
        calls = 0
        while time.perf_counter() < end:
            await write(producer, calls)
            calls += 1
        return calls

    start = time.perf_counter()
    return sum(await asyncio.gather(*(one(number) for number in range(count)))) / (
        time.perf_counter() - start
    )


async def median(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Microseconds of one call, in the middle of so many."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e6


def say(what: str, value: float, unit: str) -> None:
    print(f"{what:<58}{value:>12,.2f} {unit}", flush=True)


async def commits(store: SqliteStore) -> None:
    """Writes of 1 kB documents and of log entries, by how many callers there are."""
    for number in (1, 8, 64):

        async def put(producer: int, call: int, number: int = number) -> None:
            await store.put_document(
                DocumentRow(
                    kind=f"k{number}", id=f"{producer}-{call}", owner="ada", created_at=0.0, body=BODY
                )
            )

        say(f"durable commits, {number} producers", await producers(number, 3, put), "/s")
    for number in (1, 64):
        for producer in range(number):
            await store.create_response(row(f"log{number}-{producer}", "in_progress"), [])

        async def log(producer: int, call: int, number: int = number) -> None:
            await store.append_log(f"log{number}-{producer}", call * 4, [b"x" * 60] * 4)

        say(f"log appends of 4 entries, {number} producers", await producers(number, 3, log), "/s")


async def reads(store: SqliteStore) -> None:
    """Reads by key, on the event loop."""
    for number in range(20):
        await store.put_key(
            KeyRow(id=f"{number}", name="", project="p", hash=b"%032d" % number, hint="", created_at=0.0)
        )
    await turn(store, "one", None)
    say("get_response", await median(lambda: store.get_response("ada", "one"), 3000), "µs")
    say("get_item by reference", await median(lambda: store.get_item("ada", None, "one-in"), 3000), "µs")
    say("keys, 20 of them", await median(store.keys, 3000), "µs")
    say("read_log of 30 entries, through a thread", await median(lambda: store.read_log("one"), 1000), "µs")


async def chains(home: Path, turns: int) -> None:
    """Chains one after the other: what the tenth and the last turn cost, from memory and after a restart, and bytes."""
    await chain(home, "first", turns, {})
    size = connections.size(home)
    say(f"bytes a turn, a chain of {turns} turns", size / (turns + 100), "B")
    taken: dict[int, tuple[list[float], list[float]]] = {10: ([], []), turns: ([], [])}
    for number in range(5):
        await chain(home, f"c{number}", turns, taken)
    say("bytes a turn, five more of them", (connections.size(home) - size) / (turns + 100) / 5, "B")
    medians = {number: [statistics.median(times) * 1e6 for times in both] for number, both in taken.items()}
    for number, (read, whole) in medians.items():
        say(f"turn {number}: chain", read, "µs")
        say(f"turn {number}: chain, create, log, finish", whole, "µs")
    say(f"turn {turns} against turn 10, all of the store's time", medians[turns][1] / medians[10][1], "x")
    cold = []
    for number in range(5):
        store = SqliteStore(home)
        await store.open()
        start = time.perf_counter()
        await store.chain("ada", f"c{number}.{turns}")
        cold.append(time.perf_counter() - start)
        await store.close()
    say(f"turn {turns}: chain, after a restart", statistics.median(cold) * 1e6, "µs")


async def chain(home: Path, name: str, turns: int, taken: dict[int, tuple[list[float], list[float]]]) -> None:
    """One chain. The seconds that the last few turns up to each number in ``taken`` cost are added there: of reading
    the context, and of all together. The first hundred turns of another chain warm the process up."""
    store = SqliteStore(home)
    await store.open()
    for number in range(100):
        await turn(store, f"{name}.w{number}", None)
    parent = None
    for number in range(1, turns + 1):
        id_ = f"{name}.{number}"
        begun = time.perf_counter()
        context = await store.chain("ada", parent) if parent is not None else ()
        read = time.perf_counter()
        await turn(store, id_, parent)
        ended = time.perf_counter()
        assert context is not None
        assert len(context) == 2 * number - 2
        for wanted, (reading, whole) in taken.items():
            if wanted - 8 < number <= wanted:
                reading.append(read - begun)
                whole.append(ended - begun)
        parent = id_
    await store.close()


async def main(home: Path, turns: int) -> None:
    """All parts, each on a database of its own."""
    store = SqliteStore(home / "commits")
    await store.open()
    await commits(store)
    await reads(store)
    await store.close()
    await chains(home / "chains", turns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="where to put the databases (default: a temporary folder)")
    parser.add_argument("--turns", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        uvloop.run(main(Path(folder), given.turns))
