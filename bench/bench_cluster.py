"""What the API answers a second on SQLite, and on PostgreSQL with 1, 2 and 3 servers: alternated, medians.

Run: ``python -m bench.bench_cluster`` (about 3 minutes). Servers are processes of their own with the scripted engine, which
echoes at once; PostgreSQL is the tests' own, waits for the disk, and shares this machine with everything else. A request is
stored: ``POST /v1/responses``, one after the other on each of many connections. ``--streamed`` asks for streams,
``--chained`` for chains of turns, ``--budget`` with a key that has a budget, which each request reads and each end charges.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.crash.process import Killable, start
from tests.postgres_server import PostgresServer
from tests.serving import MODEL

from kodo.server.http.keys import new_key
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore

PROMPT = "Write a function that adds two numbers, and say in one sentence what it is for. " * 3
HEADERS_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What clients ask for."""

    connections: int
    seconds: float
    streamed: bool
    chained: bool
    key: str | None = None


class _Client:
    """One connection that sends a request, reads the whole answer, and begins again."""

    def __init__(self, url: str, load: Load) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port or 0
        self._load = load
        self._parent: str | None = None

    async def run(self, end: float) -> list[float]:
        """Ask until then (monotonic); the seconds of each answer."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        took: list[float] = []
        while (begun := time.perf_counter()) < end:
            writer.write(self._request())
            answer = await self._read(reader)
            took.append(time.perf_counter() - begun)
            if self._load.chained:
                self._parent = json.loads(answer)["id"]
        writer.close()
        return took

    def _request(self) -> bytes:
        body = {"model": MODEL, "input": PROMPT, "stream": self._load.streamed}
        if self._parent is not None:
            body["previous_response_id"] = self._parent
        data = json.dumps(body).encode()
        head = f"POST /v1/responses HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Type: application/json\r\n"
        if self._load.key is not None:
            head += f"Authorization: Bearer {self._load.key}\r\n"
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(HEADERS_END)).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError((head + await reader.read(2000)).decode())
        if b"content-length:" in head:
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            return await reader.readexactly(length)
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return bytes(body)


async def measure(urls: Sequence[str], load: Load) -> list[float]:
    """The seconds of each answer within the time, from servers that share the connections."""
    end = time.perf_counter() + load.seconds
    clients = [_Client(urls[number % len(urls)], load) for number in range(load.connections)]
    return [took for part in await asyncio.gather(*(client.run(end) for client in clients)) for took in part]


@asynccontextmanager
async def servers(folder: Path, count: int, **more: Any) -> AsyncIterator[list[str]]:
    """Some servers, each with a home of its own."""
    script = folder / "script.json"
    script.write_text("{}")
    running: list[Killable] = []
    try:
        for number in range(count):
            home = folder / f"home{number}"
            home.mkdir()
            running.append(await asyncio.to_thread(start, home, script, more=more))
        yield [server.url for server in running]
    finally:
        for server in running:
            await asyncio.to_thread(server.stop)


async def make_key(store: Store) -> str:
    """A key with a budget that nothing spends."""
    await store.open()
    key, row = new_key(name="bench", project="bench", tokens_per_month=10**15)
    await store.put_key(row)
    await store.close()
    return key


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--streamed", action="store_true")
    parser.add_argument("--chained", action="store_true")
    parser.add_argument("--budget", action="store_true")
    given = parser.parse_args()
    load = Load(given.connections, given.seconds, given.streamed, given.chained)
    database = await asyncio.to_thread(lambda: PostgresServer(quick=False))
    took: dict[str, list[list[float]]] = {}
    try:
        async with AsyncExitStack() as stack:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            setups: dict[str, tuple[list[str], Load]] = {}
            for count in (0, *given.nodes):
                name = f"PostgreSQL, {count} server{'s' * (count > 1)}" if count else "SQLite"
                folder = root / f"{count}"
                folder.mkdir()
                more = {"database": database.new_database(), "shared_folder": folder} if count else {}
                urls = await stack.enter_async_context(servers(folder, count or 1, **more))
                if given.budget:
                    store = (
                        PostgresStore(more["database"], role="tool")
                        if count
                        else SqliteStore(folder / "home0", exclusive=False)
                    )
                    load = replace(load, key=await make_key(store))
                setups[name] = urls, load
                await measure(urls, replace(load, seconds=1))
            for _ in range(given.rounds):
                for name, (urls, own) in setups.items():
                    took.setdefault(name, []).append(await measure(urls, own))
    finally:
        await asyncio.to_thread(database.close)
    rates = {
        name: statistics.median(len(part) for part in parts) / load.seconds for name, parts in took.items()
    }
    for name, parts in took.items():
        ordered = sorted(one for part in parts for one in part)
        half, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        ratios = [len(part) / len(other) for part, other in zip(parts, took["SQLite"], strict=True)]
        print(
            f"| {name} | {rates[name]:.0f}/s | {statistics.median(ratios):.2f} | {half * 1000:.1f} ms | {most * 1000:.1f} ms |"
        )


if __name__ == "__main__":
    asyncio.run(main())
