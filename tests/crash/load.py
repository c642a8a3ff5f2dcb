"""A mixed load, and a note of everything that the server acknowledged. Batches and runs are in the modules beside
this one.

The model is the echo: what an answer must be, and what it costs, can be worked out (four characters a token, four
tokens an item).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from tests.serving import MODEL

Event = dict[str, Any]
Kind = Callable[[], Awaitable[None]]
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass
class Told:
    """What was acknowledged, over all runs."""

    asked: dict[str, str] = field(default_factory=dict)
    """Text of every response whose id was shown."""
    finals: dict[str, Event] = field(default_factory=dict)
    """Responses that were shown whole."""
    background: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    """Background responses whose cancellation was acknowledged or asked for."""
    deleting: set[str] = field(default_factory=set)
    """Responses that were asked to be deleted; ``deleted``: and that was acknowledged."""
    deleted: set[str] = field(default_factory=set)
    events: dict[str, dict[int, Event]] = field(default_factory=dict)
    """Events that readers of background responses saw, by number."""
    streams: dict[str, list[Event]] = field(default_factory=dict)
    """Streams in the foreground that were seen to their end."""
    chains: list[list[str]] = field(default_factory=list)
    conversations: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """What was said in a conversation: pairs of items of one user, or a question and its echo."""
    replays: dict[str, tuple[Event, bytes]] = field(default_factory=dict)
    """By Idempotency-Key: the body that was sent and the answer."""
    batches: dict[str, list[str]] = field(default_factory=dict)
    """Texts of a batch's requests, which are their custom_ids."""
    results: dict[str, int] = field(default_factory=dict)
    """So many requests of a batch were said to be completed."""
    kept: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    """Lines of results that were on the disk at a kill, and how often their request had been run by then."""
    threads: dict[str, list[str]] = field(default_factory=dict)
    """Messages of a thread."""
    searches: dict[str, str] = field(default_factory=dict)
    """Text of every response with hosted calls."""
    runs: dict[str, Event] = field(default_factory=dict)
    """Runs, as they were shown last."""
    surfed: set[str] = field(default_factory=set)
    """Responses that search the web; ``coded``: that run code; ``approved``: whose call was approved."""
    coded: set[str] = field(default_factory=set)
    approved: set[str] = field(default_factory=set)
    approvals: int = 0
    """How many were sent."""
    stores: dict[str, dict[str, str]] = field(default_factory=dict)
    """Texts of the files of each vector store, by the file's id."""

    @property
    def count(self) -> int:
        """Acknowledgements."""
        noted = (self.asked, self.finals, self.deleted, self.conversations, self.replays, self.cancelled)
        more = (self.batches, self.threads, self.runs, self.searches)
        files = sum(len(texts) for texts in self.stores.values())
        tools = len(self.surfed) + len(self.coded) + len(self.approved) + files
        pairs = sum(len(pairs) for pairs in self.conversations.values())
        messages = sum(len(texts) for texts in self.threads.values())
        events = sum(len(seen) for seen in self.events.values())
        results = sum(self.results.values())
        return sum(len(one) for one in (*noted, *more)) + pairs + messages + events + results + tools


async def sse(http: httpx2.AsyncClient, method: str, url: str, **options: Any) -> AsyncIterator[Event]:
    """The events of a stream, as they come."""
    async with http.stream(method, url, **options) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line[6:])


class Load:
    """Clients of one run of the server. Each goes on until the connection breaks."""

    def __init__(self, told: Told, url: str, run: int) -> None:
        self.told = told
        self.run = run
        self.numbers = itertools.count()
        self.http = httpx2.AsyncClient(base_url=url, timeout=60)

    @property
    def interactive(self) -> tuple[Kind, ...]:
        """Kinds that somebody waits for."""
        return self.plain, self.streamed, self.chained, self.conversing, self.repeated

    @property
    def waiting(self) -> tuple[Kind, ...]:
        """Kinds that stand back."""
        return self.in_background, self.in_background, self.in_background_streamed, self.cancelling

    async def go(self, kinds: Sequence[Kind]) -> None:
        """All these kinds at once, until the server is gone."""
        async with self.http:
            await asyncio.gather(*(self._until_gone(kind) for kind in kinds))

    async def _until_gone(self, kind: Kind) -> None:
        try:
            await kind()
        except (httpx2.TransportError, json.JSONDecodeError):
            return  # the kill; an answer that was cut is no acknowledgement

    def text(self, words: int = 6) -> str:
        """A text of its own."""
        return f"run {self.run} number {next(self.numbers)} " + "word " * random.randint(1, words)

    async def post(self, path: str, body: Event, **headers: str) -> tuple[Event, bytes]:
        """A body, and its answer."""
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json(), answer.content

    async def get(self, path: str) -> Event:
        """What is there."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def create(self, text: str, **more: Any) -> Event:
        """A response, noted."""
        response, _ = await self.post("/v1/responses", {"model": MODEL, "input": text, **more})
        self.told.asked[response["id"]] = text
        if response["status"] not in ("queued", "in_progress"):
            self.told.finals[response["id"]] = response
        return response

    # --- the kinds ---

    async def plain(self) -> None:
        """Answers as a whole; every fourth is deleted again."""
        for number in itertools.count():
            response = await self.create(self.text())
            if number % 4 == 3:
                self.told.deleting.add(response["id"])
                answer = await self.http.delete(f"/v1/responses/{response['id']}")
                assert answer.status_code == 200
                self.told.deleted.add(response["id"])

    async def streamed(self) -> None:
        """Answers as streams."""
        while True:
            text, events = self.text(), []
            async for event in sse(
                self.http, "POST", "/v1/responses", json={"model": MODEL, "input": text, "stream": True}
            ):
                events.append(event)
                self.told.asked[events[0]["response"]["id"]] = text
            self.told.streams[events[0]["response"]["id"]] = events
            self.told.finals[events[0]["response"]["id"]] = events[-1]["response"]

    async def chained(self) -> None:
        """A chain that grows."""
        chain: list[str] = []
        self.told.chains.append(chain)
        while True:
            parent = {"previous_response_id": chain[-1]} if chain else {}
            chain.append((await self.create(self.text(), **parent))["id"])

    async def conversing(self) -> None:
        """Two writers of one conversation: one adds pairs of items, the other's responses add their pairs."""
        conversation, _ = await self.post("/v1/conversations", {})
        told = self.told.conversations.setdefault(conversation["id"], [])

        async def adds() -> None:
            while True:
                text = self.text()
                pair = [f"{text}-{side}" for side in "ab"]
                items = [{"role": "user", "content": text} for text in pair]
                await self.post(f"/v1/conversations/{conversation['id']}/items", {"items": items})
                told.append((pair[0], pair[1]))

        async def asks() -> None:
            while True:
                text = self.text()
                await self.create(text, conversation=conversation["id"])
                told.append((text, text))

        await asyncio.gather(self._until_gone(adds), self._until_gone(asks))

    async def repeated(self) -> None:
        """Requests with an Idempotency-Key."""
        while True:
            text = self.text()
            body = {"model": MODEL, "input": text}
            response, content = await self.post("/v1/responses", body, **{"Idempotency-Key": text})
            self.told.asked[response["id"]] = text
            self.told.replays[text] = (body, content)

    async def in_background(self) -> None:
        """Background responses, followed by two readers; the next begins when the last is done."""
        while True:
            response = await self.create(self.text(30), background=True)
            self.told.background.add(response["id"])
            await asyncio.gather(self.follow(response["id"]), self.follow(response["id"]))

    async def in_background_streamed(self) -> None:
        """Background responses that are streamed from the start."""
        while True:
            text = self.text(30)
            body = {"model": MODEL, "input": text, "stream": True, "background": True}
            name = ""
            async for event in sse(self.http, "POST", "/v1/responses", json=body):
                name = name or event["response"]["id"]
                self.told.asked[name] = text
                self.told.background.add(name)
                self.saw(name, event)

    async def follow(self, response_id: str, after: int = -1) -> None:
        """Read a background response's events to their end."""
        query = {"stream": "true", "starting_after": str(after)}
        async for event in sse(self.http, "GET", f"/v1/responses/{response_id}", params=query):
            self.saw(response_id, event)

    def saw(self, response_id: str, event: Event) -> None:
        """Note an event; whoever saw it before saw the same."""
        seen = self.told.events.setdefault(response_id, {})
        assert seen.setdefault(event["sequence_number"], event) == event

    async def cancelling(self) -> None:
        """Background responses that are cancelled somewhere on their way."""
        while True:
            response = await self.create(self.text(60), background=True)
            self.told.background.add(response["id"])
            await asyncio.sleep(random.uniform(0, 0.05))
            self.told.cancelled.add(response["id"])
            await self.post(f"/v1/responses/{response['id']}/cancel", {})
