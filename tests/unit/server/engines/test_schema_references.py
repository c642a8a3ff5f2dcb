"""References of a schema that lead only to each other are found, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, script, served, settings

from kodo.server.engines.llama.tools.schema_limits import check_schema
from kodo.server.engines.schema_references import check_references
from kodo.server.lifecycle.errors import InvalidRequest

CIRCULAR: dict[str, tuple[dict[str, Any], str]] = {
    "itself": ({"$ref": "#"}, "s.$ref"),
    "each other": (
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        "s.$ref",
    ),
    "below": (
        {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"$ref": "#/$defs/a"}},
        },
        "s.$defs.a.$ref",
    ),
    "through a choice": (
        {"properties": {"x": {"anyOf": [{"$ref": "#/properties/x"}]}}},
        "s.properties.x.anyOf[0].$ref",
    ),
    "through a conjunction": (
        {"allOf": [{"type": "object"}, {"$ref": "#"}]},
        "s.allOf[1].$ref",
    ),
    "an escaped name": (
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"$ref": "#"}}},
        "s.$ref",
    ),
}

SOUND: dict[str, dict[str, Any]] = {
    "a list of itself": {"type": "array", "items": {"$ref": "#"}},
    "a tree": {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
    "null or itself below": {
        "type": "object",
        "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
    },
    "used twice": {
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "null"}},
    },
    "data, not a schema": {"enum": [{"$ref": "#"}], "const": {"$ref": "#"}},
    "a property of that name": {"properties": {"$ref": {"type": "string"}}},
}


@pytest.mark.parametrize("name", CIRCULAR)
def test_references_that_lead_only_to_each_other_are_refused(name: str) -> None:
    """They describe no value; the error names the first of them, also where the real engine checks."""
    schema, path = CIRCULAR[name]
    for check in (check_references, check_schema):
        with pytest.raises(InvalidRequest, match="only to itself") as refused:
            check(schema, "s")
        assert refused.value.param == path


@pytest.mark.parametrize("name", SOUND)
def test_recursive_schemas_of_real_values_are_accepted(name: str) -> None:
    """A reference below a property or an item describes something."""
    check_references(SOUND[name], "s")


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ({"$ref": "#"}, "text.format.schema.$ref"),
        ({"type": "banana"}, "text.format.schema"),
        (
            {"type": "object", "properties": {"a": {"minimum": "x"}}},
            "text.format.schema.properties.a.minimum",
        ),
        ({"$ref": "#/$defs/none"}, "text.format.schema"),
    ],
)
async def test_an_unusable_schema_is_the_clients_fault(
    schema: dict[str, Any], param: str, tmp_path: Path
) -> None:
    """400 with the path, not a 5xx that clients send again."""
    model = script(tmp_path, {"steps": [{"type": "text", "text": "{}"}]})
    body = {
        "model": MODEL,
        "input": "x",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}},
    }
    async with served(settings(tmp_path / "home", model)) as server, server.http() as http:
        answer = await http.post("/v1/responses", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"].startswith(param)
    assert answer.json()["error"]["code"] == "unsupported_schema"
