"""A mixed load on several servers of one database, which notes what it was told, and the look at all of it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from tests.serving import MODEL

FINAL = ("completed", "failed", "cancelled", "incomplete", "expired")
LINES = 20
"""Requests of a batch."""


@dataclass
class Notes:
    """What clients were told."""

    events: dict[str, dict[int, str]] = field(default_factory=dict)
    """Of background responses: the data of each event by its number, as it was first read."""
    texts: dict[str, str] = field(default_factory=dict)
    """What each background response was asked."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Foreground responses that were answered with 200."""
    deleted: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    items: dict[str, list[str]] = field(default_factory=dict)
    """Texts that were added to conversations, in order."""
    unsure: dict[str, set[str]] = field(default_factory=dict)
    """Texts of calls that had no answer: they may be there, once."""
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Idempotency keys: the text, and the id of the response."""
    batches: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Vector stores: the word of each file that was added, by the file."""
    unstored: list[int] = field(default_factory=list)
    """Tokens of each answer that is stored nowhere."""
    unsure_unstored: int = 0
    """Requests for such answers that had none."""
    wrong: list[str] = field(default_factory=list)
    """What must not happen, as it was seen."""

    def count(self) -> int:
        """Things that somebody was told."""
        told = (
            self.answers,
            self.deleted,
            self.cancelled,
            self.keys,
            self.batches,
            self.unstored,
            *self.files.values(),
        )
        return (
            sum(len(part) for part in told)
            + sum(len(one) for one in self.events.values())
            + sum(len(one) for one in self.items.values())
        )


class ClusterLoad:
    """Clients that go to any of ``urls``, which changes as servers come and go. ``searches``: in vector stores too. ``keys``: one for
    all that is stored, and one for answers that are not, which are asked for only where there are keys."""

    def __init__(
        self,
        urls: list[str],
        notes: Notes,
        seed: int,
        *,
        searches: bool = True,
        keys: tuple[str, str] | None = None,
    ) -> None:
        self.unstored_key = keys[1] if keys else None
        self.searches = searches
        self.urls = urls
        self.notes = notes
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        self.http = httpx2.AsyncClient(timeout=30, headers=headers)

    def text(self, words: int = 12) -> str:
        """A text that occurs once."""
        number = next(self.numbers)
        return f"t{number} " + " ".join(f"w{number}x{word}" for word in range(words))

    def url(self, path: str) -> str:
        """A path at one of the servers."""
        return f"{self.random.choice(self.urls)}{path}"

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response | None:
        """A call at some server; None: it had no answer, or one that says that it was not done."""
        try:
            answer = await self.http.request(method, self.url(path), **options)
        except (httpx2.HTTPError, OSError):
            await asyncio.sleep(0.1)
            return None
        if answer.status_code >= 500:
            await asyncio.sleep(0.1)
            return None
        return answer

    async def surely(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The same, again and again until some server answers: for calls that may be made twice."""
        while True:
            answer = await self.call(method, path, **options)
            if answer is not None:
                return answer

    # --- clients ---

    async def run(self) -> None:
        """All clients, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for client in (self.background, self.background, self.foreground, self.conversing, self.keyed):
                group.create_task(client())
            group.create_task(self.batching())
            if self.searches:
                group.create_task(self.searching())
            if self.unstored_key is not None:
                group.create_task(self.unstored(self.unstored_key))

    async def background(self) -> None:
        """A background response, read as a stream from one server after the other; some are cancelled or deleted."""
        while True:
            text = self.text(30)
            made = await self.call(
                "POST", "/v1/responses", json={"model": MODEL, "input": text, "background": True}
            )
            if made is None:
                continue
            name = made.json()["id"]
            self.notes.texts[name] = text
            seen = self.notes.events.setdefault(name, {})
            fate = self.random.random()
            if fate < 0.1:
                answer = await self.surely("POST", f"/v1/responses/{name}/cancel")
                if answer.status_code == 200 and answer.json()["status"] == "cancelled":
                    self.notes.cancelled.add(name)
            elif fate < 0.2:
                answer = await self.surely("DELETE", f"/v1/responses/{name}")
                if answer.status_code in (200, 404):
                    self.notes.deleted.add(name)
                    continue
            while not await self.read_some(name, seen):
                pass

    async def read_some(self, name: str, seen: dict[int, str]) -> bool:
        """Read events behind those seen, for a while; whether the last one was among them."""
        after = max(seen, default=-1)
        url = self.url(f"/v1/responses/{name}?stream=true&starting_after={after}")
        if after < 0:
            url = self.url(f"/v1/responses/{name}?stream=true")
        patience = self.random.uniform(0.5, 3)
        try:
            async with asyncio.timeout(patience), self.http.stream("GET", url) as answer:
                if answer.status_code != 200:
                    await asyncio.sleep(0.1)
                    return False
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        event = json.loads(line[6:])
                        number = event["sequence_number"]
                        if number != max(seen, default=-1) + 1:
                            self.notes.wrong.append(f"{name}: event {number} behind {max(seen, default=-1)}")
                        seen[number] = line[6:]
                        if event["type"].rpartition(".")[2] in FINAL and "response" in event:
                            return True
        except (httpx2.HTTPError, OSError, TimeoutError):
            await asyncio.sleep(0.05)
        return False

    async def foreground(self) -> None:
        """Answers that are waited for; a part of them go on from the one before."""
        before = None
        while True:
            body = {"model": MODEL, "input": self.text(5), "previous_response_id": before}
            answer = await self.call("POST", "/v1/responses", json=body)
            before = None
            if answer is not None and answer.status_code == 200:
                response = answer.json()
                if response["status"] == "completed":
                    self.notes.answers[response["id"]] = response
                    before = response["id"]

    async def unstored(self, key: str) -> None:
        """Answers of which the count of the key's tokens is all that stays, from two APIs."""
        headers = {"Authorization": f"Bearer {key}"}
        for number in itertools.count():
            text = self.text(5)
            message = {"role": "user", "content": text}
            path, body = (
                ("/v1/responses", {"model": MODEL, "input": text, "store": False}),
                ("/v1/chat/completions", {"model": MODEL, "messages": [message]}),
            )[number % 2]
            self.notes.unsure_unstored += 1
            answer = await self.call("POST", path, json=body, headers=headers)
            if answer is not None and answer.status_code == 200:
                self.notes.unsure_unstored -= 1
                self.notes.unstored.append(answer.json()["usage"]["total_tokens"])
            elif answer is not None:  # 429: what a server that is dead ran counts until its lease is over
                await asyncio.sleep(0.1)

    async def conversing(self) -> None:
        """Items added to conversations."""
        while True:
            made = await self.call("POST", "/v1/conversations", json={})
            if made is None or made.status_code != 200:
                continue
            name = made.json()["id"]
            self.notes.items[name], self.notes.unsure[name] = [], set()
            for _ in range(20):
                text = self.text(2)
                self.notes.unsure[name].add(text)
                item = {"type": "message", "role": "user", "content": text}
                added = await self.call("POST", f"/v1/conversations/{name}/items", json={"items": [item]})
                if added is not None and added.status_code == 200:
                    self.notes.items[name].append(text)

    async def keyed(self) -> None:
        """Requests with a key, repeated at other servers until one answers."""
        for number in itertools.count():
            text, key = self.text(5), f"key-{number}"
            for _ in range(2):
                answer = await self.surely(
                    "POST",
                    "/v1/responses",
                    json={"model": MODEL, "input": text},
                    headers={"Idempotency-Key": key},
                )
                name = answer.json().get("id")
                if answer.status_code != 200 or answer.json()["status"] != "completed":
                    continue
                if self.notes.keys.setdefault(key, (text, name)) != (text, name):
                    self.notes.wrong.append(f"{key}: {name} and {self.notes.keys[key]}")

    async def batching(self) -> None:
        """One batch behind the other."""
        while True:
            texts = [self.text(8) for _ in range(LINES)]
            lines = [
                {
                    "custom_id": text,
                    "method": "POST",
                    "url": "/v1/responses",
                    "body": {"model": MODEL, "input": text},
                }
                for text in texts
            ]
            data = "".join(json.dumps(line) + "\n" for line in lines).encode()
            sent = await self.call(
                "POST", "/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", data)}
            )
            if sent is None or sent.status_code != 200:
                continue
            body = {
                "input_file_id": sent.json()["id"],
                "endpoint": "/v1/responses",
                "completion_window": "24h",
            }
            made = await self.call("POST", "/v1/batches", json=body)
            if made is None or made.status_code != 200:
                continue
            self.notes.batches[made.json()["id"]] = texts
            while (await self.surely("GET", f"/v1/batches/{made.json()['id']}")).json()[
                "status"
            ] not in FINAL:
                await asyncio.sleep(0.2)

    async def searching(self) -> None:
        """Files that are added to vector stores and found there, each by a word of its own, at any server."""
        while True:
            made = await self.call("POST", "/v1/vector_stores", json={"name": "notes"})
            if made is None or made.status_code != 200:
                continue
            store = made.json()["id"]
            words = self.notes.files.setdefault(store, {})
            for _ in range(5):
                word = f"word{next(self.numbers)}"
                data = f"{word} and more. {self.text(400)}".encode()
                sent = await self.call(
                    "POST", "/v1/files", data={"purpose": "assistants"}, files={"file": ("a.txt", data)}
                )
                if sent is None or sent.status_code != 200:
                    continue
                file = sent.json()["id"]
                added = await self.call("POST", f"/v1/vector_stores/{store}/files", json={"file_id": file})
                if added is not None and added.status_code == 200:
                    words[file] = word
            await self._wait_for_files(store)

    async def _wait_for_files(self, store: str) -> dict[str, str]:
        """The statuses of a vector store's files, once none is in progress."""
        while True:
            listed = (await self.surely("GET", f"/v1/vector_stores/{store}/files?limit=100")).json()
            statuses = {file["id"]: file["status"] for file in listed["data"]}
            if "in_progress" not in statuses.values():
                return statuses
            await asyncio.sleep(0.2)

    async def is_admitted(self) -> bool:
        """Whether all the requests that the second key may have at once are let in, once the dead have been found."""
        body = {"model": MODEL, "input": self.text(5), "store": False}
        headers = {"Authorization": f"Bearer {self.unstored_key}"}
        for _ in range(20):
            asked = (self.call("POST", "/v1/responses", json=body, headers=headers) for _ in range(3))
            answers = await asyncio.gather(*asked)
            if all(answer is not None and answer.status_code == 200 for answer in answers):
                return True
            await asyncio.sleep(0.5)
        return False

    # --- the look ---

    async def look(self) -> None:
        """Everything that was told is there, once, and the same at every server."""
        assert self.notes.wrong == []
        for name, seen in self.notes.events.items():
            await self._look_at_events(name, seen)
        for name, told in self.notes.answers.items():
            found = (await self.surely("GET", f"/v1/responses/{name}")).json()
            assert found == told, f"{name}: read back as {found}, answered as {told}"
        for name, texts in self.notes.items.items():
            listed = (await self.surely("GET", f"/v1/conversations/{name}/items?limit=100&order=asc")).json()
            found = [item["content"][0]["text"] for item in listed["data"]]
            assert [text for text in found if text in texts] == texts, name
            assert len(set(found)) == len(found)
            assert set(found) <= self.notes.unsure[name]
        for text, name in self.notes.keys.values():
            response = (await self.surely("GET", f"/v1/responses/{name}")).json()
            assert response["output"][-1]["content"][0]["text"] == text
        for name, texts in self.notes.batches.items():
            await self._look_at_batch(name, texts)
        for store, words in self.notes.files.items():
            await self._look_at_store(store, words)

    async def _look_at_events(self, name: str, seen: dict[int, str]) -> None:
        if name in self.notes.deleted:
            answer = await self.surely("GET", f"/v1/responses/{name}")
            assert answer.status_code == 404
            return
        whole: dict[int, str] = {}
        while not await self.read_some(name, whole):
            pass
        for number, data in seen.items():
            assert whole[number] == data, (name, number)
        assert sorted(whole) == list(range(len(whole)))
        last = json.loads(whole[len(whole) - 1])["response"]
        if name in self.notes.cancelled:
            assert last["status"] == "cancelled"
        elif last["status"] != "cancelled":
            assert last["status"] == "completed", last
            said = "".join(part["text"] for item in last["output"] for part in item.get("content", ()))
            assert said.endswith(self.notes.texts[name]), (said, self.notes.texts[name])
        stored = (await self.surely("GET", f"/v1/responses/{name}")).json()
        assert stored["output"] == last["output"]

    async def _look_at_store(self, store: str, words: dict[str, str]) -> None:
        statuses = await self._wait_for_files(store)
        for file, word in words.items():
            assert statuses[file] == "completed", (store, file, statuses[file])
            answer = await self.surely("POST", f"/v1/vector_stores/{store}/search", json={"query": word})
            found = [result["file_id"] for result in answer.json()["data"]]
            assert found == [file], (store, file, found)

    async def _look_at_batch(self, name: str, texts: Sequence[str]) -> None:
        while (batch := (await self.surely("GET", f"/v1/batches/{name}")).json())["status"] not in FINAL:
            await asyncio.sleep(0.2)
        assert batch["status"] == "completed", batch
        assert batch["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
        content = await self.surely("GET", f"/v1/files/{batch['output_file_id']}/content")
        found = [json.loads(line)["custom_id"] for line in content.text.splitlines()]
        assert sorted(found) == sorted(texts)
