"""Holding a fake of GitHub to GitHub's own OpenAPI: requests and answers are checked, answers completed from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA_FILE = Path(__file__).with_name("github_openapi.json")
"""The operations that kodo uses, cut out by scripts/github_schema."""

_TEXTS = {"uri": "https://github.com/x", "date-time": "2026-11-29T00:00:00Z", "email": "x@example.org"}
_PLAIN: dict[str, object] = {
    "integer": 0,
    "number": 0,
    "boolean": False,
    "string": "",
    "array": [],
    "null": None,
}


class OpenApi:
    """The operations of one document in the form that ``scripts/github_schema`` writes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.operations: Mapping[str, Any] = document["operations"]
        self._definitions: Mapping[str, Any] = document["$defs"]

    @classmethod
    def load(cls, path: Path = SCHEMA_FILE) -> OpenApi:
        """The document in a file."""
        return cls(json.loads(path.read_text("utf-8")))

    def check(self, operation: str, query: Mapping[str, str], body: Any, status: int, answer: Any) -> None:
        """Raise ValueError for a parameter, body, status or answer that the document does not describe."""
        described = self.operations.get(operation)
        if described is None:
            raise ValueError("no such operation")
        if unknown := query.keys() - described["query"].keys():
            raise ValueError(f"no query parameter {min(unknown)}")
        for name, value in query.items():
            schema = described["query"][name]
            typed = int(value) if schema.get("type") == "integer" and value.isdecimal() else value
            self._validate(typed, schema, f"query {name}")
        if status < 400:  # what was refused may be wrong
            if described["body"] is not None:
                self._validate(body, described["body"], "body")
                self._known(body, described["body"])
            elif body is not None:
                raise ValueError("a body where there is none")
        if str(status) not in described["answers"] and status not in (401, 403, 404, 422):
            raise ValueError(f"no status {status}")
        schema = described["answers"].get(str(status))
        if schema is not None and status < 400:
            self._validate(answer, schema, "answer")

    def complete(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """A value of the definition ``name`` with the given fields, and the least for the other required ones."""
        made = self._fill({"$ref": f"#/$defs/{name}"}, dict(given))
        assert isinstance(made, dict)  # noqa: S101 - the definitions that are completed are objects
        return made

    def _fill(self, schema: Mapping[str, Any], given: Any) -> Any:
        schema = self._resolve(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        if options and given is None:
            return (
                None if any(self._takes_null(option) for option in options) else self._fill(options[0], None)
            )
        if options:
            return self._fill(options[0], given)
        for part in schema.get("allOf", ()):
            given = self._fill(part, given)
        kind = schema.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if isinstance(given, dict):
            properties = schema.get("properties", {})
            filled = {
                key: self._fill(properties[key], item) if key in properties else item
                for key, item in given.items()
            }
            for key in schema.get("required", ()):
                if key not in filled:
                    filled[key] = self._fill(properties.get(key, {}), None)
            return filled
        if isinstance(given, list):
            return [self._fill(schema.get("items", {}), item) for item in given]
        if given is not None:
            return given
        return self._least(schema, kinds)

    def _least(self, schema: Mapping[str, Any], kinds: list[Any]) -> Any:
        if "null" in kinds:
            return None
        if "enum" in schema:
            return schema["enum"][0]
        if "object" in kinds or "properties" in schema:
            return self._fill({**schema, "type": "object"}, {})
        if "string" in kinds:
            return _TEXTS.get(schema.get("format", ""), "")
        return _PLAIN.get(str(kinds[0]))

    def _takes_null(self, schema: Mapping[str, Any]) -> bool:
        kind = self._resolve(schema).get("type")
        return kind == "null" or (isinstance(kind, list) and "null" in kind)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        return schema

    def _known(self, body: Any, schema: Mapping[str, Any]) -> None:
        """Raise ValueError for a field that the document does not name: GitHub would ignore it, which is never meant."""
        properties = self._resolve(schema).get("properties")
        if properties and isinstance(body, dict) and (unknown := body.keys() - properties.keys()):
            raise ValueError(f"body: no field {min(unknown)}")

    def _validate(self, value: Any, schema: Mapping[str, Any], where: str) -> None:
        checked = Draft202012Validator({**schema, "$defs": self._definitions})
        error = next(iter(checked.iter_errors(value)), None)
        if error is not None:
            raise ValueError(f"{where}: {error.json_path}: {error.message[:300]}")

    @cached_property
    def names(self) -> frozenset[str]:
        """The operations, as ``METHOD path``."""
        return frozenset(self.operations)
