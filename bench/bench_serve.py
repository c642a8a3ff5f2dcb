"""What kodo costs over its engine: /v1/responses streamed, against the same engine's native HTTP endpoint.

One server process with one engine; a client in another process asks both in turn, A B B A …, for the same number of
tokens at temperature 0, each question once, so that no cache helps the second: one stream that asks one question after
the other, eight such streams, and eight questions in the same millisecond. Both are reached through unix sockets. It prints the table that docs/measurements/performance.md holds: tokens per
second, time to first token, and the ratio pair by pair. Also the API process's memory, and how long `kodo serve` takes
until it is ready, the engine included: the median of five starts.

    make bench-serve            # ROUNDS=10 TOKENS=96
    python -m bench.bench_serve --together 1            # all prompts to the engine at once, see engines/llama/decoding/prefill_pacer.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import psutil

from kodo.home import kodo_home

MODEL = "codex-mini-latest"
LOADS = {"1": (1, 3), "8": (8, 3), "8 at once": (8, 1)}
"""Streams, and the questions that each asks one after the other."""
STARTS = 5
HOST = """
import asyncio, json, socket, sys, pathlib
import uvicorn, uvloop
from kodo.server import config
from kodo.server.engines.llama.decoding.prefill_pacer import PrefillPacer
from kodo.server.http.app import build_app, open_state

async def main():
    settings = config.load(home=pathlib.Path(sys.argv[1]))
    async with open_state(settings) as state:
        engine = state.models["codex-mini-latest"].engine
        if len(sys.argv) > 2:
            engine._pacer = PrefillPacer(int(sys.argv[2]))
        supervisor = engine._supervisor
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sys.argv[1] + "/kodo.sock")
        server = uvicorn.Server(uvicorn.Config(build_app(state), lifespan="off", log_config=None, access_log=False))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.001)
        where = {"kodo": listener.getsockname(), "socket": str(supervisor._folder / "e.sock"), "key": supervisor._key}
        print(json.dumps(where), flush=True)
        await task

uvloop.run(main())
"""
"""The server, which also tells where its engine listens: no public way says that, so this looks inside."""


@dataclass(frozen=True)
class Sample:
    """One streamed answer. Seconds."""

    first: float
    whole: float
    tokens: int


async def _ask(client: aiohttp.ClientSession, url: str, body: dict[str, object], mark: bytes) -> Sample:
    began = time.perf_counter()
    first = 0.0
    tokens = 0
    tail = b""
    async with client.post(url, json=body) as answer:
        answer.raise_for_status()
        async for (
            data
        ) in answer.content.iter_any():  # counts and nothing else: the client shares the two cores
            found = (tail + data).rpartition(mark)
            if found[1]:
                first = first or time.perf_counter()
                tokens += found[0].count(mark) + 1
            tail = found[2][-len(mark) :]
    return Sample(first - began, time.perf_counter() - began, tokens)


def _kodo(question: str, tokens: int) -> dict[str, object]:
    return {"model": MODEL, "input": question, "stream": True, "temperature": 0, "max_output_tokens": tokens}


def _native(question: str, tokens: int) -> dict[str, object]:
    messages = [{"role": "user", "content": question}]
    return {
        "messages": messages,
        "stream": True,
        "temperature": 0,
        "max_tokens": tokens,
        "cache_prompt": True,
    }


async def _round(
    client: aiohttp.ClientSession, url: str, native: bool, load: tuple[int, int], tokens: int, number: int
) -> tuple[float, float, float]:
    """Tokens per second of all streams together, and the median and the longest time to the first token."""
    mark = b'"delta":{"content":"' if native else b'"type":"response.output_text.delta"'
    samples: list[Sample] = []

    async def stream(name: int) -> None:
        for question in range(load[1]):
            text = f"Tell a long story about the number {number}{name}{question}."
            samples.append(await _ask(client, url, (_native if native else _kodo)(text, tokens), mark))

    began = time.perf_counter()
    await asyncio.gather(*(stream(name) for name in range(load[0])))
    wall = time.perf_counter() - began
    firsts = [sample.first for sample in samples]
    return sum(sample.tokens for sample in samples) / wall, statistics.median(firsts), max(firsts)


async def measure(where: dict[str, str], loads: list[str], rounds: int, tokens: int) -> list[str]:
    """The table's rows."""
    rows = []
    key = {"authorization": f"Bearer {where['key']}"}
    native_url, kodo_url = "http://engine/v1/chat/completions", "http://127.0.0.1/v1/responses"
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(where["socket"], force_close=True), headers=key
        ) as native,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(where["kodo"], force_close=True)) as kodo,
    ):
        for client, url, is_native in ((native, native_url, True), (kodo, kodo_url, False)):
            await _round(client, url, is_native, (8, 1), 2, 1)  # every slot has read something
        for name in loads:
            load = LOADS[name]
            speed: dict[bool, list[float]] = {True: [], False: []}
            first: dict[bool, list[float]] = {True: [], False: []}
            last: dict[bool, list[float]] = {True: [], False: []}
            for number in range(-1, rounds):  # the first round warms up
                order = (True, False) if number % 2 else (False, True)
                for turn, is_native in enumerate(order):
                    client, url = (native, native_url) if is_native else (kodo, kodo_url)
                    rate, ttft, longest = await _round(
                        client, url, is_native, load, tokens, 102 + 2 * number + turn
                    )
                    if number >= 0:
                        speed[is_native].append(rate)
                        first[is_native].append(ttft)
                        last[is_native].append(longest)
            ratio = statistics.median(k / n for k, n in zip(speed[False], speed[True], strict=True))
            more = statistics.median(k - n for k, n in zip(first[False], first[True], strict=True)) * 1000
            rows.append(
                f"| {name} | {statistics.median(speed[True]):.1f} | {statistics.median(speed[False]):.1f} "
                f"| {ratio:.3f} | {statistics.median(first[True]) * 1000:.0f} "
                f"| {statistics.median(first[False]) * 1000:.0f} | {more:+.1f} "
                f"| {statistics.median(last[True]) * 1000:.0f} | {statistics.median(last[False]) * 1000:.0f} |"
            )
    return rows


def start_up(home: Path) -> float:
    """Seconds from the command to the first answer of `/ready`."""
    note = home / "server.json"
    note.unlink(missing_ok=True)
    began = time.perf_counter()
    server = subprocess.Popen(
        [Path(sys.executable).with_name("kodo"), "serve", "--port", "0"],
        env={**os.environ, "KODO_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    try:
        while not note.exists():
            if server.poll() is not None:
                raise RuntimeError("kodo serve did not start")
            time.sleep(0.002)
        with urlopen(json.loads(note.read_text())["url"] + "/ready") as answer:
            answer.read()
        return time.perf_counter() - began
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


async def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--load", choices=LOADS, action="append", help="may be given again; default: all")
    parser.add_argument("--together", help="instead of kodo's own number")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(kodo_home() / "models")
        ready = statistics.median(start_up(Path(folder)) for _ in range(STARTS))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HOST, folder, *([options.together] if options.together else [])),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            where = json.loads(await process.stdout.readline())
            rows = await measure(where, options.load or list(LOADS), options.rounds, options.tokens)
            memory = psutil.Process(process.pid).memory_info().rss / 2**20
        finally:
            process.terminate()
            await process.wait()
    print(
        "| streams | native tokens/s | kodo tokens/s | ratio | native TTFT ms | kodo TTFT ms | kodo more, ms "
        "| native, the last | kodo, the last |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    print(
        f"\nAPI process: {memory:.0f} MB resident without the engine; `kodo serve` is ready in {ready:.2f} s, "
        f"the engine included (median of {STARTS})."
    )


if __name__ == "__main__":
    asyncio.run(main())
