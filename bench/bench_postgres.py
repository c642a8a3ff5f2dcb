"""What PostgreSQL costs against SQLite on one node: whole responses a second, alternated; and rows and bytes of a response.

Run: ``python -m bench.bench_postgres`` (30 s). Both wait for the disk. The PostgreSQL is the tests' own, on this machine.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from tests.contract.stores import answered, response, said
from tests.postgres_server import PostgresServer

from kodo.server.lifecycle.store_ports import Store
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore

SECONDS = 1.5
ROUNDS = 5
CHUNKS = 5
"""Appends to the log of each response."""


async def rate(store: Store, producers: int, name: str) -> float:
    """Responses a second: created, logged in chunks, finished."""
    end = time.perf_counter() + SECONDS
    done = 0

    async def produce(number: int) -> None:
        nonlocal done
        turn = 0
        while time.perf_counter() < end:
            id_ = f"resp_{name}-{number}-{turn}"
            turn += 1
            await store.create_response(response(id_), [said(f"{id_}-in", "x" * 400)])
            for chunk in range(CHUNKS):
                await store.append_log(id_, chunk * 10, [b"x" * 40] * 10)
            await store.finish_response(
                response(id_, status="completed"), [answered(f"{id_}-out", "y" * 800)]
            )
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(produce(number) for number in range(producers)))
    return done / (time.perf_counter() - begun)


async def main() -> None:
    """Print the table."""
    server = PostgresServer(quick=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            sqlite, postgres = SqliteStore(Path(folder)), PostgresStore(server.new_database())
            await sqlite.open()
            await postgres.open()
            for producers in (1, 8, 64):
                rates: dict[str, list[float]] = {"sqlite": [], "postgres": []}
                for number in range(ROUNDS):
                    for kind, store in (("sqlite", sqlite), ("postgres", postgres)):
                        rates[kind].append(await rate(store, producers, f"{producers}-{number}"))
                one, other = (statistics.median(rates[kind]) for kind in ("sqlite", "postgres"))
                print(
                    f"{producers} at once: SQLite {one:.0f}/s, PostgreSQL {other:.0f}/s, ratio {other / one:.2f}"
                )
            for kind, store in (("SQLite", sqlite), ("PostgreSQL", postgres)):
                stats = await store.stats()
                print(
                    kind, stats["rows"], f"{stats['bytes'] / stats['rows']['responses']:.0f} bytes a response"
                )
            await sqlite.close()
            await postgres.close()
    finally:
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
