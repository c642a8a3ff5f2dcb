"""Chat Completions through the SDK: a translation of the lifecycle, judged by the SDK's strict types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.http.chat.request_translation import messages_to_items
from kodo.server.wire.items import FunctionCall, Message, text_of

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
CALL = {"type": "call", "name": "add", "arguments": {"a": 1}}


async def _chunks(server: Served, **body: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, each checked against the SDK's type; the last frame must be [DONE]."""
    async with server.http() as http:
        answer = await http.post("/v1/chat/completions", json={"model": MODEL, "stream": True, **body})
    frames = answer.content.split(b"\n\n")
    assert frames.pop() == b""
    assert frames.pop() == b"data: [DONE]"
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
    return chunks


def _said(chunks: list[dict[str, Any]], index: int = 0) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_the_same_words_cost_the_same_on_both_apis(tmp_path: Path) -> None:
    """Text and usage of a chat equal those of the same Responses call; the answer has the SDK's strict type."""
    async with served(settings(tmp_path)) as server:
        messages = [{"role": "system", "content": "Echo."}, {"role": "user", "content": "こんにちは 👋"}]
        async with server.http() as http:
            raw = (
                await http.post("/v1/chat/completions", json={"model": MODEL, "messages": messages})
            ).json()
        ChatCompletion.model_validate_json(json.dumps(raw), strict=True)
        response = await server.sdk().responses.create(model=MODEL, input=messages)  # type: ignore[arg-type]  # dicts
        chunks = await _chunks(server, messages=messages, stream_options={"include_usage": True})
    assert response.usage is not None
    assert raw["choices"][0]["message"]["content"] == response.output_text == _said(chunks)
    assert raw["usage"]["prompt_tokens"] == response.usage.input_tokens
    assert raw["usage"]["completion_tokens"] == response.usage.output_tokens
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == raw["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


async def test_tool_calls_come_whole_and_in_pieces(tmp_path: Path) -> None:
    """A call, streamed and not, has the same id, name and arguments, and ends with finish_reason tool_calls."""
    turn = {"steps": [{**CALL, "call_id": "call_1"}, {**CALL, "call_id": "call_2"}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn))) as server:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "tools": [TOOL]}
        whole = await server.sdk().chat.completions.create(model=MODEL, **body)
        chunks = await _chunks(server, **body)
    calls = whole.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [  # type: ignore[union-attr]
        ("call_1", "add", '{"a":1}'),
        ("call_2", "add", '{"a":1}'),
    ]
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content is None
    pieces: dict[int, str] = {}
    for chunk in chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            pieces[call["index"]] = pieces.get(call["index"], "") + call["function"].get("arguments", "")
    assert pieces == {0: '{"a":1}', 1: '{"a":1}'}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_round_trip_with_a_tool(tmp_path: Path) -> None:
    """The assistant's calls and the tool's answers are taken back."""
    async with served(settings(tmp_path)) as server:
        answer = await server.sdk().chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "user", "content": "add"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "4"},
            ],
        )
    assert answer.choices[0].message.content == "4"


async def test_n_answers_count_the_prompt_once(tmp_path: Path) -> None:
    """n choices, whole and streamed: the prompt is counted once, the answers together."""
    turns = [{"steps": [{"type": "text", "text": text}]} for text in ("one", "twotwo", "one", "twotwo")]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        messages: Any = [{"role": "user", "content": "x"}]
        whole = await server.sdk().chat.completions.create(model=MODEL, messages=messages, n=2)
        chunks = await _chunks(server, messages=messages, n=2, stream_options={"include_usage": True})
    assert sorted(choice.message.content or "" for choice in whole.choices) == ["one", "twotwo"]
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 3
    assert chunks[-1]["usage"]["prompt_tokens"] == whole.usage.prompt_tokens
    assert sorted((_said(chunks, 0), _said(chunks, 1))) == ["one", "twotwo"]


async def test_a_stream_that_breaks_off_raises_in_the_sdk(tmp_path: Path) -> None:
    """The error comes as a frame that the SDK turns into an exception; the words before it were delivered."""
    turn = {"steps": [{"type": "text", "text": "half"}, {"type": "fail"}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        stream = await server.sdk().chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "x"}], stream=True
        )
        said = ""
        with pytest.raises(openai.APIError):
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
    assert said == "half"


async def test_one_of_n_answers_that_breaks_off_ends_the_stream_with_its_error(tmp_path: Path) -> None:
    """The frame with the error is the same as that of a single answer, and no answer is left at work."""
    turns = [
        {"steps": [{"type": "text", "text": "half"}, {"type": "fail"}]},
        {"steps": [{"type": "text", "text": "on "}] * 2000},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        stream = await server.sdk().chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "x"}], stream=True, n=2
        )
        with pytest.raises(openai.APIError, match="The script fails here"):
            async for _ in stream:
                pass
        async with server.http() as http:
            metrics = (await http.get("/metrics")).text
    assert 'kodo_running_requests{model="codex-mini-latest"} 0.0' in metrics


async def test_a_filtered_list_goes_on_until_its_page_is_full(tmp_path: Path) -> None:
    """What a filter leaves out takes no place in a page; a cursor that names nothing is refused."""
    async with served(settings(tmp_path)) as server:
        chat = server.sdk().chat.completions
        messages: Any = [{"role": "user", "content": "x"}]
        kept = [
            await chat.create(model=MODEL, messages=messages, store=True, metadata={"kind": kind})
            for kind in ("no", "no", "yes", "no", "yes", "yes")
        ]
        wanted = [kept[2].id, kept[4].id, kept[5].id]
        page = await chat.list(metadata={"kind": "yes"}, limit=2)
        assert ([value.id for value in page.data], page.has_more) == (wanted[:2], True)
        assert [value.id async for value in chat.list(metadata={"kind": "yes"}, limit=1)] == wanted
        assert [
            value.id async for value in chat.list(metadata={"kind": "yes"}, limit=1, order="desc")
        ] == wanted[::-1]
        assert (await chat.list(metadata={"kind": "maybe"})).data == []
        with pytest.raises(openai.NotFoundError) as caught:
            await chat.messages.list(kept[0].id, after="nobody")
    assert caught.value.param == "after"


async def test_stored_completions_are_listed_read_changed_and_deleted(tmp_path: Path) -> None:
    """store: true keeps the answer and its messages, streamed or not; without it nothing is kept."""
    async with served(settings(tmp_path)) as server:
        chat = server.sdk().chat.completions
        messages: Any = [{"role": "user", "content": "keep me"}]
        kept = await chat.create(model=MODEL, messages=messages, store=True, metadata={"a": "b"})
        streamed = [
            chunk
            async for chunk in await chat.create(model=MODEL, messages=messages, store=True, stream=True)
        ]
        await chat.create(model=MODEL, messages=messages)
        assert {value.id for value in (await chat.list()).data} == {kept.id, streamed[0].id}
        assert [value.id for value in (await chat.list(metadata={"a": "b"})).data] == [kept.id]
        assert (await chat.retrieve(kept.id)).choices[0].message.content == "keep me"
        assert [message.content for message in (await chat.messages.list(kept.id)).data] == ["keep me"]
        assert (await chat.update(kept.id, metadata={"c": "d"})).metadata == {"c": "d"}  # type: ignore[attr-defined]  # an extra field of the SDK's type
        assert (await chat.delete(kept.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await chat.retrieve(kept.id)


async def test_a_stored_completion_says_what_it_was_asked_with(tmp_path: Path) -> None:
    """As at the hosted API, streamed or not, listed, read or changed; what is given at once has none of it."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {
        "temperature": 0.5,
        "frequency_penalty": 1.5,
        "seed": 7,
        "response_format": {"type": "text"},
        "tools": [tool],
        "tool_choice": "none",
    }
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "store": True}
    known = {**asked, "top_p": 1.0, "presence_penalty": 0.0, "input_user": "ada", "metadata": {}}
    plain = {
        **dict.fromkeys(asked),
        "temperature": 1.0,
        "frequency_penalty": 0.0,
        "top_p": 1.0,
        "metadata": {},
    }
    async with served(settings(tmp_path)) as server, server.http() as http:
        path = "/v1/chat/completions"
        at_once = await http.post(path, json={**body, **asked, "user": "ada"})
        assert not known.keys() & at_once.json().keys()
        await http.post(path, json={**body, **asked, "user": "ada", "stream": True})
        await http.post(path, json=body)
        *full, bare = (await http.get(path)).json()["data"]
        for value in full:
            assert {name: value[name] for name in known} == known
            assert (await http.get(f"{path}/{value['id']}")).json() == value
        assert {name: bare[name] for name in plain} == plain
        changed = await http.post(f"{path}/{full[0]['id']}", json={"metadata": {"a": "b"}})
        assert changed.json() == {**full[0], "metadata": {"a": "b"}}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": True}},
            "stream_options",
            "invalid_value",
        ),
        (
            {
                "messages": [{"role": "user", "content": "x"}],
                "stream": True,
                "stream_options": {"usage": True},
            },
            "stream_options.usage",
            "unknown_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
            "tools[0].function",
            "missing_required_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "function"}},
            "tool_choice.function",
            "missing_required_parameter",
        ),
        (
            {
                "messages": [{"role": "user", "content": "x"}],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}, "a": 1},
                },
            },
            "response_format.json_schema.a",
            "unknown_parameter",
        ),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "audio": {}}, "audio", "unsupported_parameter"),
        (
            {"messages": [{"role": "user", "content": "x"}], "functions": []},
            "functions",
            "empty_array",
        ),
        ({"messages": [{"role": "user", "content": "x"}], "nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"messages": [{"role": "user", "content": "x"}], "n": 0}, "n", "integer_below_min_value"),
        (
            {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2},
            "top_logprobs",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "logit_bias": {"word": 1}},
            "logit_bias.word",
            "invalid_type",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "hammer"}]},
            "tools[0].type",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "none", "content": "x"}]},
            "messages[0].tool_call_id",
            None,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_errors_name_the_field(
    body: dict[str, Any], param: str, code: str | None, tmp_path: Path
) -> None:
    """400, and the path of what is wrong."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/chat/completions", json={"model": MODEL, **body})
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


HELLO: dict[str, Any] = {"role": "user", "content": "x"}
WITH_CALL: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (
            {"messages": [HELLO, WITH_CALL, {"role": "tool", "tool_call_id": "d", "content": "x"}]},
            "messages[2].tool_call_id",
        ),
        (
            {
                "messages": [
                    HELLO,
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": 3}}]},
                ]
            },
            "messages[1].content[0].image_url.url",
        ),
        (
            {
                "messages": [
                    WITH_CALL,
                    {"role": "tool", "tool_call_id": "c", "content": "x"},
                    {"role": "user", "content": [{"type": "file", "file": {"file_data": "?"}}]},
                ]
            },
            "messages[2].content[0].file.file_data",
        ),
        (
            {
                "messages": [
                    {**WITH_CALL, "tool_calls": [{"id": "c", "type": "function", "function": {"name": 3}}]}
                ]
            },
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c" * 65, "content": "x"}]},
            "messages[0].tool_call_id",
        ),
        ({"messages": [HELLO], "response_format": {"type": "xml"}}, "response_format.type"),
        (
            {"messages": [HELLO], "response_format": {"type": "json_schema", "json_schema": {"name": 3}}},
            "response_format.json_schema.name",
        ),
        (
            {
                "messages": [HELLO],
                "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
            },
            "response_format",
        ),
        ({"messages": [HELLO], "max_tokens": 0}, "max_tokens"),
        ({"messages": [HELLO], "max_completion_tokens": 0}, "max_completion_tokens"),
        ({"messages": [{"role": "user", "content": "x " * 10**6}]}, "messages"),
        (
            {"messages": [HELLO], "tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
        ),
        ({"messages": [HELLO], "tool_choice": "required"}, "tool_choice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_errors_never_name_a_field_of_the_responses_api(
    body: dict[str, Any], param: str, tmp_path: Path
) -> None:
    """What the translated request calls ``input``, ``text.format`` or ``max_output_tokens``, the client does not know."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/chat/completions", json={"model": MODEL, **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    for foreign in ("input[", "'input'", "the input", "text.format", "max_output_tokens", "truncation"):
        assert foreign not in error["message"]


@given(
    st.lists(st.tuples(st.sampled_from(["system", "developer", "user", "assistant"]), st.text(max_size=20)))
)
def test_messages_keep_their_words_and_order(messages: list[tuple[str, str]]) -> None:
    """Every message becomes one item with the same role and text."""
    taken = messages_to_items([{"role": role, "content": text} for role, text in messages])
    assert [(item.role, text_of(item.content)) for item in taken if isinstance(item, Message)] == messages


def test_a_message_with_words_and_calls_becomes_both() -> None:
    """The words come first, then the calls."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first, second = messages_to_items([{"role": "assistant", "content": "I call.", "tool_calls": [call]}])
    assert isinstance(first, Message)
    assert isinstance(second, FunctionCall)
