"""The schema that is decoded, and the shortest ending of a text under it."""

from __future__ import annotations

import json
import random
from typing import Any

import llguidance
import pytest
from tests.landing.drawn_schemas import draw_schema

from kodo.server.engines.llama.constraints.generation_schema import MAX_INTEGER, generation_schema
from kodo.server.engines.llama.constraints.json_position import JsonPosition
from kodo.server.engines.llama.constraints.pattern_example import pattern_example
from kodo.server.engines.llama.constraints.shortest_ending import EndingSearch, allowed_bytes
from kodo.server.engines.llama.constraints.shortest_values import shortest_values
from kodo.server.engines.llama.decoding.loops import loop_length
from kodo.server.engines.llama.tools.structured import matches_schema

TOKENIZER = llguidance.LLTokenizer("byte")


def _matcher(schema: dict[str, Any]) -> llguidance.LLMatcher:
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return llguidance.LLMatcher(
        TOKENIZER, f"%llguidance {{}}\nstart: %json {json.dumps(compact)}", log_level=0
    )


def _ending(schema: dict[str, Any], text: str) -> str:
    matcher = _matcher(schema)
    assert matcher.try_consume_tokens(list(text.encode())) == len(text.encode())
    found = EndingSearch(matcher, shortest_values(schema)).shortest(JsonPosition().after(text.encode()))
    assert found is not None
    return found.decode()


CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["celsius", "f"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("begun", "ending"),
    [
        ("", '{"city":"","unit":"f"}'),
        ('{"city":"Par', '","unit":"f"}'),
        ('{"city":"Paris",', '"unit":"f"}'),
        ('{"city":"Paris","d', 'ays":0,"unit":"f"}'),
        ('{"city":"Paris","unit":"cel', 'sius"}'),
        ('{"city":"Paris","unit":"f"', "}"),
        ('{"city":"Paris","unit":"f"}', ""),
    ],
)
def test_an_ending_leaves_out_what_is_optional(begun: str, ending: str) -> None:
    """From every kind of place: before, in and behind names and values."""
    assert _ending(CITY, begun) == ending


@pytest.mark.parametrize("seed", range(60))
def test_every_beginning_of_a_drawn_text_has_a_valid_ending(seed: int) -> None:
    """Random bytes that the grammar allows; behind each of them the ending makes the text fit."""
    draw = random.Random(seed)
    schema = generation_schema(draw_schema(draw), 256)
    matcher, position, text = _matcher(schema), JsonPosition(), b""
    search = EndingSearch(matcher, shortest_values(schema))
    for _ in range(draw.randint(1, 40)):
        ending = search.shortest(position)
        assert ending is not None, (schema, text)
        assert matches_schema((text + ending).decode(), schema), (schema, text, ending)
        allowed = [byte for byte in allowed_bytes(matcher.compute_bitmask()) if byte < 128]
        if not allowed:
            break
        byte = bytes((draw.choice(allowed),))
        matcher.consume_token(byte[0])
        text, position = text + byte, position.after(byte)


def test_declared_objects_are_closed_and_free_ones_stay_open() -> None:
    """No word on others closes; `true`, a schema, or no properties at all do not."""
    declared = {"type": "object", "properties": {"a": {"type": "object"}}}
    assert generation_schema(declared, 64)["additionalProperties"] is False
    assert "additionalProperties" not in generation_schema(declared, 64)["properties"]["a"]
    assert generation_schema({**declared, "additionalProperties": True}, 64)["additionalProperties"] is True


def test_parts_that_add_properties_to_each_other_stay_open() -> None:
    """Closing one member of `allOf` would forbid what the others declare."""
    parts = [{"properties": {name: {"type": "string"}}, "required": [name]} for name in "ab"]
    schema = generation_schema({"type": "object", "allOf": parts}, 64)
    assert all("additionalProperties" not in part for part in schema["allOf"])
    assert json.loads(_ending(schema, "")) == {"a": "", "b": ""}


def test_bounds_come_from_the_budget_and_respect_the_schema() -> None:
    """Strings share the tokens; integers stay exact in every reader; the schema's own bounds stand."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "string", "maxLength": 7},
            "n": {"type": "integer", "minimum": 5},
            "l": {"type": "array", "items": {"type": "string"}, "minItems": 30},
        },
    }
    small, large = generation_schema(schema, 64)["properties"], generation_schema(schema, 4096)["properties"]
    assert small["a"]["maxLength"] < large["a"]["maxLength"]
    assert small["b"]["maxLength"] == 7
    assert (small["n"]["minimum"], small["n"]["maximum"]) == (5, MAX_INTEGER)
    assert small["l"]["maxItems"] == 30


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        ("^a{3}[0-9]+$", "aaa0"),
        (r"^.*\.py$", ".py"),
        ("(foo|b)x", "bx"),
        (r"^\d{4}-\d{2}$", "0000-00"),
        ("[^a0]", " "),
    ],
)
def test_a_pattern_has_an_example(pattern: str, example: str) -> None:
    """The least of each repetition and the shortest of each choice."""
    assert pattern_example(pattern) == example


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("The answer is yes. " * 6, True),
        ("x" + "はい、そうです。" * 10, True),
        ("x" + "はい、そうです。" * 3, True),
        ("ラ" * 20, True),
        ("ラ" * 19, False),
        ("バイト・" * 5, True),
        ("- one\n- two\n- three\n" * 2, False),
        ("It is done " + "👍" * 70, True),
        ("👨‍💻" * 30, True),
        ("✅ " * 40, True),
        ("=" * 200, False),
        ("─" * 200, False),
        ("".join(f"{number}. The value of {number} is {number * number}.\n" for number in range(40)), False),
    ],
)
def test_a_loop_is_the_same_words_again_and_again(text: str, *, loops: bool) -> None:
    """Rules, lists and counting are no loops."""
    assert (loop_length(text) > 0) is loops
