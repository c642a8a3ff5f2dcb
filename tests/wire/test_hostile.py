"""No body keeps other requests waiting: the whole corpus, each beside a client that goes on asking.

Two measures, and none is wall time alone, since this machine may do something else meanwhile:

- the CPU time that the server's process takes between two turns of its event loop stays under a second;
- somebody else's request takes at most so many times what the slowest one takes where nobody is hostile.

A body that breaks the second is tried again: what is its fault is there each time, what is the machine's is not.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from tests.contract.test_engine_llama import HOSTILE
from tests.hostile import MODEL, bodies, largest
from tests.paths import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = 100
"""Somebody else's request, against the slowest of a quiet server."""
STRETCH_SECONDS = 1.0
"""Of CPU time, between two turns of the loop."""
TRIES = 3


@dataclass
class Watched:
    """The server of tests/watched.py, and what a request takes where nobody is hostile."""

    process: subprocess.Popen[str]
    http: httpx2.AsyncClient
    quiet_seconds: float = 0.0

    async def longest_stretch(self) -> float:
        """Seconds of CPU, since the last time it was asked."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return float(await asyncio.to_thread(self.process.stdout.readline))

    async def canary(self) -> float:
        """Somebody else's two requests: one for the API alone, one for the engine too. Seconds."""
        began = time.monotonic()
        models = await self.http.get("/v1/models")
        body = {"model": MODEL, "input": "go", "max_output_tokens": 4, "store": False}
        answer = await self.http.post("/v1/responses", json=body)
        assert (models.status_code, answer.status_code) == (200, 200), answer.text
        return time.monotonic() - began

    async def beside(self, body: bytes) -> tuple[httpx2.Response, float]:
        """The answer to a body, and the slowest canary meanwhile."""
        headers = {"content-type": "application/json"}
        answer = asyncio.create_task(self.http.post("/v1/responses", content=body, headers=headers))
        slowest = 0.0
        while not answer.done():
            slowest = max(slowest, await self.canary())
        return await answer, slowest


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """The server, warmed up."""
    folder = tmp_path_factory.mktemp("watched")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.watched", str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        url = (await asyncio.to_thread(process.stdout.readline)).strip()
        async with httpx2.AsyncClient(base_url=url, timeout=300) as http:
            server = Watched(process, http)
            for _ in range(5):
                await server.canary()
            server.quiet_seconds = max([await server.canary() for _ in range(30)])
            yield server
    finally:
        process.stdin.close()
        process.wait(60)


def _is_an_answer(answer: httpx2.Response) -> bool:
    if answer.status_code == 200:
        return answer.json()["status"] in ("completed", "incomplete")
    return 400 <= answer.status_code < 500 and set(answer.json()["error"]) == {
        "message",
        "type",
        "param",
        "code",
    }


async def _stalls(server: Watched, name: str, body: bytes) -> list[str]:
    """What is wrong with how a body was answered."""
    wrong: list[str] = []
    for _ in range(TRIES):
        wrong.clear()
        await server.longest_stretch()
        answer, slowest = await server.beside(body)
        stretch = await server.longest_stretch()
        if not _is_an_answer(answer):
            return [f"{name}: {answer.status_code} {answer.text[:200]}"]
        if stretch >= STRETCH_SECONDS:
            return [f"{name}: {stretch:.2f} s of CPU in one stretch"]
        if slowest <= TIMES * server.quiet_seconds:
            return []
        wrong.append(
            f"{name}: another request took {slowest:.2f} s, {slowest / server.quiet_seconds:.0f} times"
        )
    return wrong


async def _all_stalls(server: Watched, named: Any) -> list[str]:
    return [wrong for name, body in named for wrong in await _stalls(server, name, body)]


async def test_no_body_of_the_corpus_stalls_another_request(watched: Watched) -> None:
    """Over 200 of them."""
    corpus = list(bodies())
    assert len(corpus) >= 200
    found = await _all_stalls(watched, corpus)
    assert not found, "\n".join(found)


async def test_no_body_as_large_as_may_be_stalls_another_request(watched: Watched) -> None:
    """Sixteen MiB of what is dearest to read: small values, empty containers, keys, escapes, words."""
    found = await _all_stalls(watched, largest(16 * 2**20))
    assert not found, "\n".join(found)


async def test_no_schema_stalls_another_request(watched: Watched) -> None:
    """As a format, and as a function's parameters."""
    named = []
    for name, inner in HOSTILE.items():
        schema = {
            "type": "object",
            "properties": {"a": inner},
            "required": ["a"],
            "additionalProperties": False,
        }
        asked: dict[str, Any] = {"model": MODEL, "input": "go", "max_output_tokens": 8}
        tool = {"type": "function", "name": "f", "parameters": schema}
        for kind, more in (
            ("format", {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}}),
            ("parameters", {"tools": [tool], "tool_choice": "required"}),
        ):
            named.append((f"{kind}: {name}", _json({**asked, **more})))
    found = await _all_stalls(watched, named)
    assert not found, "\n".join(found)


def _json(value: Any) -> bytes:
    """JSON of any depth."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        return json.dumps(value).encode()
    finally:
        sys.setrecursionlimit(limit)
