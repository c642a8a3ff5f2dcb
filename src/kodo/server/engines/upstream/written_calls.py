"""Calls as models write them: the text that a server without a tool parser sends in place of ``tool_calls``.

A block is one or more calls of one form and nothing else. It is read only where every name in it is one of an offered tool
and every call has an object of arguments; anything else is not a block of calls, and stays text.

Knows text and schemas; knows nothing of streams. Sources: the chat templates of the models named at the readers, and the
tool parsers of vLLM and SGLang for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kodo.server.engines.upstream.names import nearest_name
from kodo.server.wire.foreign_json import NotJson, read_json

Schemas = Mapping[str, Mapping[str, Any]]
"""The parameters of the offered functions, by name."""

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]"]', re.DOTALL)
"""What matters for the end of an object: strings, brackets, and a string that is not closed."""
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "none": None, "null": None}
"""Constants as models write them: JSON's, and Python's."""
_CALL_FIELDS: Final = {"name", "arguments", "parameters", "id", "type"}


class WrittenCall(NamedTuple):
    """A call. ``name``: of an offered function; ``arguments``: a JSON object."""

    name: str
    arguments: str


class _NotCalls(Exception):
    """The text is not a block of calls."""


class _Undecided(Exception):
    """The text ends before that can be said."""


class _Block:
    """A text that is read from its beginning. ``ended``: nothing follows it."""

    def __init__(self, text: str, schemas: Schemas, *, ended: bool) -> None:
        self.text = text
        self.at = 0
        self.schemas = schemas
        self.ended = ended

    def skip(self) -> _Block:
        """Pass white space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self.at >= len(self.text)

    def sees(self, mark: str) -> bool:
        """Whether a mark is next; it is passed."""
        if self.text.startswith(mark, self.at):
            self.at += len(mark)
            return True
        if mark.startswith(self.text[self.at :]):
            raise _Undecided
        return False

    def expect(self, mark: str) -> None:
        """Pass a mark."""
        if not self.sees(mark):
            raise _NotCalls

    def close(self, mark: str) -> None:
        """Pass a closing mark, which the end of the answer stands for where the model or the server left it out."""
        if not (self.ended and self.skip().done):
            self.skip().expect(mark)

    def until(self, *marks: str) -> str:
        """The text up to the first of these marks, which is passed."""
        found = [(at, mark) for mark in marks if (at := self.text.find(mark, self.at)) >= 0]
        if not found:
            raise _Undecided
        at, mark = min(found)
        text, self.at = self.text[self.at : at], at + len(mark)
        return text

    def value_until(self, mark: str, *following: str) -> str:
        """The text up to a mark behind which one of ``following`` stands: the text may hold the mark itself."""
        start = at = self.at
        while (at := self.text.find(mark, at)) >= 0:
            self.at = at + len(mark)
            self.skip()
            behind = self.text[self.at :]
            if behind.startswith(following):
                return self.text[start:at]
            if any(one.startswith(behind) for one in following):
                break  # may still become one of them
            at += 1
        raise _Undecided

    def json(self) -> Any:
        """An object or a list."""
        self.skip()
        if self.done:
            raise _Undecided
        depth = 0
        for token in _TOKEN.finditer(self.text, self.at):
            mark = token[0]
            if mark == '"':
                raise _Undecided
            if not depth and token.start() != self.at:
                raise _NotCalls
            depth += (mark in "{[") - (mark in "}]")
            if not depth:
                text, self.at = self.text[self.at : token.end()], token.end()
                try:
                    return read_json(text)
                except NotJson:
                    raise _NotCalls from None
        raise _NotCalls if self.text[self.at] not in "{[" else _Undecided

    def call(self, name: str, arguments: Any) -> WrittenCall:
        """A call of an offered function with an object."""
        title = nearest_name(name.strip(), self.schemas)
        if title is None or not isinstance(arguments, dict):
            raise _NotCalls
        return WrittenCall(title, msgspec.json.encode(arguments).decode())

    def parameter(self, function: str, name: str, text: str) -> Any:
        """The value that a text stands for, by the schema of its parameter."""
        title = nearest_name(function.strip(), self.schemas)
        properties = self.schemas[title].get("properties") if title is not None else None
        schema = properties.get(name) if isinstance(properties, dict) else None
        return _value(text, _types(schema))


def read_calls(text: str, schemas: Schemas) -> tuple[WrittenCall, ...]:
    """The calls that a whole text consists of; none if it does not consist of calls."""
    try:
        return tuple(_read(_Block(text, schemas, ended=True)))
    except (_NotCalls, _Undecided):
        return ()


def may_be_calls(text: str, schemas: Schemas) -> bool:
    """Whether a text may still become a block of calls, or is one."""
    try:
        list(_read(_Block(text, schemas, ended=False)))
    except _NotCalls:
        return False
    except _Undecided:
        return True
    return True


def _read(block: _Block) -> Iterator[WrittenCall]:
    while not block.skip().done:
        for mark, read in _READERS.items():
            if block.text.startswith(mark, block.at):
                block.at += len(mark)
                yield from read(block)
                break
        else:
            rest = block.text[block.at :]
            raise _Undecided if any(mark.startswith(rest) for mark in _READERS) else _NotCalls


# --- one reader a form: it begins behind the mark --------------------------------------------------------------------


def _tool_call(block: _Block) -> Iterator[WrittenCall]:
    """Hermes, Qwen2.5 and Qwen3 (an object), Qwen3-Coder and Qwen3.5 (``<function=…>``), GLM (a name and pairs)."""
    block.skip()
    if block.sees("{"):
        block.at -= 1
        yield _named(block, block.json())
    elif block.sees("<function="):
        yield _tagged(block, _QWEN)
    else:
        yield _paired(block)
    block.close("</tool_call>")


def _function(block: _Block) -> Iterator[WrittenCall]:
    """Qwen3-Coder without the outer mark, and Llama 3.1's ``<function=NAME>{…}</function>``."""
    yield _tagged(block, _QWEN)
    if block.text.startswith("</tool_call>", block.skip().at):
        block.expect("</tool_call>")  # its opening mark was a special token, which the server left out


def _minimax(block: _Block) -> Iterator[WrittenCall]:
    """MiniMax-M2."""
    yield from _invocations(block, _MINIMAX)
    block.close("</minimax:tool_call>")


def _dsml(end: str) -> Callable[[_Block], Iterator[WrittenCall]]:
    """DeepSeek-V3.2, and V4 under another name."""

    def read(block: _Block) -> Iterator[WrittenCall]:
        yield from _invocations(block, _DSML)
        block.close(end)

    return read


def _deepseek(block: _Block) -> Iterator[WrittenCall]:
    """DeepSeek-V3 and R1 (a fenced object), V3.1 (an object)."""
    while block.skip().sees("<｜tool▁call▁begin｜>"):
        name = block.until("<｜tool▁sep｜>")
        fenced = name.strip() == "function"
        if fenced:
            name = block.until("\n")
            block.skip().expect("```json")
        arguments = block.json()
        if fenced:
            block.skip().expect("```")
        yield block.call(name, arguments)
        block.close("<｜tool▁call▁end｜>")
        if block.ended and block.skip().done:
            return
    block.close("<｜tool▁calls▁end｜>")


def _kimi(block: _Block) -> Iterator[WrittenCall]:
    """Kimi-K2: the name stands in the id, ``functions.NAME:0``."""
    while block.skip().sees("<|tool_call_begin|>"):
        name = block.until("<|tool_call_argument_begin|>")
        yield block.call(name, block.json())
        block.close("<|tool_call_end|>")
        if block.ended and block.skip().done:
            return
    block.close("<|tool_calls_section_end|>")


def _mistral(block: _Block) -> Iterator[WrittenCall]:
    """Mistral: a list of objects, or (since tokenizer 11) a name, an id perhaps, and an object."""
    if block.skip().sees("["):
        block.at -= 1
        calls = block.json()
        if not calls:
            raise _NotCalls
        for value in calls:
            yield _named(block, value)
        return
    start = block.at
    block.at = block.text.find("{", start)
    if block.at < 0:
        raise _Undecided if len(block.text) - start < 128 else _NotCalls
    name = block.text[start : block.at].partition("[CALL_ID]")[0].partition("[ARGS]")[0]
    yield block.call(name, block.json())


def _llama(block: _Block) -> Iterator[WrittenCall]:
    """Llama 3: objects, with semicolons between them."""
    yield _named(block, block.json())
    while not block.skip().done and block.sees(";"):
        yield _named(block, block.json())


def _bare(block: _Block) -> Iterator[WrittenCall]:
    """Llama 3 without its mark, a special token, which the server left out: here both fields must be there."""
    block.at -= 1
    value = block.json()
    if not (isinstance(value, dict) and {"arguments", "parameters"} & value.keys()):
        raise _NotCalls
    yield _named(block, value)
    if not block.skip().done:
        block.expect(";")


_READERS: Final[Mapping[str, Callable[[_Block], Iterator[WrittenCall]]]] = {
    "<tool_call>": _tool_call,
    "<function=": _function,
    "<minimax:tool_call>": _minimax,
    "[TOOL_CALLS]": _mistral,
    "<|python_tag|>": _llama,
    "<｜tool▁calls▁begin｜>": _deepseek,
    "<｜DSML｜function_calls>": _dsml("</｜DSML｜function_calls>"),
    "<｜DSML｜tool_calls>": _dsml("</｜DSML｜tool_calls>"),
    "<|tool_calls_section_begin|>": _kimi,
    "{": _bare,
}
MARKS: Final = tuple(mark for mark in _READERS if mark != "{")
"""What begins a block. An object begins one only where it is the whole answer."""
WORD_MARKS: Final = ("<tool_call>", "<function=", "<minimax:tool_call>")
"""Those that are no control tokens of their models: somebody who writes about calls may write them in a sentence."""


# --- parts of the forms ----------------------------------------------------------------------------------------------


class _Tags(NamedTuple):
    """A call as marks around a name and around each parameter; a name ends at ``>`` or at a quote before it."""

    call: str
    call_end: str
    parameter: str
    parameter_end: str


_QWEN: Final = _Tags("<function=", "</function>", "<parameter=", "</parameter>")
_MINIMAX: Final = _Tags('<invoke name="', "</invoke>", '<parameter name="', "</parameter>")
_DSML: Final = _Tags(
    '<｜DSML｜invoke name="', "</｜DSML｜invoke>", '<｜DSML｜parameter name="', "</｜DSML｜parameter>"
)


def _invocations(block: _Block, tags: _Tags) -> Iterator[WrittenCall]:
    block.skip().expect(tags.call)
    yield _tagged(block, tags)
    while not block.skip().done and block.text.startswith(tags.call, block.at):
        block.expect(tags.call)
        yield _tagged(block, tags)


def _tagged(block: _Block, tags: _Tags) -> WrittenCall:
    """A call behind ``tags.call``."""
    name = block.until(">").partition('"')[0]
    if nearest_name(name.strip(), block.schemas) is None:
        raise _NotCalls
    if tags is _QWEN and block.text.startswith("{", block.skip().at):
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
            arguments[head] = _value(text, frozenset())
        else:
            arguments[head] = block.parameter(name, head, text)
    block.close(tags.call_end)
    return block.call(name, arguments)


def _paired(block: _Block) -> WrittenCall:
    """GLM-4.5 to 4.7: a name, and ``<arg_key>…</arg_key><arg_value>…</arg_value>`` for each argument."""
    head = re.compile(r"[\w.-]{1,128}").match(block.text, block.at)
    if head is None:
        raise _NotCalls
    block.at = head.end()
    arguments = {}
    if block.done or nearest_name(head[0], block.schemas) is None:
        raise _Undecided if block.done else _NotCalls
    while not block.skip().done and block.sees("<arg_key>"):
        key = block.until("</arg_key>").strip()
        block.skip().expect("<arg_value>")
        text = block.value_until("</arg_value>", "<arg_key>", "</tool_call>")
        arguments[key] = block.parameter(head[0], key, text)
    return block.call(head[0], arguments)


def _named(block: _Block, value: Any) -> WrittenCall:
    """``{"name": …, "arguments": {…}}``; Llama has ``parameters``, and some models write the object as a text."""
    if not isinstance(value, dict) or not value.keys() <= _CALL_FIELDS:
        raise _NotCalls
    name = value.get("name")
    arguments = value.get("arguments", value.get("parameters")) or {}
    if isinstance(arguments, str):
        try:
            arguments = read_json(arguments)
        except NotJson:
            raise _NotCalls from None
    if not isinstance(name, str):
        raise _NotCalls
    return block.call(name, arguments)


def _types(schema: Any) -> frozenset[str]:
    """The types that a schema allows, as far as it names them itself."""
    if not isinstance(schema, dict):
        return frozenset()
    given = schema.get("type")
    if isinstance(given, str):
        return frozenset({given})
    if isinstance(given, list):
        return frozenset(one for one in given if isinstance(one, str))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list):
        return frozenset().union(*(_types(one) for one in choices))
    values = schema.get("enum")
    words = isinstance(values, list) and all(isinstance(one, str) for one in values)
    return frozenset({"string"} if words else ())


def _value(text: str, types: frozenset[str]) -> Any:
    """A text as a value of one of these types; as it is, where it is none. No types: as JSON, if it is JSON."""
    if "string" in types:
        return None if "null" in types and text.strip() == "null" else text
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return read_json(text)
    except NotJson:
        return text
