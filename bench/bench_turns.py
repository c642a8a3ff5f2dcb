"""What a turn costs the whole server, however long its chain is: HTTP, lifecycle and store, with the scripted engine.

Part of ``make bench-state``. Two chains, one long and one short, are continued in turns by the same client, so that
whatever else the machine does meets both alike. The server and the client are one process: its CPU time is an upper bound
of the server's. Time inside the engine (``prepare`` and ``generate`` read the whole prompt) is measured and taken out.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette

from kodo.server.config import ModelSettings, Settings
from kodo.server.engines.scripted import ScriptedEngine
from kodo.server.http.app import build_app, open_state
from kodo.server.lifecycle.ports import EngineEvent, Finished, Prepared, Prompt, TextDelta, Usage
from kodo.server.store import connections

MODEL = "codex-mini-latest"
QUESTION = "What does this function return when the list is empty? " * 4
ANSWER = tuple(TextDelta(text=f"It returns {number} ", tokens=(number,)) for number in range(30))


class TimedEngine(ScriptedEngine):
    """An engine that gives the same answer of 30 tokens to everything, and knows how long it took over that."""

    spent = 0.0

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Hardly anything: what an engine does with a prompt is its own affair."""
        begun = time.process_time()
        prepared = Prepared(prompt=prompt, input_tokens=10, item_tokens=(1,) * len(prompt.items))
        self.spent += time.process_time() - begun
        return prepared

    async def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """The answer, at once."""
        for event in ANSWER:
            yield event
        yield Finished(reason="stop", usage=Usage(input=prepared.input_tokens, output=len(ANSWER)))


async def turn(http: httpx2.AsyncClient, parent: str | None) -> str:
    """One more turn of a chain; its id."""
    body: dict[str, Any] = {"model": MODEL, "input": QUESTION}
    if parent is not None:
        body["previous_response_id"] = parent
    answer = await http.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def turns(home: Path, count: int, rounds: int = 100) -> dict[str, float]:
    """CPU microseconds of turn 10 and of turn ``count``, their ratio, and bytes on disk a turn at both lengths."""
    settings = Settings(home=home, models={MODEL: ModelSettings(engine="scripted", target="")})
    async with open_state(settings) as state:
        engine = TimedEngine()
        for backend in state.service.models.values():
            object.__setattr__(backend, "engine", engine)  # a frozen value; nobody else sees this one
        app: Starlette = build_app(state)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            ends: dict[int, str | None] = {10: None, count: None}
            sizes = []
            for number in range(count):
                if number < 10:
                    ends[10] = await turn(http, ends[10])
                ends[count] = await turn(http, ends[count])
                if number + 1 in (count // 2, count):
                    await asyncio.sleep(0.5)  # the last logs
                    sizes.append(connections.bytes_on_disk(home))
            taken: dict[int, list[float]] = {length: [] for length in ends}
            for _ in range(rounds):
                for length, end in ends.items():
                    begun, spent = time.process_time(), engine.spent
                    fresh = await turn(http, end)
                    taken[length].append(time.process_time() - begun - (engine.spent - spent))
                    ends[length] = fresh
    short, long = (statistics.median(times[rounds // 5 :]) * 1e6 for times in taken.values())
    return {
        "short": short,
        "long": long,
        "ratio": long / short,
        "bytes_first_half": sizes[0] / (count // 2 + 10),
        "bytes_second_half": (sizes[1] - sizes[0]) / (count - count // 2),
    }
