"""CPU of one streamed request with three HTTP clients, in turn: kodo's own over httptools, aiohttp, httpx2.

Each reads a stream of so many tokens from the trivial upstream, `--requests` times on one connection, without parsing it.
What is printed is this process's CPU time a request: the median of the rounds.

    python -m bench.bench_http_client
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx2

from bench.bench_upstream import free_port
from kodo.server.engines.http_client import ConnectFailed, HttpClient

Ask = Callable[[bytes], Awaitable[int]]


async def measured(ask: Ask, body: bytes, requests: int) -> float:
    """µs of CPU a request."""
    await ask(body)
    before = time.process_time()
    for _ in range(requests):
        await ask(body)
    return (time.process_time() - before) / requests * 1e6


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="HTTP clients for engines")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    port = free_port()
    base = f"http://127.0.0.1:{port}/v1"
    upstream = subprocess.Popen([sys.executable, "-m", "bench.trivial_upstream", str(port)])
    own = HttpClient(base, headers={"authorization": "Bearer k"}, connect_seconds=5, silence_seconds=60)
    for _ in range(100):
        try:
            (await own.request("GET", "/models")).close(drain=True)
            break
        except ConnectFailed:
            await asyncio.sleep(0.1)

    async def with_own(body: bytes) -> int:
        exchange = await own.request("POST", "/chat/completions", body)
        size = len(await exchange.read())
        exchange.close()
        return size

    headers = {"content-type": "application/json", "authorization": "Bearer k"}
    async with aiohttp.ClientSession() as session, httpx2.AsyncClient() as client:

        async def with_aiohttp(body: bytes) -> int:
            async with session.post(f"{base}/chat/completions", data=body, headers=headers) as response:
                return sum([len(piece) async for piece in response.content.iter_any()])

        async def with_httpx2(body: bytes) -> int:
            url = f"{base}/chat/completions"
            async with client.stream("POST", url, content=body, headers=headers) as response:
                return sum([len(piece) async for piece in response.aiter_bytes()])

        asks: dict[str, Ask] = {"own": with_own, "aiohttp": with_aiohttp, "httpx2": with_httpx2}
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
        for tokens in (5, 200):
            question = {
                "model": "trivial",
                "stream": True,
                "messages": [{"role": "user", "content": f"tokens={tokens}"}],
            }
            body = json.dumps(question).encode()
            found: dict[str, list[float]] = {name: [] for name in asks}
            for _ in range(given.rounds):
                for name, ask in asks.items():
                    found[name].append(await measured(ask, body, given.requests))
            cells = ", ".join(f"{name} {statistics.median(times):.0f} µs" for name, times in found.items())
            print(f"{tokens} tokens: {cells}")
    await own.close()
    upstream.kill()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
