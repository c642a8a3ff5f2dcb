"""What a queue would give background work: jobs a second, and how long one waits for a worker that is idle, alternated.

``rows``: what is there, a row that is handed over and taken by whoever hears of it. ``procrastinate``: a job deferred to a worker
on the same PostgreSQL, beside the row that says who works on it (which stays: the queue is a hint). Run:
``pip install procrastinate==3.10.0`` into an environment of kodo's, then ``python -m bench.bench_dispatch``.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import statistics
import time
from typing import Any

from tests.contract.stores import response, said
from tests.postgres_server import PostgresServer

from kodo.server.lifecycle.cluster import WORK
from kodo.server.store.postgres.store import PostgresStore

JOBS = 300
PRODUCERS = 16
SINGLES = 40
ROUNDS = 3


class Rows:
    """Responses that one server accepts and another one finishes."""

    def __init__(self, url: str) -> None:
        self.api = PostgresStore(url, role="api")
        self.worker = PostgresStore(url, role="worker")
        self.done: dict[str, asyncio.Future[None]] = {}
        self.task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start both."""
        await self.api.open()
        await self.worker.open()
        self.task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop both."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.api.close()
        await self.worker.close()

    async def run(self, name: str) -> None:
        """One job, to its beginning at the worker."""
        begun = self.done[name] = asyncio.get_running_loop().create_future()
        await self.api.create_response(response(name, background=True), [said(f"{name}-in")])
        await self.api.hand_over("response", name)
        await begun

    async def _work(self) -> None:
        while True:
            if await self.worker.work_is_left():
                for row in await self.worker.unfinished():
                    self.done[row.id].set_result(None)
            await self.worker.wait_for_news(WORK, 1.0)


class Procrastinate(Rows):
    """The same rows, dispatched by procrastinate: the job says which row, the worker claims it as it does now."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        library: Any = importlib.import_module("procrastinate")
        self.app = library.App(connector=library.PsycopgConnector(conninfo=url))
        self.task_of_row = self.app.task(name="row")(self._row)

    async def open(self) -> None:
        """Start both stores, and the queue with eight jobs at a time."""
        await self.api.open()
        await self.worker.open()
        await self.app.open_async()
        await self.app.schema_manager.apply_schema_async()
        self.task = asyncio.create_task(
            self.app.run_worker_async(concurrency=8, install_signal_handlers=False)
        )
        await asyncio.sleep(1)

    async def close(self) -> None:
        """Stop everything."""
        await super().close()
        await self.app.close_async()

    async def run(self, name: str) -> None:
        """One job, to its beginning at the worker."""
        begun = self.done[name] = asyncio.get_running_loop().create_future()
        await self.api.create_response(response(name, background=True), [said(f"{name}-in")])
        await self.task_of_row.defer_async(name=name)
        await begun

    async def _row(self, name: str) -> None:
        self.done[name].set_result(None)


async def measure(kind: type[Rows], url: str, prefix: str) -> tuple[float, float]:
    """Jobs a second, and the median latency of one in milliseconds."""
    queue = kind(url)
    await queue.open()
    numbers = itertools.count()

    async def produce(count: int) -> None:
        for _ in range(count):
            await queue.run(f"{prefix}-{next(numbers)}")

    begin = time.perf_counter()
    await asyncio.gather(*(produce(JOBS // PRODUCERS) for _ in range(PRODUCERS)))
    rate = JOBS // PRODUCERS * PRODUCERS / (time.perf_counter() - begin)
    latencies = []
    for _ in range(SINGLES):
        begin = time.perf_counter()
        await produce(1)
        latencies.append(1000 * (time.perf_counter() - begin))
    await queue.close()
    return rate, statistics.median(latencies)


async def main() -> None:
    """Print both, round by round."""
    server = PostgresServer(quick=False)
    try:
        for number in range(ROUNDS):
            for kind in (Rows, Procrastinate):
                found = await measure(kind, server.new_database(), f"{kind.__name__}-{number}")
                print(f"{kind.__name__}: {found[0]:.0f} jobs/s, one alone {found[1]:.1f} ms", flush=True)
    finally:
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
