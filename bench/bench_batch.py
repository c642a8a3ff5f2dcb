"""What a batch costs over the engine it runs on: throughput and memory, beside the script everybody writes first.

    python -m bench.bench_batch [--rounds 3] [--requests 48] [--timed-requests 200] [--memory-lines 5000] [--base-url URL]

Three contenders answer the same prompts of the same server, in turn, several rounds:

- limit: the bodies posted over raw HTTP by eight loops, answers not even parsed. What the server can do.
- kodo: `run_batch`, as `kodo batch run` calls it.
- naive: `asyncio.gather` over one SDK call a line; everything in memory, results written at the end.

Throughput is against `kodo serve` with the default model (or --base-url), and against a server of four slots that
takes 250 ms for an answer, whose limit does not depend on how busy the machine is; memory is against one that answers
at once. Each run is a process of its own; memory is its peak resident set.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kodo.home import kodo_home

CONTENDERS = ("limit", "kodo", "naive")
OUTPUT_TOKENS = 24
LOOPS = 16
"""Twice the engine's slots, so that none of them waits for a client."""
TOPICS = (
    "a queue",
    "a stack",
    "binary search",
    "a linked list",
    "quicksort",
    "a hash table",
    "recursion",
    "a heap",
)


def write_requests(path: Path, count: int, padding: int = 0) -> None:
    """So many different requests; `padding` words more in each, for the memory of a real file."""
    with path.open("w") as file:
        for number in range(count):
            prompt = f"{number}: explain {TOPICS[number % len(TOPICS)]} in one sentence." + " word" * padding
            body = {
                "model": "codex-mini-latest",
                "input": prompt,
                "max_output_tokens": OUTPUT_TOKENS,
                "temperature": 0,
            }
            file.write(json.dumps({"custom_id": f"r{number}", "body": body}) + "\n")


async def run_limit(source: Path, base_url: str) -> None:
    """Post the bodies, drop the answers."""
    import aiohttp

    bodies = iter([json.dumps(json.loads(line)["body"]).encode() for line in source.open()])
    headers = {"content-type": "application/json"}

    async def loop(http: aiohttp.ClientSession) -> None:
        for body in bodies:
            async with http.post(f"{base_url}/responses", data=body, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(loop(http) for _ in range(LOOPS)))


async def run_kodo(source: Path, base_url: str) -> None:
    """The product."""
    from kodo.client.async_session import AsyncSession
    from kodo.jobs.batch.job import run_batch

    async with AsyncSession(base_url=base_url, job="batch") as session:
        report = await run_batch(session, source, source.with_name("out.jsonl"))
    assert report.complete, report


async def run_naive(source: Path, base_url: str) -> None:
    """Read everything, ask everything at once, write everything."""
    from openai import AsyncOpenAI

    lines = [json.loads(line) for line in source.open()]
    async with AsyncOpenAI(base_url=base_url, api_key="none", timeout=3600) as client:
        answers = await asyncio.gather(*(client.responses.create(**line["body"]) for line in lines))
    results = [
        {"custom_id": line["custom_id"], "response": answer.to_dict(mode="json")}
        for line, answer in zip(lines, answers, strict=True)
    ]
    source.with_name("out.jsonl").write_text("\n".join(map(json.dumps, results)))


def contend(name: str, source: Path, base_url: str) -> None:
    """Be one contender: prints seconds and the peak resident set in MB. A first request, which loads the SDK, is not timed."""
    run = {"limit": run_limit, "kodo": run_kodo, "naive": run_naive}[name]
    with tempfile.TemporaryDirectory() as folder:
        warm_up = Path(folder) / "in.jsonl"
        write_requests(warm_up, 1)
        asyncio.run(run(warm_up, base_url))
    began = time.perf_counter()
    asyncio.run(run(source, base_url))
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(name: str, source: Path, base_url: str, home: Path) -> tuple[float, float]:
    """(seconds, MB) of one run in a process of its own."""
    source.with_name("out.jsonl").unlink(missing_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.bench_batch",
            "--as",
            name,
            "--source",
            str(source),
            "--base-url",
            base_url,
        ],
        env={**os.environ, "KODO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr}")
    figures = json.loads(done.stdout)
    return figures["seconds"], figures["mb"]


@contextmanager
def real_server(home: Path) -> Iterator[str]:
    """`kodo serve` with the default model, whose weights are taken from the usual home."""
    (home / "models").symlink_to(kodo_home() / "models")
    kodo = Path(sys.executable).with_name("kodo")
    process = subprocess.Popen(
        [kodo, "serve", "--port", "0"], env={**os.environ, "KODO_HOME": str(home)}, stderr=subprocess.DEVNULL
    )
    try:
        note = home / "server.json"
        while not note.exists():
            if process.poll() is not None:
                raise SystemExit("kodo serve did not start; is the default model there (make setup)?")
            time.sleep(0.05)
        yield f"{json.loads(note.read_text())['url']}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def timed_server(seconds: float, slots: int) -> Iterator[str]:
    """A server that takes so long for an answer and makes so many at once (0: no limit), in a process of its own."""
    program = (
        "import sys\nfrom tests.faults.server import FaultServer\n"
        f"with FaultServer(seconds={seconds}, slots={slots}) as server:\n"
        " print(server.base_url, flush=True)\n sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate("")


def throughput(source: Path, requests: int, rounds: int, base_url: str, home: Path) -> None:
    """Print a row a contender: requests a second (median and span over the rounds), and the ratio to the limit."""
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    measure("limit", source, base_url, home)  # warms the server up
    for number in range(rounds):
        for name in CONTENDERS[number % 3 :] + CONTENDERS[: number % 3]:
            seconds, _ = measure(name, source, base_url, home)
            rates[name].append(requests / seconds)
    print(f"\n{requests} requests, {rounds} rounds, alternated\n")
    print("| | requests/s, median | span | of the limit, median of rounds |\n| --- | --- | --- | --- |")
    for name, values in rates.items():
        ratio = statistics.median(mine / top for mine, top in zip(values, rates["limit"], strict=True))
        print(
            f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} | {ratio:.3f} |"
        )


def memory(folder: Path, lines: int, home: Path) -> None:
    """Print the peak resident set of kodo and of the naive script, for a tenth of the lines and for all."""
    print(f"\n| peak MB | {lines // 10:,} lines | {lines:,} lines | a line |\n| --- | --- | --- | --- |")
    with timed_server(0.0, 0) as base_url:
        for name in ("kodo", "naive"):
            peaks = []
            for count in (lines // 10, lines):
                source = folder / "memory.jsonl"
                write_requests(source, count, padding=200)
                peaks.append(measure(name, source, base_url, home)[1])
            each = (peaks[1] - peaks[0]) * 1024 / (lines - lines // 10)
            print(f"| {name} | {peaks[0]:.1f} | {peaks[1]:.1f} | {each:.2f} kB |")


def main() -> None:
    """Parse, measure, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--timed-requests", type=int, default=200)
    parser.add_argument("--memory-lines", type=int, default=5000)
    parser.add_argument("--base-url", help="measure against this server instead of starting one")
    parser.add_argument("--as", dest="contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        contend(given.contender, given.source, given.base_url)
        return
    print(f"the default model, {OUTPUT_TOKENS} tokens a request; then four slots of 250 ms; then memory")
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Path(name) / "home"
        home.mkdir()
        source = folder / "in.jsonl"
        write_requests(source, given.requests)
        if given.base_url:
            throughput(source, given.requests, given.rounds, given.base_url, home)
        else:
            with real_server(home) as base_url:
                throughput(source, given.requests, given.rounds, base_url, home)
        write_requests(source, given.timed_requests)
        with timed_server(0.25, 4) as base_url:
            throughput(source, given.timed_requests, given.rounds, base_url, home)
        memory(folder, given.memory_lines, home)


if __name__ == "__main__":
    main()
