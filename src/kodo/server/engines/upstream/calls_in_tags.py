"""Calls that models write as tags around a name and around each argument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from kodo.server.engines.upstream.call_block import (
    CallBlock,
    NotCalls,
    Reader,
    Undecided,
    WrittenCall,
    value_of,
)
from kodo.server.engines.upstream.calls_in_json import listed_calls, named_call


class Tags(NamedTuple):
    """The tags of one form; a name ends at ``>`` or at a quote before it."""

    call: str
    call_end: str
    parameter: str
    parameter_end: str


QWEN: Final = Tags("<function=", "</function>", "<parameter=", "</parameter>")
MINIMAX: Final = Tags('<invoke name="', "</invoke>", '<parameter name="', "</parameter>")
DSML: Final = Tags(
    '<｜DSML｜invoke name="', "</｜DSML｜invoke>", '<｜DSML｜parameter name="', "</｜DSML｜parameter>"
)


def tool_call(block: CallBlock) -> Iterator[WrittenCall]:
    """Hermes, Qwen2.5, Qwen3 and Granite 4 (an object), Granite 3 (a list of them), Qwen3-Coder, Qwen3.5, Qwen3.6 and
    Nemotron 3 (``<function=…>``), GLM (a name and pairs)."""
    block.skip()
    if block.starts("{"):
        yield named_call(block, block.json())
    elif block.starts("["):
        yield from listed_calls(block)
    elif block.sees(QWEN.call):
        yield _tagged(block, QWEN)
    else:
        yield _paired(block)
    block.close("</tool_call>")


def function(block: CallBlock) -> Iterator[WrittenCall]:
    """Qwen3-Coder without the outer mark, and Llama 3.1's ``<function=NAME>{…}</function>``."""
    yield _tagged(block, QWEN)
    if block.text.startswith("</tool_call>", block.skip().at):
        block.expect("</tool_call>")  # its opening mark was a special token, which the server left out


def tagged_calls(tags: Tags, end: str) -> Reader:
    """Calls one after the other, up to the mark ``end``."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        block.skip().expect(tags.call)
        yield _tagged(block, tags)
        while not block.skip().done and block.text.startswith(tags.call, block.at):
            block.expect(tags.call)
            yield _tagged(block, tags)
        block.close(end)

    return read


def _tagged(block: CallBlock, tags: Tags) -> WrittenCall:
    """A call behind ``tags.call``."""
    name = block.offered(block.until(">").partition('"')[0])
    if tags is QWEN and block.text.startswith("{", block.skip().at):
        arguments = block.json()
        block.close(tags.call_end)
        return block.call(name, arguments)
    arguments = {}
    while block.skip().sees(tags.parameter):
        head, _, more = block.until(">").partition('"')
        text = block.value_until(tags.parameter_end, tags.parameter, tags.call_end)
        text = text.removeprefix("\n").removesuffix("\n")
        if 'string="true"' in more:
            arguments[head] = text
        elif 'string="false"' in more:
            arguments[head] = value_of(text, frozenset())
        else:
            arguments[head] = block.parameter(name, head, text)
    block.close(tags.call_end)
    return block.call(name, arguments)


def _paired(block: CallBlock) -> WrittenCall:
    """GLM-4.5 to 5: a name, and ``<arg_key>…</arg_key><arg_value>…</arg_value>`` for each argument."""
    head = re.compile(r"[\w.-]{1,128}").match(block.text, block.at)
    if head is None:
        raise NotCalls
    block.at = head.end()
    if block.done:
        raise Undecided
    name = block.offered(head[0])
    arguments = {}
    while not block.skip().done and block.sees("<arg_key>"):
        key = block.until("</arg_key>").strip()
        block.skip().expect("<arg_value>")
        text = block.value_until("</arg_value>", "<arg_key>", "</tool_call>")
        arguments[key] = block.parameter(name, key, text)
    return block.call(name, arguments)
