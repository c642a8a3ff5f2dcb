"""Calls that models write as JSON, between marks of their own or without any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from kodo.server.engines.upstream.call_block import (
    CallBlock,
    NotCalls,
    Reader,
    Undecided,
    WrittenCall,
    json_value,
)

_CALL_FIELDS: Final = {"name", "arguments", "parameters", "args", "id", "type", "tool_name", "tool_call_id"}
_KEY: Final = re.compile(r"(^|[{,])\s*([\w.-]+)\s*:")
"""A key without quotes, in a piece of an object that has no strings."""


def calls_between(begin: str, read: Reader, end: str, section_end: str) -> Reader:
    """A section of calls: each stands between ``begin`` and ``end``, and ``section_end`` follows the last."""

    def section(block: CallBlock) -> Iterator[WrittenCall]:
        while block.skip().sees(begin):
            yield from read(block)
            block.close(end)
            if block.ended and block.skip().done:
                return
        block.close(section_end)

    return section


def deepseek_call(block: CallBlock) -> Iterator[WrittenCall]:
    """One call of DeepSeek-V3 and R1 (a fenced object), or V3.1 (an object)."""
    name = block.until("<｜tool▁sep｜>")
    fenced = name.strip() == "function"
    if fenced:
        name = block.until("\n")
        block.skip().expect("```json")
    arguments = block.json()
    if fenced:
        block.skip().expect("```")
    yield block.call(name, arguments)


def kimi_call(block: CallBlock) -> Iterator[WrittenCall]:
    """One call of Kimi-K2: the name stands in the id, ``functions.NAME:0``."""
    name = block.until("<|tool_call_argument_begin|>")
    yield block.call(name, block.json())


def mistral_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """Mistral: a list of objects, or (since tokenizer 11) a name, an id perhaps, and an object."""
    if block.skip().starts("["):
        yield from listed_calls(block)
        return
    start = block.at
    block.at = block.text.find("{", start)
    if block.at < 0:
        raise Undecided if len(block.text) - start < 128 else NotCalls
    name = block.text[start : block.at].partition("[CALL_ID]")[0].partition("[ARGS]")[0]
    yield block.call(name, block.json())


def json_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """An object, or a list of objects."""
    if block.skip().starts("["):
        yield from listed_calls(block)
    else:
        yield named_call(block, block.json())


def calls_before(*ends: str, begin: str = "") -> Reader:
    """The mark ``begin``, what :func:`json_calls` reads, and the marks ``ends``, which some models leave out."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        block.skip().expect(begin)
        yield from json_calls(block)
        for end in ends:
            block.close(end)

    return read


def apertus_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """Apertus: a list of objects with one key each, the name."""
    values = block.json()
    if not isinstance(values, list) or not values:
        raise NotCalls
    for value in values:
        if not isinstance(value, dict) or len(value) != 1:
            raise NotCalls
        ((name, arguments),) = value.items()
        yield block.call(name, arguments)
    block.close("<|tools_suffix|>")


def inkling_message(block: CallBlock) -> Iterator[WrittenCall]:
    """Inkling: the header of a call's message, and :func:`inkling_calls`."""
    block.name()
    block.skip().expect("<|content_invoke_tool_json|>")
    yield from inkling_calls(block)


def inkling_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """Inkling: an object, and what ends a message."""
    yield named_call(block, block.json())
    for mark in ("<|end_message|>", "<|content_model_end_sampling|>"):
        if not block.skip().done:
            block.sees(mark)


def listed_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """A list of objects."""
    values = block.json()
    if not isinstance(values, list) or not values:
        raise NotCalls
    for value in values:
        yield named_call(block, value)


def gemma_call(quote: str, end: str) -> Reader:
    """Gemma 4 and FunctionGemma: ``call:NAME{key:…}``, an object with ``quote`` around strings and nothing around keys."""
    mark = re.escape(quote)
    token = re.compile(rf"{mark}(.*?){mark}|({mark})|[{{}}\[\]]", re.DOTALL)

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        block.skip().expect("call:")
        name = block.offered(block.until("{"))
        block.at -= 1
        written, at, depth = "", block.at, 0
        for found in token.finditer(block.text, at):
            if found[2] is not None:
                break  # a string that is not closed yet
            written += _KEY.sub(_quoted_key, block.text[at : found.start()])
            written += found[0] if found[1] is None else msgspec.json.encode(found[1]).decode()
            at = found.end()
            depth += (found[0] in "{[") - (found[0] in "}]")
            if not depth:
                break
        if depth:
            raise Undecided
        block.at = at
        yield block.call(name, json_value(written))
        block.close(end)

    return read


def _quoted_key(found: re.Match[str]) -> str:
    return f"{found[1]}{msgspec.json.encode(found[2]).decode()}:"


def llama_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """Llama 3: objects, with semicolons between them."""
    yield named_call(block, block.json())
    while not block.skip().done and block.sees(";"):
        yield named_call(block, block.json())


def bare_object(block: CallBlock) -> Iterator[WrittenCall]:
    """Llama 3 without its mark, a special token, which the server left out: here both fields must be there."""
    block.at -= 1
    yield _whole_call(block, block.json())
    if not block.skip().done:
        block.expect(";")


def bare_objects(block: CallBlock) -> Iterator[WrittenCall]:
    """xLAM: a list of objects without any mark."""
    for value in block.json() or [None]:
        yield _whole_call(block, value)


def _whole_call(block: CallBlock, value: Any) -> WrittenCall:
    if not (isinstance(value, dict) and {"arguments", "parameters"} & value.keys()):
        raise NotCalls
    return named_call(block, value)


def named_call(block: CallBlock, value: Any) -> WrittenCall:
    """``{"name": …, "arguments": {…}}``; Llama has ``parameters``, Inkling ``args``, Command has ``tool_name`` too, and some
    models write the object as a text."""
    if not isinstance(value, dict) or not value.keys() <= _CALL_FIELDS:
        raise NotCalls
    name = value.get("name", value.get("tool_name"))
    arguments = value.get("arguments", value.get("parameters", value.get("args"))) or {}
    if isinstance(arguments, str):
        arguments = json_value(arguments)
    if not isinstance(name, str):
        raise NotCalls
    return block.call(name, arguments)
