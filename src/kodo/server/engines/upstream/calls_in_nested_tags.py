"""Calls of MiniMax-M3: each argument is a tag of its own name, and objects and lists are tags within tags.

A prefix stands before each tag, so that no text can be taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kodo.server.engines.upstream.call_block import CallBlock, NotCalls, WrittenCall, types_of, value_of

PREFIX: Final = "]<]minimax[>["
_OPEN: Final = f"{PREFIX}<"
_MAX_DEPTH: Final = 100
"""Tags within tags."""


def minimax_m3_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """One call after the other, up to the tag that ends them."""
    invoke = f'{_OPEN}invoke name="'
    block.skip().expect(invoke)
    while True:
        name = block.offered(block.until('">'))
        yield block.call(name, _children(block, "invoke", block.schemas[name], _MAX_DEPTH))
        if (block.ended and block.skip().done) or not block.skip().sees(invoke):
            break
    block.close(f"{PREFIX}</tool_call>")


def _children(block: CallBlock, tag: str, schema: Any, depth: int) -> Any:
    """What stands between a tag and its end: a list of ``item``, else an object. ``depth``: how deep it may still go."""
    if not depth:
        raise NotCalls
    found: list[tuple[str, Any]] = []
    while not block.skip().sees(_end(tag)):
        block.expect(_OPEN)
        child = block.until(">").strip()
        found.append((child, _value(block, child, _schema_of(child, schema), depth - 1)))
    if "array" in types_of(schema) and all(name == "item" for name, _ in found):
        return [value for _, value in found]
    names = dict(found)
    if len(names) < len(found):
        raise NotCalls
    return names


def _value(block: CallBlock, tag: str, schema: Any, depth: int) -> Any:
    """The value of a tag that was opened: tags, or a text."""
    text = block.until(PREFIX)
    block.at -= len(PREFIX)
    types = types_of(schema)
    if not text.strip() and (types & {"object", "array"} or not block.starts(_end(tag))):
        return _children(block, tag, schema, depth)
    block.expect(_end(tag))
    return value_of(text, types)


def _end(tag: str) -> str:
    return f"{PREFIX}</{tag}>"


def _schema_of(child: str, schema: Any) -> Any:
    """The schema of what a tag stands for within another's."""
    if not isinstance(schema, Mapping):
        return None
    if child == "item" and "array" in types_of(schema):
        return schema.get("items")
    properties = schema.get("properties")
    return properties.get(child) if isinstance(properties, Mapping) else None
