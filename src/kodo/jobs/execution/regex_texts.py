"""Texts that match the regular expressions a function stands on, made from their parsed form. Reads source only.

Digits and letters are now and then those of other scripts, which ``\\d`` and ``\\w`` match as well, and so are letters
that a pattern without regard to case takes for its own.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.target import TargetModule

_SAMPLES, _MAX_PATTERNS, _MAX_LENGTH = 120, 24, 300
_FOREIGN = 0.3  # of the texts, those with characters of other scripts, and of their characters those
_CATEGORIES = {
    "CATEGORY_DIGIT": ("1", "0", "9", "42"),
    "CATEGORY_WORD": ("a", "b", "X", "1", "_"),
    "CATEGORY_SPACE": (" ", "\t", "\n"),
    "CATEGORY_NOT_DIGIT": ("a", " ", "-"),
    "CATEGORY_NOT_WORD": (" ", "-", "."),
    "CATEGORY_NOT_SPACE": ("a", "1", "."),
}
_OTHER_SCRIPTS = {"CATEGORY_DIGIT": "\u0661", "CATEGORY_WORD": "\u00e9"}
_SAME_WITHOUT_CASE = {"s": "\u017f", "k": "\u212a", "i": "\u0131", "S": "\u017f", "K": "\u212a"}
_CHARACTERS = "a1 .-_Z/x,;:\n"
_LOOKS_LIKE_ONE = re.compile(r"\\[swdbSWD]|\(\?|\[\^|\.\*|\.\+")


class _Parser(Protocol):
    """What is used of the standard library's own parser of regular expressions, which has no public name."""

    def parse(self, pattern: str, flags: int = 0) -> Any: ...


@lru_cache(maxsize=512)
def regex_texts(module: TargetModule, function: Function) -> tuple[str, ...]:
    """Texts that the patterns in a function, in its class's attributes and in the constants it names match."""
    rng = random.Random(0)  # noqa: S311 - test inputs
    out: list[str] = []
    patterns = list(dict.fromkeys(_patterns(module, function)))[:_MAX_PATTERNS]
    for pattern, flags in patterns:
        made = matching(pattern, flags, rng, _SAMPLES // len(patterns))
        out += [text for text in made if text and len(text) <= _MAX_LENGTH]
    return tuple(dict.fromkeys(out))


def matching(pattern: str, flags: int, rng: random.Random, count: int) -> list[str]:
    """At most ``count`` texts that a pattern matches; none for one that does not compile."""
    parser: _Parser = import_module("re._parser")
    try:
        parsed = parser.parse(pattern, flags)
        folds = bool(parsed.state.flags & re.IGNORECASE) and not parsed.state.flags & re.ASCII
        made = [_Maker(rng, folds=folds).text(parsed) for _ in range(count)]
    except (re.error, RecursionError, OverflowError, ValueError):
        return []
    return list(dict.fromkeys(made))


class _Maker:
    """Makes one text of a parsed pattern."""

    def __init__(self, rng: random.Random, *, folds: bool) -> None:
        self._rng = rng
        self._folds = folds
        self._is_foreign = rng.random() < _FOREIGN
        self._groups: dict[int, str] = {}

    def text(self, parsed: Any) -> str:
        """A text for a sequence of operations."""
        return "".join(self._one(str(operation), value) for operation, value in parsed)

    def _one(self, operation: str, value: Any) -> str:
        match operation:
            case "LITERAL":
                return self._literal(chr(value))
            case "NOT_LITERAL":
                return "a" if value != ord("a") else "b"
            case "ANY":
                return self._rng.choice("ab 1")
            case "IN":
                return self._of_set(value)
            case "BRANCH":
                return self.text(self._rng.choice(value[1]))
            case "SUBPATTERN":
                text = self.text(value[3])
                self._groups[value[0] or 0] = text
                return text
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = value
                count = self._rng.randint(least, max(least, min(int(most), least + 2)))
                return "".join(self.text(inner) for _ in range(min(count, 40)))
            case "GROUPREF":
                return self._groups.get(value, "")
            case "ATOMIC_GROUP":
                return self.text(value)
        return ""  # a place, or a look to the side

    def _literal(self, char: str) -> str:
        """A letter, or one of another script that is the same to the pattern."""
        if self._folds and self._is_foreign and self._rng.random() < _FOREIGN:
            return _SAME_WITHOUT_CASE.get(char, char)
        return char

    def _of_set(self, items: Any) -> str:
        rows = [(str(operation), value) for operation, value in items]
        if rows and rows[0][0] == "NEGATE":
            return next((one for one in _CHARACTERS if not any(_holds(row, one) for row in rows[1:])), "a")
        operation, value = self._rng.choice(rows)
        if operation == "LITERAL":
            return chr(value)
        if operation == "RANGE":
            return chr(self._rng.choice((value[0], value[1], self._rng.randint(*value))))
        kind = str(value)
        if self._is_foreign and kind in _OTHER_SCRIPTS and self._rng.random() < _FOREIGN:
            return _OTHER_SCRIPTS[kind]
        return self._rng.choice(_CATEGORIES.get(kind, ("a",)))


def _holds(row: tuple[str, Any], char: str) -> bool:
    operation, value = row
    if operation == "LITERAL":
        return bool(chr(value) == char)
    if operation == "RANGE":
        return bool(value[0] <= ord(char) <= value[1])
    return char in _CATEGORIES.get(str(value), ())


def _patterns(module: TargetModule, function: Function) -> Iterator[tuple[str, int]]:
    """Pattern and flags of what a function uses: calls of ``re``, and texts of its class that look like patterns."""
    named = dict(_assigned(module.tree))
    owner = next(
        (one for one in module.tree.body if isinstance(one, ast.ClassDef) and one.name == function.owner),
        None,
    )
    own = dict(_assigned(owner)) if owner is not None else {}
    used = {node.id for node in ast.walk(function.node) if isinstance(node, ast.Name)}
    bodies: list[ast.AST] = [function.node, *own.values(), *(named[name] for name in used & named.keys())]
    for body in bodies:
        for node in ast.walk(body):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).startswith(("re.", "regex."))
                and node.args
            ):
                pattern = _text(node.args[0], {**named, **own})
                if pattern:
                    yield pattern, _flags(node)
    for value in own.values():
        for node in ast.walk(value):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and _LOOKS_LIKE_ONE.search(node.value)
            ):
                yield node.value, re.MULTILINE | (re.VERBOSE if "\n" in node.value else 0)


def _assigned(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value


def _text(node: ast.expr, named: Mapping[str, ast.expr], depth: int = 0) -> str:
    """The text that an expression of literals, names of such, and sums of both has; "" for another."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = _text(left, named, depth), _text(right, named, depth)
            return "".join(parts) if all(parts) else ""
        case ast.Name(id=name) if name in named and depth < 3:
            return _text(named[name], named, depth + 1)
    return ""


def _flags(node: ast.Call) -> int:
    given = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "flags")]
    names = {one.attr for value in given for one in ast.walk(value) if isinstance(one, ast.Attribute)}
    out = 0
    for name in names & {"VERBOSE", "X", "IGNORECASE", "I", "MULTILINE", "M", "DOTALL", "S", "ASCII", "A"}:
        out |= int(getattr(re, name))
    return out
