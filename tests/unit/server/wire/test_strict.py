"""Every body of the API refuses fields that it does not know, on every level; items let foreign marks pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from kodo.server.http.endpoints import ENDPOINTS
from kodo.server.http.realtime.session_config import ResponseOptions, SessionConfig
from kodo.server.wire import anthropic
from kodo.server.wire.containers import AutoContainer, ContainerReference, NetworkPolicy
from kodo.server.wire.items import InputItem, Part
from kodo.server.wire.tools import LocalEnvironment, RequestTool, RequestToolChoice

LENIENT = {
    NetworkPolicy: "a container's policy is refused as a whole unless it is the one there is",
    **{
        kind: "Anthropic's clients send fields of newer versions; those without effect are named in a header"
        for kind in vars(anthropic).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    },
}
"""Types that take unknown fields, and why."""


def structs(kind: Any, seen: set[Any]) -> Iterator[type[msgspec.Struct]]:
    """The Structs that a type is made of, each once, without items and their parts."""
    if kind in seen:
        return
    seen.add(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from structs(field.type, seen)
    for inner in get_args(kind):
        if not isinstance(inner, (str, msgspec.Meta)):
            yield from structs(inner, seen)


def bodies() -> list[type[msgspec.Struct]]:
    """The types of all that clients send, but for items."""
    seen: set[Any] = {*get_args(InputItem), *get_args(Part)}
    roots = [endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None]
    own = [RequestTool, RequestToolChoice, AutoContainer, ContainerReference, LocalEnvironment]
    return [found for kind in (*roots, *own, SessionConfig, ResponseOptions) for found in structs(kind, seen)]


@pytest.mark.parametrize("kind", bodies(), ids=lambda kind: kind.__name__)
def test_a_body_names_what_it_does_not_know(kind: type[msgspec.Struct]) -> None:
    """A misspelled field would have no effect, and nobody would see it."""
    assert kind.__struct_config__.forbid_unknown_fields is (kind not in LENIENT)


def test_the_types_are_found() -> None:
    """The walk reaches tools inside of tools and choices."""
    names = {kind.__name__ for kind in bodies()}
    assert {"FunctionTool", "McpFilter", "CodeInterpreterChoice", "LocalSkill", "StaticChunking"} <= names
    assert not {"Message", "InputText"} & names
