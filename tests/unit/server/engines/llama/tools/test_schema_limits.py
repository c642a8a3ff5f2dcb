"""The limits of schemas and patterns."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.tools.schema_limits import check_pattern, check_schema
from kodo.server.lifecycle.errors import InvalidRequest


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"properties": {"a": {"not": {}}}}, "s.properties.a.not"),
        ({"anyOf": [{}, {"$ref": "http://x/y"}]}, "s.anyOf[1].$ref"),
        ({"items": {"minItems": -1}}, "s.items.minItems"),
        ({"items": [{"uniqueItems": True}]}, "s.items[0].uniqueItems"),
        ({"pattern": "a{2001}"}, "s.pattern"),
        ({"multipleOf": 0}, "s.multipleOf"),
    ],
)
def test_the_place_at_fault_is_named(schema: dict[str, object], path: str) -> None:
    """The error's param is the path of the keyword."""
    with pytest.raises(InvalidRequest) as caught:
        check_schema(schema, "s")
    assert caught.value.param == path


def test_counted_repetitions_multiply() -> None:
    """Two nested counts of 100 are over the cap, though each is under it."""
    assert check_pattern("a{100}", "p") == 100
    with pytest.raises(InvalidRequest):
        check_pattern("(a{100}){100}", "p")
