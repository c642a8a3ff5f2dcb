"""Two judges of what the server sends: the Open Responses specification, and the SDK's own types in strict mode."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pydantic
from openai.types.responses import Response, ResponseStreamEvent
from referencing import Registry, Resource
from tests.paths import DATA

DOCUMENT = DATA / "open-responses/open-responses-2026-04-24.openapi.json"
NOT_IN_SPEC = frozenset(
    {
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
    }
)
"""Events and items of client tools that Open Responses does not have; the SDK's types alone judge them."""


@cache
def _registry() -> tuple[dict[str, Any], Registry]:
    document = json.loads(DOCUMENT.read_text())
    return document, Registry().with_resource("spec:", Resource.opaque(document))


@cache
def validator(schema: str) -> jsonschema.Draft202012Validator:
    """The validator of one schema of the specification."""
    _, registry = _registry()
    return jsonschema.Draft202012Validator({"$ref": f"spec:#/components/schemas/{schema}"}, registry=registry)


@cache
def _events() -> dict[str, str]:
    document, _ = _registry()
    schemas = document["components"]["schemas"]
    return {
        schema["properties"]["type"]["enum"][0]: name
        for name, schema in schemas.items()
        if name.endswith("StreamingEvent")
    }


def document() -> dict[str, Any]:
    """The specification."""
    return _registry()[0]


def event_types() -> frozenset[str]:
    """The types of its events."""
    return frozenset(_events())


_sdk_event: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)


def _in_spec(value: dict[str, Any]) -> dict[str, Any]:
    """A Response as far as the specification knows it: without items of NOT_IN_SPEC and tools that are no functions, and
    with the schema of its format as null, which is how the specification types it where the SDK has the schema."""
    kept = {
        **value,
        "output": [item for item in value["output"] if item["type"] not in NOT_IN_SPEC],
        "tools": [tool for tool in value["tools"] if tool["type"] == "function"],
    }
    format_ = (value.get("text") or {}).get("format") or {}
    if format_.get("type") == "json_schema":
        kept["text"] = {**value["text"], "format": {**format_, "schema": None}}
    return kept


def check_response(value: dict[str, Any]) -> None:
    """Raise where a Response is not what both contracts say."""
    validator("ResponseResource").validate(_in_spec(value))
    Response.model_validate_json(json.dumps(value), strict=True)


def check_event(value: dict[str, Any]) -> None:
    """Raise where an event is not what both contracts say."""
    if value["type"] not in NOT_IN_SPEC and value.get("item", {}).get("type") not in NOT_IN_SPEC:
        told = {**value, "response": _in_spec(value["response"])} if "response" in value else value
        validator(_events()[value["type"]]).validate(told)
    _sdk_event.validate_json(json.dumps(value), strict=True)


def check_stream(events: list[dict[str, Any]]) -> None:
    """Raise where a whole stream is not what both contracts say: each event, their numbers, and the fold."""
    for event in events:
        check_event(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] in ("response.completed", "response.incomplete", "response.failed")
    final = events[-1]["response"]
    check_response(final)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    for item in final["output"]:
        if item["type"] == "message":
            said = [
                e["delta"]
                for e in events
                if e.get("item_id") == item["id"] and e["type"].endswith("text.delta")
            ]
            assert "".join(said) == "".join(part["text"] for part in item["content"])


def read_sse(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream, whose every frame must be exactly ``event: T\\ndata: {…}\\n\\n``."""
    frames = body.split(b"\n\n")
    assert frames.pop() == b""
    events = []
    for frame in frames:
        first, second = frame.split(b"\n")
        event = json.loads(second.removeprefix(b"data: "))
        assert first == b"event: " + event["type"].encode()
        events.append(event)
    return events
