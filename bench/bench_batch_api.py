"""What the server's Batch API makes of the engine, and what a batch costs whoever asks something meanwhile.

    python -m bench.bench_batch_api [--lines 2000] [--real-lines 96] [--rounds 3] [--questions 20] [--only scripted|real]

Against `kodo serve`, first with the scripted engine (64 answers at once, 10 ms a token), then with the default model:

- throughput: the same requests by a batch, from its creation to its files, and posted to /v1/responses by twice as many
  loops as the engine answers at once, which is the limit. In turn, several rounds; the ratio is the rounds' median.
- latency: questions one after the other, alone and while a batch runs, in turn; the ratio is of the medians.
- memory: the server's resident set after the batches, beside what it was before the first.
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
import psutil

from bench.bench_batch import OUTPUT_TOKENS, TOPICS
from kodo.home import kodo_home

MODEL = "codex-mini-latest"
FINAL = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True)
class Engine:
    """What is measured against. ``loops``: twice what it answers at once."""

    name: str
    lines: int
    loops: int
    config: str


@contextmanager
def served(engine: Engine, home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`kodo serve`, its URL and its process."""
    home.mkdir()
    (home / "models").symlink_to(kodo_home() / "models")
    (home / "config.toml").write_text(engine.config)
    process = subprocess.Popen(
        [Path(sys.executable).with_name("kodo"), "serve", "--port", "0"],
        env={**os.environ, "KODO_HOME": str(home)},
        stderr=subprocess.DEVNULL,
    )
    try:
        note = home / "server.json"
        while not note.exists():
            if process.poll() is not None:
                raise SystemExit("kodo serve did not start; is the default model there (make setup)?")
            time.sleep(0.05)
        yield json.loads(note.read_text())["url"], psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def body(number: int) -> dict[str, object]:
    """A request of some 80 characters that is like no other."""
    text = f"{number}: explain {TOPICS[number % len(TOPICS)]} in one sentence, then give an example of it."
    return {"model": MODEL, "input": text, "max_output_tokens": OUTPUT_TOKENS, "temperature": 0}


async def submit(client: openai.AsyncOpenAI, first: int, lines: int) -> str:
    """A batch of so many requests; its id."""
    rows = (
        {"custom_id": str(number), "method": "POST", "url": "/v1/responses", "body": body(number)}
        for number in range(first, first + lines)
    )
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
    )
    return batch.id


async def by_batch(client: openai.AsyncOpenAI, first: int, lines: int) -> float:
    """Seconds from the creation of a batch to its end."""
    began = time.perf_counter()
    batch_id = await submit(client, first, lines)
    while (batch := await client.batches.retrieve(batch_id)).status not in FINAL:
        await asyncio.sleep(0.25)
    seconds = time.perf_counter() - began
    if batch.status != "completed" or batch.request_counts is None or batch.request_counts.failed:
        raise SystemExit(f"the batch ended as {batch}")
    return seconds


async def by_loops(client: openai.AsyncOpenAI, first: int, lines: int, loops: int) -> float:
    """Seconds for the same requests posted one by one, so many at a time; the answers are not parsed."""
    import aiohttp

    bodies = iter([json.dumps(body(number)).encode() for number in range(first, first + lines)])
    headers = {"content-type": "application/json"}

    async def loop(http: aiohttp.ClientSession) -> None:
        for data in bodies:
            async with http.post(f"{client.base_url}responses", data=data, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()

    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(loop(http) for _ in range(loops)))
    return time.perf_counter() - began


async def asked(client: openai.AsyncOpenAI, first: int, questions: int) -> list[float]:
    """Seconds of each of some questions, one after the other."""
    taken = []
    for number in range(first, first + questions):
        began = time.perf_counter()
        await client.responses.create(**body(number))  # type: ignore[call-overload]  # a dict of arguments
        taken.append(time.perf_counter() - began)
    return taken


async def throughput(client: openai.AsyncOpenAI, engine: Engine, rounds: int) -> None:
    """Print a row a contender, and the ratio."""
    rates: dict[str, list[float]] = {"limit": [], "batch": []}
    fresh = iter(range(0, 10**9, engine.lines))
    await by_loops(client, next(fresh), engine.loops, engine.loops)  # warms the server up
    for number in range(rounds):
        for name in ("limit", "batch")[:: 1 if number % 2 else -1]:
            first = next(fresh)
            if name == "limit":
                seconds = await by_loops(client, first, engine.lines, engine.loops)
            else:
                seconds = await by_batch(client, first, engine.lines)
            rates[name].append(engine.lines / seconds)
    ratio = statistics.median(mine / top for mine, top in zip(rates["batch"], rates["limit"], strict=True))
    for name, values in rates.items():
        print(
            f"| {engine.name} | {name} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} | {ratio:.3f} |"
        )


async def latency(client: openai.AsyncOpenAI, engine: Engine, rounds: int, questions: int) -> None:
    """Print the medians of questions alone and beside a batch, and their ratio."""
    alone: list[float] = []
    beside: list[float] = []
    fresh = iter(range(10**9, 2 * 10**9, max(engine.lines * 20, questions)))
    await asked(client, next(fresh), 2)
    for _ in range(rounds):
        alone += await asked(client, next(fresh), questions)
        batch_id = await submit(client, next(fresh), engine.lines * 20)
        while (batch := await client.batches.retrieve(batch_id)).request_counts is None or (
            batch.request_counts.completed == 0
        ):
            await asyncio.sleep(0.05)
        beside += await asked(client, next(fresh), questions)
        await client.batches.cancel(batch_id)
        while (await client.batches.retrieve(batch_id)).status not in FINAL:
            await asyncio.sleep(0.05)
    one, two = statistics.median(alone), statistics.median(beside)
    print(f"| {engine.name} | {one * 1000:.0f} | {two * 1000:.0f} | {two / one:.2f} |")


async def measure(engine: Engine, rounds: int, questions: int) -> None:
    """All of it, for one engine."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(engine, Path(folder) / "home") as (url, process),
    ):
        before = process.memory_info().rss
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=3600) as client:
            print(f"\n{engine.lines} requests, {rounds} rounds, alternated\n")
            print(
                "| engine | | requests/s, median | span | batch of the limit |\n| --- | --- | --- | --- | --- |"
            )
            await throughput(client, engine, rounds)
            print(f"\n{rounds} times {questions} questions\n")
            print("| engine | alone, ms | beside a batch, ms | ratio |\n| --- | --- | --- | --- |")
            await latency(client, engine, rounds, questions)
        after = process.memory_info().rss
        print(f"\nserver: {before / 2**20:.0f} MB before, {after / 2**20:.0f} MB after")


def main() -> None:
    """Parse, measure, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--real-lines", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--only", choices=("scripted", "real"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        script.write_text(json.dumps({"pace": 0.01}))
        scripted = f'[models."{MODEL}"]\nengine = "scripted"\ntarget = "{script}"\n'
        engines = (
            Engine(name="scripted", lines=given.lines, loops=128, config=scripted),
            Engine(name="real", lines=given.real_lines, loops=16, config=""),
        )
        for engine in engines:
            if given.only in (None, engine.name):
                asyncio.run(measure(engine, given.rounds, given.questions))


if __name__ == "__main__":
    main()
