"""Forms that the grammar engine does not take, written as ones that it does."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.server.engines.llama.constraints.enforceable import enforceable
from kodo.server.engines.llama.tools.structured import Grammars

_TEXT = {"type": "string"}
_NAMES = st.sets(st.sampled_from("abcd"), max_size=3).map(sorted)
_VALUES = st.dictionaries(st.sampled_from([*"abcd", "A1"]), st.sampled_from(["x", 1, None]), max_size=4)


def _either(*choices: list[str], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict.fromkeys("abcd", _TEXT),
        "oneOf": [{"required": names} for names in choices],
        **more,
    }


@pytest.mark.parametrize(
    "schema",
    [
        _either(["a"], ["b"]),
        _either(["a", "c"], ["b"], required=["d"]),
        {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "additionalProperties": _TEXT},
        {"type": "object", "properties": {"x": _either(["a"], ["b"])}, "required": ["x"]},
    ],
)
async def test_what_odd_tools_ask_for_is_held_while_decoding(schema: dict[str, Any]) -> None:
    """Nothing is left out, and so nothing named."""
    grammar = await Grammars().for_schema(schema, "tools[0].parameters", 256, lenient=True)
    assert grammar.unenforced == ()


async def test_both_of_two_that_exclude_each_other_cannot_be_written() -> None:
    """One can."""
    grammars = Grammars()
    grammar = await grammars.for_schema(_either(["a"], ["b"]), "tools[0].parameters", 256, lenient=True)
    assert grammars.accepts_prefix(grammar, json.dumps({"a": "x"}, separators=(",", ":")))
    assert not grammars.accepts_prefix(grammar, json.dumps({"a": "x", "b": "x"}, separators=(",", ":")))


@given(st.lists(_NAMES, min_size=1, max_size=3), _NAMES, _VALUES)
def test_whatever_fits_the_new_form_fits_the_old_one(
    choices: list[list[str]], always: list[str], value: dict[str, Any]
) -> None:
    """Whatever sets are required."""
    schema = _either(*choices, required=always)
    if jsonschema.Draft202012Validator(enforceable(schema)).is_valid(value):
        assert jsonschema.Draft202012Validator(schema).is_valid(value)


@given(_VALUES, st.sampled_from(["^[a-z]+$", "^a", "1$"]))
def test_names_by_a_pattern_mean_the_same(value: dict[str, Any], pattern: str) -> None:
    """Both ways round."""
    schema = {"type": "object", "propertyNames": {"pattern": pattern}, "additionalProperties": _TEXT}
    new = jsonschema.Draft202012Validator(enforceable(schema)).is_valid(value)
    assert new == jsonschema.Draft202012Validator(schema).is_valid(value)
