"""The ledger of one request: what kodo's own code takes of the processor, without sockets and without another process.

The real application behind the real HTTP protocol, with transports that hand bytes over in the event loop: 16 connections ask
again as soon as they are answered, and the upstream server's bytes are there at once. What is left out is the kernel's part
(some 80 µs a Chat request), so that the rest can be compared on a machine that does other work: the tenth of the slices that
was the fastest, in turn with another tree (``PYTHONPATH=OTHER/src``). Also counted: the calls of Python functions and built-in
ones, by module (cProfile), and the objects that a request leaves to the garbage collector.

    python -m bench.bench_request --load chat
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from uvicorn.server import ServerState

from bench import trivial_upstream
from kodo.server.config import ModelSettings, Settings
from kodo.server.engines import http_client
from kodo.server.http.app import build_app, open_state
from kodo.server.http.backends import open_resources
from kodo.server.http.keys import new_key
from kodo.server.http.serve import keep_out_of_collections
from kodo.server.http.server_config import server_config

CONNECTIONS = 16
SLICE = 48
"""Requests that are timed together: shorter than a turn of the machine's scheduler."""
LOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
    "responses": ("/v1/responses", {"input": "Hello", "store": False}),
    "stored": ("/v1/responses", {"input": "Hello"}),
}
Ask = Callable[[int], Awaitable[None]]


class Wire(asyncio.Transport):
    """A transport whose bytes go to ``written``."""

    def __init__(self, written: Callable[[bytes], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._written = written
        self._closing = False

    def write(self, data: Any) -> None:
        """Hand bytes over."""
        self._written(data)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """Hand over nothing more."""
        self._closing = True

    def abort(self) -> None:
        """The same."""
        self._closing = True

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0


async def connect_to_upstream(_: http_client.HttpClient) -> http_client._Connection:
    """A connection to an upstream that answers in the next turn of the event loop."""
    loop, connection = asyncio.get_running_loop(), http_client._Connection()
    whole, streamed = trivial_upstream.chat_whole(), trivial_upstream.chat_stream(5)

    def answer(request: bytes) -> None:
        found = streamed if b'"stream":true' in request else whole
        if request.startswith(b"GET"):
            found = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        loop.call_soon(connection.data_received, found)

    connection.connection_made(Wire(answer))
    return connection


async def measure(load: str, home: Path, work: Callable[[Ask], Awaitable[None]]) -> None:
    """Give ``work`` a function that has a number of requests answered."""
    http_client.HttpClient._connect = connect_to_upstream  # type: ignore[method-assign, assignment]  # no sockets
    model = ModelSettings(engine="upstream", base_url="http://127.0.0.1:9/v1", target="trivial")
    settings = Settings(home=home, models={"trivial": model})
    path, fields = LOADS[load]
    body = json.dumps({"model": "trivial", **fields}).encode()
    async with open_resources(settings) as resources, open_state(settings, resources) as state:
        key, row = new_key(name="bench", project="default")
        await state.store.put_key(row)
        config = server_config(build_app(state), settings, state.body_memory)
        config.load()
        loop, shared = asyncio.get_running_loop(), ServerState()
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"Authorization: Bearer {key}", f"Content-Length: {len(body)}", "", ""]
        request, left = "\r\n".join(lines).encode() + body, 0
        done: asyncio.Future[None] = loop.create_future()
        connections: list[Any] = []
        make: Any = config.http_protocol_class

        def connect() -> None:
            def answered(data: bytes) -> None:
                nonlocal left
                if not data.startswith(b"HTTP/1.1 200"):
                    raise ValueError(data.decode())
                left -= 1
                if left >= CONNECTIONS:
                    loop.call_soon(connection.data_received, request)
                elif left == 0:
                    done.set_result(None)

            connection = make(config=config, server_state=shared, app_state={}, _loop=loop)
            connection.connection_made(Wire(answered))
            connections.append(connection)

        async def ask(count: int) -> None:
            nonlocal left, done
            left, done = max(count, CONNECTIONS), loop.create_future()
            for connection in connections:
                loop.call_soon(connection.data_received, request)
            await done

        for _ in range(CONNECTIONS):
            connect()
        await ask(400)
        keep_out_of_collections()
        await work(ask)


async def show(ask: Ask) -> None:
    """Measure and print."""
    times = []
    for _ in range(100):
        began = time.process_time()
        await ask(SLICE)
        times.append((time.process_time() - began) / SLICE * 1e6)
    times.sort()
    print(
        f"CPU time of a request: {times[10]:.0f} µs (fastest tenth), {statistics.median(times):.0f} (median)"
    )
    gc.collect()
    gc.disable()
    await ask(SLICE)
    print(f"objects left to the garbage collector by a request: {gc.collect() / SLICE:.1f}")
    profile = cProfile.Profile()
    profile.enable()
    await ask(SLICE)
    profile.disable()
    calls: Counter[str] = Counter()
    found: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # not in typeshed
    for (file, _, _), (_, count, *_) in found.items():
        calls["built-in" if file == "~" else "/".join(Path(file).parts[-3:])] += count
    print(f"calls of a request: {sum(calls.values()) / SLICE:.0f}")
    for name, count in calls.most_common(25):
        print(f"{count / SLICE:8.1f}  {name}")


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description="what a request takes of the processor in kodo's own code")
    parser.add_argument("--load", choices=sorted(LOADS), default="chat")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(given.load, Path(folder), show))


if __name__ == "__main__":
    main()
