"""Texts that meet the conditions a function asks of a text: what it begins with, ends with and holds. Reads source only."""

from __future__ import annotations

import ast
from functools import lru_cache
from itertools import product

_FILLERS = ("a", "a.b, c", ".".join(["word"] * 18), "x" * 100)
_MAX_PARTS, _MAX_SHAPES = 4, 48
_CHARACTERS = ("\x00", "\t", "\u0301", "\u200d", "\u3042", "\U0001f600", "\U0010ffff")
"""Single characters of different kinds: control, combining, joining, wide, beyond 16 bits, the last one."""


@lru_cache(maxsize=512)
def text_shapes(node: ast.AST) -> tuple[str, ...]:
    """Texts made of the literals that ``startswith``, ``endswith`` and ``in`` ask for, short and long, and single characters
    where ``ord`` is asked; none without these.
    """
    starts, ends, held = _asked(node, "startswith"), _asked(node, "endswith"), _held(node)
    out: list[str] = [
        start + filler + end for filler in _FILLERS for start, end in product(starts or [""], ends or [""])
    ]
    if not (starts or ends):
        out = []
    out += _CHARACTERS if any(map(_asks_ord, ast.walk(node))) else ()
    out += [f"a{one}b{other}c" for one, other in product(held, held)]
    out += [f"{start}a{one}b{end}" for one in held for start, end in product(starts or [""], ends or [""])]
    return tuple(dict.fromkeys(out))[:_MAX_SHAPES]


def _asks_ord(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ord"


def _asked(node: ast.AST, method: str) -> list[str]:
    """The literals that a method of texts is called with, those in tuples included."""
    found = [
        text.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == method
        for arg in call.args[:1]
        for text in ast.walk(arg)
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and text.value
    ]
    return list(dict.fromkeys(found))[:_MAX_PARTS]


def _held(node: ast.AST) -> list[str]:
    """The literals that are looked for in a text, or that a part of one is compared with."""
    found: list[str] = []
    for one in ast.walk(node):
        match one:
            case ast.Compare(left=ast.Constant(value=str(text)), ops=[ast.In() | ast.NotIn()]):
                found.append(text)
            case ast.Compare(left=ast.Subscript(), comparators=[ast.Constant(value=str(text))]):
                found.append(text)
            case ast.Call(
                func=ast.Attribute(attr="find" | "index" | "split" | "partition" | "rpartition" | "count"),
                args=[ast.Constant(value=str(text)), *_],
            ):
                found.append(text)
    return [text for text in dict.fromkeys(found) if text][:_MAX_PARTS]
