"""Every request that Open Responses describes is answered as it says: parameters, items, events, errors, continuation.

Completeness is checked against the specification itself: a parameter, item type or event that it names and these
tests do not is a failure.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.serving import MODEL, Served, script, served, settings
from tests.wire.spec import check_response, check_stream, document, event_types, read_sse, validator

pytestmark = pytest.mark.asyncio(loop_scope="module")
FUNCTION = {
    "type": "function",
    "name": "add",
    "description": "Adds two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server that says the last text back."""
    async with served(settings(tmp_path_factory.mktemp("echo"))) as server:
        yield server


async def _post(server: Served, path: str = "/v1/responses", **body: Any) -> tuple[int, dict[str, Any]]:
    async with server.http() as http:
        answer = await http.post(path, json={"model": MODEL, **body})
    value: dict[str, Any] = answer.json()
    return answer.status_code, value


async def _ask(server: Served, **body: Any) -> dict[str, Any]:
    status, value = await _post(server, **body)
    assert status == 200, value
    check_response(value)
    return value


async def _stream(server: Served, **body: Any) -> list[dict[str, Any]]:
    async with server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "stream": True, **body})
    assert answer.status_code == 200, answer.text
    events = read_sse(answer.content)
    check_stream(events)
    return events


def _said(response: dict[str, Any]) -> str:
    return "".join(
        part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"]
    )


# --- parameters ------------------------------------------------------------------------------------------------------

PARAMETERS: dict[str, list[tuple[Any, Any]]] = {
    "background": [(False, False)],
    "frequency_penalty": [(0.5, 0.5), (None, 0.0)],
    "include": [(["message.output_text.logprobs", "reasoning.encrypted_content"], None)],
    "input": [("hello", None)],
    "instructions": [("Be brief.", "Be brief."), (None, None)],
    "max_output_tokens": [(16, 16), (None, None)],
    "max_tool_calls": [(1, 1), (None, None)],
    "metadata": [({"key": "value"}, {"key": "value"}), (None, {})],
    "model": [(MODEL, MODEL)],
    "parallel_tool_calls": [(False, False), (None, True)],
    "presence_penalty": [(-0.5, -0.5), (None, 0.0)],
    "previous_response_id": [(None, None)],
    "prompt_cache_key": [("key", "key"), (None, None)],
    "reasoning": [
        ({"effort": effort, "summary": summary}, {"effort": effort, "summary": summary})
        for effort in ("none", "low", "medium", "high", "xhigh")
        for summary in ("concise", "detailed", "auto")
    ],
    "safety_identifier": [("someone", "someone"), (None, None)],
    "service_tier": [(tier, "flex" if tier == "flex" else "default") for tier in ("auto", "default", "flex")],
    "store": [(False, False), (True, True)],
    "stream": [(False, None)],
    "stream_options": [(None, None)],  # others need a stream: see the test of streamed options
    "temperature": [(0, 0.0), (2, 2.0)],
    "text": [
        ({"format": {"type": "text"}, "verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
        ({"format": {"type": "json_object"}}, {"format": {"type": "json_object"}}),
    ],
    "tool_choice": [("none", "none"), ("auto", "auto"), (None, "auto")],
    "tools": [
        ([FUNCTION], [{**FUNCTION, "strict": None}]),
        (
            [{"type": "function", "name": "f"}],
            [{"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}],
        ),
        (None, []),
    ],
    "top_logprobs": [(0, 0), (None, 0)],
    "top_p": [(0.5, 0.5)],
    "truncation": [("auto", "auto"), ("disabled", "disabled")],
}
"""Each parameter with values that the specification allows, and what the Response says of them (None: null or no key)."""


async def test_every_parameter_of_the_specification_is_here() -> None:
    """None is missing."""
    assert set(PARAMETERS) == set(document()["components"]["schemas"]["CreateResponseBody"]["properties"])


@pytest.mark.parametrize("name", PARAMETERS)
async def test_parameters_are_taken_and_told(name: str, echo: Served) -> None:
    """The answer is valid and says what was asked, or the default where null was."""
    for given, told in PARAMETERS[name]:
        response = await _ask(echo, **{"input": "hello", name: given})
        assert response.get(name) == told, f"{name}={given!r}"


async def test_streamed_options_are_taken_with_a_stream(echo: Served) -> None:
    """Obfuscation may be declined, and is refused where it is asked for."""
    await _stream(echo, input="hello", stream_options={"include_obfuscation": False})
    options = {"stream": True, "stream_options": {"include_obfuscation": True}}
    status, error = await _post(echo, input="hello", **options)
    assert (status, error["error"]["param"]) == (400, "stream_options.include_obfuscation")


async def test_the_schema_of_a_format_is_told(tmp_path: Path) -> None:
    """With `strict` as a boolean, also where null or nothing was sent."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    turn = {"match": "", "steps": [{"type": "text", "text": '{"n": 1}'}]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        for strict, told in (({"strict": True}, True), ({"strict": None}, False), ({}, False)):
            asked = {"type": "json_schema", "name": "answer", "schema": schema, **strict}
            response = await _ask(server, input="go", text={"format": asked})
            assert response["text"]["format"] == {
                "type": "json_schema",
                "name": "answer",
                "description": None,
                "schema": schema,
                "strict": told,
            }
            assert json.loads(_said(response)) == {"n": 1}


# --- items -----------------------------------------------------------------------------------------------------------

TEXT = {"type": "input_text", "text": "seen"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 1, "b": 2}'}
ANSWER = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
FILE = "data:text/plain;base64," + base64.b64encode(b"words of a file").decode()
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
ITEMS: dict[str, list[list[dict[str, Any]]]] = {
    "UserMessageItemParam": [
        [{"type": "message", "role": "user", "content": "text"}],
        [{"role": "user", "content": "without a type"}],
        [{"type": "message", "id": "msg_mine", "role": "user", "status": "completed", "content": [TEXT]}],
        [
            {
                "type": "message",
                "role": "user",
                "content": [
                    TEXT,
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                    {"type": "input_file", "filename": "a.txt", "file_data": FILE},
                ],
            }
        ],
    ],
    "SystemMessageItemParam": [[{"type": "message", "role": "system", "content": "rule"}]],
    "DeveloperMessageItemParam": [[{"type": "message", "role": "developer", "content": [TEXT]}]],
    "AssistantMessageItemParam": [
        [{"type": "message", "role": "assistant", "content": "said", "phase": "final_answer"}],
        [
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "said", "annotations": []},
                    {"type": "refusal", "refusal": "No."},
                ],
            }
        ],
    ],
    "FunctionCallItemParam": [[CALL], [{**CALL, "id": "fc_1", "status": "completed"}]],
    "FunctionCallOutputItemParam": [
        [CALL, {"type": "function_call_output", "call_id": "call_1", "output": "3"}],
        [
            CALL,
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [TEXT, {"type": "input_image", "image_url": PIXEL}],
                "status": "completed",
            },
        ],
    ],
    "ReasoningItemParam": [
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}],
        [{"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "theirs"}],
    ],
    "ItemReferenceParam": [],  # needs an item that the server has: see the test of references
    "CompactionSummaryItemParam": [],  # needs a compaction of this server's: see the test of compaction
}


async def test_every_item_of_the_specification_is_here() -> None:
    """None is missing, and the examples are what the specification describes."""
    known = document()["components"]["schemas"]["ItemParam"]["oneOf"]
    assert set(ITEMS) == {schema["$ref"].rpartition("/")[2] for schema in known}
    for name, examples in ITEMS.items():
        for example in examples:
            if "type" in example[-1]:
                validator(name).validate(example[-1])


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name, examples in ITEMS.items() for number in range(len(examples))],
)
async def test_items_are_taken_and_given_back(name: str, number: int, echo: Served) -> None:
    """An item is an input, is listed as it came, and can be sent again as it was listed."""
    answers = [ANSWER] if name == "FunctionCallItemParam" else []  # a call is not taken without one
    items = [*ITEMS[name][number], *answers, {"role": "user", "content": "go"}]
    response = await _ask(echo, input=items)
    assert _said(response) == "go"
    async with echo.http() as http:
        url = f"/v1/responses/{response['id']}/input_items"
        listed = (await http.get(url, params={"order": "asc"})).json()["data"]
    assert [item["type"] for item in listed] == [item.get("type", "message") for item in items]
    for sent, told in zip(items, listed, strict=True):
        assert told["id"]
        if isinstance(sent.get("content"), str):
            assert [part["text"] for part in told["content"]] == [sent["content"]]
        else:
            for key in sent.keys() & {"id", "call_id", "arguments", "output", "encrypted_content"}:
                if isinstance(sent[key], str):
                    assert told[key] == sent[key]
    assert _said(await _ask(echo, input=listed)) == "go"


async def test_images_and_files_reach_the_model_as_text(echo: Served) -> None:
    """A file's words are read; an image is noted; nothing is fetched."""
    parts = ITEMS["UserMessageItemParam"][3][0]["content"]
    said = _said(await _ask(echo, input=[{"role": "user", "content": parts}]))
    assert "words of a file" in said
    assert "image was attached" in said


async def test_a_reference_stands_for_an_item_the_server_has(echo: Served) -> None:
    """With its type, without it, and not for an item that nobody knows."""
    first = await _ask(echo, input="the secret word is heron")
    item_id = first["output"][0]["id"]
    for reference in ({"type": "item_reference", "id": item_id}, {"id": item_id}):
        validator("ItemReferenceParam").validate(reference)
        assert _said(await _ask(echo, input=[reference])) == "the secret word is heron"
    status, error = await _post(echo, input=[{"type": "item_reference", "id": "msg_none"}])
    assert (status, error["error"]["code"], error["error"]["param"]) == (
        404,
        "item_not_found",
        "input[0].id",
    )


# --- events ----------------------------------------------------------------------------------------------------------

NEVER = {
    "error": "an error after the first event is response.failed, which both contracts type alike",
    "response.output_text.annotation.added": "annotations come from hosted search, which is not here",
    "response.reasoning.delta": "reasoning is given as summary text, which every client shows",
    "response.reasoning.done": "as above",
    "response.refusal.delta": "a local model has no channel of its own for refusals; it refuses in words",
    "response.refusal.done": "as above",
}
"""Events of the specification that cannot occur here, and why. docs/reference/tools.md has the same list."""


async def test_every_event_that_can_occur_does_and_is_valid(tmp_path: Path) -> None:
    """Text, reasoning, calls, cut and failed turns, and background work make all events but those of NEVER."""
    turns = [
        {
            "match": "all",
            "steps": [
                {"type": "reasoning", "text": "Let me see."},
                {"type": "text", "text": "I add."},
                {"type": "call", "name": "add", "arguments": {"a": 1, "b": 2}},
            ],
        },
        {"match": "cut", "steps": [{"type": "text", "text": "half"}, {"type": "finish", "reason": "length"}]},
        {"match": "fail", "steps": [{"type": "text", "text": "half"}, {"type": "fail"}]},
    ]
    seen: set[str] = set()
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        for body in ({"input": "all", "tools": [FUNCTION]}, {"input": "cut"}, {"input": "fail"}):
            for background in (False, True):
                events = await _stream(server, background=background, **body)
                seen.update(event["type"] for event in events)
    assert seen == event_types() - set(NEVER)


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_calls_go_round_by_id_and_by_history(tmp_path: Path) -> None:
    """Two parallel calls, each answered, once on the server's memory and once with the client's."""
    turns = [
        {
            "match": "^1\\+2 and 3\\+4$",
            "steps": [
                {"type": "call", "name": "add", "arguments": {"a": 1, "b": 2}},
                {"type": "call", "name": "add", "arguments": {"a": 3, "b": 4}},
            ],
        },
        {"match": "^7$", "steps": [{"type": "text", "text": "3 and 7"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        first = await _ask(server, input="1+2 and 3+4", tools=[FUNCTION])
        calls = first["output"]
        assert [json.loads(call["arguments"]) for call in calls] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
        assert len({call["call_id"] for call in calls}) == 2
        outputs = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": str(total)}
            for call, total in zip(calls, (3, 7), strict=True)
        ]
        by_id = await _ask(
            server, input=outputs, previous_response_id=first["id"], tools=[FUNCTION], store=False
        )
        history = [{"role": "user", "content": "1+2 and 3+4"}, *calls, *outputs]
        by_history = await _ask(server, input=history, tools=[FUNCTION], store=False)
        status, error = await _post(server, input=outputs)
    assert _said(by_id) == _said(by_history) == "3 and 7"
    assert by_id["usage"] == by_history["usage"]
    assert (status, error["error"]["param"]) == (400, "input")


async def test_hosted_tools_are_skipped_beside_others(echo: Served) -> None:
    """Agentic clients send them by default; the tools of the Response are those that are offered to the model."""
    hosted = [
        {"type": "web_search", "external_web_access": True},
        {"type": "image_generation"},
    ]
    response = await _ask(echo, input="go", tools=[hosted[0], FUNCTION, hosted[1]])
    assert [tool["type"] for tool in response["tools"]] == ["function"]


@pytest.mark.parametrize(
    ("body", "calls"), [({"parallel_tool_calls": False}, 1), ({"max_tool_calls": 1}, 1), ({}, 2)]
)
async def test_limits_on_calls_hold(body: dict[str, Any], calls: int, tmp_path: Path) -> None:
    """The turn ends before the call that would be one too many."""
    turn = {"steps": [{"type": "call", "name": "add", "arguments": {"a": n, "b": n}} for n in range(2)]}
    async with served(settings(tmp_path / "home", script(tmp_path, turn))) as server:
        response = await _ask(server, input="go", tools=[FUNCTION], **body)
    assert [item["type"] for item in response["output"]] == ["function_call"] * calls


async def test_reasoning_comes_sealed_and_is_taken_back(tmp_path: Path) -> None:
    """Only where it was asked for; the item goes back as it came, with its words; a changed one stays opaque."""
    turns = [
        {"match": "^think$", "steps": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "2"}]},
        {"match": "^again$", "steps": [{"type": "text", "text": "still 2"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        bare = await _ask(server, input="think", store=False)
        assert "encrypted_content" not in bare["output"][0]
        first = await _ask(server, input="think", store=False, include=["reasoning.encrypted_content"])
        sealed = first["output"][0]
        assert (sealed["type"], sealed["summary"][0]["text"]) == ("reasoning", "Hm.")
        assert first["usage"]["output_tokens_details"]["reasoning_tokens"] == 1
        for item in (sealed, {**sealed, "encrypted_content": "somebody else's"}):
            again = await _ask(
                server,
                store=False,
                input=[{"role": "user", "content": "think"}, item, first["output"][1], {"role": "user", "content": "again"}],
            )  # fmt: skip
            assert _said(again) == "still 2"


# --- context ---------------------------------------------------------------------------------------------------------


async def test_a_compaction_is_valid_and_taken_back(echo: Served) -> None:
    """A compaction stands for what it was made of; another project's or a changed one is refused."""
    first = await _ask(echo, input="my name is Ada")
    status, compacted = await _post(
        echo, "/v1/responses/compact", previous_response_id=first["id"], input="and I like herons"
    )
    assert status == 200, compacted
    validator("CompactResource").validate(compacted)
    item = compacted["output"][-1]
    validator("CompactionSummaryItemParam").validate(item)
    answer = await _ask(echo, input=[item, {"role": "user", "content": "go on"}])
    alone = await _ask(echo, input="go on")
    assert answer["usage"]["input_tokens"] > alone["usage"]["input_tokens"]
    wrong = {**item, "encrypted_content": item["encrypted_content"][:-4] + "AAAA"}
    status, error = await _post(echo, input=[wrong])
    assert (status, error["error"]["param"]) == (400, "input[0].encrypted_content")
    async with echo.http() as http:
        missing = await http.post("/v1/responses/compact", json={"input": "x"})
    assert (missing.status_code, missing.json()["error"]["param"]) == (400, "model")


async def test_a_context_past_its_threshold_is_compacted_by_the_server(echo: Served) -> None:
    """The compaction item comes first in the output, and the response stands on it."""
    first = await _ask(echo, input="word " * 200)
    events = await _stream(
        echo,
        input="more",
        previous_response_id=first["id"],
        context_management=[{"type": "compaction", "compact_threshold": 100}],
    )
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["compaction", "message"]


async def test_truncation_leaves_out_or_refuses(echo: Served) -> None:
    """disabled: 400 with both numbers; auto: the oldest items go, and the answer says how many."""
    items = [{"role": "user", "content": f"{n} " + "word " * 4000} for n in range(10)]
    items.append({"role": "user", "content": "last"})
    status, error = await _post(echo, input=items, truncation="disabled")
    assert (status, error["error"]["code"]) == (400, "context_length_exceeded")
    assert "32768" in error["error"]["message"]
    response = await _ask(echo, input=items, truncation="auto")
    assert _said(response) == "last"
    assert int(response["metadata"]["kodo.truncated_items"]) >= 4


# --- errors ----------------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "no model": ({"model": None, "input": "x"}, 400, "invalid_type", "model"),
    "unknown model": ({"model": "gpt-9"}, 404, "model_not_found", "model"),
    "unknown parameter": ({"colour": "red"}, 400, "unknown_parameter", "colour"),
    "parent that is not there": (
    {"previous_response_id": "resp_none"},
    400,
    "previous_response_not_found",
    "previous_response_id",
    ),
    "parent and conversation": (
    {"previous_response_id": "resp_a", "conversation": "conv_a"},
    400,
    "mutually_exclusive_parameters",
    "conversation",
    ),
    "item of no type": ({"input": [{"text": "x"}]}, 400, "missing_required_parameter", "input[0].type"),
    "item of an unknown type": ({"input": [{"type": "banana"}]}, 400, "invalid_value", "input[0].type"),
    "part of an unknown type": (
    {"input": [{"role": "user", "content": [{"type": "banana"}]}]},
    400,
    "invalid_value",
    "input[0].content[0].type",
    ),
    "unknown role": ({"input": [{"role": "king", "content": "x"}]}, 400, "invalid_value", "input[0].role"),
    "output for nobody": (
    {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
    400,
    None,
    "input",
    ),
    "call_id too long": ({"input": [{**CALL, "call_id": "c" * 65}]}, 400, "string_above_max_length", "input[0].call_id"),
    "video": (
    {"input": [CALL, {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_video", "video_url": "x"}]}]},
    400,
    "invalid_value",
    "input[1].output[0].type",
    ),
    "hosted tool alone": ({"tools": [{"type": "web_search"}]}, 400, "unsupported_tool", "tools[0].type"),
    "unknown tool": ({"tools": [{"type": "banana"}]}, 400, "invalid_value", "tools[0].type"),
    "tool without a name": ({"tools": [{"type": "function"}]}, 400, "missing_required_parameter", "tools[0].name"),
    "too many tools": ({"tools": [{"type": "function", "name": f"f{n}"} for n in range(129)]}, 400, "array_above_max_length", "tools"),
    "no tool allowed": ({"tool_choice": {"type": "allowed_tools", "tools": []}}, 400, "empty_array", "tool_choice.tools"),
    "unknown format": ({"text": {"format": {"type": "xml"}}}, 400, "invalid_value", "text.format.type"),
    "too hot": ({"temperature": 2.1}, 400, "decimal_above_max_value", "temperature"),
    "text as a number": ({"temperature": "1"}, 400, "invalid_type", "temperature"),
    "no output at all": ({"max_output_tokens": 0}, 400, "integer_below_min_value", "max_output_tokens"),
    "no calls at all": ({"max_tool_calls": 0}, 400, "integer_below_min_value", "max_tool_calls"),
    "too many alternatives": ({"top_logprobs": 21}, 400, "integer_above_max_value", "top_logprobs"),
    "too much metadata": ({"metadata": {str(n): "" for n in range(17)}}, 400, "object_above_max_properties", "metadata"),
    "long cache key": ({"prompt_cache_key": "k" * 65}, 400, "string_above_max_length", "prompt_cache_key"),
    "unknown truncation": ({"truncation": "most"}, 400, "invalid_value", "truncation"),
    "unknown include": ({"include": ["everything"]}, 400, "invalid_value", "include[0]"),
    "background without store": ({"background": True, "store": False}, 400, "invalid_value", "store"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_errors_have_their_status_code_and_param(name: str, echo: Served) -> None:
    """Plain and streamed alike, before the first event, in the envelope that the SDKs read."""
    body, status, code, param = WRONG[name]
    for stream in (False, True):
        got, value = await _post(echo, **{"input": "x", "stream": stream, **body})
        assert (got, value["error"]["code"], value["error"]["param"]) == (status, code, param)
        validator("ErrorPayload").validate(value["error"])


async def test_a_form_is_told_that_json_is_wanted(echo: Served) -> None:
    """The specification's other content type cannot carry items; it gets an error, not a guess."""
    async with echo.http() as http:
        answer = await http.post("/v1/responses", data={"model": MODEL, "input": "x"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


# --- load ------------------------------------------------------------------------------------------------------------


async def test_seventeen_requests_at_once_are_each_answered_with_their_own(tmp_path: Path) -> None:
    """Streamed side by side, without an output cap; none waits for another and none gets another's words."""
    async with served(settings(tmp_path / "home", script(tmp_path, pace=0.002))) as server:
        answers = await asyncio.gather(
            *(_stream(server, input=f"request {n} of seventeen") for n in range(17))
        )
    assert [_said(events[-1]["response"]) for events in answers] == [
        f"request {n} of seventeen" for n in range(17)
    ]
