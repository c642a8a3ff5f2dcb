"""The engine's own overhead: CPU of this process for each streamed token, against bare HTTP to the same child.

    .venv/bin/python bench/bench_engine.py [MODEL.gguf]

CPU time, not wall time: it is the same on a busy machine. Without a model, the tests' tiny one.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from tests.tiny_model import write_tiny_model

from kodo.server.engines.llama.engine import LlamaEngine, LlamaOptions
from kodo.server.lifecycle.ports import ContextItem, Prompt, Sampling
from kodo.server.wire.items import InputText, Message

TOKENS = 900


async def measure(name: str, streams: int, one: Callable[[], Awaitable[int]]) -> None:
    """Run streams at once and print what they cost."""
    cpu, wall = time.process_time(), time.perf_counter()
    events = sum(await asyncio.gather(*(one() for _ in range(streams))))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"{name:8} {streams:3} streams  {cpu / events * 1e6:7.1f} us CPU/event  {events / wall:8.0f} events/s"
    )


async def main(model: Path) -> None:
    """Alternate the two, with 1 and 8 streams."""
    engine = LlamaEngine(model, LlamaOptions(name="bench", context=2048, parallel=8))
    await engine.start()
    item = Message(role="user", content=(InputText(text="Tell me a story"),))
    prompt = Prompt(
        items=(ContextItem(item=item),), max_output_tokens=TOKENS, sampling=Sampling(temperature=0)
    )
    prepared = await engine.prepare(prompt)
    body = {"prompt": prepared.payload.ids, "n_predict": TOKENS, "stream": True, "temperature": 0}

    async def ours() -> int:
        return len([event async for event in engine.generate(prepared)])

    async def native() -> int:
        channel = await engine._supervisor.channel()
        answer = await channel.request("POST", "/completion", msgspec.json.encode(body))
        return sum([piece.count(b"data: ") async for piece in answer.iter_body()])

    await ours()
    for streams in (1, 8, 1, 8):
        await measure("kodo", streams, ours)
        await measure("native", streams, native)
    await engine.stop()
    print(f"resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        given = Path(sys.argv[1]) if len(sys.argv) > 1 else write_tiny_model(Path(folder) / "tiny.gguf")
        asyncio.run(main(given))
