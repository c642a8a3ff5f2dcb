"""What the engine's own endpoint gives by how its threads wait, how many slots it has, and what else the machine does.

    python -m bench.bench_threads [--spins 0,100,200,1000] [--slots 8] [--decode 1,2] [--hogs 0] [--streams 1,8] [--rounds 4]

One engine for each number of spins (`GOMP_SPINCOUNT`), of slots and of threads for a step of one token, asked in turn; a hog is a process that computes all the
time. Prints the medians in tokens a second, all streams together. No server of kodo's is between.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import time
from contextlib import AsyncExitStack

import msgspec

from kodo.home import kodo_home
from kodo.server.engines.http_client import HttpClient
from kodo.server.engines.llama.process.supervisor import ChildConfig, Supervisor

TOKENS = 96
MARK = b'"content":"'


async def _ask(channel: HttpClient, question: str) -> int:
    """Tokens of one streamed answer."""
    prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    body = {"prompt": prompt, "stream": True, "temperature": 0, "top_k": 1, "n_predict": TOKENS}
    answer = await channel.request("POST", "/completion", msgspec.json.encode(body))
    return sum([piece.count(MARK) async for piece in answer.iter_body()])


async def _round(engine: Supervisor, number: int, streams: int) -> float:
    """Tokens per second."""
    channel = await engine.channel()
    began = time.perf_counter()
    counts = await asyncio.gather(
        *(_ask(channel, f"Tell a long story about {number}{stream}.") for stream in range(streams))
    )
    return sum(counts) / (time.perf_counter() - began)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


async def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spins", type=_numbers, default=[0, 100, 200, 1000])
    parser.add_argument("--slots", type=_numbers, default=[8])
    parser.add_argument("--decode", type=_numbers, default=[2])
    parser.add_argument("--streams", type=_numbers, default=[1, 8])
    parser.add_argument("--hogs", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    model = next((kodo_home() / "models").rglob("*.gguf"))
    async with AsyncExitStack() as stack:
        for _ in range(given.hogs):
            hog = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
            stack.callback(hog.kill)
        engines: dict[tuple[int, int, int], Supervisor] = {}
        for spins, slots, decode in itertools.product(given.spins, given.slots, given.decode):
            os.environ["GOMP_SPINCOUNT"] = str(spins)
            config = ChildConfig(
                model=model, threads=2, decode_threads=decode, parallel=slots, batch=128, context=2048
            )
            engine = Supervisor(config)
            stack.push_async_callback(engine.stop)
            await engine.start()
            engines[spins, slots, decode] = engine
        print("| spins | slots | threads | streams | tokens/s |\n| --- | --- | --- | --- | --- |")
        for streams in given.streams:
            speeds: dict[tuple[int, int, int], list[float]] = {key: [] for key in engines}
            for number in range(given.rounds):
                for key, engine in engines.items():
                    speeds[key].append(await _round(engine, number, streams))
            for (spins, slots, decode), values in speeds.items():
                print(f"| {spins} | {slots} | {decode} | {streams} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    asyncio.run(main())
