"""Tools that are not strict: what cannot be enforced is left out and named, and everything else is held."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kodo.server.engines.llama.tools.structured import Grammars
from kodo.server.lifecycle.errors import InvalidRequest

LOOK_AHEAD = "^(?!\\.)[a-z]+@[a-z]+$"


def _with(part: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": part}, "required": ["a"], **others}


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (_with({"type": "string", "not": {}}), ("not",)),
        (_with({"type": "array", "items": {"type": "string"}, "uniqueItems": True}), ("uniqueItems",)),
        (_with({"type": "string", "pattern": LOOK_AHEAD}), ("pattern",)),
        (_with({"type": "string", "format": "binary"}), ("format",)),
        (_with({"type": "string", "maxLength": 1_000_000}), ("maxLength",)),
        (_with({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}), ("oneOf",)),
        (_with({"$ref": "#/definitions/none"}), ("$ref",)),
        (_with({"type": "string"}, **{"if": {}, "then": {}, "else": {}}), ("else", "if", "then")),
        (
            _with({"type": "string"}, propertyNames={}, dependentRequired={"a": []}),
            ("dependentRequired", "propertyNames"),
        ),
        (_with({"type": "banana"}), ("parameters",)),
    ],
)
async def test_it_is_left_out_and_named_or_refused_where_strict(
    schema: dict[str, Any], named: tuple[str, ...]
) -> None:
    """The rest of the schema is held; strict tools get the 400 with the path."""
    grammars = Grammars()
    grammar = await grammars.for_schema(schema, "tools[0].parameters", 256, lenient=True)
    assert grammar.unenforced == named
    assert grammars.accepts_prefix(grammar, "{")
    assert not grammars.accepts_prefix(grammar, "[")
    with pytest.raises(InvalidRequest) as caught:
        await grammars.for_schema(schema, "tools[0].parameters", 256)
    assert caught.value.code == "unsupported_schema"
    assert str(caught.value.param).startswith("tools[0].parameters")


async def test_what_can_be_enforced_names_nothing() -> None:
    """And an enum that is too long is cut to values that fit."""
    grammars = Grammars()
    schema = _with({"enum": [f"value {number}" for number in range(2_000)]})
    grammar = await grammars.for_schema(schema, "tools[0].parameters", 256, lenient=True)
    assert grammar.unenforced == ()
    assert grammars.accepts_prefix(grammar, json.dumps({"a": "value 7"}, separators=(",", ":")))
    assert not grammars.accepts_prefix(grammar, '{"a":"other"')
