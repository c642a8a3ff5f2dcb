"""Streams that are odd, as public reports show them: signs of life, wrong kinds, calls said twice, errors under a 200."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.contract.engines import answer, asking
from tests.contract.upstream_reports import PARIS, TWO, USAGE, call, chunk, engine_at, hears
from tests.standin.recorded import frames, recorded

from kodo.server.lifecycle.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.wire.tools import CustomTool

YES, END = chunk({"content": "Yes."}), chunk({}, "stop")


def choice(**fields: Any) -> dict[str, Any]:
    """A chunk of a choice with these fields."""
    return {"choices": [{"index": 0, **fields}]}


@pytest.mark.parametrize(
    "sign",
    [
        "data:\n\n",
        "data: \n\n",
        "data: : keepalive\n\n",
        "data: : OPENROUTER PROCESSING\n\n",
        'event: ping\ndata: ""\n\n',
        "data: [PING]\n\n",
        "data: null\n\n",
        'data: {"type": "ping"}\n\n',
        'data: {"id": "x", "base_resp": {"status_code": 0, "status_msg": "success"}}\n\n',
    ],
)
async def test_a_sign_of_life_is_no_part_of_the_answer(sign: str) -> None:
    """Gateways send events without content while the model thinks; the answer around them is whole."""
    got = await hears(sign, chunk({"content": "Yes"}), sign, chunk({"content": "."}, "stop"), sign)
    assert (got.text, got.end.reason) == ("Yes.", "stop")


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        pytest.param(choice(delta=""), "Yes.", id="delta is a text"),
        pytest.param(choice(delta=None, finish_reason=False), "Yes.", id="reason is false"),
        pytest.param(choice(delta={"refusal": False, "role": 7}), "Yes.", id="refusal is false"),
        pytest.param(choice(delta={"tool_calls": ""}), "Yes.", id="calls are a text"),
        pytest.param(choice(delta={"tool_calls": [None]}), "Yes.", id="a call is null"),
        pytest.param(choice(delta={"content": {"type": "text", "text": "Oh. "}}), "Oh. Yes.", id="content is a part"),
        pytest.param(choice(delta={"content": {"a": 1}}), '{"a":1}Yes.', id="content is JSON"),
        pytest.param(choice(delta={"content": 5}), "5Yes.", id="content is a number"),
        pytest.param({"choices": {"index": 0, "delta": {"content": "Oh. "}}}, "Oh. Yes.", id="one choice, no list"),
        pytest.param({"choices": {}}, "Yes.", id="choices are an object"),
    ],
)  # fmt: skip
async def test_a_field_of_a_wrong_kind_does_not_cost_the_answer(odd: dict[str, Any], text: str) -> None:
    """What has a meaning is kept, what has none is left out, and the rest of the answer stays."""
    got = await hears(odd, YES, choice(delta={}, finish_reason={"type": "stop"}))
    assert (got.text, got.end.reason) == (text, "stop")


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param(
            [chunk(call("get_weather", "{}", index=0, id="a")), chunk(call(None, '{"city": ', index=0)), chunk(call(None, '"Paris"}', index=0))],
            TWO[:1],
            id="a placeholder in front",
        ),
        pytest.param(
            [chunk(call("get_weather", '{"city": ', index=0, id="a")), chunk(call(None, '"Paris"}', index=0)), chunk(call(None, PARIS, index=0))],
            TWO[:1],
            id="once more at the end",
        ),
        pytest.param(
            [chunk(call("get_weather", PARIS, index=0, id="a")), chunk(call(None, '{"city": ', index=0)), chunk(call(None, '"Paris"}', index=0))],
            TWO[:1],
            id="once more in pieces",
        ),
        pytest.param([chunk(call("get_weather", PARIS, index=0, id="a"))] * 2, TWO[:1], id="the whole call twice"),
        pytest.param([chunk(call("get_weather", json.dumps(PARIS), index=0, id="a"))], TWO[:1], id="JSON inside of a string"),
        pytest.param([chunk(call("send_mail", "null", index=0, id="a"))], [("send_mail", "{}")], id="null as a text"),
        pytest.param([chunk(call("send_mail", [], index=0, id="a"))], [("send_mail", "{}")], id="an empty list"),
        pytest.param([chunk(call("get_weather", PARIS, index="0", id="a"))], TWO[:1], id="index as a text"),
        pytest.param([chunk({"tool_calls": {"index": "0", "id": "a", "name": "get_weather", "arguments": PARIS}})], TWO[:1], id="without a function"),
        pytest.param([chunk(call("get_weather<|channel|>commentary", PARIS, index=0, id="a"))], TWO[:1], id="a channel behind the name"),
        pytest.param([chunk(call("functions.get_weather:0", PARIS, index=0, id="a"))], TWO[:1], id="Kimi's number behind the name"),
        pytest.param([chunk(call("default_api.get_weather", PARIS, index=0, id="a"))], TWO[:1], id="Gemini's prefix"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [None, 7])
async def test_a_call_comes_out_once_with_one_object(
    chunks: list[Any], expected: list[tuple[str, str]], pieces: int | None
) -> None:
    """Whatever is sent beside the arguments, or instead of none, they are one JSON object."""
    got = await hears(*chunks, chunk({}, "tool_calls"), pieces=pieces)
    assert [(start.name, text) for start, text in got.calls] == expected


async def test_braces_in_the_text_of_an_argument_are_its_own() -> None:
    """An object ends the arguments; one inside of a string does not."""
    code = json.dumps({"city": "if (a) {}{ b }"})
    parts = [chunk(call(None, piece, index=0)) for piece in (code[:17], code[17:18], code[18:])]
    got = await hears(chunk(call("get_weather", "", index=0, id="a")), *parts, chunk({}, "tool_calls"))
    assert [text for _, text in got.calls] == [code]


@pytest.mark.parametrize(
    ("chunks", "reasoning"),
    [
        ([chunk({"reasoning_content": "Hm."}), chunk({"content": "</think>\n\nYes."})], "Hm."),
        ([chunk({"content": "\n</think>\n\nYes."})], ""),
        ([chunk({"content": "[/THINK]Yes."})], ""),
        ([chunk({"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}), YES], "Hm."),
        ([chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]}), YES], "Hm."),
    ],
)
async def test_thoughts_without_their_usual_marks(chunks: list[Any], reasoning: str) -> None:
    """A closing mark that was left over is no part of the text; thoughts in details only are thoughts."""
    got = await hears(*chunks, END)
    assert (got.text, got.reasoning) == ("Yes.", reasoning)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([choice(delta={}, finish_reason="stop", usage={"prompt_tokens": 1336, "completion_tokens": 31, "cached_tokens": 1280})], (1336, 1280, 31, 0), id="in the choice"),
        pytest.param([{**END, "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}}], (7, 0, 3, 0), id="Groq's field"),
        pytest.param([chunk({}, "stop", usage={"prompt_tokens": 279, "completion_tokens": 6, "total_tokens": 374, "completion_tokens_details": {"reasoning_tokens": 89}})], (279, 0, 95, 89), id="thinking beside the rest"),
        pytest.param([chunk({}, "stop", usage={"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623})], (20, 0, 603, 405), id="thinking in the sum only"),
        pytest.param([chunk({}, "stop", usage={"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 218, "completion_tokens_details": {"reasoning_tokens": 90}})], (20, 0, 198, 90), id="thinking within the rest"),
        pytest.param([chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 105, "prompt_tokens_details": {"cached_tokens": 90}})], (100, 90, 5, 0), id="the cached beside the prompt"),
        pytest.param([chunk({}, "stop", usage={"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5})], (100, 90, 5, 0), id="Anthropic's names"),
        pytest.param([chunk({}, usage={"prompt_tokens": 30, "completion_tokens": 0}), chunk({}, "stop", usage={"prompt_tokens": 0, "completion_tokens": 12, "total_tokens": 12})], (30, 0, 12, 0), id="in two halves"),
    ],
)  # fmt: skip
async def test_tokens_are_found_and_add_up(chunks: list[Any], expected: tuple[int, int, int, int]) -> None:
    """Wherever the counts are; the prompt holds what was cached, the output what was thought."""
    usage = (await hears(YES, *chunks)).end.usage
    assert (usage.input, usage.cached, usage.output, usage.reasoning) == expected


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, "application/json"),
        ({"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "application/json"),
        ({"choices": [], "usage": USAGE}, "application/json"),
        ({"errors": [{"code": 7003, "message": "no route"}], "success": False}, "application/json"),
        ({"code": 500, "msg": "boom"}, "text/event-stream"),
        (None, "text/event-stream"),
    ],
)  # fmt: skip
async def test_what_has_no_answer_in_it_is_an_error(body: Any, form: str) -> None:
    """A 200 without choices is never an empty answer; what the server says instead is the reason."""
    sent = json.dumps(body).encode() if "json" in form else frames(*[body] if body else [])
    async with recorded(sent, content_type=form) as server:
        engine = engine_at(server.url)
        with pytest.raises(EngineFailed) as caught:
            await answer(engine, asking("Go."))
        await engine.stop()
    words = ("404 NOT_FOUND", "insufficient balance", "no route", "boom", "sent no answer")
    assert any(said in caught.value.message for said in words)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"code": 429, "message": "Rate limit exceeded"}, "choices": []}, Overloaded),
        ({"code": "rate_limit_daily", "message": "Error code: 429 - slow down"}, Overloaded),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded),
        ({"error": {"code": 400, "message": "thinking blocks are not signed"}}, InvalidRequest),
        ({"error": {"code": 401, "message": "wrong key"}}, EngineUnavailable),
        ({"error": {"code": 502, "message": "the provider is gone"}}, EngineFailed),
        ({"error": {"code": "server_error", "message": "gone"}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}, EngineFailed),
        (choice(delta={"content": ""}, finish_reason="error", error={"code": 502, "message": "idle"}), EngineFailed),
        ('data: [{"error": {"code": 429, "message": "slow down"}}]\n\n', Overloaded),
        ('error: {"code": 500, "message": "no memory", "type": "server_error"}\n\n', EngineFailed),
        ("data: error: out of memory\n\n", EngineFailed),
    ],
)  # fmt: skip
async def test_an_error_under_a_200_is_what_its_code_says(error: Any, kind: type[ServiceError]) -> None:
    """Gateways that have sent 200 put the error into the stream: one at once, or behind words."""
    for before in ((), (YES,)):
        async with recorded(frames(*before, error, done=False)) as server:
            engine = engine_at(server.url)
            with pytest.raises(ServiceError) as caught:
                await answer(engine, asking("Go."))
            await engine.stop()
        assert type(caught.value) is kind
        assert caught.value.message.split()[-1] not in ("answer.", "answer")  # the reason is there


@pytest.mark.parametrize(
    ("arguments", "output", "reason"),
    [
        ('{"city": "Par', 40, "length"),
        ("", 40, "length"),
        (PARIS, 40, "stop"),
        ('{"city": "Par', 12, "stop"),
    ],
)
async def test_a_call_that_the_limit_cut_is_told_as_cut(arguments: str, output: int, reason: str) -> None:
    """Some servers say `tool_calls` all the same; nobody should make half a call."""
    usage = {"prompt_tokens": 9, "completion_tokens": output}
    got = await hears(
        chunk(call("get_weather", arguments, index=0, id="a")), chunk({}, "tool_calls", usage=usage)
    )
    assert got.end.reason == reason


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ({"input": "*** Begin Patch"}, "*** Begin Patch"),
        ({"patch": "*** Begin Patch"}, "*** Begin Patch"),
        ("*** Begin Patch", "*** Begin Patch"),
        ({"command": ["apply_patch", "x"]}, '{"command": ["apply_patch", "x"]}'),
        ({}, ""),
    ],
)
async def test_what_a_tool_without_a_schema_is_called_with(arguments: Any, given: str) -> None:
    """Models name the text otherwise than they were told, or write it as it is: it is not lost."""
    said = frames(chunk(call("patch", json.dumps(arguments), index=0, id="a")), chunk({}, "tool_calls"))
    async with recorded(said) as server:
        engine = engine_at(server.url)
        got = await answer(engine, asking("Go.", tools=(CustomTool(name="patch"),)))
        await engine.stop()
    assert [text for _, text in got.calls] == [given]


async def test_the_whole_message_at_the_end_is_not_said_again() -> None:
    """Some servers end a stream with what they have sent in deltas."""
    whole = {"role": "assistant", "content": "Yes."}
    got = await hears(YES, {"choices": [{"index": 0, "message": whole, "finish_reason": "stop"}]})
    assert (got.text, got.end.reason) == ("Yes.", "stop")


async def test_a_web_page_is_no_answer() -> None:
    """A wrong base URL ends at a page that answers everything with 200."""
    async with recorded(b"<!doctype html><html><body>App</body></html>", content_type="text/html") as server:
        engine = engine_at(server.url)
        with pytest.raises(EngineUnavailable, match="web page"):
            await answer(engine, asking("Go."))
        await engine.stop()


@pytest.mark.parametrize(
    ("reason", "before", "end"),
    [
        ("model_context_window_exceeded", (YES,), "length"),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", (), None),
        ("UNEXPECTED_TOOL_CALL", (), None),
        ("timeout", (YES,), None),
        ("OTHER", (), None),
        ("OTHER", (YES,), "stop"),
        ("tool_calls", (), None),
        ("tool_calls", (YES,), "stop"),
    ],
)
async def test_an_end_that_is_no_success_is_not_told_as_one(
    reason: str, before: tuple[Any, ...], end: str | None
) -> None:
    """``end`` None: an error. An empty answer needs a reason that explains it."""
    said = (*before, chunk({}, reason))
    if end is None:
        with pytest.raises(EngineFailed, match=reason.rpartition(" ")[2]):
            await hears(*said)
    else:
        assert (await hears(*said)).end.reason == end


async def test_a_connection_lost_behind_the_end_loses_nothing() -> None:
    """Proxies break off without the last chunk of HTTP; the answer had said that it is whole."""
    body = frames(YES, END, {"choices": [], "usage": USAGE}, done=False)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        engine = engine_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        got = await answer(engine, asking("Go."))
        await engine.stop()
    assert (got.text, got.end.reason, got.end.usage.output) == ("Yes.", "stop", 3)
