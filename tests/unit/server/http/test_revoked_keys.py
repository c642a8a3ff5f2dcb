"""What was revoked is gone: at once, everywhere that a key was taken once and then held on to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_batches import jsonl, line, submit
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kodo.server.config import LimitSettings
from kodo.server.http import admin

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK marks the Assistants API so
SLOW = {"match": "", "steps": [{"type": "text", "text": "word " * 200}]}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose answers take some seconds."""
    async with served(settings(tmp_path / "home", script(tmp_path, SLOW, pace=0.02))) as running:
        yield running


async def new_key(server: Served, **limits: Any) -> tuple[str, str]:
    """A key and its id."""
    home = server.state.settings.home
    key, row = await asyncio.to_thread(lambda: admin.create_key(home, name="k", project="default", **limits))
    return key, row.id


async def revoke(server: Served, key_id: str) -> None:
    """As ``kodo keys revoke`` does it."""
    await asyncio.to_thread(admin.revoke_key, server.state.settings.home, key_id)


def socket(server: Served, key: str, path: str = "/v1/responses") -> connect:
    """A WebSocket with a key."""
    url = f"ws{server.url.removeprefix('http')}{path}"
    return connect(url, additional_headers={"authorization": f"Bearer {key}"})


async def frames_until_closed(connection: ClientConnection) -> list[dict[str, Any]]:
    """What comes until the connection is closed."""
    found = []
    try:
        async with asyncio.timeout(10):
            while True:
                found.append(json.loads(await connection.recv()))
    except ConnectionClosed:
        return found


CREATE = {"type": "response.create", "model": MODEL, "input": "x"}


async def test_a_socket_ends_at_its_next_turn(server: Served) -> None:
    """The turn is refused with the reason, and the connection closed."""
    key, key_id = await new_key(server)
    async with socket(server, key) as connection:
        await revoke(server, key_id)
        await connection.send(json.dumps(CREATE))
        (error,) = await frames_until_closed(connection)
        assert (error["status"], error["error"]["code"]) == (401, "api_key_revoked")
        assert connection.close_code == 1008


async def test_a_turn_ends_before_its_next_event(server: Served) -> None:
    """A turn that runs is cut, with the reason as the last frame."""
    key, key_id = await new_key(server)
    async with socket(server, key) as connection:
        await connection.send(json.dumps(CREATE))
        while json.loads(await connection.recv())["type"] != "response.output_text.delta":
            pass
        await revoke(server, key_id)
        *_, last = await frames_until_closed(connection)
        assert last["error"]["code"] == "api_key_revoked"


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "responses"])
async def test_a_stream_ends_before_its_next_event(server: Served, chat: bool) -> None:
    """The error is the last event, and the SDK raises it; nothing runs on."""
    key, key_id = await new_key(server)
    sdk = server.sdk(key)
    with pytest.raises(openai.APIError, match="revoked"):
        if chat:
            chunks = await sdk.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "x"}], stream=True
            )
            async for _ in chunks:
                await revoke(server, key_id)
        else:
            async for event in await sdk.responses.create(model=MODEL, input="x", stream=True):
                if event.type == "response.output_text.delta":
                    await revoke(server, key_id)
    async with asyncio.timeout(60):
        while server.state.service._runs:
            await asyncio.sleep(0.01)


async def test_a_realtime_session_ends(server: Served) -> None:
    """At its next event; and a client secret made before opens no session any more."""
    key, key_id = await new_key(server)
    async with server.http(headers={"authorization": f"Bearer {key}"}) as http:
        made = await http.post("/v1/realtime/client_secrets", json={})
        secret = made.json()["value"]
    async with socket(server, secret, "/v1/realtime") as connection:
        assert json.loads(await connection.recv())["type"] == "session.created"
        await revoke(server, key_id)
        await connection.send(json.dumps({"type": "response.create"}))
        assert (await frames_until_closed(connection))[-1]["error"]["code"] == "api_key_revoked"
    with pytest.raises(InvalidStatus) as refused:
        async with socket(server, secret, "/v1/realtime"):
            pass
    assert refused.value.response.status_code == 401


async def test_a_realtime_response_ends_before_its_next_event(server: Served) -> None:
    """Not only at the client's next event."""
    key, key_id = await new_key(server)
    content = [{"type": "input_text", "text": "x"}]
    asked = {"input": [{"type": "message", "role": "user", "content": content}]}
    async with socket(server, key, "/v1/realtime") as connection:
        await connection.send(json.dumps({"type": "response.create", "response": asked}))
        while json.loads(await connection.recv())["type"] != "response.output_text.delta":
            pass
        await revoke(server, key_id)
        assert (await frames_until_closed(connection))[-1]["error"]["code"] == "api_key_revoked"


async def test_an_open_socket_without_a_key_ends_once_there_are_keys(server: Served) -> None:
    """Where the first key is made, every socket needs one."""
    async with socket(server, "any") as connection:
        await new_key(server)
        await connection.send(json.dumps(CREATE))
        assert (await frames_until_closed(connection))[-1]["status"] == 401


async def test_background_work_that_has_not_started_is_cancelled(tmp_path: Path) -> None:
    """What runs already goes on: it is the project's. Queued responses, and the lines of batches, do not start."""
    home = tmp_path / "home"
    short = {"match": "", "steps": [{"type": "text", "text": "word " * 40}]}
    async with served(settings(home, script(tmp_path, short, pace=0.02))) as server:
        server.state.models[MODEL].admission.parallel = 2
        other, _ = await new_key(server)
        key, key_id = await new_key(server)
        sdk, reader = server.sdk(key), server.sdk(other)
        first = [await sdk.responses.create(model=MODEL, input="x", background=True) for _ in range(12)]
        batch = await submit(sdk, jsonl(*(line(f"l{n}") for n in range(50))))
        while not any(run.response.status == "in_progress" for run in server.state.service._runs.values()):
            await asyncio.sleep(0.01)
        await revoke(server, key_id)
        ended = [await _end(reader, response.id) for response in first]
        assert {"completed", "cancelled"} == set(ended)
        async with asyncio.timeout(60):
            while (batch := await reader.batches.retrieve(batch.id)).status != "cancelled":
                await asyncio.sleep(0.05)
        assert batch.request_counts is not None
        assert batch.request_counts.completed < 50


async def _end(sdk: openai.AsyncOpenAI, response_id: str) -> str:
    async with asyncio.timeout(60):
        while (status := (await sdk.responses.retrieve(response_id)).status) in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
    return str(status)


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_requests_a_minute_count_every_post(tmp_path: Path) -> None:
    """Whatever the family: tokens counted, files, uploads, conversations, secrets, threads."""
    async with served(settings(tmp_path)) as server:
        posts: list[tuple[str, dict[str, Any]]] = [
            ("/v1/responses", {"json": {"model": MODEL, "input": "x"}}),
            ("/v1/responses/input_tokens", {"json": {"model": MODEL, "input": "x"}}),
            ("/v1/chat/completions", {"json": {"model": MODEL, "messages": []}}),
            ("/v1/conversations", {"json": {}}),
            ("/v1/files", {"files": {"file": ("f", b"x")}, "data": {"purpose": "user_data"}}),
            ("/v1/uploads", {"json": {}}),
            ("/v1/batches", {"json": {}}),
            ("/v1/realtime/client_secrets", {"json": {}}),
            ("/v1/threads", {"json": {}}),
            ("/v1/assistants", {"json": {"model": MODEL}}),
        ]
        for path, request in posts:
            key, _ = await new_key(server, requests_per_minute=1)
            async with server.http(headers={"authorization": f"Bearer {key}"}) as http:
                assert (await http.post(path, **request)).status_code != 429
                refused = await http.post(path, **request)
                assert (refused.status_code, path) == (429, path)
                assert float(refused.headers["retry-after"]) > 0


async def test_requests_at_once_count_what_runs_in_the_background(server: Served) -> None:
    """A key with one request at once has one background response at a time; reading and cancelling are free."""
    key, _ = await new_key(server, concurrent_requests=1)
    sdk = server.sdk(key)
    running = await sdk.responses.create(model=MODEL, input="x", background=True)
    with pytest.raises(openai.RateLimitError):
        await sdk.responses.create(model=MODEL, input="x", background=True)
    await sdk.responses.retrieve(running.id)
    await sdk.responses.cancel(running.id)
    again = await sdk.responses.create(model=MODEL, input="x", background=True)
    await sdk.responses.cancel(again.id)


async def test_a_runs_place_is_free_once_it_is_over(tmp_path: Path) -> None:
    """A run of the Assistants API counts while it works, not while it waits for its client."""
    async with served(settings(tmp_path)) as server:
        key, _ = await new_key(server, concurrent_requests=1)
        api = server.sdk(key).beta
        assistant = await api.assistants.create(model=MODEL)
        thread = await api.threads.create(messages=[{"role": "user", "content": "x"}])
        for _ in range(2):
            run = await api.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
            assert run.status == "completed"
            async with asyncio.timeout(60):
                while server.state.runs._followers:
                    await asyncio.sleep(0.01)


async def test_lines_of_a_batch_wait_for_the_keys_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not refused: the batch takes longer. Their tokens count too."""
    async with served(settings(tmp_path)) as server:
        key, _ = await new_key(server, requests_per_minute=600)
        sdk = server.sdk(key)
        account = server.state.limits
        monkeypatch.setattr(account, "_now", lambda: 0.0)  # nothing is refilled, however long it takes
        batch = await submit(sdk, jsonl(*(line(f"l{n}") for n in range(20))))
        async with asyncio.timeout(60):
            while (await sdk.batches.retrieve(batch.id)).status != "completed":
                await asyncio.sleep(0.02)
        (used,) = [kept for name, kept in account._accounts.items() if name.startswith("key_")]
        assert used.requests is not None
        assert used.requests.level < 600 - 15
        assert used.running == 0
        slow, _ = await new_key(server, requests_per_minute=3)
        batch = await submit(server.sdk(slow), jsonl(*(line(f"l{n}") for n in range(20))))
        await asyncio.sleep(0.5)
        counts = (await server.sdk(slow).batches.retrieve(batch.id)).request_counts
        assert counts is not None
        assert counts.completed <= 2


async def test_background_responses_are_bounded(tmp_path: Path) -> None:
    """A number for each key, 429; a number in all, 503; both say when to come again."""
    limits = LimitSettings(background=5, background_per_key=3)
    slow = script(tmp_path, SLOW, pace=0.02)
    async with served(settings(tmp_path / "home", slow, limits=limits)) as server:
        keys = [(await new_key(server))[0] for _ in range(2)]
        statuses: list[list[int]] = []
        for key in keys:
            async with server.http(headers={"authorization": f"Bearer {key}"}) as http:
                body = {"model": MODEL, "input": "x", "background": True}
                answers: list[httpx2.Response] = [
                    await http.post("/v1/responses", json=body) for _ in range(4)
                ]
                statuses.append([answer.status_code for answer in answers])
                assert "retry-after" in answers[-1].headers
        assert statuses == [[200, 200, 200, 429], [200, 200, 503, 503]]


# --- what one client may keep ----------------------------------------------------------------------------------------


async def test_client_secrets_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    """Large settings are a 400; too many of a key a 429."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        large = {"session": {"type": "realtime", "instructions": "x" * 300_000}}
        assert (await http.post("/v1/realtime/client_secrets", json=large)).status_code == 400
        server.state.secrets._max_per_key = 3
        statuses = [(await http.post("/v1/realtime/client_secrets", json={})).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]


async def test_a_realtime_session_is_bounded_in_items_and_bytes(tmp_path: Path) -> None:
    """Beyond it an item is refused by name, and deleting one makes room."""
    limits = LimitSettings(session_items=3, session_bytes=5000)
    async with served(settings(tmp_path, limits=limits)) as server, socket(server, "k", "/v1/realtime") as ws:

        async def say(**event: Any) -> dict[str, Any]:
            await ws.send(json.dumps(event))
            while True:
                answer: dict[str, Any] = json.loads(await ws.recv())
                if answer["type"] not in ("session.created", "conversation.item.added"):
                    return answer

        def item(name: str, size: int) -> dict[str, Any]:
            content = [{"type": "input_text", "text": "x" * size}]
            return {"id": name, "type": "message", "role": "user", "content": content}

        for name in ("a", "b", "c"):
            done = await say(type="conversation.item.create", item=item(name, 10))
            assert done["type"] == "conversation.item.done"
        full = await say(type="conversation.item.create", item=item("d", 10))
        assert full["error"]["code"] == "conversation_full"
        assert (await say(type="conversation.item.delete", item_id="b"))[
            "type"
        ] == "conversation.item.deleted"
        full = await say(type="conversation.item.create", item=item("d", 6000))
        assert full["error"]["code"] == "conversation_full"
        done = await say(type="conversation.item.create", item=item("d", 10), previous_item_id="a")
        assert (done["type"], done["previous_item_id"]) == ("conversation.item.done", "a")
