"""What real servers were reported to send, recorded, and what the engine makes of it: one row a report."""

from __future__ import annotations

import datetime
import email.utils
import json
from typing import Any

import pytest
from tests.contract.engines import MAIL, WEATHER, answer, asking
from tests.contract.upstream_reports import PARIS, TOKYO, TWO, USAGE, call, chunk, engine_at, hears
from tests.standin.recorded import frames, recorded

from kodo.server.lifecycle.errors import (
    EngineFailed,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    ServiceError,
)
from kodo.server.lifecycle.ports import ContextItem, Prompt, ProviderFields, ProviderState
from kodo.server.wire.items import FunctionCall, FunctionCallOutput


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param(
            [chunk(call("get_weather", PARIS, index=0, id="a")), chunk(call("get_weather", TOKYO, index=0, id="b"))],
            TWO,
            id="all with index 0",
        ),
        pytest.param(
            [
                chunk(call("get_weather", '{"city": ', id="a")),
                chunk(call(None, '"Paris"}')),
                chunk(call("get_weather", '{"city": ', id="b")),
                chunk(call(None, '"Tokyo"}')),
            ],
            TWO,
            id="no index",
        ),
        pytest.param(
            [chunk(call("get_weather", PARIS)), chunk(call("get_weather", TOKYO))], TWO, id="no index, no ids"
        ),
        pytest.param(
            [
                chunk(call("get_weather", '{"city"', index=0, id="a")),
                chunk(call("get_weather", '{"city": "To', index=1, id="b")),
                chunk(call(None, ': "Paris"}', index=0)),
                chunk(call(None, 'kyo"}', index=1)),
            ],
            TWO,
            id="deltas take turns",
        ),
        pytest.param(
            [
                chunk(call("get_weather", "", index=0, id="x1")),
                chunk(call(None, '{"city": ', index=0, id="x2")),
                chunk(call(None, '"Paris"}', index=0, id="x3")),
            ],
            TWO[:1],
            id="a new id in each delta",
        ),
        pytest.param(
            [chunk(call("get_weather", {"city": "Paris"}, index=0, id="a"))],
            [("get_weather", '{"city":"Paris"}')],
            id="arguments are an object",
        ),
        pytest.param([chunk(call("send_mail", "", index=0, id="a"))], [("send_mail", "{}")], id="arguments empty"),
        pytest.param(
            [chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "send_mail", "arguments": None}}]})],
            [("send_mail", "{}")],
            id="arguments null",
        ),
        pytest.param(
            [chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "send_mail"}}]})],
            [("send_mail", "{}")],
            id="arguments missing",
        ),
        pytest.param(
            [chunk(call("functions.get_weather", PARIS, index=0, id="a"))], TWO[:1], id="the name with a prefix"
        ),
        pytest.param(
            [chunk({"function_call": {"name": "get_weather", "arguments": '{"city": '}}), chunk({"function_call": {"arguments": '"Paris"}'}})],
            TWO[:1],
            id="the legacy field",
        ),
        pytest.param(
            [
                chunk(call("get_weather", PARIS, index=0, id="a")),
                chunk({"content": "\n"}),
                chunk(call("get_weather", TOKYO, index=1, id="b")),
                chunk({"content": "Done."}),
            ],
            TWO,
            id="text between and behind",
        ),
        pytest.param(
            ["data: " + json.dumps(chunk({"content": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" + PARIS + "<|call|>"})) + "\n\n"],
            TWO[:1],
            id="gpt-oss' channels as text",
        ),
        pytest.param(
            [chunk({"content": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>" + PARIS + "<|call|>"})],
            TWO[:1],
            id="gpt-oss' channels, the recipient in the role",
        ),
        pytest.param(
            [chunk({"content": " to=functions.get_weather<|channel|>commentary json<|message|>" + PARIS + "<|call|>"})],
            TWO[:1],
            id="gpt-oss' channels, behind the opened role",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [None, 7])
async def test_calls_in_every_form(
    chunks: list[Any], expected: list[tuple[str, str]], pieces: int | None
) -> None:
    """Each call comes out once, with its own arguments as JSON, in the order they began."""
    got = await hears(*chunks, chunk({}, "tool_calls"), pieces=pieces)
    assert [(start.name, text) for start, text in got.calls] == expected
    ids = [start.call_id for start, _ in got.calls]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(id_) <= 64 for id_ in ids)


async def test_a_long_id_is_handed_out_short_and_goes_back_long() -> None:
    """An id of 125 characters is over the contract's 64; the server gets its own id again."""
    long = "call_" + "x" * 120
    got = await hears(chunk(call("get_weather", PARIS, index=0, id=long)), chunk({}, "tool_calls"))
    ((start, text),) = got.calls
    assert len(start.call_id) <= 64
    state = next(event.state for event in got.events if isinstance(event, ProviderFields))
    items = (
        ContextItem(item=FunctionCall(call_id=start.call_id, name="get_weather", arguments=text)),
        ContextItem(item=FunctionCallOutput(call_id=start.call_id, output="sunny")),
    )
    async with recorded(frames(chunk({"content": "ok"}, "stop"))) as server:
        engine = engine_at(server.url)
        here = ProviderState(origin=f"m@{server.url}", fields=state.fields)
        made = ContextItem(item=items[0].item, provider=here)
        await answer(engine, Prompt(items=(made, items[1])))
        await engine.stop()
    messages = server.bodies[0]["messages"]
    assert messages[0]["tool_calls"][0]["id"] == long
    assert messages[1]["tool_call_id"] == long


@pytest.mark.parametrize(
    ("chunks", "text", "reason"),
    [
        pytest.param([chunk({"content": "Yes."}), {"choices": [], "usage": USAGE}], "Yes.", "stop", id="no reason"),
        pytest.param([chunk({"content": "Yes."}, "eos_token")], "Yes.", "stop", id="eos_token"),
        pytest.param([chunk({"content": "Yes."}, "STOP")], "Yes.", "stop", id="STOP"),
        pytest.param([chunk({"content": "Yes."}, "end_turn")], "Yes.", "stop", id="end_turn"),
        pytest.param([chunk({"content": "Yes."}, "MAX_TOKENS")], "Yes.", "length", id="MAX_TOKENS"),
        pytest.param([chunk({"content": "Yes."}, "SAFETY")], "Yes.", "content_filter", id="SAFETY"),
        pytest.param([chunk({"content": "Yes."}, "what_is_this")], "Yes.", "stop", id="unknown"),
        pytest.param(
            [chunk({"content": [{"type": "text", "text": "Yes"}, {"type": "text", "text": "."}]}, "stop")],
            "Yes.",
            "stop",
            id="content as parts",
        ),
        pytest.param([chunk(None), chunk({"content": "Yes."}), chunk(None, "stop")], "Yes.", "stop", id="null delta"),
        pytest.param(
            [chunk({"content": "Yes."}, "stop", usage={"prompt_tokens": None, "completion_tokens": None})],
            "Yes.",
            "stop",
            id="null counts",
        ),
        pytest.param(["\ufeff", chunk({"content": "Yes."}, "stop")], "Yes.", "stop", id="byte order mark"),
        pytest.param(
            [": comment\n\nevent: message\r\n", 'data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\r\n\r\n'],
            "Yes.",
            "stop",
            id="CRLF and comments",
        ),
        pytest.param(
            [chunk({"content": "<think>Hm.\n</think>\n\nYes."}, "stop")], "Yes.", "stop", id="thoughts in the text"
        ),
        *(
            pytest.param([chunk({"content": f"{begin}Hm.{end}\n\nYes."}, "stop")], "Yes.", "stop", id=begin)
            for begin, end in [("<thought>", "</thought>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<seed:think>", "</seed:think>")]
        ),
        pytest.param(
            [chunk({"content": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"}, "stop")],
            "Yes.",
            "stop",
            id="gpt-oss' channels",
        ),
        pytest.param(
            [chunk({"content": "A tag: <think> is one."}, "stop")], "A tag: <think> is one.", "stop", id="a mark in the middle"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [None, 3])
async def test_text_in_every_form(chunks: list[Any], text: str, reason: str, pieces: int | None) -> None:
    """The text is whole and the end is one of the contract's, however the server writes them."""
    got = await hears(*chunks, pieces=pieces)
    assert (got.text, got.end.reason) == (text, reason)
    if "Hm." in str(chunks):
        assert got.reasoning == "Hm."


async def test_a_part_that_is_not_text_is_left_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The text around it is whole; the log names its kind, not its content."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,c2VjcmV0"}}
    parts = [{"type": "text", "text": "Ye"}, image, image, {"type": "text", "text": "s."}]
    got = await hears(chunk({"content": parts}, "stop"))
    assert got.text == "Yes."
    said, again = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert said == again  # of the same answer, read before its end and behind it
    assert "'image_url'" in said
    assert "c2VjcmV0" not in said


@pytest.mark.parametrize(
    ("reason", "fields", "expected"),
    [
        pytest.param("stop", {"stop_reason": "END"}, "END", id="vLLM"),
        pytest.param("stop", {"matched_stop": "END"}, "END", id="SGLang"),
        pytest.param("stop", {"stop_reason": 128009}, None, id="a token"),
        pytest.param("stop", {"stop_reason": "<eos>"}, None, id="not one of the client's"),
        pytest.param("stop", {"stop_reason": None, "matched_stop": ["END"]}, None, id="another form"),
        pytest.param("length", {"stop_reason": "END"}, None, id="a cap ended it"),
    ],
)
async def test_the_stop_string_that_ended_the_answer(
    reason: str, fields: dict[str, Any], expected: str | None
) -> None:
    """A server that names the stop string is believed where the client set that string."""
    choice = {"index": 0, "delta": {"content": "Yes."}, "finish_reason": reason, **fields}
    got = await hears({"choices": [choice]}, stop=("END",))
    assert (got.end.reason, got.end.stop_sequence) == (reason, expected)


@pytest.mark.parametrize(
    ("usage", "cached", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 5}}, 5, 0),
        ({"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 4}, 5, 0),
        ({"cached_tokens": 5}, 5, 0),
        ({"cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}, 5, 2),
        ({"prompt_tokens_details": None}, 0, 0),
        ({"prompt_tokens_details": {"cached_tokens": 99}}, 9, 0),
    ],
)
async def test_cached_tokens_under_every_name(usage: dict[str, Any], cached: int, written: int) -> None:
    """The count is read where the server has it, and is never more than the prompt."""
    got = await hears(chunk({"content": "Yes."}, "stop", usage={**USAGE, **usage}))
    assert (got.end.usage.cached, got.end.usage.cache_write) == (cached, written)


async def test_an_answer_that_is_not_streamed_is_read_whole() -> None:
    """A server that ignores `stream` sends one object."""
    message = {"role": "assistant", "content": "Yes.", "tool_calls": [{"id": "a", "function": {"name": "get_weather", "arguments": PARIS}}]}  # fmt: skip
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": USAGE})
    async with recorded(body.encode(), content_type="application/json") as server:
        engine = engine_at(server.url)
        got = await answer(engine, asking("Go.", tools=(WEATHER,)))
        await engine.stop()
    assert (got.text, [text for _, text in got.calls], got.end.usage.input) == ("Yes.", [PARIS], 9)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (frames(chunk({"content": "Yes"}), done=False), EngineFailed, "in the middle"),
        (frames(chunk({"content": "Yes"}), "data: what?\n\n"), EngineFailed, "not an answer"),
        (frames(chunk({"content": "Yes"}), {"error": {"message": "CUDA out of memory at /srv/x/y.cu"}}), EngineFailed, r"CUDA out of memory at \[path\]"),
        (frames(chunk({"content": "Yes"}), {"object": "error", "message": "the engine died", "code": 500}), EngineFailed, "the engine died"),
        (frames(chunk({"content": "Yes"}), "event: error\ndata: {\"message\": \"no GPU\"}\n\n"), EngineFailed, "no GPU"),
        (frames(chunk({"content": "Yes"}), {"detail": "went away"}), EngineFailed, "went away"),
        (frames({"error": {"message": "request (9000 tokens) exceeds the available context size (4096 tokens)"}}), InvalidRequest, "4096"),
    ],
)  # fmt: skip
async def test_a_stream_that_goes_wrong_says_so(body: bytes, kind: type[ServiceError], words: str) -> None:
    """Cut, noise and errors in the stream are errors with a reason, never an answer."""
    async with recorded(body) as server:
        engine = engine_at(server.url)
        with pytest.raises(kind, match=words):
            await answer(engine, asking("Go."))
        await engine.stop()


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("retry-after: 7", 7, 7), ("retry-after-ms: 250", 0.25, 0.25), ("retry-after: DATE", 20, 50), ("retry-after: soon", 1, 1)],
    ids=["seconds", "milliseconds", "date", "noise"],
)  # fmt: skip
async def test_how_long_a_busy_server_wants_to_be_left_alone(header: str, low: float, high: float) -> None:
    """Seconds, milliseconds or a date."""
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=50)
    header = header.replace("DATE", email.utils.format_datetime(then, usegmt=True))
    async with recorded(b'{"error": "busy"}', status=429, headers=[header]) as server:
        engine = engine_at(server.url)
        with pytest.raises(Overloaded) as caught:
            await answer(engine, asking("Go."))
        await engine.stop()
    assert low <= caught.value.retry_after <= high


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"code": 429, "message": "You exceeded your current quota, check your plan and billing.", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "x/google.rpc.QuotaFailure"}, {"@type": "x/google.rpc.RetryInfo", "retryDelay": "36s"}]}, 36),
        ({"message": "Quota exceeded for metric: input tokens, limit: 4000000\nPlease retry in 47.5s."}, 47.5),
        ({"message": "Rate limit reached. Please try again in 250ms."}, 0.25),
        ({"message": "Rate limit reached. Please try again in 1m2.5s."}, 62.5),
        ({"message": "Rate limit exceeded. Please retry after 8 seconds."}, 8),
        ({"message": "Slow down."}, 1),
        ({"message": "You exceeded your current quota, check your plan and billing.", "code": "insufficient_quota"}, None),
    ],
)  # fmt: skip
async def test_how_long_to_wait_stands_in_the_error(error: dict[str, Any], wait: float | None) -> None:
    """A quota with a time is a rate, and the caller may come back; one without (``wait`` None) is used up."""
    async with recorded(json.dumps([{"error": error}]).encode(), status=429) as server:
        engine = engine_at(server.url)
        with pytest.raises(Overloaded) as caught:
            await answer(engine, asking("Go."))
        await engine.stop()
    assert isinstance(caught.value, EngineUnavailable) == (wait is None)
    if wait is not None:
        assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("words", "efforts"),
    [
        ("`reasoning_effort` must be one of `none` or `default`", {"none": "none", "low": "default", "max": "default"}),
        ("body.reasoning_effort: Input should be 'low', 'medium' or 'high'", {"none": "low", "minimal": "low", "medium": "medium", "max": "high"}),
        ("Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported values are: 'none', 'low', 'medium', and 'high'. (reasoning_effort)", {"minimal": "low", "none": "none", "xhigh": "high"}),
    ],
    ids=["Groq's Qwen3", "Cerebras", "OpenAI"],
)  # fmt: skip
async def test_efforts_that_a_server_names_are_learned(words: str, efforts: dict[str, str]) -> None:
    """Which efforts there are is up to the model: after one refusal, others go as the nearest."""
    refusal = json.dumps({"error": {"message": words, "type": "invalid_request_error"}}).encode()
    answer_ = frames(chunk({"content": "Yes."}, "stop"))
    unknown = next(effort for effort, sent in efforts.items() if effort != sent)
    async with recorded(answer_, refusals=[(400, refusal)]) as server:
        engine = engine_at(server.url)
        await answer(engine, asking("Go.", reasoning_effort=unknown))
        for effort in efforts:
            await answer(engine, asking("Go.", reasoning_effort=effort))
        await engine.stop()
    sent = [body["reasoning_effort"] for body in server.bodies]
    assert sent == [unknown, efforts[unknown], *efforts.values()]


async def test_a_field_that_a_server_refuses_is_learned() -> None:
    """`max_tokens` becomes `max_completion_tokens` where the server says so, and stays so."""
    said = b'{"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported with this model.", "code": "unsupported_parameter", "param": "max_tokens"}}'
    async with recorded(said, status=400) as server:
        engine = engine_at(server.url)
        with pytest.raises(InvalidRequest):
            await answer(engine, asking("Go."))
        await engine.stop()
    assert ["max_tokens" in body for body in server.bodies] == [True, False]
    assert server.bodies[1]["max_completion_tokens"] == 40


async def test_extra_headers_query_and_body_are_sent() -> None:
    """What the settings add reaches the server; `omit` takes fields out."""
    async with recorded(frames(chunk({"content": "ok"}, "stop"))) as server:
        engine = engine_at(
            server.url,
            query={"api-version": "2025-01-01"},
            body={"chat_template_kwargs": {"enable_thinking": False}},
            omit=("tools",),
        )
        await answer(engine, asking("Go.", tools=(WEATHER,)))
        await engine.stop()
    assert server.paths == ["/v1/chat/completions?api-version=2025-01-01"]
    assert server.bodies[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert "tools" not in server.bodies[0]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nothing listens: 503, and the server starts all the same."""
    engine = engine_at("http://127.0.0.1:9/v1", profile="auto")
    await engine.start()
    with pytest.raises(EngineUnavailable):
        await answer(engine, asking("Hi"))
    assert not engine.ready
    await engine.stop()


@pytest.mark.parametrize("id_", ["w", "chatcmpl-tool-0123456789abcdef0123456789abcdef"])
async def test_calls_of_unknown_tools_beside_a_known_one_go_back_with_their_errors(id_: str) -> None:
    """The client answers its own call; in the next turn the model sees all, and an error for each of the others."""
    said = [
        chunk(call("launch_rockets", '{"count": 3}', index=0, id="r")),
        chunk(call("get_weather", PARIS, index=1, id=id_)),
        chunk(call("sink_ships", "{}", index=2, id="s")),
        chunk({}, "tool_calls"),
    ]
    async with recorded(frames(*said), frames(chunk({"content": "ok"}, "stop"))) as server:
        engine = engine_at(server.url)
        got = await answer(engine, asking("Go.", tools=(WEATHER, MAIL)))
        ((start, text),) = got.calls
        assert (start.name, text) == ("get_weather", PARIS)
        state = next(event.state for event in got.events if isinstance(event, ProviderFields))
        made = FunctionCall(call_id=start.call_id, name="get_weather", arguments=text)
        output = FunctionCallOutput(call_id=start.call_id, output="sunny")
        items = (ContextItem(item=made, provider=state), ContextItem(item=output))
        await answer(engine, Prompt(items=items, tools=(WEATHER, MAIL)))
        await engine.stop()
    assistant, *errors, answered = server.bodies[1]["messages"]
    names = {one["id"]: one["function"]["name"] for one in assistant["tool_calls"]}
    assert list(names.values()) == ["get_weather", "launch_rockets", "sink_ships"]
    assert [names[error["tool_call_id"]] for error in errors] == ["launch_rockets", "sink_ships"]
    for error in errors:
        assert "The tools are: get_weather, send_mail." in error["content"]
    assert (names[answered["tool_call_id"]], answered["content"]) == ("get_weather", "sunny")
