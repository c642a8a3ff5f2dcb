"""What state costs: the store alone (commits, reads, chains, bytes), then turns through the whole server.

    make bench-state ARGS="[--home FOLDER] [--turns 1000]"

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

from bench import bench_turns
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import DocumentRow, ItemRow, KeyRow, ResponseRow
from kodo.server.store import connections
from kodo.server.store.sqlite import SqliteStore
from kodo.server.wire.items import InputText, Message, OutputText

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
    """A short and a long chain, continued in turns: what the next turn of each costs; and bytes on disk."""
    store = SqliteStore(home)
    await store.open()
    ends: dict[int, str | None] = {10: None, turns: None}
    for length in ends:
        for number in range(length):
            ends[length] = await grow(store, f"{length}.{number}", ends[length])
    await store.close()
    say(f"bytes a turn, chains of 10 and {turns} turns", connections.bytes_on_disk(home) / (turns + 10), "B")
    store = SqliteStore(home)
    await store.open()
    start = time.perf_counter()
    await store.chain("ada", str(ends[turns]))
    say(f"turn {turns}: chain, after a restart", (time.perf_counter() - start) * 1e6, "µs")
    wall: dict[int, list[float]] = {length: [] for length in ends}
    cpu: dict[int, list[float]] = {length: [] for length in ends}
    for number in range(100):
        for length in ends:
            begun, used = time.perf_counter(), time.process_time()
            ends[length] = await grow(store, f"{length}.next{number}", ends[length])
            wall[length].append(time.perf_counter() - begun)
            cpu[length].append(time.process_time() - used)
    for what, taken in (("wall", wall), ("CPU", cpu)):
        short, long = (statistics.median(times[20:]) * 1e6 for times in taken.values())
        say(f"turn 10: chain, create, log, finish, {what}", short, "µs")
        say(f"turn {turns}: the same", long, "µs")
        say("  ratio", long / short, "x")
    await store.close()


async def grow(store: SqliteStore, id_: str, parent: str | None) -> str:
    """One more turn, its context read first."""
    if parent is not None:
        assert await store.chain("ada", parent) is not None
    await turn(store, id_, parent)
    return id_


async def main(home: Path, turns: int) -> None:
    """All parts, each on a database of its own."""
    store = SqliteStore(home / "commits")
    await store.open()
    await commits(store)
    await reads(store)
    await store.close()
    await chains(home / "chains", turns)
    cost = await bench_turns.turns(home / "server", turns)
    say("server: turn 10, CPU outside the engine", cost["short"], "µs")
    say(f"server: turn {turns}, the same", cost["long"], "µs")
    say("  ratio", cost["ratio"], "x")
    say(f"server: bytes a turn, turns 1 to {turns // 2}", cost["bytes_first_half"], "B")
    say(f"server: bytes a turn, turns {turns // 2} to {turns}", cost["bytes_second_half"], "B")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, help="where to put the databases (default: a temporary folder)")
    parser.add_argument("--turns", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home) as folder:
        uvloop.run(main(Path(folder), given.turns))
