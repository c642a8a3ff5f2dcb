"""Calls that models write as tags around a name and around each argument.

The models differ in their marks, which a table holds; what stands between them is read by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kodo.server.engines.upstream.call_block import (
    CallBlock,
    Reader,
    WrittenCall,
    value_of,
)
from kodo.server.engines.upstream.calls_in_json import json_calls

_TYPE: Final = re.compile(r'\b(string|type)="(\w*)"')
"""How a tag says what its value is: ``string="true"`` (DSML) or ``type="string"`` (Kimi-K3)."""


class Tags(NamedTuple):
    """The marks of one form. An argument is ``parameter KEY key_end VALUE parameter_end``."""

    call: str
    name_end: str
    """Behind the name, or the attributes of its tag; empty: the name ends where it ends."""
    call_end: str
    parameter: str
    key_end: str
    parameter_end: str
    value: str = ""
    """In front of the value, where that has a tag of its own."""
    separator: str = ""
    """Behind a name without an end, which models leave out at times."""
    json: tuple[str, str] | None = None
    """Around all arguments at once, as an object."""


def _invokes(prefix: str, space: str = "") -> Tags:
    """``<invoke name="…"><parameter name="…">``, each with a prefix."""
    return Tags(
        f'<{prefix}{space}invoke name="',
        ">",
        f"</{prefix}{space}invoke>",
        f'<{prefix}{space}parameter name="',
        ">",
        f"</{prefix}{space}parameter>",
    )


def _pairs(prefix: str = "", suffix: str = "", *, separator: str = "") -> Tags:
    """GLM's name and ``<arg_key>…</arg_key><arg_value>…</arg_value>`` for each argument."""
    key, value = f"{prefix}arg_key{suffix}>", f"{prefix}arg_value{suffix}>"
    call = f"{prefix}tool_call{suffix}>"
    return Tags(
        f"<{call}",
        "",
        f"</{call}",
        f"<{key}",
        f"</{key}",
        f"</{value}",
        value=f"<{value}",
        separator=separator,
    )


QWEN: Final = Tags("<function=", ">", "</function>", "<parameter=", ">", "</parameter>")
MINICPM: Final = Tags('<function name="', ">", "</function>", '<param name="', ">", "</param>")
MINIMAX: Final = _invokes("")
STEP: Final = _invokes("steptml:")
DSML: Final = _invokes("｜DSML｜")
DSML_SPACED: Final = _invokes("｜DSML｜", " ")
GCML: Final = _invokes("｜GCML｜")
GLM: Final = _pairs()
LONGCAT: Final = _pairs("longcat_")
K2_HORIZON: Final = _pairs("ifm|")
HY3: Final = _pairs(separator="<tool_sep>")
HY3_OPEN: Final = _pairs("", ":opensource", separator="<tool_sep:opensource>")
SOLAR: Final = Tags(
    "<|tool_call:start|>",
    "",
    "<|tool_call:end|>",
    "<|tool_arg:start|>",
    "<|tool_arg:value|>",
    "<|tool_arg:end|>",
)
KIMI_K3: Final = Tags(
    '<|open|>call tool="',
    "<|sep|>",
    "<|close|>call<|sep|>",
    '<|open|>argument key="',
    "<|sep|>",
    "<|close|>argument<|sep|>",
    json=('<|open|>json type="object"<|sep|>', "<|close|>json<|sep|>"),
)


def tool_call(block: CallBlock) -> Iterator[WrittenCall]:
    """Hermes, Qwen2.5, Qwen3, Ernie 4.5 and Granite 4 (an object), Granite 3 (a list of them), Qwen3-Coder, Qwen3.5, Qwen3.6,
    Nemotron 3, Step-3.5 and MiMo (``<function=…>``), GLM, Ling 3 and Laguna (a name and pairs)."""
    if block.skip().sees(QWEN.call):
        yield _tagged(block, QWEN)
        block.close("</tool_call>")
    else:
        yield from one_call(GLM)(block)


def function(block: CallBlock) -> Iterator[WrittenCall]:
    """Qwen3-Coder without the outer mark, and Llama 3.1's ``<function=NAME>{…}</function>``."""
    yield _tagged(block, QWEN)
    if block.text.startswith("</tool_call>", block.skip().at):
        block.expect("</tool_call>")  # its opening mark was a special token, which the server left out


def one_call(tags: Tags) -> Reader:
    """A call, behind the mark that begins it: by its tags, or in JSON between the same marks."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        if block.skip().starts("{") or block.starts("["):
            yield from json_calls(block)
            block.close(tags.call_end)
        else:
            yield _tagged(block, tags)

    return read


def tagged_calls(tags: Tags, *ends: str) -> Reader:
    """Calls one after the other, up to the mark ``ends[0]``; the others may follow."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        call = one_call(tags)
        block.skip().expect(tags.call)
        yield from call(block)
        while not block.skip().done and block.sees(tags.call):
            yield from call(block)
        block.close(ends[0])
        for mark in ends[1:]:
            if not block.skip().done:
                block.sees(mark)

    return read


def tool_calls(tags: Tags, other: Reader, end: str) -> Reader:
    """A section of calls by tags (Hy3), or whatever ``other`` reads between the same marks."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        yield from (tagged_calls(tags, end) if block.skip().starts(tags.call) else other)(block)

    return read


def step_call(block: CallBlock) -> Iterator[WrittenCall]:
    """One call of Step-3."""
    block.skip().expect("function")
    block.skip().expect("<｜tool_sep｜>")
    block.skip().expect(STEP.call)
    yield _tagged(block, STEP)


def _tagged(block: CallBlock, tags: Tags) -> WrittenCall:
    """A call behind ``tags.call``."""
    name = _name(block, tags)
    if block.skip().text.startswith("{", block.at):
        arguments = block.json()
    elif tags.json is not None and block.text.startswith(tags.json[0], block.at):
        block.expect(tags.json[0])
        arguments = block.json()
        block.close(tags.json[1])
    else:
        arguments = dict(_arguments(block, tags, name))
    block.close(tags.call_end)
    return block.call(name, arguments)


def _name(block: CallBlock, tags: Tags) -> str:
    if tags.name_end:
        return block.offered(_attribute(block.until(tags.name_end))[0])
    name = block.name()
    if tags.separator and not block.skip().done:
        block.sees(tags.separator)
    return name


def _arguments(block: CallBlock, tags: Tags, function: str) -> Iterator[tuple[str, Any]]:
    while not (block.ended and block.skip().done) and block.skip().sees(tags.parameter):
        key, said = _attribute(block.until(tags.key_end))
        if tags.value:
            block.skip().expect(tags.value)
        text = block.value_until(tags.parameter_end, tags.parameter, tags.call_end)
        text = text.removeprefix("\n").removesuffix("\n")
        if tags is MINICPM and text.startswith("<![CDATA["):
            text = text.removeprefix("<![CDATA[").removesuffix("]]>")
        if said is None:
            yield key, block.parameter(function, key, text)
        else:
            yield key, text if said == "string" else value_of(text, frozenset())


def _attribute(head: str) -> tuple[str, str | None]:
    """A name, or the value of a tag's first attribute, and the type that another one names."""
    name, _, others = head.strip().partition('"')
    found = _TYPE.search(others)
    said = None
    if found is not None:
        said = found[2] if found[1] == "type" else "string" if found[2] == "true" else "json"
    return name.strip().replace("&quot;", '"').replace("&amp;", "&"), said
