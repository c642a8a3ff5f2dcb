"""``kill -9`` in the middle of writing: what was acknowledged is there, what is there is whole."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from tests.contract.stores import context_ids
from tests.unit.server.store.processes import python
from tests.unit.server.store.test_failures import integrity

from kodo.server.store.sqlite import SqliteStore

KILLS = int(os.environ.get("KODO_CRASH_KILLS", "8"))
"""``make crash-store`` sets more."""

WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from kodo.server.store.sqlite import SqliteStore
from tests.contract.stores import answered, document, response, said, turn

def acknowledge(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def chained(store, name):
    parent = None
    for number in itertools.count():
        id_ = f"{name}.{number}"
        await turn(store, id_, parent=parent)
        acknowledge("turn", id_)
        parent = id_

async def logged(store, name):
    for number in itertools.count():
        id_ = f"{name}.{number}"
        await store.create_response(response(id_, background=True), [said("i")])
        acknowledge("log", id_, 0)
        for entry in range(0, 40, 4):
            await store.append_log(id_, entry, [b"%d" % n for n in range(entry, entry + 4)])
            acknowledge("log", id_, entry + 4)
        await store.finish_response(response(id_, status="completed"), [answered("o")], log=(40, [b"40"]))
        acknowledge("log", id_, 41)

async def conversing(store, name):
    await store.put_document(document(name))
    for number in itertools.count():
        await store.append_items("ada", name, [said(f"{number}-a"), said(f"{number}-b")])
        acknowledge("pair", name, number)

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    run = sys.argv[2]
    jobs = [work(store, f"{run}{work.__name__}{number}") for work in (chained, logged, conversing) for number in range(4)]
    await asyncio.gather(*jobs)

asyncio.run(main())
"""


def killed_writer(home: Path, run: int, seconds: float) -> list[list[str]]:
    """Let a process write for a while and kill it; what it had acknowledged."""
    process = python(WRITER, home, f"r{run}-")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, process.communicate()[1]
    time.sleep(seconds)
    process.kill()
    rest, _ = process.communicate()
    lines = (first + rest).split("\n")
    return [line.split() for line in lines[:-1]]  # a line without its end was cut off by the kill


@pytest.mark.crash
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """Kills of one database at random moments, under chains, logs and conversations at once."""
    acknowledged: list[list[str]] = []
    for run in range(KILLS):
        acknowledged += killed_writer(tmp_path, run, random.uniform(0, 0.3))
        assert integrity(tmp_path) == "ok"
    store = SqliteStore(tmp_path)
    await store.open()
    logs: dict[str, int] = {}
    pairs: dict[str, int] = {}
    for kind, name, *rest in acknowledged:
        match kind:
            case "turn":
                turns = int(name.rpartition(".")[2]) + 1
                ids = await context_ids(store, name)
                assert ids is not None
                assert len(ids) == 2 * turns
                assert ids[-1] == f"{name}-out"
            case "log":
                logs[name] = int(rest[0])
            case "pair":
                pairs[name] = int(rest[0]) + 1
    for name, count in logs.items():
        entries = list(await store.read_log(name))
        assert len(entries) >= count
        assert entries == [b"%d" % number for number in range(len(entries))]
    for name, count in pairs.items():
        ids = await item_ids_all(store, name)
        assert len(ids) >= 2 * count
        assert ids == [f"{number}-{side}" for number in range(len(ids) // 2) for side in "ab"]
    assert len(acknowledged) > 100
    open_ones = {row.id for row in await store.unfinished()}
    assert open_ones.isdisjoint(name for name, count in logs.items() if count == 41)
    await store.close()


async def item_ids_all(store: SqliteStore, name: str) -> list[str]:
    """A conversation's items, however many."""
    return [str(context.item.id) for context in await store.all_items("ada", name)]
