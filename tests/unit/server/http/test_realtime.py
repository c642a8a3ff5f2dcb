"""The Realtime API through the SDK, every event judged by the SDK's strict types."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
import websockets
from openai.types.realtime import RealtimeServerEvent
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_access import make_key

_event: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RealtimeServerEvent)
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}


class Socket:
    """A bare connection whose every event is checked."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """One client event."""
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        """The next server event, of the SDK's strict type."""
        data = await self._socket.recv()
        _event.validate_json(data, strict=True)
        value: dict[str, Any] = json.loads(data)
        return value

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """Events up to the first of some kinds."""
        events = [await self.next()]
        while events[-1]["type"] not in kinds:
            events.append(await self.next())
        return events

    async def say(self, text: str) -> str:
        """Put in a user's message; its id."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send("conversation.item.create", item=item)
        added, done = await self.next(), await self.next()
        assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
        return str(added["item"]["id"])


@contextlib.asynccontextmanager
async def connected(server: Served, key: str | None = None) -> AsyncIterator[Socket]:
    """A session that has begun."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    url = server.url.replace("http", "ws") + f"/v1/realtime?model={MODEL}"
    async with websockets.connect(url, additional_headers=headers) as socket:
        begun = Socket(socket)
        assert (await begun.next())["type"] == "session.created"
        yield begun


async def test_the_sdk_connects_unmodified(tmp_path: Path) -> None:
    """`client.realtime.connect`: a session, an item, a response, its text."""
    async with served(settings(tmp_path)) as server, server.sdk().realtime.connect(model=MODEL) as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello you"}]}
        )
        await connection.response.create()
        text = ""
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.done":
                assert event.response.status == "completed"
                assert event.response.usage is not None
                break
    assert text == "hello you"


@pytest.mark.parametrize(
    ("event", "param", "code"),
    [
        ({}, "type", "missing_required_parameter"),
        ({"type": "session.update"}, "session", "missing_required_parameter"),
        ({"type": "conversation.item.create"}, "item", "missing_required_parameter"),
        ({"type": "conversation.item.delete"}, "item_id", "missing_required_parameter"),
        ({"type": "session.update", "session": {"tools": [{"type": "x"}]}}, "session.tools[0].type", "invalid_value"),
        ({"type": "session.update", "session": {"tool_choice": "x"}}, "session.tool_choice", "invalid_value"),
        ({"type": "session.update", "session": {"truncation": 5}}, "session.truncation", "invalid_type"),
        ({"type": "session.update", "session": {"truncation": "none"}}, "session.truncation", "invalid_value"),
        (
            {"type": "session.update", "session": {"truncation": {
                "type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 9}
            }}},
            "session.truncation.token_limits",
            "invalid_type",
        ),
        ({"type": "session.update", "session": {"include": ["usage"]}}, "session.include[0]", "invalid_value"),
        ({"type": "conversation.item.create", "item": {}, "previous": "root"}, "previous", "unknown_parameter"),
        ({"type": "response.create", "instructions": "Be brief."}, "instructions", "unknown_parameter"),
        (
            {"type": "conversation.item.create", "item": {
                "type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "f"}]
            }},
            "item.content[0].type",
            "invalid_value",
        ),
        ({"type": "response.create", "response": {"tool_choice": "x"}}, "response.tool_choice", "invalid_value"),
        (
            {"type": "response.create", "response": {"conversation": "none", "input": []}},
            "response.input",
            "missing_required_parameter",
        ),
        (
            {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "none"}]}},
            "response.input[0].id",
            "item_not_found",
        ),
    ],
)  # fmt: skip
async def test_errors_name_the_place_in_the_event(
    event: dict[str, Any], param: str, code: str, tmp_path: Path
) -> None:
    """Not the name that a request of the Responses API has for it; the session goes on."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        await socket._socket.send(json.dumps(event))
        answer = await socket.next()
        assert (answer["type"], answer["error"]["param"], answer["error"]["code"]) == ("error", param, code)
        await socket.say("x")


BETA = ({"openai-beta": "realtime=v1"}, {}), ({}, {"subprotocols": ["realtime", "openai-beta.realtime-v1"]})


@pytest.mark.parametrize(("headers", "options"), BETA, ids=["header", "subprotocol"])
async def test_a_client_of_the_beta_is_told_that_it_is_gone(
    headers: dict[str, str], options: Any, tmp_path: Path
) -> None:
    """As the hosted service does: an error event, and the connection is closed with 4000. Its events had other names."""
    async with served(settings(tmp_path)) as server:
        url = server.url.replace("http", "ws") + f"/v1/realtime?model={MODEL}"
        async with websockets.connect(url, additional_headers=headers, **options) as socket:
            data = await socket.recv()
            _event.validate_json(data, strict=True)
            error = json.loads(data)["error"]
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
    assert (error["type"], error["code"]) == ("invalid_request_error", "beta_api_shape_disabled")
    assert (
        error["message"]
        == "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
    )
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4000
    assert closed.value.rcvd.reason == "invalid_request_error.beta_api_shape_disabled"


@pytest.mark.parametrize("name", ["sessions", "transcription_sessions"])
async def test_the_endpoints_of_the_beta_name_their_successor(name: str, tmp_path: Path) -> None:
    """A 404 would look like a server without Realtime."""
    async with served(settings(tmp_path)) as server:
        with pytest.raises(openai.BadRequestError, match="/v1/realtime/client_secrets") as caught:
            await getattr(server.sdk().beta.realtime, name).create()
    assert caught.value.code == "beta_api_shape_disabled"


async def test_the_events_of_a_response_come_in_order(tmp_path: Path) -> None:
    """Created, the item and its part, the words, everything done, the response, the limits."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        said = await socket.say("hi")
        await socket.send("response.create")
        events = await socket.until("rate_limits.updated")
    kinds = [event["type"] for event in events if not event["type"].endswith("delta")]
    assert kinds == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert events[2]["previous_item_id"] == said
    done = events[-2]["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "hi"}]
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]


async def test_the_conversation_remembers_and_forgets(tmp_path: Path) -> None:
    """Answers join it; items can be read, deleted, and put behind others; the prompt grows and shrinks with it."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        first = await socket.say("a long first message")
        await socket.send("response.create")
        one = (await socket.until("rate_limits.updated"))[-2]["response"]
        await socket.say("again")
        await socket.send("response.create")
        two = (await socket.until("rate_limits.updated"))[-2]["response"]
        assert two["usage"]["input_tokens"] > one["usage"]["input_tokens"]
        await socket.send("conversation.item.retrieve", item_id=one["output"][0]["id"])
        assert (await socket.next())["item"]["content"][0]["text"] == "a long first message"
        for item_id in (first, one["output"][0]["id"]):
            await socket.send("conversation.item.delete", item_id=item_id)
            assert (await socket.next())["item_id"] == item_id
        await socket.say("again")
        await socket.send("response.create")
        three = (await socket.until("rate_limits.updated"))[-2]["response"]
        assert three["usage"]["input_tokens"] < two["usage"]["input_tokens"] + 10
        item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "first"}]}
        await socket.send("conversation.item.create", item=item, previous_item_id="root")
        assert (await socket.next())["previous_item_id"] is None
        await socket.next()


async def test_function_calls_go_round(tmp_path: Path) -> None:
    """A call with its arguments; its output is taken back; an output without a call is an error."""
    turns = [
        {"steps": [{"type": "call", "name": "add", "arguments": {"a": 1}, "call_id": "call_1"}]},
        {"steps": [{"type": "text", "text": "done"}]},
    ]
    async with (
        served(settings(tmp_path / "home", script(tmp_path, *turns))) as server,
        connected(server) as socket,
    ):
        await socket.send(
            "session.update", session={"type": "realtime", "tools": [TOOL], "tool_choice": "auto"}
        )
        assert (await socket.next())["session"]["tools"] == [TOOL]
        await socket.say("add")
        await socket.send("response.create")
        events = await socket.until("rate_limits.updated")
        called = next(event for event in events if event["type"] == "response.function_call_arguments.done")
        assert (called["name"], called["arguments"], called["call_id"]) == ("add", '{"a":1}', "call_1")
        for call_id, kind in (("call_none", "error"), ("call_1", "conversation.item.added")):
            item = {"type": "function_call_output", "call_id": call_id, "output": "2"}
            await socket.send("conversation.item.create", item=item)
            assert (await socket.next())["type"] == kind
        await socket.next()
        await socket.send("response.create")
        assert (await socket.until("response.done"))[-1]["response"]["output"][0]["content"][0][
            "text"
        ] == "done"


async def test_a_response_is_cancelled_and_only_one_runs(tmp_path: Path) -> None:
    """A second response in the conversation is refused while one runs; out of band it is not; cancel ends it."""
    turns = ({"steps": [{"type": "text", "text": "wait"}, {"type": "delay", "seconds": 30}]},) * 2
    given = settings(tmp_path / "home", script(tmp_path, *turns), shutdown_seconds=0)
    async with served(given) as server, connected(server) as socket:
        await socket.say("x")
        await socket.send("response.create", event_id="mine")
        created = (await socket.until("response.output_text.delta"))[0]
        await socket.send("response.create", event_id="second")
        error = (await socket.until("error"))[-1]["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        await socket.send("response.create", response={"conversation": "none", "metadata": {"a": "b"}})
        aside = (await socket.until("response.created"))[-1]["response"]
        assert (aside["conversation_id"], aside["metadata"]) == (None, {"a": "b"})
        await socket.send("response.cancel", response_id=created["response"]["id"])
        done = (await socket.until("response.done"))[-1]["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        await socket.send("response.cancel")
        assert (await socket.until("error"))[-1]["error"]["code"] == "response_cancel_not_active"


async def test_a_session_that_is_left_pays_for_what_it_was_sent(tmp_path: Path) -> None:
    """The socket is closed in the middle of an answer."""
    turn = {"steps": [{"type": "text", "text": "wait"}, {"type": "delay", "seconds": 30}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn), shutdown_seconds=0)) as server:
        async with connected(server, await make_key(server, tokens_per_day=1000)) as socket:
            await socket.say("x")
            await socket.send("response.create")
            await socket.until("response.output_text.delta")
        (row,) = await server.state.store.keys()
        async with asyncio.timeout(60):
            while not (await server.state.limits.budgets.of(row))[0].spent:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("nonsense", {}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": "AAAA"}, "unsupported_modality"),
        (
            "session.update",
            {"session": {"type": "realtime", "output_modalities": ["audio"]}},
            "unsupported_modality",
        ),
        ("session.update", {"session": {"type": "realtime", "audio": {}}}, "unsupported_parameter"),
        ("session.update", {"session": {"type": "realtime", "model": "other"}}, "invalid_value"),
        ("session.update", {"session": {"type": "realtime", "nonsense": 1}}, "unknown_parameter"),
        (
            "session.update",
            {"session": {"type": "realtime", "tools": [{"type": "function"}]}},
            "missing_required_parameter",
        ),
        ("session.update", {}, "missing_required_parameter"),
        ("conversation.item.create", {"item": {"type": "hammer"}}, "invalid_value"),
        (
            "conversation.item.create",
            {"item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]}},
            "unsupported_modality",
        ),
        ("conversation.item.delete", {"item_id": "none"}, "item_not_found"),
        (
            "conversation.item.truncate",
            {"item_id": "none", "content_index": 0, "audio_end_ms": 0},
            "item_not_found",
        ),
        ("response.create", {"response": {"output_modalities": ["audio"]}}, "unsupported_modality"),
        ("response.create", {"response": {"max_output_tokens": 0}}, "integer_below_min_value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_errors_are_events_and_the_session_lives(
    kind: str, fields: dict[str, Any], code: str, tmp_path: Path
) -> None:
    """An error names the client's event and the field; the next event is answered."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        await socket.send(kind, event_id="evt_1", **fields)
        error = (await socket.next())["error"]
        assert (error["code"], error["event_id"]) == (code, "evt_1")
        await socket.say("still here")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("tracing", "auto", "traces"), ("prompt", {"id": "pmpt_1"}, "prompt templates"), ("voice", "alloy", "text only")],
)  # fmt: skip
async def test_what_is_refused_says_why(name: str, value: Any, why: str, tmp_path: Path) -> None:
    """The reason is that field's own."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        await socket.send("session.update", session={"type": "realtime", name: value})
        error = (await socket.next())["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", f"session.{name}")
    assert why in error["message"]


async def test_an_image_is_shown_as_it_was_sent(tmp_path: Path) -> None:
    """And not as a text without words."""
    part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    item = {"type": "message", "role": "user", "content": [part, {"type": "input_text", "text": "?"}]}
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        await socket.send("conversation.item.create", item=item)
        added, done = await socket.next(), await socket.next()
        assert added["item"]["content"] == done["item"]["content"] == item["content"]


async def test_a_full_conversation_takes_no_answers_either(tmp_path: Path) -> None:
    """An answer that is under way is kept; the next one is refused until there is room, one beside the conversation is not."""
    async with served(settings(tmp_path, limits={"session_items": 2})) as server, connected(server) as socket:
        first = await socket.say("a")
        await socket.send("response.create")
        await socket.until("rate_limits.updated")
        await socket.send("response.create")
        refused = await socket.next()
        assert (refused["type"], refused["error"]["code"]) == ("error", "conversation_full")
        await socket.send("response.create", response={"conversation": "none"})
        await socket.until("rate_limits.updated")
        await socket.send("conversation.item.delete", item_id=first)
        assert (await socket.next())["type"] == "conversation.item.deleted"
        await socket.send("response.create")
        assert (await socket.until("response.done"))[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"tools": [{"type": "x"}]}, "session.tools[0].type"),
        ({"tool_choice": "x"}, "session.tool_choice"),
        ({"model": "none"}, "session.model"),
    ],
)
async def test_a_secret_whose_settings_cannot_work_is_not_made(
    session: dict[str, Any], param: str, tmp_path: Path
) -> None:
    """Its session would refuse every response."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post(
            "/v1/realtime/client_secrets", json={"session": {"type": "realtime", **session}}
        )
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


async def test_client_secrets_open_one_kind_of_door(tmp_path: Path) -> None:
    """A short-lived key opens a realtime session with its settings, and nothing else."""
    async with served(settings(tmp_path)) as server:
        key = await make_key(server)
        with pytest.raises(openai.AuthenticationError):
            await server.sdk("wrong").realtime.client_secrets.create()
        made = await server.sdk(key).realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "model": MODEL, "instructions": "Be brief."},
        )
        async with connected(server, made.value) as socket:
            await socket.say("hi")
        with pytest.raises(openai.AuthenticationError):
            await server.sdk(made.value).models.list()
        with pytest.raises(websockets.InvalidStatus):
            async with connected(server, "ek_guess"):
                pass


async def test_a_session_that_has_lived_its_time_is_told_and_closed(tmp_path: Path) -> None:
    """The error is the last event, then comes a close that is no fault."""
    async with served(settings(tmp_path, connection_seconds=0.2)) as server, connected(server) as socket:
        error = (await socket.until("error"))[-1]["error"]
        assert error["code"] == "session_expired"
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.next()
