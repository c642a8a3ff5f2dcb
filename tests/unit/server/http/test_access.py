"""Who may reach the server, with which key, and how often."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.config import LimitSettings
from kodo.server.http.keys import digest
from kodo.server.http.serve import Refused, check_settings, is_loopback
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore


async def make_key(server: Served, project: str = "default", **limits: float) -> str:
    key = "sk-kodo-" + secrets.token_urlsafe(32)
    row = KeyRow(
        id=secrets.token_hex(4),
        name="test",
        project=project,
        hash=digest(key),
        hint="",
        created_at=time.time(),
        **limits,  # type: ignore[arg-type]  # whole numbers where they have to be
    )
    await server.state.store.put_key(row)
    return key


async def test_without_a_key_made_any_key_or_none_is_taken(tmp_path: Path) -> None:
    """An open loopback server asks nobody."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        assert (await http.get("/v1/models")).status_code == 200
        assert (await http.get("/v1/models", headers={"authorization": "Bearer x"})).status_code == 200


async def test_once_a_key_exists_every_v1_route_needs_one(tmp_path: Path) -> None:
    """401 in the envelope without it and with a wrong one; health stays open."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        key = await make_key(server)
        for path in ("/v1/models", "/v1/responses/resp_1"):
            for headers in ({}, {"authorization": "Bearer sk-kodo-wrong"}, {"authorization": f"Basic {key}"}):
                answer = await http.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.json()["error"]["type"] == "authentication_error"
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code == 200
        with pytest.raises(openai.AuthenticationError):
            await server.sdk("sk-wrong").models.list()


async def test_a_revoked_key_is_refused_at_once_and_the_server_stays_closed(tmp_path: Path) -> None:
    """Revoking the last key does not open the server again."""
    async with served(settings(tmp_path)) as server:
        key = await make_key(server)
        await server.sdk(key).models.list()
        (row,) = await server.state.store.keys()
        revoked = {name: getattr(row, name) for name in row.__struct_fields__} | {"revoked_at": time.time()}
        await server.state.store.put_key(KeyRow(**revoked))
        for wrong in (key, "none"):
            with pytest.raises(openai.AuthenticationError):
                await server.sdk(wrong).models.list()


async def test_a_key_is_looked_up_and_not_searched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request, a stream and a refused request read no list of keys and write nothing: any number of keys costs the same."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        key = await make_key(server)
        stored = KeyReads(server.state.store)
        monkeypatch.setattr(server.state.keys, "_store", stored)
        good = {"authorization": f"Bearer {key}"}
        for _ in range(3):
            assert (await http.get("/v1/models", headers=good)).status_code == 200
            wrong = await http.get("/v1/models", headers={"authorization": "Bearer sk-kodo-wrong"})
            assert wrong.status_code == 401
        body = {"model": MODEL, "input": "hello", "stream": True}
        assert (await http.post("/v1/responses", json=body, headers=good)).status_code == 200
        assert stored.used <= {"has_keys", "key", "key_by_hash"}
        assert "key_by_hash" in stored.used


class KeyReads:
    """A store of keys that notes which of its methods are used."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> object:
        self.used.add(name)
        return getattr(self._store, name)


async def test_objects_belong_to_the_keys_project(tmp_path: Path) -> None:
    """Every route answers its owner, and tells another key that there is nothing."""
    async with served(settings(tmp_path)) as server:
        mine, other = server.sdk(await make_key(server, "mine")), server.sdk(await make_key(server, "other"))
        response = await mine.responses.create(model=MODEL, input="secret", background=True)
        conversation = await mine.conversations.create(items=[{"role": "user", "content": "secret"}])
        (item,) = (await mine.conversations.items.list(conversation.id)).data
        routes: list[Any] = [
            lambda c: c.responses.retrieve(response.id),
            lambda c: c.responses.input_items.list(response.id),
            lambda c: c.responses.cancel(response.id),
            lambda c: c.responses.retrieve(response.id, stream=True),
            lambda c: c.responses.create(model=MODEL, input="x", conversation=conversation.id),
            lambda c: c.responses.create(model=MODEL, input=[{"type": "item_reference", "id": item.id}]),
            lambda c: c.conversations.retrieve(conversation.id),
            lambda c: c.conversations.update(conversation.id, metadata={"a": "b"}),
            lambda c: c.conversations.items.list(conversation.id),
            lambda c: c.conversations.items.retrieve(item.id, conversation_id=conversation.id),
            lambda c: c.conversations.items.create(conversation.id, items=[{"role": "user", "content": "x"}]),
        ]
        await _finished(mine, response.id)
        chat = await mine.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "secret"}], store=True
        )
        routes += [
            lambda c: c.responses.create(model=MODEL, input="x", previous_response_id=response.id),
            lambda c: c.responses.compact(model=MODEL, previous_response_id=response.id),
            lambda c: c.responses.input_tokens.count(
                model=MODEL, input="x", previous_response_id=response.id
            ),
            lambda c: c.chat.completions.retrieve(chat.id),
            lambda c: c.chat.completions.update(chat.id, metadata={"a": "b"}),
            lambda c: c.chat.completions.messages.list(chat.id),
        ]
        last: list[Any] = [
            lambda c: c.chat.completions.delete(chat.id),
            lambda c: c.conversations.items.delete(item.id, conversation_id=conversation.id),
            lambda c: c.conversations.delete(conversation.id),
            lambda c: c.responses.delete(response.id),
        ]
        for route in [*routes, *last]:
            with pytest.raises((openai.NotFoundError, openai.BadRequestError), match="found"):
                await route(other)  # a previous_response_id of another's is a 400, as at OpenAI
            with pytest.raises(openai.AuthenticationError):
                await route(server.sdk("sk-none"))
        for route in [*routes, *last]:
            await route(mine)


async def _finished(client: openai.AsyncOpenAI, response_id: str) -> None:
    while (await client.responses.retrieve(response_id)).status in ("queued", "in_progress"):
        await asyncio.sleep(0.01)


async def test_web_pages_and_foreign_hosts_are_refused(tmp_path: Path) -> None:
    """A page's Origin and a rebound Host get a 403, and only JSON is taken as a body."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        body = {"model": MODEL, "input": "x"}
        answer = await http.post("/v1/responses", json=body, headers={"origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
        answer = await http.get("/health", headers={"host": "evil.example:8000"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")
        for host in ("localhost:1", "127.0.0.1", "[::1]:8000"):
            assert (await http.get("/health", headers={"host": host})).status_code == 200
        for odd in ("evil.example@127.0.0.1", "localhost#x", "localhost/x", "localhost?x", "localhost:x", ""):
            assert (await http.get("/health", headers={"host": odd})).status_code in (400, 403), odd
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        writer.write(b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n")
        assert b" 403 " in await reader.readline(), "two of them"
        writer.close()
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = await http.post("/v1/responses", content=b"{}", headers={"content-type": kind})
            assert answer.status_code == 415
            assert answer.json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        (
            "/v1/responses",
            "application/x-www-form-urlencoded",
            "Content-Type must be application/json, not 'application/x-www-form-urlencoded'.",
        ),
        (
            "/v1/files",
            "application/x-www-form-urlencoded",
            "Content-Type must be application/json or multipart/form-data, not 'application/x-www-form-urlencoded'.",
        ),
        ("/v1/responses", None, "Content-Type must be application/json, but the header is missing."),
    ],
)
async def test_another_kind_of_body_is_named_beside_the_one_that_is_taken(
    path: str, kind: str | None, message: str, tmp_path: Path
) -> None:
    """What `curl -d` sends by default: 415 in the envelope, and what to send instead."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        headers = {"content-type": kind} if kind else {}
        answer = await http.post(path, content=b"model=x&input=hi", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"] == {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "unsupported_media_type",
    }


async def test_a_configured_origin_is_let_in(tmp_path: Path) -> None:
    """CORS is off unless configured; then that origin, and no other."""
    async with (
        served(settings(tmp_path, cors_origins=("https://ok.example",))) as server,
        server.http() as http,
    ):
        answer = await http.get("/v1/models", headers={"origin": "https://ok.example"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (
            200,
            "https://ok.example",
        )
        assert (await http.get("/v1/models", headers={"origin": "https://no.example"})).status_code == 403


async def test_every_answer_has_a_request_id_and_errors_the_envelope(tmp_path: Path) -> None:
    """404 routes, 405, bad JSON and 413 too."""
    async with (
        served(settings(tmp_path, limits=LimitSettings(body_bytes=2048))) as server,
        server.http() as http,
    ):
        json_type = {"content-type": "application/json"}
        answers = {
            404: await http.get("/v1/unknown"),
            405: await http.put("/v1/responses", json={}),
            400: await http.post("/v1/responses", content=b"{", headers=json_type),
            413: await http.post("/v1/responses", content=b"x" * 4096, headers=json_type),
        }
        for status, answer in answers.items():
            assert answer.status_code == status
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
            assert answer.headers["x-request-id"].startswith("req_")

        async def chunks() -> Any:
            for _ in range(8):
                yield b"x" * 1024

        late = await http.post("/v1/responses", content=chunks(), headers=json_type)
        assert late.status_code == 413


async def test_limits_of_a_key(tmp_path: Path) -> None:
    """Requests a minute, tokens a minute and requests at once: 429 with the headers the SDK reads."""
    slow = script(
        tmp_path,
        {"match": "^stay$", "steps": [{"type": "delay", "seconds": 600}, {"type": "text", "text": "x"}]},
        {"match": ".", "steps": [{"type": "text", "text": "x"}]},
    )
    async with served(settings(tmp_path / "home", slow)) as server:
        few, tokens, single = (
            server.sdk(await make_key(server, requests_per_minute=1)),
            server.sdk(await make_key(server, tokens_per_minute=5)),
            server.sdk(await make_key(server, concurrent_requests=1)),
        )
        await few.responses.create(model=MODEL, input="x")
        with pytest.raises(openai.RateLimitError) as caught:
            await few.responses.create(model=MODEL, input="x")
        headers = caught.value.response.headers
        assert caught.value.code == "rate_limit_exceeded"
        assert headers["x-ratelimit-limit-requests"] == "1"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert 0 < int(headers["retry-after-ms"]) <= 60_000
        assert int(headers["retry-after"]) >= 1

        await tokens.responses.create(model=MODEL, input="one two three four five six seven")
        with pytest.raises(openai.RateLimitError):
            await tokens.responses.create(model=MODEL, input="x")
        behind = server.sdk(await make_key(server, tokens_per_minute=5))
        later = await behind.responses.create(model=MODEL, input="one two three four five", background=True)
        while (await behind.responses.retrieve(later.id)).status in ("queued", "in_progress"):
            await asyncio.sleep(0.02)
        with pytest.raises(openai.RateLimitError):  # what ran in the background is charged, too
            await behind.responses.create(model=MODEL, input="x")

        first = await single.responses.create(model=MODEL, input="stay", background=True)
        with pytest.raises(openai.RateLimitError):
            await single.responses.create(model=MODEL, input="x")
        await single.responses.cancel(first.id)
        await single.responses.create(model=MODEL, input="x")


async def test_a_full_queue_is_a_503_with_retry_after(tmp_path: Path) -> None:
    """What finds no place is told when to come again, and nothing of it is stored."""
    slow = script(tmp_path, pace=5.0)
    limited = settings(tmp_path / "home", slow, limits=LimitSettings(queue=1), shutdown_seconds=0)
    async with served(limited) as server:
        admission = server.state.models[MODEL].admission
        admission.parallel = 1
        sdk = server.sdk()
        waiting = [
            asyncio.create_task(sdk.responses.create(model=MODEL, input="x", store=False)) for _ in range(2)
        ]
        while admission.waiting < 1:
            await asyncio.sleep(0.01)
        with pytest.raises(openai.InternalServerError) as caught:
            await sdk.responses.create(model=MODEL, input="x")
        assert (caught.value.status_code, caught.value.code) == (503, "server_overloaded")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def test_a_public_address_without_a_key_is_refused(tmp_path: Path) -> None:
    """And the reason says what to do."""
    with pytest.raises(Refused, match="kodo keys create"):
        check_settings(settings(tmp_path, host="0.0.0.0"))
    check_settings(settings(tmp_path, host="127.0.0.1"))


def test_half_a_tls_pair_is_refused(tmp_path: Path) -> None:
    """A certificate needs its key."""
    with pytest.raises(Refused, match="--tls-key"):
        check_settings(settings(tmp_path, tls_cert=tmp_path / "cert.pem"))


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback_addresses(host: str, answer: bool) -> None:
    """Only what this machine alone can reach counts as loopback."""
    assert is_loopback(host) is answer


async def test_metrics_count_requests_tokens_and_first_tokens(tmp_path: Path) -> None:
    """Prometheus can read what was asked for: requests, tokens by kind, time to first token, queue, restarts."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        await server.sdk().responses.create(model=MODEL, input="hello")
        text = (await http.get("/metrics")).text
    for line in (
        'kodo_http_requests_total{route="/v1/responses",status="200"} 1.0',
        f'kodo_responses_total{{model="{MODEL}",status="completed"}} 1.0',
        f'kodo_tokens_total{{kind="output",model="{MODEL}"}} 2.0',
        f'kodo_time_to_first_token_seconds_count{{model="{MODEL}"}} 1.0',
        f'kodo_queue_depth{{model="{MODEL}"}} 0.0',
        f'kodo_engine_restarts_total{{model="{MODEL}"}} 0.0',
    ):
        assert line in text
