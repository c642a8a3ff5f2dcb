"""The values that comparisons in some functions compare: what stood on the one side of each and what on the other.

An input that is compared with a value goes the other way where that value takes its place. To put one for the other is
known as input-to-state correspondence (Aschermann et al., "REDQUEEN", NDSS 2019). Here the operands are written down by the
functions themselves: each is handed to a function that gives it back.
"""

from __future__ import annotations

import ast
import datetime
import itertools
import uuid
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from kodo.jobs.execution.worker.literal import has_unwritten_zone

OPERAND = "<what notes an operand>"
"""Stands in the code for :meth:`Operands.note`, which no source text can name."""
_MAX_PAIRS, _MAX_A_SITE = 120, 8
_MAX_MEMBERS = 6
_LONGEST = 300
_LARGEST = 10**40
_OPEN = object()
"""In the place of an operand that is not known."""
_PLAIN = (str, bytes, int, float, bool, type(None), datetime.date, datetime.datetime, datetime.time, datetime.timedelta, uuid.UUID)  # fmt: skip
_COLLECTIONS = (list, tuple, set, frozenset)
Kind = Literal["compare", "holds", "starts", "ends", "finds"]
_METHODS: dict[str, Kind] = {
    "startswith": "starts", "removeprefix": "starts", "endswith": "ends", "removesuffix": "ends", "find": "finds",
    "rfind": "finds", "index": "finds", "partition": "finds", "rpartition": "finds", "split": "finds", "replace": "finds",
    "count": "finds", "get": "holds",
}  # fmt: skip
"""Methods that ask something of their first argument."""


class Sides(NamedTuple):
    """Sources of two values that were compared on a line. One may take the other's place in an input."""

    line: int
    one: str
    other: str


class _Site(NamedTuple):
    """A comparison: what kind it is of, its line, its operands, ``_OPEN`` for those that are noted, and which comes first."""

    kind: Kind
    line: int
    operands: Sequence[object]
    first: int = 0


class Operands:
    """The pairs that were compared since the last :meth:`clear` in the functions given to :meth:`watch`."""

    def __init__(self) -> None:
        self._sites: list[_Site] = []
        self._last: list[list[object]] = []
        self._counts: list[int] = []
        self._pairs: dict[Sides, None] = {}

    def watch(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Change a function's tree so that its operands are noted. What it does stays the same."""
        noting = _Noting(self._sites)
        function.body = [noting.visit(one) for one in function.body]
        self._last = [list(site.operands) for site in self._sites]
        self._counts = [0] * len(self._sites)

    def clear(self) -> None:
        """Begin anew."""
        self._pairs.clear()
        self._counts = [0] * len(self._sites)

    @property
    def pairs(self) -> tuple[Sides, ...]:
        """What was compared, in the order in which it was."""
        return tuple(self._pairs)

    def note(self, number: int, at: int, value: object) -> object:
        """Write down the operand ``at`` of a comparison, and give it back."""
        if self._counts[number] < _MAX_A_SITE and len(self._pairs) < _MAX_PAIRS:
            site, last = self._sites[number], self._last[number]
            if at == site.first:
                last[:] = site.operands
            last[at] = value if _is_looked_at(value) else _OPEN
            for left in range(max(0, at - 1), min(at + 1, len(last) - 1)):
                if last[left] is not _OPEN and last[left + 1] is not _OPEN:
                    self._add(number, last[left], last[left + 1])
        return value

    def _add(self, number: int, one: object, other: object) -> None:
        site = self._sites[number]
        for left, right in _alike(site.kind, one, other):
            sources = source_of(left), source_of(right)
            if sources[0] != sources[1] and all(sources):
                count = len(self._pairs)
                self._pairs[Sides(site.line, *sources)] = None
                self._counts[number] += len(self._pairs) > count


def source_of(value: object) -> str:
    """The source of a plain value; "" for any other, and for one that is long."""
    if type(value) not in _PLAIN or has_unwritten_zone(value):
        return ""
    if isinstance(value, str | bytes) and len(value) > _LONGEST:
        return ""
    if isinstance(value, int | float) and not -_LARGEST < value < _LARGEST:
        return ""  # neither an infinite number nor NaN has a literal
    return repr(value)


def _is_looked_at(value: object) -> bool:
    return type(value) in _PLAIN or type(value) in _COLLECTIONS or isinstance(value, dict)


def _alike(kind: Kind, one: object, other: object) -> Iterator[tuple[object, object]]:
    """The pairs of plain values in a comparison. Where a text asks for a part, the one that has it is made."""
    if kind == "compare":
        yield one, other
    elif kind == "holds" and not (isinstance(one, str) and isinstance(other, str)):
        yield from ((one, member) for member in _members(other))
    else:
        whole, parts = (other, one) if kind == "holds" else (one, other)
        for part in parts if isinstance(parts, tuple) else (parts,):
            if isinstance(whole, str) and isinstance(part, str):
                yield whole, part + whole if kind == "starts" else whole + part


def _members(value: object) -> list[object]:
    """Some of what is in a collection, from its start to its end."""
    is_mapping = isinstance(value, dict) and type(value).__iter__ is dict.__iter__
    if not is_mapping and type(value) not in _COLLECTIONS:
        return []
    assert isinstance(value, dict | list | tuple | set | frozenset)  # noqa: S101 - it was just asked
    every = list(itertools.islice(value, _LONGEST))
    if isinstance(value, set | frozenset):
        every.sort(key=repr)
    return every[:: max(1, -(-len(every) // _MAX_MEMBERS))]


class _Noting(ast.NodeTransformer):
    """Hand the operands of comparisons to what notes them."""

    def __init__(self, sites: list[_Site]) -> None:
        self._sites = sites

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        is_in = all(isinstance(one, ast.In | ast.NotIn) for one in node.ops)
        node.left, *node.comparators = self._noted(
            "holds" if is_in else "compare", [node.left, *node.comparators]
        )
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        kind = _METHODS.get(node.func.attr) if isinstance(node.func, ast.Attribute) else None
        if kind and node.args and not isinstance(node.args[0], ast.Starred):
            assert isinstance(node.func, ast.Attribute)  # noqa: S101 - it has a kind
            if kind == "holds":
                self._looked_up(node.func, node.args)
            else:
                node.func.value, node.args[0] = self._noted(kind, [node.func.value, node.args[0]])
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and not isinstance(
            node.slice, ast.Slice | ast.Tuple | ast.Constant
        ):
            keys = [node.slice]
            self._looked_up(node, keys)
            node.slice = keys[0]
        return node

    def visit_Match(self, node: ast.Match) -> ast.AST:
        patterns = (one for case in node.cases for one in ast.walk(case.pattern))
        values = [one.value for one in patterns if isinstance(one, ast.MatchValue)]
        self.generic_visit(node)
        for value in values[:_MAX_A_SITE]:
            if isinstance(value, ast.Constant):
                node.subject = self._noted("compare", [node.subject, value])[0]
        return node

    def _looked_up(self, node: ast.Attribute | ast.Subscript, keys: list[ast.expr]) -> None:
        """Note a mapping before its key, as they are evaluated; the pair is that of ``key in mapping``."""
        if not isinstance(keys[0], ast.Constant):
            site = len(self._sites)
            self._sites.append(_Site("holds", node.lineno, (_OPEN, _OPEN), first=1))
            node.value = _call(site, 1, node.value)
            keys[0] = _call(site, 0, keys[0])

    def _noted(self, kind: Kind, nodes: Sequence[ast.expr]) -> list[ast.expr]:
        """The operands, each but constants in a call that notes it."""
        site = len(self._sites)
        known = tuple(one.value if isinstance(one, ast.Constant) else _OPEN for one in nodes)
        self._sites.append(_Site(kind, nodes[0].lineno, known))
        return [one if known[at] is not _OPEN else _call(site, at, one) for at, one in enumerate(nodes)]


def _call(site: int, at: int, operand: ast.expr) -> ast.expr:
    made = ast.Call(ast.Constant(OPERAND), [ast.Constant(site), ast.Constant(at), operand], [])
    for node in (made, made.func, *made.args[:2]):
        ast.copy_location(node, operand)
    return made
