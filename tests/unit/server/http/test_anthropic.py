"""The Messages API through Anthropic's unmodified SDK: a translation of the lifecycle, judged by the SDK's strict types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.http.anthropic.request_translation import (
    messages_to_items,
    parse_request,
    to_response_request,
)
from kodo.server.http.keys import digest
from kodo.server.lifecycle.records import KeyRow
from kodo.server.wire.anthropic import CountTokensRequest
from kodo.server.wire.decode import BadBody
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, InputImage, Reasoning, text_of
from kodo.server.wire.items import Message as MessageItem

TOOL: Any = {
    "name": "add",
    "description": "Adds.",
    "input_schema": {"type": "object", "properties": {"a": {}}},
}
CALL = {"type": "call", "name": "add", "arguments": {"a": 1}, "call_id": "toolu_1"}
GO: Any = [{"role": "user", "content": "go"}]
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def _client(server: Served, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=server.url, max_retries=0, **{"api_key": "any", **options})


async def _post(server: Served, body: dict[str, Any], path: str = "/v1/messages") -> Any:
    async with server.http() as http:
        return await http.post(path, json={"model": MODEL, "max_tokens": 100, "messages": GO, **body})


async def _events(server: Served, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream: names and types agree, and each but a ping fits the SDK's type strictly."""
    answer = await _post(server, {"stream": True, **body})
    frames = answer.content.decode().split("\n\n")
    assert frames.pop() == ""
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] not in ("ping", "error"):
            EVENT.validate_json(json.dumps(event), strict=True)
        events.append(event)
    return events


async def test_a_text_is_answered_whole_and_streamed(tmp_path: Path) -> None:
    """Text, usage and end are the same whole and streamed, in the SDK's strict types, and as the Responses API has them."""
    async with served(settings(tmp_path)) as server:
        client = _client(server)
        body: Any = {
            "model": MODEL,
            "max_tokens": 50,
            "system": "Echo.",
            "messages": [{"role": "user", "content": "こんにちは 👋"}],
        }
        whole = await client.messages.create(**body)
        raw = (await _post(server, body)).json()
        async with client.messages.stream(**body) as stream:
            text = "".join([piece async for piece in stream.text_stream])
            streamed = await stream.get_final_message()
        response = await server.sdk().responses.create(
            model=MODEL, instructions="Echo.", input="こんにちは 👋"
        )
    Message.model_validate_json(json.dumps(raw), strict=True)
    assert whole.content[0].type == "text"
    assert whole.content[0].text == text == response.output_text == "こんにちは 👋"
    assert whole.stop_reason == streamed.stop_reason == "end_turn"
    assert whole._request_id is not None
    assert response.usage is not None
    assert whole.usage.input_tokens == streamed.usage.input_tokens == response.usage.input_tokens
    assert whole.usage.output_tokens == streamed.usage.output_tokens == response.usage.output_tokens


async def test_the_events_come_in_the_documented_order(tmp_path: Path) -> None:
    """message_start with the prompt's tokens, a ping, the blocks one after the other, message_delta, message_stop."""
    turn = {"steps": [{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Yes"}, CALL]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        events = await _events(server, tools=[TOOL])
    assert [event["type"] for event in events] == [
        "message_start",
        "ping",
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"],
        *["content_block_start", "content_block_delta", "content_block_stop"],
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"],
        "message_delta",
        "message_stop",
    ]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "input_json_delta",
        "input_json_delta",
    ]
    assert events[0]["message"]["usage"]["input_tokens"] == events[-2]["usage"]["input_tokens"] > 0
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens_details"] == {"thinking_tokens": 1}


async def test_a_tool_loop_of_three_turns(tmp_path: Path) -> None:
    """Calls, parallel ones too, are answered by tool results, with the thinking sent back, until the text comes."""
    turns: list[dict[str, Any]] = [
        {"steps": [{"type": "reasoning", "text": "First."}, CALL, {**CALL, "call_id": "toolu_2"}]},
        {"steps": [{**CALL, "call_id": "toolu_3"}]},
        {"steps": [{"type": "text", "text": "Done."}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        client, messages, calls = _client(server), list(GO), 0
        while True:
            answer = await client.messages.create(model=MODEL, max_tokens=99, messages=messages, tools=[TOOL])
            if answer.stop_reason != "tool_use":
                break
            messages.append({"role": "assistant", "content": answer.content})
            asked = [block for block in answer.content if block.type == "tool_use"]
            assert [block.input for block in asked] == [{"a": 1}] * len(asked)
            calls += len(asked)
            results = [{"type": "tool_result", "tool_use_id": block.id, "content": "2"} for block in asked]
            messages.append({"role": "user", "content": results})
    assert calls == 3
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Done."


async def test_thinking_is_signed_and_taken_back(tmp_path: Path) -> None:
    """The signature of a thinking block is the sealed reasoning; a changed one is refused or left as foreign, never trusted."""
    turn = {"steps": [{"type": "reasoning", "text": "Because."}, {"type": "text", "text": "Yes."}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn, turn))) as server:
        client = _client(server)
        first = await client.messages.create(model=MODEL, max_tokens=99, messages=GO)
        again: Any = [*GO, {"role": "assistant", "content": first.content}, *GO]
        second = await client.messages.create(model=MODEL, max_tokens=99, messages=again)
    assert first.content[0].type == "thinking"
    assert first.content[0].thinking == "Because."
    assert first.content[0].signature
    assert second.stop_reason == "end_turn"


async def test_omitted_thinking_has_a_signature_and_no_words(tmp_path: Path) -> None:
    """With display omitted the thinking block comes without its text, whole and streamed, and still signed."""
    turn = {"steps": [{"type": "reasoning", "text": "Because."}, {"type": "text", "text": "Yes."}]}
    thinking = {"type": "adaptive", "display": "omitted"}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn))) as server:
        whole = (await _post(server, {"thinking": thinking})).json()
        events = await _events(server, thinking=thinking)
    assert whole["content"][0]["thinking"] == ""
    assert whole["content"][0]["signature"]
    kinds = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert kinds == ["signature_delta", "text_delta"]


def test_claude_codes_attribution_is_no_part_of_the_prompt() -> None:
    """The system block that changes with every version and prompt is left out; the others stay."""
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"},
        {"type": "text", "text": "Be brief."},
    ]
    raw = {"model": MODEL, "messages": GO, "system": system}
    assert to_response_request(parse_request(raw, CountTokensRequest)).instructions == "Be brief."


@pytest.mark.parametrize(
    ("step", "reason", "sequence"),
    [
        ({"type": "finish", "reason": "length"}, "max_tokens", None),
        ({"type": "finish", "reason": "content_filter"}, "refusal", None),
        ({"type": "finish", "stop_sequence": "END"}, "stop_sequence", "END"),
    ],
)
async def test_every_end_has_its_reason(
    tmp_path: Path, step: dict[str, Any], reason: str, sequence: str | None
) -> None:
    """A cut, filtered or stopped answer says so, whole and streamed."""
    turn = {"steps": [{"type": "text", "text": "No"}, step]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn))) as server:
        whole = (await _post(server, {"stop_sequences": ["END"]})).json()
        events = await _events(server, stop_sequences=["END"])
    assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)
    assert events[-2]["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


async def test_a_cut_call_is_left_out(tmp_path: Path) -> None:
    """A call whose input was cut is no block of the whole answer: nobody can make it."""
    turn = {"steps": [{"type": "text", "text": "Now"}, {**CALL, "arguments": {"a": "x" * 400}}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        whole = (await _post(server, {"tools": [TOOL], "max_tokens": 4})).json()
    assert [block["type"] for block in whole["content"]] == ["text"]
    assert whole["stop_reason"] == "max_tokens"


async def test_tokens_are_counted_as_they_are_used(tmp_path: Path) -> None:
    """count_tokens gives what the answer's usage has as input."""
    async with served(settings(tmp_path)) as server:
        client = _client(server)
        body: Any = {"model": MODEL, "system": "Be brief.", "messages": GO}
        count = await client.messages.count_tokens(**body)
        answer = await client.messages.create(**body, max_tokens=9)
    assert count.input_tokens == answer.usage.input_tokens > 0


async def test_tokens_of_any_part_of_a_history_are_counted(tmp_path: Path) -> None:
    """Clients count what the assistant said, too; nothing is generated, so it is no prefill."""
    async with served(settings(tmp_path)) as server:
        count = await _client(server).messages.count_tokens(
            model=MODEL, messages=[{"role": "assistant", "content": "Paris."}]
        )
    assert count.input_tokens > 0


async def test_a_schema_is_asked_for(tmp_path: Path) -> None:
    """output_config.format becomes the format of the answer: a script whose text does not fit fails."""
    turns = [{"steps": [{"type": "text", "text": text}]} for text in ('{"a": 1}', "no JSON")]
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    config: Any = {"format": {"type": "json_schema", "schema": schema}}
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        client = _client(server)
        good = await client.messages.create(model=MODEL, max_tokens=50, messages=GO, output_config=config)
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(model=MODEL, max_tokens=50, messages=GO, output_config=config)
    assert good.content[0].type == "text"
    assert json.loads(good.content[0].text) == {"a": 1}


async def test_errors_have_anthropics_envelope(tmp_path: Path) -> None:
    """Each kind of error raises the SDK's own class, with this API's type and the request's id."""
    async with served(settings(tmp_path)) as server:
        client = _client(server)
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client.messages.create(model="none", max_tokens=1, messages=GO)
        with pytest.raises(anthropic.BadRequestError) as wrong:
            await client.messages.create(
                model=MODEL, max_tokens=1, messages=[{"role": "user", "content": [{"type": "audio"}]}]
            )  # type: ignore[list-item, typeddict-item]  # wrong on purpose
        async with server.http() as http:
            nowhere = (await http.get("/v1/messages/batches")).json()
            form = await http.post("/v1/messages", content=b"x", headers={"content-type": "text/plain"})
    assert missing.value.type == "not_found_error"
    body: Any = missing.value.body
    assert body["type"] == "error"
    assert body["request_id"] == missing.value.response.headers["x-request-id"]
    assert "messages[0].content[0].type" in str(wrong.value)
    assert nowhere["error"]["type"] == "not_found_error"
    assert (form.status_code, form.json()["error"]["type"]) == (415, "invalid_request_error")


async def test_a_prompt_that_does_not_fit_is_told_in_the_words_of_this_api(tmp_path: Path) -> None:
    """Clients know by "prompt is too long" that they must compact the history."""
    async with served(settings(tmp_path)) as server:
        with pytest.raises(
            anthropic.BadRequestError, match=r"prompt is too long: .* context window"
        ) as caught:
            await _client(server).messages.create(
                model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "word " * 400_000}]
            )
    assert caught.value.type == "invalid_request_error"


async def test_an_error_in_the_middle_is_an_error_event(tmp_path: Path) -> None:
    """An engine that breaks off ends the stream with an error event, which the SDK raises; nothing follows it."""
    turn = {"steps": [{"type": "text", "text": "Half"}, {"type": "fail", "message": "Broken."}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn, turn))) as server:
        events = await _events(server)
        with pytest.raises(anthropic.APIStatusError, match="Broken"):
            async with _client(server).messages.stream(model=MODEL, max_tokens=9, messages=GO) as stream:
                await stream.get_final_message()
    assert events[-1]["error"] == {"type": "api_error", "message": "Broken."}
    assert "message_stop" not in [event["type"] for event in events]


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_a_key_is_taken_from_either_header(tmp_path: Path, header: str) -> None:
    """The key of x-api-key or of Authorization opens; another one is authentication_error."""
    async with served(settings(tmp_path)) as server:
        row = KeyRow(
            id="key_1", name="one", project="default", hash=digest("sk-good"), hint="sk-", created_at=0.0
        )
        await server.state.store.put_key(row)
        statuses = []
        async with server.http() as http:
            for key in ("sk-good", "sk-bad"):
                value = key if header == "x-api-key" else f"Bearer {key}"
                answer = await http.post(
                    "/v1/messages",
                    json={"model": MODEL, "max_tokens": 9, "messages": GO},
                    headers={header: value},
                )
                statuses.append((answer.status_code, answer.json().get("error", {}).get("type")))
    assert statuses == [(200, None), (401, "authentication_error")]


async def test_what_changes_nothing_is_named(tmp_path: Path) -> None:
    """Parameters that are ignored, unknown ones of a beta too, and hosted tools left out are named in headers."""
    async with served(settings(tmp_path)) as server:
        answer = await _post(
            server,
            {
                "top_k": 4,
                "context_management": {},
                "of_tomorrow": 1,
                "tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}],
            },
        )
        alone = await _post(server, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]})
        refused = await _post(server, {"container": "c"})
    assert answer.status_code == 200
    assert answer.headers["x-kodo-ignored-parameters"] == "context_management, of_tomorrow, top_k"
    assert answer.headers["x-kodo-skipped-tools"] == "web_search_20250305"
    assert alone.status_code == refused.status_code == 400


async def test_a_prefill_is_refused(tmp_path: Path) -> None:
    """A last message of the assistant is a 400 that names it, not an answer that begins anew."""
    async with served(settings(tmp_path)) as server:
        answer = await _post(server, {"messages": [*GO, {"role": "assistant", "content": "The"}]})
    assert answer.status_code == 400
    assert "messages[1].role" in answer.json()["error"]["message"]


async def test_max_tokens_zero_reads_the_prompt_only(tmp_path: Path) -> None:
    """With max_tokens 0 nothing is generated, and the prompt is counted."""
    async with served(settings(tmp_path)) as server:
        answer = (await _post(server, {"max_tokens": 0})).json()
    assert answer["content"] == []
    assert answer["usage"]["output_tokens"] == 0
    assert answer["usage"]["input_tokens"] > 0


def test_blocks_become_items_in_their_order() -> None:
    """Texts and images stay together in messages; calls, results and thinking stand apart, in the order they came."""
    png = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    items = messages_to_items(
        [
            {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image", "source": png}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": ""},
                    {"type": "text", "text": "I call."},
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {"ä": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "is_error": True,
                        "content": [{"type": "text", "text": "no"}],
                    },
                    {
                        "type": "document",
                        "title": "a.txt",
                        "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
                    },
                ],
            },
            {"role": "system", "content": "Note."},
        ]
    )
    look, thinking, said, call, result, document, note = items
    assert isinstance(look, MessageItem)
    assert isinstance(look.content[1], InputImage)
    assert look.content[1].image_url == "data:image/png;base64,aGk="
    assert isinstance(thinking, Reasoning)
    assert thinking.summary[0].text == "Hm"
    assert isinstance(said, MessageItem)
    assert isinstance(call, FunctionCall)
    assert call.arguments == '{"ä": 1}'
    assert isinstance(result, FunctionCallOutput)
    assert result.output == "Error: no"
    assert isinstance(document, MessageItem)
    assert text_of(document.content) == "File a.txt:\nhi"
    assert isinstance(note, MessageItem)
    assert note.role == "system"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "x"},
        {"role": "user", "content": 1},
        {"role": "user", "content": [1]},
        {"role": "user", "content": [{"type": "image", "source": 1}]},
        {"role": "user", "content": [{"type": "image", "source": {"type": "tape"}}]},
        {"role": "user", "content": [{"type": "text", "text": 1}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "x"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": []}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": 4}]}
            ],
        },
        {"role": "assistant", "content": [{"type": "thinking", "thinking": 1}]},
        {"role": "user", "content": [{"type": ["text"]}]},
    ],
)
def test_what_does_not_fit_names_its_place(message: dict[str, Any]) -> None:
    """A wrong message is a BadBody with the path of the fault."""
    with pytest.raises(BadBody) as caught:
        messages_to_items([message])
    assert (caught.value.param or "").startswith("messages[0]")


def test_a_history_of_other_servers_is_taken() -> None:
    """Ids of gateways are longer than the contract's; what the hosted service did is words, without what only it can read."""
    long = "call_" + "x" * 120
    found = {"type": "web_search_result", "title": "Paris", "url": "u", "encrypted_content": "secret"}
    items = messages_to_items(
        [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "compaction", "content": "So far: nothing."},
                    {
                        "type": "server_tool_use",
                        "id": "s",
                        "name": "web_search",
                        "input": {"query": "weather"},
                    },
                    {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]},
                    {"type": "tool_use", "id": long, "name": "add", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": long, "content": None}]},
        ]
    )
    _, words, call, output = items
    assert isinstance(words, MessageItem)
    assert all(said in text_of(words.content) for said in ("So far", '{"query": "weather"}', "Paris"))
    assert "secret" not in text_of(words.content)
    assert isinstance(call, FunctionCall)
    assert isinstance(output, FunctionCallOutput)
    assert call.call_id == output.call_id
    assert len(call.call_id) <= 64
    assert output.output == ""


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}}, "source.content[1]"),
        ({"type": "search_result", "title": "t", "source": "s", "content": [{"type": "image", "text": "a"}]}, "content[0]"),
    ],
)  # fmt: skip
def test_no_block_inside_a_document_is_dropped(block: dict[str, Any], path: str) -> None:
    """An image where only text is shown to the model is refused with its path."""
    with pytest.raises(BadBody, match="'image' are not supported") as caught:
        messages_to_items([{"role": "user", "content": [block]}])
    assert caught.value.param == f"messages[0].content[0].{path}.type"
