"""A patch with the choices that it brings decided beforehand: where that does what the code did, the patch only guards it.

A guard is a case of its own before code that stays as it was, wrong or not. A fix can be one, and a special case for the test is
one, whatever it asks for. Which of these it is, one example cannot say. Texts only; they are run in ``near_inputs``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import product

from kodo.jobs.fix.flows import Flows, touched
from kodo.jobs.fix.new_conditions import condition_nodes

_MAX_TOGETHER = 4
"""So many choices are decided in all ways together; of more, all in one way."""
_Place = tuple[object, ...]
_Node = ast.expr | ast.stmt


def decided(before: ast.Module, after: str) -> Iterator[str]:
    """The texts of the module after with its new conditions and ``try`` statements decided: one at a time, then together.

    A loop that such a condition ends is left at once.

    Raises:
        SyntaxError: the module does not parse.
    """
    tree = ast.parse(after)
    nodes: list[_Node] = [*condition_nodes(before, tree), *_new_tries(before, tree)]
    inner = {id(part) for node in nodes for part in ast.walk(node) if part is not node}
    places = list(dict.fromkeys(map(_place, nodes)))
    outer = list(dict.fromkeys(_place(node) for node in nodes if id(node) not in inner))
    loops = {_place(node.test) for node in ast.walk(tree) if isinstance(node, ast.While)}
    every = [{place: way} for place in places for way in (False, True)]
    together = (
        product((False, True), repeat=len(outer))
        if len(outer) <= _MAX_TOGETHER
        else ((way,) * len(outer) for way in (False, True))
    )
    every += [dict(zip(outer, ways, strict=True)) for ways in together]
    texts = (_Decided(ways).text(after) for ways in every if not _stays(ways, loops))
    yield from (text for text in dict.fromkeys(texts) if text != ast.unparse(tree))


def _stays(ways: Mapping[_Place, bool], loops: set[_Place]) -> bool:
    """Whether a loop would have no end."""
    return any(way and place in loops for place, way in ways.items())


def _new_tries(before: ast.Module, after: ast.Module) -> list[ast.Try]:
    """The statements that choose by an error, with handlers that the module before has not."""
    functions = touched(before, after)
    old = {ast.dump(one) for node in _tries(before, functions) for one in node.handlers}
    return [
        node for node in _tries(after, functions) if any(ast.dump(one) not in old for one in node.handlers)
    ]


def _tries(tree: ast.Module, functions: frozenset[str]) -> list[ast.Try]:
    return [node for node in Flows(tree).nodes(functions) if isinstance(node, ast.Try)]


def _place(node: _Node) -> _Place:
    """What is the same for a node each time that its text is parsed."""
    return type(node), node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


class _Decided(ast.NodeTransformer):
    """Puts True or False in the place of conditions; of a ``try``, what it tries, or what its first handler does."""

    def __init__(self, ways: Mapping[_Place, bool]) -> None:
        self.ways = ways

    def text(self, source: str) -> str:
        """A module's text with its choices decided."""
        tree = ast.parse(source)
        self.visit(tree)
        return ast.unparse(tree)

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        way = self.ways.get(_place(node)) if isinstance(node, _Node) else None
        if way is None:
            return self.generic_visit(node)
        if isinstance(node, ast.Try):
            chosen = [*node.body, *node.orelse] if way or not node.handlers else node.handlers[0].body
            return [*chosen, *node.finalbody]
        return ast.Constant(way)
