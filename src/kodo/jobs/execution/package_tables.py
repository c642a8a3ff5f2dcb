"""The tables of a package: rows of literals that belong together, from which arguments that fit one another can be drawn.

A code of a country and its numbers, a unit and its factor: what a function looks up stands in the package, as an item of a literal
table or as a module of data. A word of one row with a number of another is rarely found. Reads source only.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.values import Values

Row = tuple[str | int, ...]
T = TypeVar("T")
_MAX_ROWS, _MAX_WORDS, _MAX_TEXT = 80, 40, 24
_LEAST = 3
"""Items of a table, at least."""
_OF_FOLDER, _MAX_BYTES = 8, 100_000
_OPTIONAL = 0.6
OF_WORDS = frozenset({"str", "int", "any", "class"})
"""Kinds of types that a word of a table may be of, or be made into."""
_LEFT_OUT = frozenset({"tests", "test", "vendor", "_vendor", "__pycache__"})


def table_rows(module: TargetModule) -> tuple[Row, ...]:
    """The rows of the tables in a module and in its package, at most 80 and spread over all; empty where there are none."""
    own = [row for value in (one for bound in module.bound.values() for one in bound) for row in _rows(value)]
    data = [row for path in _paths(module) for row in _of_module(path)]
    half = _MAX_ROWS // 2
    return (*_spread(own, half), *_spread(data, half))


def drawn(type_: ParamType, row: Row, values: Values, depth: int = 0) -> str:
    """A value of a type, of the words of one row where they fit; of a class an instance that is made of them."""
    words: list[str] = []
    if type_.kind in ("str", "any"):
        words += [repr(one) for one in row if isinstance(one, str)]
    if type_.kind in ("int", "any"):
        words += [str(one) for one in row if isinstance(one, int)]
        words += [str(int(one)) for one in row if isinstance(one, str) and one.isascii() and one.isdigit()]
    if words:
        return values.rng.choice(words)
    known = values.classes.get(type_.text) if type_.kind == "class" else None
    if known is not None and known.kind not in ("enum", "abstract") and depth < 2:
        return f"{known.name}({', '.join(_given(known.init, row, values, depth))})"
    if type_.kind == "union":
        fitting = [one for one in type_.args if one.kind in OF_WORDS] or list(type_.args)
        return drawn(values.rng.choice(fitting), row, values, depth)
    return values.random(type_, depth)


def _given(params: Sequence[Param], row: Row, values: Values, depth: int) -> Iterator[str]:
    for one in params:
        if not one.variadic and (one.default is None or values.rng.random() < _OPTIONAL):
            source = drawn(one.type if one.default != "None" else ParamType("any"), row, values, depth + 1)
            is_positional = one.default is None and not one.keyword_only
            yield source if is_positional or one.positional_only else f"{one.name}={source}"


def _rows(value: ast.expr) -> Iterator[Row]:
    """The rows of a literal table: an item of a dict, of a list of rows, or a word alone of a list of words."""
    match value:
        case ast.Dict(keys=keys, values=items) if len(keys) >= _LEAST:
            for key, item in zip(keys, items, strict=True):
                if row := _words([*([key] if key is not None else []), item]):
                    yield row
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) if len(items) >= _LEAST:
            for item in items:
                if row := _words([item]):
                    yield row
        case ast.Call(args=[inner, *_]):  # frozenset([...]), MappingProxyType({...})
            yield from _rows(inner)


def _of_module(path: Path) -> Iterator[Row]:
    """The tables of a module of data, one without functions; one that has none as a whole."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError, RecursionError):
        return
    body = [one for one in tree.body if not isinstance(one, ast.Import | ast.ImportFrom | ast.Expr)]
    if not body or any(
        isinstance(one, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for one in body
    ):
        return
    values = [
        one.value for one in body if isinstance(one, ast.Assign | ast.AnnAssign) and one.value is not None
    ]
    rows = [row for value in values for row in _rows(value)]
    whole = _words(values)
    yield from rows or ([whole] if len(whole) >= _LEAST else [])


def _words(nodes: Sequence[ast.expr]) -> Row:
    found = (one.value for node in nodes for one in ast.walk(node) if isinstance(one, ast.Constant))
    words = [
        one
        for one in found
        if (type(one) is int and one >= 0) or (isinstance(one, str) and 0 < len(one) <= _MAX_TEXT)
    ]
    return tuple(dict.fromkeys(words))[:_MAX_WORDS]


def _paths(module: TargetModule) -> list[Path]:
    """A few modules of each folder of the package, but the one under test."""
    top = module.import_root / module.name.partition(".")[0]
    folders: dict[Path, list[Path]] = {}
    for path in sorted(top.rglob("*.py")) if top.is_dir() else ():
        if not _LEFT_OUT & set(path.parts) and path != module.path and path.stat().st_size <= _MAX_BYTES:
            folders.setdefault(path.parent, []).append(path)
    return [path for paths in folders.values() for path in _spread(paths, _OF_FOLDER)]


def _spread(items: Sequence[T], count: int) -> list[T]:
    return list(random.Random(0).sample(items, count)) if len(items) > count else list(items)  # noqa: S311 - test inputs
