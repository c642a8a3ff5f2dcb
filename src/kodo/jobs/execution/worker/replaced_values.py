"""One value of a call replaced in all its places at once.

A key stands in what an object is made of and in what it is asked for, a value in what is put in and what is looked for: where one of
two places changes, the call only shows that they are not alike. Knows neither which values matter nor what a call does.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from kodo.jobs.execution.model import Arg, Call

_LONGEST = 2000
_OF_A_KEY = 3
"""How much more often a value is taken that is a key or stands in several places, than another one."""


def replaced_everywhere(call: Call, number: int, sources: Sequence[str], rng: random.Random) -> Call | None:
    """The call with one of ``sources`` wherever one of the numbers and texts in its arguments stood; None where it has none."""
    trees = {at: tree for at, arg in enumerate(call.args) if (tree := _tree(arg.source)) is not None}
    found = Counter(value for tree in trees.values() for node in ast.walk(tree) for value in _values(node))
    if not found or not sources:
        return None
    weights = [_OF_A_KEY if count > 1 else 1 for count in found.values()]
    (old,) = rng.choices(list(found), weights)
    new = ast.parse(rng.choice(sources), mode="eval").body
    args = list(call.args)
    for at, tree in trees.items():
        put = _Replaced(old, new)
        made = put.visit(tree)
        if put.count:
            args[at] = Arg(args[at].name, ast.unparse(made))
    return msgspec.structs.replace(call, id=number, args=tuple(args))


Scalar = tuple[type, object]
"""A number or text with its type: ``1`` and ``True`` are equal."""


def _values(node: ast.AST) -> Iterator[Scalar]:
    """The scalar that a node is; those that a dict has as keys once more."""
    match node:
        case ast.Constant(value=str() | int() | float() | bytes() as value) if not isinstance(value, bool):
            yield type(value), value
        case ast.Dict(keys=keys):
            for key in keys:
                if isinstance(key, ast.Constant):
                    yield from _values(key)


class _Replaced(ast.NodeTransformer):
    """Puts an expression in each place of a scalar, and counts these."""

    def __init__(self, old: Scalar, new: ast.expr) -> None:
        self._old, self._new = old, new
        self.count = 0

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if (type(node.value), node.value) != self._old:
            return node
        self.count += 1
        return self._new


def _tree(source: str) -> ast.Expression | None:
    try:
        return ast.parse(source, mode="eval") if len(source) <= _LONGEST else None
    except (SyntaxError, ValueError):
        return None
