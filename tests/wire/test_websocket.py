"""Responses over a WebSocket: the SDK unmodified, and frames by hand for the rules of both contracts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from tests.serving import MODEL, Served, script, served, settings
from tests.wire.spec import check_stream, validator


class Socket:
    """One connection, frames as values."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket = socket

    async def send(self, **frame: Any) -> None:
        """One client event."""
        await self._socket.send(json.dumps({"type": "response.create", "model": MODEL, **frame}))

    async def frame(self) -> dict[str, Any]:
        """The next server event."""
        value: dict[str, Any] = json.loads(await self._socket.recv())
        return value

    async def turn(self, **frame: Any) -> list[dict[str, Any]]:
        """Send, and collect the events up to the last (or the error)."""
        await self.send(**frame)
        events = [await self.frame()]
        while events[-1]["type"] not in (
            "response.completed",
            "response.incomplete",
            "response.failed",
            "error",
        ):
            events.append(await self.frame())
        return events


@contextlib.asynccontextmanager
async def connected(server: Served) -> AsyncIterator[Socket]:
    """A bare connection."""
    async with websockets.connect(server.url.replace("http", "ws") + "/v1/responses") as socket:
        yield Socket(socket)


def _text(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


async def test_the_sdk_connects_and_gets_the_same_events(tmp_path: Path) -> None:
    """`client.responses.connect` works unmodified."""
    async with served(settings(tmp_path)) as server, server.sdk().responses.connect() as connection:
        await connection.response.create(model=MODEL, input="hello there")
        types = []
        async for event in connection:
            types.append(event.type)
            if event.type == "response.completed":
                assert event.response.output[0].content[0].text == "hello there"
                break
    assert types[:2] == ["response.created", "response.in_progress"]


async def test_frames_are_the_events_of_the_stream(tmp_path: Path) -> None:
    """Each frame is one event that both contracts accept; there is no [DONE]."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        check_stream(await socket.turn(input="one"))
        check_stream(await socket.turn(input="two"))


async def test_unstored_responses_continue_on_their_connection_only(tmp_path: Path) -> None:
    """store: false lives in the connection's memory; another connection does not know it."""
    async with served(settings(tmp_path)) as server:
        async with connected(server) as socket:
            first = (await socket.turn(input="remember me", store=False))[-1]["response"]
            more = (await socket.turn(input="again", store=False, previous_response_id=first["id"]))[-1][
                "response"
            ]
            assert more["usage"]["input_tokens"] > first["usage"]["input_tokens"]
        async with connected(server) as socket:
            error = (await socket.turn(input="again", store=False, previous_response_id=first["id"]))[-1]
    assert (error["type"], error["status"]) == ("error", 400)
    assert error["error"]["code"] == "previous_response_not_found"


async def test_a_warm_up_reads_the_prompt_and_says_nothing(tmp_path: Path) -> None:
    """generate: false gives created and completed without output, and can be continued."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        events = await socket.turn(input="the long base prompt", store=False, generate=False)
        check_stream(events)
        final = events[-1]["response"]
        assert (final["status"], final["output"], final["usage"]["output_tokens"]) == ("completed", [], 0)
        answer = await socket.turn(input="now", store=False, previous_response_id=final["id"])
        assert _text(answer) == "now"


async def test_a_failed_continuation_evicts_its_parent(tmp_path: Path) -> None:
    """In the same lane it does; a fork into another lane leaves it."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        parent = (await socket.turn(input="a", store=False, stream_id="one"))[-1]["response"]["id"]
        wrong = {
            "input": [{"type": "function_call_output", "call_id": "none", "output": "x"}],
            "store": False,
        }
        for lane, survives in (("two", True), ("one", False)):
            failed = (await socket.turn(**wrong, previous_response_id=parent, stream_id=lane))[-1]
            assert (failed["type"], failed["status"], failed["stream_id"]) == ("error", 400, lane)
            after = (await socket.turn(input="b", store=False, previous_response_id=parent, stream_id="one"))[
                -1
            ]
            assert (after["type"] == "response.completed") is survives


async def test_lanes_interleave_and_the_default_does_not(tmp_path: Path) -> None:
    """Without stream_id the second turn begins after the first ended; with it both run at once."""
    turns = ({"steps": [{"type": "delay", "seconds": 0.2}, {"type": "text", "text": "x"}]},) * 4
    async with (
        served(settings(tmp_path / "home", script(tmp_path, *turns))) as server,
        connected(server) as socket,
    ):
        for lane in ("a", "b"):
            await socket.send(input="x", stream_id=lane)
        lanes = [frame["stream_id"] for frame in [await socket.frame() for _ in range(4)]]
        assert {"a", "b"} <= set(lanes)
        while (await socket.frame())["type"] != "response.completed":
            pass
        while (await socket.frame())["type"] != "response.completed":
            pass
        for _ in range(2):
            await socket.send(input="x")
        created = []
        while len(created) < 2:
            frame = await socket.frame()
            assert "stream_id" not in frame
            if frame["type"] in ("response.created", "response.completed"):
                created.append(frame["type"])
        assert created == ["response.created", "response.completed"]


async def test_a_connection_remembers_so_many_bytes(tmp_path: Path) -> None:
    """Items that several responses share count once; what is too much takes the oldest along, and the newest is kept."""
    given = settings(tmp_path, limits={"session_bytes": 10_000})
    async with served(given) as server, connected(server) as socket:

        async def answered(text: str, parent: str | None = None) -> str:
            """The id of a response that is not stored; empty where the parent is not known."""
            end = (await socket.turn(input=text, store=False, previous_response_id=parent))[-1]
            return str(end["response"]["id"]) if end["type"] == "response.completed" else ""

        first = await answered("a" * 3000)
        second = await answered("b", first)
        third = await answered("c", second)
        assert await answered("d", first) and await answered("e", second)
        other = await answered("f" * 3000)
        assert not await answered("g", third)
        assert await answered("h", other)
        large = await answered("i" * 30_000)
        assert await answered("j", large)


@pytest.mark.parametrize(
    "options", [{"stream": True}, {"stream": None}, {"stream_options": {"include_obfuscation": False}}]
)
async def test_options_of_a_stream_are_those_of_http(options: dict[str, Any], tmp_path: Path) -> None:
    """A turn always streams, so whatever HTTP takes with ``stream: true`` is taken."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        assert (await socket.turn(input="x", **options))[-1]["type"] == "response.completed"


@pytest.mark.parametrize(
    ("frame", "status", "code"),
    [
        ({"type": "response.steer"}, 400, "invalid_value"),
        ({"stream_id": "no spaces"}, 400, "invalid_stream_id"),
        ({"stream_id": ""}, 400, "invalid_stream_id"),
        ({"model": "none", "input": "x"}, 404, "model_not_found"),
        ({"input": "x", "background": True}, 400, "unsupported_parameter"),
        ({"input": "x", "stream_options": {"include_obfuscation": True}}, 400, "invalid_value"),
        ({"input": "x", "stream": False}, 400, "invalid_value"),
        ({"input": "x", "stream": "yes"}, 400, "invalid_type"),
        ({"input": "x", "nonsense": 1}, 400, "unknown_parameter"),
        ({"input": "x", "generate": "no"}, 400, "invalid_type"),
        ({"input": "x", "previous_response_id": "resp_none"}, 400, "previous_response_not_found"),
    ],
)
async def test_errors_are_frames_and_the_connection_lives(
    frame: dict[str, Any], status: int, code: str, tmp_path: Path
) -> None:
    """An error names itself as HTTP would; the next turn works."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        error = (await socket.turn(**frame))[-1]
        assert (error["type"], error["status"], error["error"]["code"]) == ("error", status, code)
        validator("WebSocketErrorEvent").validate(error)
        assert (await socket.turn(input="still here"))[-1]["type"] == "response.completed"


async def test_a_connection_has_sixteen_turns_at_once_and_thirty_two_lanes(tmp_path: Path) -> None:
    """One more of either is an error frame that names the lane, and takes nothing from the others."""
    slow = {"match": "wait", "steps": [{"type": "delay", "seconds": 1}, {"type": "text", "text": "done"}]}
    quick = {"match": "quick", "steps": [{"type": "text", "text": "done"}]}
    model = script(tmp_path, slow, quick)
    async with served(settings(tmp_path / "home", model)) as server, connected(server) as socket:
        for number in range(17):
            await socket.send(input="wait", stream_id=f"lane-{number}", store=False)
        frames = [await socket.frame()]
        while sum(frame["type"] == "response.completed" for frame in frames) < 16:
            frames.append(await socket.frame())
        (refused,) = [frame for frame in frames if frame["type"] == "error"]
        validator("WebSocketErrorEvent").validate(refused)
        assert refused["error"]["code"] == "websocket_stream_limit_reached"
        assert (await socket.turn(input="quick", store=False))[-1]["type"] == "response.completed"
        for number in range(16, 32):
            done = (await socket.turn(input="quick", stream_id=f"lane-{number}", store=False))[-1]
            assert (done["type"], done["stream_id"]) == ("response.completed", f"lane-{number}")
        refused = (await socket.turn(input="quick", stream_id="lane-32", store=False))[-1]
        assert refused["error"]["code"] == "websocket_stream_limit_reached"
        assert (await socket.turn(input="quick", stream_id="lane-3", store=False))[-1][
            "type"
        ] == "response.completed"


async def test_text_that_is_no_json_is_an_error_frame(tmp_path: Path) -> None:
    """Not a closed connection."""
    async with served(settings(tmp_path)) as server:
        async with websockets.connect(server.url.replace("http", "ws") + "/v1/responses") as socket:
            await socket.send("{")
            assert json.loads(await socket.recv())["error"]["code"] == "invalid_json"


async def test_switched_off_the_upgrade_is_a_426_at_once(tmp_path: Path) -> None:
    """Clients fall back to POST from it; the envelope says why."""
    async with served(settings(tmp_path, websockets=False)) as server:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with connected(server):
                pass
    assert caught.value.response.status_code == 426
    assert json.loads(caught.value.response.body)["error"]["code"] == "websocket_not_supported"


async def test_sockets_stand_behind_the_same_guard(tmp_path: Path) -> None:
    """A page's Origin is refused before the connection is made."""
    async with served(settings(tmp_path)) as server:
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with websockets.connect(
                server.url.replace("http", "ws") + "/v1/responses", origin="https://evil.example"
            ):  # type: ignore[arg-type]  # a NewType of str
                pass
    assert caught.value.response.status_code == 403


async def test_a_bug_ends_the_turn_and_not_the_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is an error frame without a word of its inside; the next turn works."""
    async with served(settings(tmp_path)) as server, connected(server) as socket:
        create = server.state.service.create

        async def broken(*arguments: Any) -> Any:
            monkeypatch.setattr(server.state.service, "create", create)
            raise ZeroDivisionError("a secret of the inside")

        monkeypatch.setattr(server.state.service, "create", broken)
        error = (await socket.turn(input="x"))[-1]
        assert (error["type"], error["status"]) == ("error", 500)
        assert "secret" not in json.dumps(error)
        assert (await socket.turn(input="y"))[-1]["type"] == "response.completed"


async def _until_it_closes(socket: Socket) -> list[dict[str, Any]]:
    frames = []
    with contextlib.suppress(websockets.ConnectionClosedOK):
        while True:
            frames.append(await socket.frame())
    return frames


def _connection_is_over(frame: dict[str, Any]) -> None:
    validator("WebSocketErrorEvent").validate(frame)
    assert (frame["type"], frame["status"]) == ("error", 400)
    assert (frame["error"]["code"], frame["error"]["param"]) == ("websocket_connection_limit_reached", None)


async def test_a_connection_that_has_lived_its_time_is_told_to_be_made_anew(tmp_path: Path) -> None:
    """Sixty minutes unless set: the error that clients connect again from, then a close that is no fault."""
    assert settings(tmp_path).connection_seconds == 3600
    async with served(settings(tmp_path, connection_seconds=0.2)) as server, connected(server) as socket:
        frames = await _until_it_closes(socket)
    assert len(frames) == 1
    _connection_is_over(frames[0])
    assert "0.00333333 minutes" in frames[0]["error"]["message"]


@pytest.mark.parametrize("lane", [{}, {"stream_id": "a"}])
async def test_a_turn_that_runs_then_is_cancelled_and_the_error_comes_last(
    lane: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing follows the error; what was said is stored as cancelled, the engine is free, a new connection goes on."""
    long = {"match": "long", "steps": [{"type": "text", "text": "half"}, {"type": "delay", "seconds": 600}]}
    more = {"match": "more", "steps": [{"type": "text", "text": "done"}]}
    for seconds in (1, 10, 60):  # a busy machine may not begin a turn in the first
        home = tmp_path / str(seconds)
        given = settings(home / "home", script(home, long, more), connection_seconds=seconds)
        async with served(given) as server:
            async with connected(server) as socket:
                await socket.send(input="long", **lane)
                frames = await _until_it_closes(socket)
            if _text(frames) != "half":
                continue
            _connection_is_over(frames[-1])
            assert [frame["type"] for frame in frames].count("error") == 1
            assert all(frame.get("stream_id") == lane.get("stream_id") for frame in frames[:-1])
            begun = frames[0]["response"]["id"]
            kept = await server.sdk().responses.retrieve(begun)
            assert (kept.status, kept.output_text) == ("cancelled", "half")
            (backend,) = {id(one.engine): one for one in server.state.models.values()}.values()
            assert backend.admission.running == 0
            async with connected(server) as socket:
                last = (await socket.turn(input="more", previous_response_id=begun))[-1]
            assert last["type"] == "response.completed"
            return
    pytest.fail("no turn began within a minute")
