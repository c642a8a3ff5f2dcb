"""Calls that models write as Python: ``get_weather(city='Paris')``, with keyword arguments of literals.

The text is parsed, never evaluated. JSON's ``true``, ``false`` and ``null`` count as literals, because the models see
their tools described in JSON.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from kodo.server.engines.upstream.call_block import CallBlock, NotCalls, Reader, Undecided, WrittenCall

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''(?:\\.|[^\\])*?'''"
    r'|"(?!"")(?:\\.|[^"\\\n])*"'
    r"|'(?!'')(?:\\.|[^'\\\n])*'"
    r"|[()\[\]{}\"'#]",
    re.DOTALL,
)
"""What matters for the end of a call: strings, brackets, a string that is not closed, and a comment, which no call has."""
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}
_JSON_WORDS: Final = {"true": True, "false": False, "null": None}


def list_of_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """``[f(a=1), g()]``."""
    block.skip().expect("[")
    yield _call(block)
    while block.skip().sees(","):
        if block.skip().sees("]"):
            return
        yield _call(block)
    block.expect("]")


def list_before(end: str) -> Reader:
    """A list of calls, and the mark ``end``: LFM2 and LFM2.5, and Llama 4 where it writes its marks."""

    def read(block: CallBlock) -> Iterator[WrittenCall]:
        yield from list_of_calls(block)
        block.close(end)

    return read


def olmo_calls(block: CallBlock) -> Iterator[WrittenCall]:
    """Olmo 3: a call on each line."""
    yield _call(block)
    while not (block.skip().done and block.ended) and not block.sees("</function_calls>"):
        yield _call(block)


def _call(block: CallBlock) -> WrittenCall:
    start = block.skip().at
    title = block.name()
    block.skip().expect("(")
    block.at = _end_of_brackets(block.text, block.at)
    return block.call(title, _arguments(block.text[start : block.at]))


def _end_of_brackets(text: str, at: int) -> int:
    """Behind the bracket that closes the one in front of ``at``."""
    open_ = ["("]
    for token in _TOKEN.finditer(text, at):
        mark = token[0]
        if mark in "([{":
            open_.append(mark)
        elif mark in _BRACKETS:
            if open_.pop() != _BRACKETS[mark]:
                raise NotCalls
            if not open_:
                return token.end()
        elif mark == "#":
            raise NotCalls
        elif len(mark) == 1:
            break  # a string that is not closed yet
    raise Undecided


def _arguments(call: str) -> dict[str, Any]:
    """The arguments of one whole call."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of a pattern's "\d": the model's fault, which Python reads as it is meant
            node = ast.parse(call, mode="eval").body
    except (
        SyntaxError,
        ValueError,
        MemoryError,
        RecursionError,
    ):  # the last two: of what is nested too deeply
        raise NotCalls from None
    if not isinstance(node, ast.Call) or node.args:
        raise NotCalls
    arguments: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise NotCalls
        arguments[keyword.arg] = _literal(keyword.value)
    return arguments


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | None as value):
            return value
        case ast.Constant(value=float() as value) if math.isfinite(value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return -_literal(node.operand)
        case ast.Name(id=word) if word in _JSON_WORDS:
            return _JSON_WORDS[word]
        case ast.List(elts=values) | ast.Tuple(elts=values):
            return [_literal(value) for value in values]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _literal(value) for key, value in zip(keys, values, strict=True)}
        case _:
            raise NotCalls


def _key(node: ast.expr | None) -> str:
    """The key of an entry; None stands for ``**mapping``."""
    match node:
        case ast.Constant(value=str() as key):
            return key
        case _:
            raise NotCalls
