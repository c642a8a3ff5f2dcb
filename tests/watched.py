"""A server in its own process that says how long its event loop stood still: run by tests/wire/test_hostile.py.

The measure is the CPU time of the process, all its threads, between two turns of the loop: what one request can keep
from all others, whatever else the machine does. Each line on stdin asks for the longest since the last one, in seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import uvloop
from tests.serving import served, settings
from tests.tiny_model import write_tiny_model

from kodo.server.config import LlamaSettings, ModelSettings

_PAUSE = 0.005


class Watch:
    """The longest stretch of CPU time between two turns of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before = time.process_time()
        self._longest = 0.0
        self._turn()

    def _turn(self) -> None:
        now = time.process_time()
        self._longest = max(self._longest, now - self._before)
        self._before = now
        self._loop.call_later(_PAUSE, self._turn)

    def longest(self) -> float:
        """Since the last time it was asked; with the one that goes on."""
        found = max(self._longest, time.process_time() - self._before)
        self._longest = 0.0
        return found


async def _main(home: Path) -> None:
    loop = asyncio.get_running_loop()
    # GPT-2's splitter, as most families have one of their own: llama.cpp's general one, a std::regex, overflows its stack
    # on a long run of one kind of character.
    weights = write_tiny_model(home / "tiny.gguf", context=4096, splitter="gpt-2")
    model = ModelSettings(target=str(weights))
    async with served(settings(home / "home", model, llama=LlamaSettings(parallel=4, threads=1))) as server:
        print(server.url, flush=True)
        watch, over = Watch(loop), asyncio.Event()

        def answer() -> None:
            if os.read(sys.stdin.fileno(), 64):
                print(watch.longest(), flush=True)
            else:
                over.set()

        loop.add_reader(sys.stdin.fileno(), answer)
        await over.wait()
        loop.remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    uvloop.run(_main(Path(sys.argv[1])))
