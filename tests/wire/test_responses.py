"""What crosses the wire for /v1/responses, judged by Open Responses and by the SDK's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.wire.spec import check_response, check_stream, read_sse

FUNCTION = {
    "type": "function",
    "name": "add",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}

SCRIPTS: dict[str, list[dict[str, Any]]] = {
    "text": [{"type": "text", "text": "こんにちは, world 👋🏽"}],
    "empty": [],
    "cut": [{"type": "text", "text": "half"}, {"type": "finish", "reason": "length"}],
    "failed": [{"type": "text", "text": "half"}, {"type": "fail"}],
    "reasoning": [{"type": "reasoning", "text": "Hm. 1+1"}, {"type": "text", "text": "2"}],
    "call": [{"type": "text", "text": "I add."}, {"type": "call", "name": "add", "arguments": {"a": 1}}],
    "two calls": [
        {"type": "call", "name": "add", "arguments": {"a": 1}},
        {"type": "call", "name": "add", "arguments": {"a": 2}},
    ],
}


async def _stream(server: Served, **body: Any) -> list[dict[str, Any]]:
    async with server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "stream": True, **body})
    assert answer.status_code == 200, answer.text
    return read_sse(answer.content)


@pytest.mark.parametrize("name", SCRIPTS)
async def test_streams_are_what_both_contracts_say(name: str, tmp_path: Path) -> None:
    """Every event, the order, the numbers and the final Response are valid, whatever the model does."""
    model = script(tmp_path, {"steps": SCRIPTS[name]})
    async with served(settings(tmp_path / "home", model)) as server:
        events = await _stream(server, input="go", tools=[FUNCTION] if "call" in name else [])
        check_stream(events)
        response_id = events[0]["response"]["id"]
        async with server.http() as http:
            again = await http.get(f"/v1/responses/{response_id}", params={"stream": "true"})
            stored = await http.get(f"/v1/responses/{response_id}")
    assert read_sse(again.content) == events
    assert stored.json() == events[-1]["response"]


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"failed"}))
async def test_plain_answers_equal_streamed_ones(name: str, tmp_path: Path) -> None:
    """A response that is not streamed is the same fold: equal but for ids and times."""
    turn = {"steps": SCRIPTS[name]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn))) as server:
        tools = [FUNCTION] if "call" in name else []
        streamed = (await _stream(server, input="go", tools=tools))[-1]["response"]
        async with server.http() as http:
            plain = (
                await http.post("/v1/responses", json={"model": MODEL, "input": "go", "tools": tools})
            ).json()
    check_response(plain)
    assert _bare(plain) == _bare(streamed)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _bare(v) for k, v in value.items() if k not in ("id", "call_id", "created_at", "completed_at")
        }
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


async def test_a_stream_that_fails_after_it_began_ends_with_response_failed(tmp_path: Path) -> None:
    """After the first event an error is an event, and the words that were said stay."""
    async with served(settings(tmp_path / "home", script(tmp_path, {"steps": SCRIPTS["failed"]}))) as server:
        events = await _stream(server, input="go")
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "half"


async def test_a_plain_request_whose_engine_fails_is_a_503(tmp_path: Path) -> None:
    """Nothing was sent yet, so the SDK may try again: 503 with retry-after."""
    async with served(settings(tmp_path / "home", script(tmp_path, {"steps": SCRIPTS["failed"]}))) as server:
        async with server.http() as http:
            answer = await http.post("/v1/responses", json={"model": MODEL, "input": "go"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_error"
    assert int(answer.headers["retry-after-ms"]) > 0


async def test_waiting_repeats_in_progress(tmp_path: Path) -> None:
    """While nothing is said, response.in_progress is repeated: comments reset no client's idle timer."""
    turn = {"steps": [{"type": "delay", "seconds": 0.5}, {"type": "text", "text": "late"}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn), heartbeat_seconds=0.1)) as server:
        events = await _stream(server, input="go")
    check_stream(events)
    assert sum(event["type"] == "response.in_progress" for event in events) >= 3


async def test_defaults_are_echoed(tmp_path: Path) -> None:
    """The server applies the defaults and says what they were."""
    async with served(settings(tmp_path / "home")) as server:
        response = await server.sdk().responses.create(model=MODEL, input="x")
    assert (response.tool_choice, response.truncation, response.parallel_tool_calls) == (
        "auto",
        "disabled",
        True,
    )
    assert (response.top_logprobs, response.metadata, response.service_tier) == (0, {}, "default")
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.type == "text"
    assert response.completed_at is not None
    assert response.model == MODEL
