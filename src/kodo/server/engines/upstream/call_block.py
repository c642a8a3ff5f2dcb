"""A text that is read as calls, from its beginning: what the readers of all forms stand on.

A reader raises :class:`NotCalls` where the text cannot be a block of its form, and :class:`Undecided` where more text may
make it one. Knows schemas and values; knows no form.
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
_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,127}")
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "none": None, "null": None}
"""Constants as models write them: JSON's, and Python's."""


class WrittenCall(NamedTuple):
    """A call. ``name``: of an offered function; ``arguments``: a JSON object."""

    name: str
    arguments: str


class NotCalls(Exception):
    """The text is not a block of calls."""


class Undecided(Exception):
    """The text ends before that can be said."""


class CallBlock:
    """A text that is read from its beginning. ``ended``: nothing follows it."""

    def __init__(self, text: str, schemas: Schemas, *, ended: bool) -> None:
        self.text = text
        self.at = 0
        self.schemas = schemas
        self.ended = ended

    def skip(self) -> CallBlock:
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
            raise Undecided
        return False

    def starts(self, mark: str) -> bool:
        """Whether a mark is next; it is not passed."""
        if not self.sees(mark):
            return False
        self.at -= len(mark)
        return True

    def expect(self, mark: str) -> None:
        """Pass a mark."""
        if not self.sees(mark):
            raise NotCalls

    def close(self, mark: str) -> None:
        """Pass a closing mark, which the end of the answer stands for where the model or the server left it out."""
        if not (self.ended and self.skip().done):
            self.skip().expect(mark)

    def until(self, *marks: str) -> str:
        """The text up to the first of these marks, which is passed."""
        found = [(at, mark) for mark in marks if (at := self.text.find(mark, self.at)) >= 0]
        if not found:
            raise Undecided
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
        raise Undecided

    def json(self) -> Any:
        """An object or a list."""
        self.skip()
        if self.done:
            raise Undecided
        depth = 0
        for token in _TOKEN.finditer(self.text, self.at):
            mark = token[0]
            if mark == '"':
                raise Undecided
            if not depth and token.start() != self.at:
                raise NotCalls
            depth += (mark in "{[") - (mark in "}]")
            if not depth:
                text, self.at = self.text[self.at : token.end()], token.end()
                return json_value(text)
        raise NotCalls if self.text[self.at] not in "{[" else Undecided

    def offered(self, name: str) -> str:
        """The offered function that a name means."""
        title = nearest_name(name.strip(), self.schemas)
        if title is None:
            raise NotCalls
        return title

    def name(self) -> str:
        """The offered function whose name is next; it is passed."""
        found = _NAME.match(self.text, self.skip().at)
        if found is None:
            raise Undecided if self.done else NotCalls
        self.at = found.end()
        if self.done and not self.ended:
            raise Undecided
        return self.offered(found[0])

    def call(self, name: str, arguments: Any) -> WrittenCall:
        """A call of an offered function with an object."""
        title = self.offered(name)
        if not isinstance(arguments, dict):
            raise NotCalls
        try:
            return WrittenCall(title, msgspec.json.encode(arguments).decode())
        except UnicodeEncodeError:  # half of a character that two escapes write, which is none
            raise NotCalls from None

    def parameter(self, function: str, name: str, text: str) -> Any:
        """The value that a text stands for, by the schema of its parameter."""
        properties = self.schemas[self.offered(function)].get("properties")
        schema = properties.get(name) if isinstance(properties, dict) else None
        return value_of(text, types_of(schema))


Reader = Callable[[CallBlock], Iterator[WrittenCall]]
"""Reads a block of one form, behind the mark that begins it."""


def json_value(text: str) -> Any:
    """The value of a text that is JSON."""
    try:
        return read_json(text)
    except NotJson:
        raise NotCalls from None


def types_of(schema: Any) -> frozenset[str]:
    """The types that a schema allows, as far as it names them itself."""
    if not isinstance(schema, Mapping):
        return frozenset()
    given = schema.get("type")
    if isinstance(given, str):
        return frozenset({given})
    if isinstance(given, list):
        return frozenset(one for one in given if isinstance(one, str))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(choices, list):
        return frozenset().union(*(types_of(one) for one in choices))
    values = schema.get("enum")
    words = isinstance(values, list) and all(isinstance(one, str) for one in values)
    return frozenset({"string"} if words else ())


def value_of(text: str, types: frozenset[str]) -> Any:
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
