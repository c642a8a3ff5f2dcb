"""docs/reference/parameters.md, the SDK's signature and the code say the same."""

from __future__ import annotations

import re

import msgspec
import pytest
from openai.types.responses import response_create_params
from tests.paths import DOCS

from kodo.server.wire import decode
from kodo.server.wire.request import REFUSED, CreateResponse

TABLE = DOCS / "reference" / "parameters.md"


def _table() -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", TABLE.read_text(), re.MULTILINE)
    return dict(rows)


def _sdk() -> set[str]:
    streaming = response_create_params.ResponseCreateParamsStreaming.__annotations__
    return set(response_create_params.ResponseCreateParamsBase.__annotations__) | set(streaming)


def test_every_parameter_of_the_sdk_is_decided() -> None:
    """The SDK's parameters all have a row."""
    assert _sdk() <= set(_table())


def test_the_table_is_what_the_code_does() -> None:
    """Rows that are not refused are fields of the request, and nothing else is; refused rows are REFUSED."""
    table = _table()
    refused = {name for name, what in table.items() if what == "refused"}
    assert refused == set(REFUSED)
    assert set(table) - refused == {field.encode_name for field in msgspec.structs.fields(CreateResponse)}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_parameter_is_named(name: str) -> None:
    """A refused parameter with a value is an error that names it; with null it is as if it were not there."""
    with pytest.raises(decode.BadBody) as caught:
        decode.create_response({"model": "m", "input": "x", name: {}})
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert decode.create_response({"model": "m", "input": "x", name: None}).input == "x"


BAD = [
    ({}, "model", "missing_required_parameter"),
    ({"model": "m", "nonsense": 1}, "nonsense", "unknown_parameter"),
    ({"model": "m", "input": 3}, "input", "invalid_type"),
    ({"model": "m", "input": ["x"]}, "input[0]", "invalid_type"),
    ({"model": "m", "input": [{}]}, "input[0].type", "missing_required_parameter"),
    ({"model": "m", "input": [{"type": "nope"}]}, "input[0].type", "invalid_value"),
    ({"model": "m", "input": [{"role": "bot", "content": ""}]}, "input[0].role", "invalid_value"),
    (
        {"model": "m", "input": [{"role": "user", "content": [{"type": "x"}]}]},
        "input[0].content[0].type",
        "invalid_value",
    ),
    (
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
        "missing_required_parameter",
    ),
    ({"model": "m", "temperature": 2.1}, "temperature", "decimal_above_max_value"),
    ({"model": "m", "temperature": "hot"}, "temperature", "invalid_type"),
    ({"model": "m", "top_p": -1}, "top_p", "decimal_below_min_value"),
    ({"model": "m", "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    ({"model": "m", "max_output_tokens": 0}, "max_output_tokens", "integer_below_min_value"),
    ({"model": "m", "max_output_tokens": 1.5}, "max_output_tokens", "invalid_type"),
    ({"model": "m", "metadata": {"a": 1}}, "metadata.a", "invalid_type"),
    ({"model": "m", "metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties"),
    ({"model": "m", "truncation": "never"}, "truncation", "invalid_value"),
    ({"model": "m", "tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
    ({"model": "m", "tools": [{"type": "file_search"}]}, "tools[0].type", "unsupported_tool"),
    (
        {
            "model": "m",
            "tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "x"}}],
        },
        "tools[0].format.syntax",
        "invalid_value",
    ),
    (
        {
            "model": "m",
            "tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}],
        },
        "tools[0].format.definition",
        "missing_required_parameter",
    ),
    (
        {"model": "m", "tools": [{"type": "custom", "name": "c", "format": {"type": "xml"}}]},
        "tools[0].format.type",
        "invalid_value",
    ),
    ({"model": "m", "text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
    ({"model": "m", "include": ["everything"]}, "include[0]", "invalid_value"),
    (
        {"model": "m", "stream_options": {"include_obfuscation": True}},
        "stream_options.include_obfuscation",
        "invalid_value",
    ),
    ({"model": "m", "reasoning": {"effort": "heroic"}}, "reasoning.effort", "invalid_value"),
    ({"model": "m", "reasoning": {"efort": "low"}}, "reasoning.efort", "unknown_parameter"),
    ({"model": "m", "text": {"verbose": "low"}}, "text.verbose", "unknown_parameter"),
    ({"model": "m", "text": {"format": {"type": "text", "a": 1}}}, "text.format.a", "unknown_parameter"),
    (
        {"model": "m", "stream_options": {"include_usage": True}},
        "stream_options.include_usage",
        "unknown_parameter",
    ),
    (
        {"model": "m", "context_management": [{"type": "compaction", "at": 9}]},
        "context_management[0].at",
        "unknown_parameter",
    ),
    ({"model": "m", "prompt_cache_options": {"tt": "12h"}}, "prompt_cache_options.tt", "unknown_parameter"),
    (
        {"model": "m", "tools": [{"type": "function", "name": "f", "paramters": {}}]},
        "tools[0].paramters",
        "unknown_parameter",
    ),
    (
        {"model": "m", "tool_choice": {"type": "function", "name": "f", "mode": "auto"}},
        "tool_choice.mode",
        "unknown_parameter",
    ),
]


@pytest.mark.parametrize(("body", "param", "code"), BAD, ids=[f"{param}-{code}" for _, param, code in BAD])
def test_errors_name_the_field(body: dict[str, object], param: str, code: str) -> None:
    """``param`` is the path of the field at fault, ``code`` the kind of fault."""
    with pytest.raises(decode.BadBody) as caught:
        decode.create_response(body)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_hosted_tools_are_skipped_in_a_mixed_list() -> None:
    """Beside tools that work, a hosted one is left out; alone it is refused (see BAD)."""
    tools = [{"type": "web_search"}, {"type": "function", "name": "f"}]
    kept = decode.create_response({"model": "m", "input": "x", "tools": tools}).tools
    assert [type(tool).__name__ for tool in kept] == ["FunctionTool"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"x"',
        b"\xff",
        b'{"model": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' + b"[" * 150 + b"]" * 150 + b"}",
    ],
    ids=["empty", "list", "cut", "string", "bytes", "surrogate", "deep", "nested"],
)
def test_bodies_that_are_no_json_object_are_refused(body: bytes) -> None:
    """Broken, deep and half-character bodies are ``invalid_json``."""
    with pytest.raises(decode.BadBody) as caught:
        decode.json_object(body)
    assert caught.value.code == "invalid_json"


def test_items_that_an_sdk_dumped_are_taken_back() -> None:
    """Fields that are null, and fields of a newer version, do not stand in the way."""
    item = {
        "type": "message",
        "role": "assistant",
        "id": "m",
        "status": None,
        "new": 1,
        "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": None}],
    }
    (taken,) = decode.items([item])
    assert taken.id == "m"
