"""A call without its output, and an output without its call, in every family that takes a history."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.serving import MODEL, Served, script, served, settings

FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
STEP = {"type": "call", "name": "add", "arguments": {}, "call_id": "call_1"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
GO: dict[str, Any] = {"role": "user", "content": "go"}
NO_OUTPUT = {
    "message": "No tool output found for function call call_1.",
    "type": "invalid_request_error",
    "param": "input",
    "code": None,
}
NO_CALL = {**NO_OUTPUT, "message": "No tool call found for function call output with call_id call_1."}


async def _error(server: Served, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with server.http() as http:
        answer = await http.post(path, json={"model": MODEL, **body})
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def test_a_history_in_the_input(tmp_path: Path) -> None:
    """Refused with the words of the hosted API; with both halves it is taken."""
    async with served(settings(tmp_path)) as server:
        assert await _error(server, "/v1/responses", {"input": [GO, CALL, GO]}) == NO_OUTPUT
        assert await _error(server, "/v1/responses", {"input": [GO, OUTPUT]}) == NO_CALL
        done = await server.sdk().responses.create(model=MODEL, input=[GO, CALL, OUTPUT])  # type: ignore[list-item]
        assert done.status == "completed"


@pytest.mark.parametrize("how", ["previous_response_id", "conversation"])
async def test_a_history_on_the_server(how: str, tmp_path: Path) -> None:
    """A turn that leaves a call of the turn before it open is refused; its output is taken, with other items or alone."""
    turns = [
        {"match": "^call$", "steps": [STEP]},
        {"match": "3|now", "steps": [{"type": "text", "text": "3"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server, server.sdk() as sdk:
        begun: Any = {}
        if how == "conversation":
            begun = {"conversation": (await sdk.conversations.create()).id}
        first = await sdk.responses.create(model=MODEL, input="call", tools=[FUNCTION], **begun)  # type: ignore[list-item]
        at = begun or {"previous_response_id": first.id}
        assert await _error(server, "/v1/responses", {"input": "now", **at}) == NO_OUTPUT
        wrong = {"input": [OUTPUT, {**OUTPUT, "call_id": "call_2"}], **at}
        assert (await _error(server, "/v1/responses", wrong))["message"].endswith("with call_id call_2.")
        second = await sdk.responses.create(model=MODEL, input=[OUTPUT, {**GO, "content": "now"}], **at)
        assert second.output_text == "3"


async def test_an_output_whose_call_left_the_conversation(tmp_path: Path) -> None:
    """Items of a conversation can be deleted one by one; half a pair is refused also where it is stored."""
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        made = await sdk.conversations.create(items=[GO, CALL, OUTPUT])  # type: ignore[list-item]
        items = [item async for item in sdk.conversations.items.list(made.id, order="asc")]
        await sdk.conversations.items.delete(items[1].id or "", conversation_id=made.id)
        assert await _error(server, "/v1/responses", {"input": "x", "conversation": made.id}) == NO_CALL


async def test_counting_and_compacting_take_half_a_history(tmp_path: Path) -> None:
    """Neither answers, so a call may still run meanwhile; an output without a call is refused by both."""
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        counted = await sdk.responses.input_tokens.count(model=MODEL, input=[GO, CALL])  # type: ignore[list-item]
        assert counted.input_tokens > 0
        compacted = await sdk.responses.compact(model=MODEL, input=[GO, CALL])  # type: ignore[list-item]
        items: Any = [*compacted.output, OUTPUT]
        answered = await sdk.responses.create(model=MODEL, input=items)
        assert answered.status == "completed"
        for path in ("/v1/responses/input_tokens", "/v1/responses/compact"):
            assert await _error(server, path, {"input": [OUTPUT]}) == NO_CALL


async def test_a_call_that_was_cut_off_needs_no_output(tmp_path: Path) -> None:
    """It is part of an incomplete response, and the client cannot run it."""
    turns = [
        {"match": "^call$", "steps": [{**STEP, "arguments": {"numbers": list(range(200))}}]},
        {"match": "now", "steps": [{"type": "text", "text": "fine"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server, server.sdk() as sdk:
        first = await sdk.responses.create(model=MODEL, input="call", tools=[FUNCTION], max_output_tokens=16)  # type: ignore[list-item]
        assert (first.status, first.output[0].type) == ("incomplete", "function_call")
        second = await sdk.responses.create(model=MODEL, input="now", previous_response_id=first.id)
        assert second.output_text == "fine"


async def test_a_line_of_a_batch(tmp_path: Path) -> None:
    """Its error is the one of the endpoint."""
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/responses",
        "body": {"model": MODEL, "input": [CALL]},
    }
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        file = await sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = await sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        while batch.status not in ("completed", "failed"):
            await asyncio.sleep(0.05)
            batch = await sdk.batches.retrieve(batch.id)
        result = json.loads((await sdk.files.content(batch.error_file_id or "")).content)
    assert result["response"]["body"]["error"] == NO_OUTPUT


ASKED = {
    "role": "assistant",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
ANSWERED = {"role": "tool", "tool_call_id": "c", "content": "3"}


@pytest.mark.parametrize(
    ("messages", "words", "param"),
    [
        ([GO, ASKED, GO], "did not have response messages: c", "messages[1].tool_calls"),
        ([GO, ASKED], "did not have response messages: c", "messages[1].tool_calls"),
        ([GO, ASKED, GO, ANSWERED], "did not have response messages: c", "messages[1].tool_calls"),
        ([GO, ANSWERED], "must be a response to a preceeding message with 'tool_calls'", "messages[1].tool_call_id"),
        ([GO, ASKED, ANSWERED, GO, ANSWERED], "must be a response to a preceeding", "messages[4].tool_call_id"),
    ],
    ids=["a user speaks first", "nobody answers", "too late", "no call", "answered before"],
)  # fmt: skip
async def test_tool_messages_of_chat_completions(
    messages: list[dict[str, Any]], words: str, param: str, tmp_path: Path
) -> None:
    """They stand right behind their calls; the words are those of the hosted API."""
    async with served(settings(tmp_path)) as server:
        error = await _error(server, "/v1/chat/completions", {"messages": messages})
    assert words in error["message"]
    assert (error["param"], error["code"]) == (param, None)


async def test_tool_messages_that_are_right(tmp_path: Path) -> None:
    """Several calls in any order, a second round, and the first form of calls, which may stay without an answer."""
    two = {**ASKED, "tool_calls": [*ASKED["tool_calls"], {**ASKED["tool_calls"][0], "id": "d"}]}  # type: ignore[dict-item]
    first_form = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    messages: Any = [GO, two, {**ANSWERED, "tool_call_id": "d"}, ANSWERED, ASKED, ANSWERED, first_form, GO]
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        done = await sdk.chat.completions.create(model=MODEL, messages=messages)
    assert done.choices[0].finish_reason == "stop"


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}]}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([GO, USE, GO], "messages[1]: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1."),
        ([GO, USE, GO, {"role": "assistant", "content": "x"}, RESULT], "messages[1]: `tool_use` ids were found without"),
        ([GO, RESULT], "messages[1].content[0]: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1."),
    ],
    ids=["no result", "too late", "no call"],
)  # fmt: skip
async def test_results_of_the_messages_api(
    messages: list[dict[str, Any]], words: str, tmp_path: Path
) -> None:
    """They stand in the user's turn right behind their calls; a count takes any part of a history."""
    async with served(settings(tmp_path)) as server:
        error = await _error(server, "/v1/messages", {"messages": messages, "max_tokens": 9})
        async with server.http() as http:
            body = {"model": MODEL, "messages": messages}
            assert (await http.post("/v1/messages/count_tokens", json=body)).status_code == 200
    assert error["message"].startswith(words)
    assert error["type"] == "invalid_request_error"


async def test_results_that_are_right(tmp_path: Path) -> None:
    """In the second of two user messages in a row, and behind a message of the system."""
    note = {"role": "system", "content": "Note."}
    body = {"model": MODEL, "max_tokens": 9, "messages": [GO, USE, note, GO, RESULT]}
    async with served(settings(tmp_path)) as server, server.http() as http:
        assert (await http.post("/v1/messages", json=body)).status_code == 200


async def test_the_sdk_raises_what_clients_match(tmp_path: Path) -> None:
    """Agents look for the words of the message, the parameter and a missing code."""
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        with pytest.raises(
            openai.BadRequestError, match=r"No tool output found for function call call_1\."
        ) as caught:
            await sdk.responses.create(model=MODEL, input=[CALL])  # type: ignore[list-item]
    assert (caught.value.param, caught.value.code) == ("input", None)
