"""Values of a call's arguments that the question holds: whatever is chosen fits the tool's own schema."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paths import REPOSITORY

from kodo.server.engines.llama.tools.argument_values import argument_fit, narrow_to_question
from kodo.server.engines.llama.tools.question_spans import MAX_SPANS, question_spans

SHAPES = [
    json.loads(line)["schema"]
    for line in (REPOSITORY / "bench" / "landing" / "schemas.jsonl").read_text(encoding="utf-8").splitlines()
]
"""Of tools of real MCP servers and clients."""
WORDS = st.sampled_from(
    [
        "Paris", "in", "from", "to", "src/app.py", "https://example.com/a", "ada@example.com", "2026-12-24", "10:30", "3", "-2.5",
        "'quoted text'", "「件名」", "東京", "から", "の", "`code`", "#dev", "@ada", "*.py", "owner/repo", "max_retries", "SELECT 1",
        "(1 + 2) * 3", "titled", "message", ":", "days", "open", "high", "true", "not", "\\", '"', "\u0000", "é", "👋",
    ]
)  # fmt: skip


def _weather(**more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "detailed": {"type": "boolean"},
        },
        "required": ["city"],
        **more,
    }


def _first(schema: dict[str, Any], question: str, tool: str = "") -> dict[str, Any]:
    """The value that comes first for each argument; None: free."""
    properties = narrow_to_question(schema, question, tool)["properties"]
    return {
        name: part.get("enum", [part.get("const")])[0] if part.keys() & {"enum", "const"} else None
        for name, part in properties.items()
    }


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Weather in Paris?", {"city": "Paris"}),
        ("The forecast for Rio de Janeiro over 3 days, please", {"city": "Rio de Janeiro", "days": 3}),
        ("Detailed weather in Oslo in celsius", {"city": "Oslo", "unit": "celsius", "detailed": True}),
        ("札幌の 5 日間の天気を摂氏で", {"city": "札幌", "days": 5, "unit": "celsius"}),
        ("Weather in Paris over 30 days", {"city": "Paris"}),
        ("What is it like there?", {"city": None}),
        ("", {"city": None, "days": None, "unit": "celsius", "detailed": None}),
    ],
)
def test_values_come_from_the_question(question: str, expected: dict[str, Any]) -> None:
    """A number beyond its bounds is none; what nothing speaks of is left out; without a question nothing is changed."""
    assert _first(_weather(), question, "get_weather Get the weather of a city") == expected


def test_two_cities_are_left_to_the_model() -> None:
    """Which of two is written first is its choice; a further call takes the other."""
    narrowed = narrow_to_question(_weather(), "Weather in Paris and weather in Tokyo", "weather")
    assert narrowed["properties"]["city"]["enum"] == ["Paris", "Tokyo"]


def test_a_pair_is_taken_apart() -> None:
    """``owner/name``, as everybody writes repositories."""
    names = ("owner", "repo", "title")
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in names},
        "required": list(names),
    }
    asked = "Open an issue in acme/website titled 'It is slow'"
    assert _first(schema, asked) == {"owner": "acme", "repo": "website", "title": "It is slow"}


def test_what_goes_from_and_to_is_not_mixed_up() -> None:
    """In the order of the arguments, unless the words beside them say otherwise."""
    path = {"type": "string", "description": "A path"}
    schema = {
        "type": "object",
        "properties": {"source": path, "destination": path},
        "required": ["source", "destination"],
    }
    assert _first(schema, "Move a.txt to b/a.txt") == {"source": "a.txt", "destination": "b/a.txt"}
    assert _first(schema, "To b/a.txt move the file from a.txt") == {
        "source": "a.txt",
        "destination": "b/a.txt",
    }
    assert _first(schema, "a.txt から b/a.txt へ移動") == {"source": "a.txt", "destination": "b/a.txt"}


def test_a_denial_is_left_to_the_model() -> None:
    """Only the model may know what a "not" belongs to."""
    assert "detailed" not in _first(_weather(), "Not the detailed weather of Rome")


def test_the_tool_whose_arguments_the_question_holds_fits_best() -> None:
    """A path fits a file's tool better than an artist's."""
    file = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    music = {"type": "object", "properties": {"artist": {"type": "string"}}, "required": ["artist"]}
    assert argument_fit(file, "cat package.json") > argument_fit(music, "cat package.json")


@pytest.mark.parametrize("keyword", ["anyOf", "if", "patternProperties", "minProperties", "$ref"])
def test_a_schema_that_is_not_plain_is_left_alone(keyword: str) -> None:
    """Its arguments depend on each other."""
    schema = _weather(**{keyword: []})
    assert narrow_to_question(schema, "Weather in Paris") is schema


@given(st.sampled_from(SHAPES), st.lists(WORDS, max_size=14).map(" ".join))
def test_whatever_is_chosen_fits_the_whole_schema(schema: dict[str, Any], question: str) -> None:
    """For the tools of real servers: each value fits its argument, and every required argument is still there."""
    schema = {"type": "object", **schema}
    narrowed = narrow_to_question(schema, question, "a tool")
    if narrowed is schema:
        return
    assert set(schema.get("required", [])) <= set(narrowed["required"])
    for name, part in narrowed["properties"].items():
        whole = schema["properties"][name]
        if part == whole:
            continue
        validator = jsonschema.Draft202012Validator({**schema, "type": whole.get("type", []), **whole})
        for value in part.get("enum", [part.get("const")]):
            assert not [error for error in validator.iter_errors(value) if error.validator != "required"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.lists(WORDS).map(" ".join))
def test_spans_are_parts_of_any_text(question: str) -> None:
    """Whatever somebody writes."""
    spans = question_spans(question)
    assert len(spans) <= MAX_SPANS
    assert all(span.text and span.text in question for span in spans)


@pytest.mark.parametrize(
    "unit", ["(1 + ", "a/", "A b ", "*a", "「", '"', "1 ", "a-", "titled x ", "to x ", ": "]
)
def test_spans_of_a_long_text_are_found_in_time(unit: str) -> None:
    """No pattern goes over the same text again and again: twice the text takes far less than the square."""

    def seconds(count: int) -> float:
        text = unit * count
        taken = []
        for _ in range(3):  # a garbage collection in a large process takes longer than the text
            begun = time.process_time()
            question_spans(text)
            taken.append(time.process_time() - begun)
        return min(taken)

    seconds(100)
    short, long = seconds(500 // len(unit)), seconds(4_000 // len(unit))
    assert long < 40 * short + 0.2
