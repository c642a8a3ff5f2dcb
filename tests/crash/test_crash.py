"""``kill -9`` of the whole server at random moments, under every kind of write at once."""

from __future__ import annotations

import asyncio
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.crash import batches, hosted, runs, tools
from tests.crash.load import TERMINAL, Event, Load, Told, sse
from tests.crash.process import start
from tests.mcp_server import served_mcp
from tests.serving import MODEL
from tests.unit.server.store.test_failures import integrity
from tests.web import served_web

from kodo.server.http.containers.runtime import refusal

KILLS = int(os.environ.get("KODO_CRASH_KILLS", "5"))
"""``make crash N=200`` sets more."""
ROUNDS = 4
"""Kills between two looks at everything: a background response may be killed more than once."""


@pytest.mark.crash
@pytest.mark.timeout(max(300, 30 * KILLS))
async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    """Acknowledged objects are there, background responses, batches and runs end, no event, result or message is missing
    or doubled, usage adds up."""
    home, script, caller = tmp_path / "home", tmp_path / "script.json", tmp_path / "caller.json"
    searcher, journal, writes = tmp_path / "searcher.json", tmp_path / "journal", tmp_path / "writes"
    script.write_text('{"pace": 0.002}')
    searcher.write_text(hosted.SCRIPT)
    caller.write_text(runs.SCRIPT)
    told, checked = Told(), 0
    async with served_web(delay=0.01) as (_, port), served_mcp(writes) as mcp:
        own = tools.scripts(tmp_path)
        given = tools.settings(port, mcp.url)
        begin = partial(
            start, home, script, journal=journal, tools=given, caller=caller, searcher=searcher, **own
        )
        for run in range(KILLS):
            server = await asyncio.to_thread(begin)
            load = asyncio.create_task(mixed(Load(told, server.url, run), quiet=run % 2 == 1))
            told_before = told.count
            enough = random.randint(0, 200)
            while told.count - told_before < enough:
                await asyncio.sleep(0.01)
            server.kill()
            await load
            assert integrity(home) == "ok"
            batches.look_at_the_disk(told, home)
            if run % ROUNDS == ROUNDS - 1 or run == KILLS - 1:
                server = await asyncio.to_thread(begin)
                async with httpx2.AsyncClient(base_url=server.url, timeout=120) as http:
                    await Look(told, http, journal, writes).everything()
                assert await asyncio.to_thread(server.stop) == 0
                batches.look_at_the_disk(told, home)
                checked += told.count
                told = Told()
                writes.unlink(missing_ok=True)
    print(f"{KILLS} kills, {checked} acknowledgements")


async def mixed(load: Load, *, quiet: bool) -> None:
    """All kinds at once, until the server is gone. ``quiet``: only those that stand back, which get nowhere otherwise."""
    batching = partial(batches.batching, load)
    polled = [partial(runs.running, load, model, False) for model in (MODEL, runs.CALLER)]
    streamed = [partial(runs.running, load, model, True) for model in (MODEL, runs.CALLER)]
    used = [hosted.searching, tools.surfing, tools.approving, tools.ingesting]
    if not refusal(None):  # a machine without the sandbox runs no code
        used.append(tools.coding)
    kinds = (*load.waiting, batching, *(partial(one, load) for one in used), *polled)
    await load.go(kinds if quiet else (*kinds, *load.interactive, *streamed))


def tokens(text: str) -> int:
    """What the scripted engine counts."""
    return -(-len(text) // 4)


def said(response: Event) -> str:
    """A response's text."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])


class Look:
    """Holds what was told against what is there."""

    def __init__(self, told: Told, http: httpx2.AsyncClient, journal: Path, writes: Path) -> None:
        self.told = told
        self.http = http
        self.journal = journal
        self.writes = writes

    async def everything(self) -> None:
        """All of it."""
        await asyncio.gather(*(self.background(name) for name in self.told.background))
        await asyncio.gather(*(self.searched(name) for name in self.told.searches))
        await self.tools()
        for name, text in self.told.asked.items():
            await self.response(name, text)
        await asyncio.gather(*(batches.look(self.told, self.http, name) for name in self.told.batches))
        await asyncio.gather(*(runs.look(self.told, self.http, name) for name in self.told.threads))
        for chain in self.told.chains:
            await self.chain(chain)
        for name, pairs in self.told.conversations.items():
            await self.conversation(name, pairs)
        for key, (body, answer) in self.told.replays.items():
            again = await self.http.post("/v1/responses", json=body, headers={"Idempotency-Key": key})
            assert (again.status_code, again.content) == (200, answer)
            assert again.headers["idempotent-replayed"] == "true"

    async def get(self, path: str, **query: str) -> Any:
        """A GET that must be answered."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def events(self, name: str, after: int = -1) -> list[Event]:
        """A response's events."""
        query = {"stream": "true", "starting_after": str(after)}
        return [event async for event in sse(self.http, "GET", f"/v1/responses/{name}", params=query)]

    async def background(self, name: str) -> None:
        """Its stream goes on behind the last event that was seen, to its one end; nothing seen has changed."""
        seen = self.told.events.get(name, {})
        assert sorted(seen) == list(range(len(seen)))
        rest = await self.events(name, len(seen) - 1)
        whole = await self.events(name)
        assert [*seen.values(), *rest] == whole
        expected = ("completed", "cancelled") if name in self.told.cancelled else ("completed",)
        assert whole[-1]["response"]["status"] in expected

    async def searched(self, name: str) -> None:
        """A response with hosted calls."""
        seen = self.told.events.get(name, {})
        whole = await self.events(name)
        assert [seen[number] for number in range(len(seen))] == whole[: len(seen)]
        hosted.look(whole[-1]["response"], whole, hosted.lines_of(self.journal, name))

    async def tools(self) -> None:
        """Responses of each tool, what the MCP server wrote, and the vector stores."""
        written = 0
        for field, look in tools.LOOKS.items():
            for name in getattr(self.told, field):
                seen, whole = self.told.events.get(name, {}), await self.events(name)
                assert [seen[number] for number in range(len(seen))] == whole[: len(seen)]
                response = whole[-1]["response"]
                look(response, whole)
                written += field == "approved" and response["output"][0]["status"] == "completed"
        tools.look_at_writes(self.writes, self.told, written)
        await asyncio.gather(
            *(tools.look_at_store(self.told, one, self.get, self.http) for one in self.told.stores)
        )

    async def response(self, name: str, text: str) -> None:
        """It is as it was shown; its events, its text and its usage agree."""
        if name in self.told.deleting:
            status = (await self.http.get(f"/v1/responses/{name}")).status_code
            assert status == 404 or name not in self.told.deleted
            if status == 404:
                return
        response, events = await self.get(f"/v1/responses/{name}"), await self.events(name)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
        assert events[-1]["response"] == response
        assert response == self.told.finals.get(name, response)
        assert events == self.told.streams.get(name, events)
        deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert "".join(deltas) == said(response)
        usage = response["usage"]
        if response["status"] == "completed":
            assert said(response) == text
        else:
            assert response["status"] == "failed" or name in self.told.cancelled
            assert text.startswith(said(response))
        if usage is not None:
            assert usage["output_tokens"] == tokens(said(response))
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        items = await self.get(f"/v1/responses/{name}/input_items")
        assert [item["content"][0]["text"] for item in items["data"]] == [text]

    async def chain(self, chain: list[str]) -> None:
        """The next turn is shown every item of every turn, once."""
        if not chain:
            return
        body = {"model": MODEL, "input": "x", "previous_response_id": chain[-1], "store": False}
        answer = await self.http.post("/v1/responses", json=body)
        shown = sum(2 * (4 + tokens(self.told.asked[name])) for name in chain)
        assert answer.json()["usage"]["input_tokens"] == shown + 4 + tokens("x")

    async def conversation(self, name: str, told: list[tuple[str, str]]) -> None:
        """What belongs together is there together and once, or not at all; what was acknowledged is there.

        A response that a kill ended may have answered in part, or not at all."""
        there: list[tuple[str, str]] = []
        page: dict[str, str] = {}
        while True:
            listed = await self.get(f"/v1/conversations/{name}/items", order="asc", limit="100", **page)
            there += [(item["role"], item["content"][0]["text"]) for item in listed["data"]]
            if not listed["has_more"]:
                break
            page = {"after": listed["last_id"]}
        pairs: list[tuple[str, str]] = []
        while there:
            role, text = there.pop(0)
            assert role == "user"
            follower = ""
            if text.endswith("-a"):
                role, follower = there.pop(0)
                assert (role, follower) == ("user", text[:-1] + "b")
            elif there and there[0][0] == "assistant":
                follower = there.pop(0)[1]
                assert text.startswith(follower)
            pairs.append((text, follower))
        assert len({text for text, _ in pairs}) == len(pairs)
        assert set(told) <= set(pairs)
