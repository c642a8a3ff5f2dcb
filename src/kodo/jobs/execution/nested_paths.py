"""Paths through the nested values of a call: what a function that looks something up in a tree is asked for.

A path of random words leads nowhere. One that leads somewhere follows the keys of the dicts and the places of the lists that stand in the call.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from kodo.jobs.execution.model import Arg
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

Keys = tuple[object, ...]
_TAKEN, _WRONG = 0.5, 0.15
"""Of the random calls with a nested value, those that are given a path through it; and of these, those with one that ends beside it."""
_DEEPEST, _MAX_PATHS = 4, 24
_SEPARATORS = (".", "/", ".", "/", ":", "->")


def with_path(args: Sequence[Arg], setup: Iterable[str], rng: random.Random) -> list[Arg]:
    """The arguments, now and then with a path through a nested value of the call in the place of a text, a list or a tuple."""
    out = list(args)
    if rng.random() > _TAKEN:
        return out
    nested = [(at, path) for at, one in enumerate(out) for path in _paths_in(one.source)]
    nested += [(-1, path) for line in setup for path in _paths_in(line)]
    if not nested:
        return out
    holder, path = rng.choice(nested)
    places = [
        at
        for at, one in enumerate(out)
        if at != holder and one.source[:1] in "'[(" and not one.source.startswith("[{")
    ]
    if places:
        at = rng.choice(places)
        if rng.random() < _WRONG:
            path = (*path[:-1], rng.choice(("missing", 99, *path)))
        out[at] = Arg(out[at].name, _written(path, out[at].source[0], rng))
    return out


def _written(path: Keys, form: str, rng: random.Random) -> str:
    """A path as a value that begins as another one does: a list of keys, a tuple of them, or a text with signs between them."""
    if form == "[":
        return repr(list(path))
    if form == "(":
        return repr(tuple(path))
    separator = rng.choice(_SEPARATORS)
    text = separator.join(map(str, path))
    return repr(separator + text if separator == "/" and rng.random() < 1 / 2 else text)


def _literals(source: str) -> list[object]:
    """The outermost dicts and lists that stand in a source."""
    try:
        left: list[ast.AST] = [ast.parse(source)]
    except (SyntaxError, ValueError, RecursionError):
        return []
    out: list[object] = []
    while left:
        node = left.pop()
        if isinstance(node, ast.Dict | ast.List):
            try:
                out.append(literal_value(node))
            except NoLiteral:
                left += ast.iter_child_nodes(node)
        else:
            left += ast.iter_child_nodes(node)
    return out


@lru_cache(maxsize=2048)
def _paths_in(source: str) -> tuple[Keys, ...]:
    """The paths through the nested values that stand in a source."""
    if "{" not in source and source.count("[") <= 1:
        return ()
    found = (one for one in _literals(source) if isinstance(one, dict) or _holds_others(one))
    return tuple(path for one in found for path in _paths(one))[:_MAX_PATHS]


def _holds_others(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict | list) for one in value)


def _paths(value: object, before: Keys = ()) -> Iterator[Keys]:
    """The ways from a value to each that it holds, at most four keys long."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*before, key)
        if len(before) + 1 < _DEEPEST:
            yield from _paths(inner, (*before, key))
