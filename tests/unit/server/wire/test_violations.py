"""What is wrong with a value, in the contract's words: the code of each kind of violation, and what was there instead."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from kodo.server.wire.decode import BadBody, convert


class _Checked(Struct, forbid_unknown_fields=True):
    whole: Annotated[int, Meta(ge=1, le=3)] | None = None
    number: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=3, pattern="^a")] | None = None
    names: Annotated[list[str], Meta(min_length=1, max_length=2)] | None = None
    pairs: Annotated[
        dict[Annotated[str, Meta(max_length=3)], Annotated[str, Meta(max_length=4)]], Meta(max_length=2)
    ] = {}
    one: Literal["x", "y"] | None = None
    off: Literal[False] | None = None


@pytest.mark.parametrize(
    ("value", "param", "code", "words"),
    [
        ({"whole": 0}, "whole", "integer_below_min_value", "Expected a value >= 1, but got 0 instead."),
        ({"whole": 4}, "whole", "integer_above_max_value", "Expected a value <= 3, but got 4 instead."),
        ({"whole": 10**5000}, "whole", "integer_above_max_value", "Expected a value <= 3."),
        ({"whole": 1.5}, "whole", "invalid_type", "expected an integer, but got a decimal instead."),
        ({"whole": True}, "whole", "invalid_type", "expected an integer, but got a boolean instead."),
        ({"number": -1}, "number", "decimal_below_min_value", "Expected a value >= 0, but got -1 instead."),
        ({"number": 3}, "number", "decimal_above_max_value", "Expected a value <= 2, but got 3 instead."),
        ({"number": "x"}, "number", "invalid_type", "expected a decimal, but got a string instead."),
        ({"text": ""}, "text", "empty_string", "minimum length 1, but got an empty string instead."),
        ({"text": "aaaa"}, "text", "string_above_max_length", "but got a string with length 4 instead."),
        ({"text": "b"}, "text", "invalid_value", "Expected a string that matches the pattern '^a'."),
        ({"names": []}, "names", "empty_array", "but got an empty array instead."),
        ({"names": ["a"] * 3}, "names", "array_above_max_length", "but got an array with length 3 instead."),
        ({"names": ["a", None]}, "names[1]", "invalid_type", "expected a string, but got null instead."),
        (
            {"pairs": {"a": "", "b": "", "c": ""}},
            "pairs",
            "object_above_max_properties",
            "at most 2 properties, but got an object with 3 properties instead.",
        ),
        ({"pairs": {"a": "ok", "b": 1}}, "pairs.b", "invalid_type", "expected a string, but got an integer"),
        (
            {"pairs": {"a": "ok", "b": "12345"}},
            "pairs.b",
            "string_above_max_length",
            "with length 5 instead.",
        ),
        ({"pairs": {"abcd": "x"}}, "pairs", "string_above_max_length", "property name too long."),
        ({"one": "z"}, "one", "invalid_value", "Invalid value for 'one': 'z'."),
        ({"off": True}, "off", "invalid_value", "Invalid value for 'off': true."),
        ({"other": 1}, "other", "unknown_parameter", "Unknown parameter: 'other'."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_violation_has_its_code_and_says_what_was_there(
    value: dict[str, Any], param: str, code: str, words: str
) -> None:
    """Code, path and message are those of the hosted API, without a word of Python's."""
    with pytest.raises(BadBody) as caught:
        convert(value, _Checked)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert words in caught.value.message
    assert "`" not in caught.value.message


def test_a_value_that_is_no_object_is_named_by_its_prefix() -> None:
    """The field that holds it while it is checked is in no path."""
    with pytest.raises(BadBody) as caught:
        convert(["x", 4], list[str], "stop")
    assert (caught.value.param, caught.value.code) == ("stop[1]", "invalid_type")
