"""A function in which one thing was inverted: a comparison, a bound, a sign, ``and`` for ``or``, two arguments.

Whether that repairs or breaks it depends on what was meant, which no analyser knows; so these are opinions, worded as
questions, and only asked where nothing else changed that would answer them: the rest of the function, its docstring,
and the change's tests.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_node
from kodo.jobs.review.checks.definition_pairs import DefinitionPair
from kodo.jobs.review.excerpts import around_difference
from kodo.jobs.review.python import dotted

MAX_INVERSIONS = 2
_LONGEST = 60
"""Characters of each expression in a message."""
_OPPOSITES: dict[type[ast.AST], frozenset[type[ast.AST]]] = {
    ast.Lt: frozenset({ast.LtE, ast.Gt, ast.GtE}),
    ast.LtE: frozenset({ast.Lt, ast.GtE, ast.Gt}),
    ast.Gt: frozenset({ast.GtE, ast.Lt, ast.LtE}),
    ast.GtE: frozenset({ast.Gt, ast.LtE, ast.Lt}),
    ast.Eq: frozenset({ast.NotEq}),
    ast.NotEq: frozenset({ast.Eq}),
    ast.Is: frozenset({ast.IsNot}),
    ast.IsNot: frozenset({ast.Is}),
    ast.In: frozenset({ast.NotIn}),
    ast.NotIn: frozenset({ast.In}),
}
_SWAPPED_NAMES = frozenset({("min", "max"), ("any", "all"), ("floor", "ceil"), ("math.floor", "math.ceil"), ("append", "extend"),
                        ("startswith", "endswith"), ("lstrip", "rstrip"), ("isoformat", "strftime")})  # fmt: skip  # one set


def inverted_logic(pair: DefinitionPair) -> Iterator[Candidate]:
    """One candidate for each part that was inverted, where at most two parts of the function differ."""
    if pair.documented:
        return
    differences = _differences(pair.old, pair.new)
    if not differences or len(differences) > MAX_INVERSIONS:
        return
    for old, new in differences:
        what = _inversion(old, new)
        if what and isinstance(new, (ast.expr, ast.stmt)) and new.lineno in pair.file.touched:
            shown = around_difference(ast.unparse(old), ast.unparse(new), _LONGEST)
            yield report_node(pair.new_module, new, "turned-round", what, *shown)


def _differences(old: ast.AST, new: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    """The smallest pairs of expressions (or statements) in which two trees differ."""
    if type(old) is not type(new):
        return [(old, new)]
    if _inversion(old, new):
        return [(old, new)]
    found: list[tuple[ast.AST, ast.AST]] = []
    for name in old._fields:
        one, other = getattr(old, name, None), getattr(new, name, None)
        if isinstance(one, ast.AST) and isinstance(other, ast.AST):
            inner = _differences(one, other)
            found += (
                [(old, new)]
                if any(not isinstance(part, (ast.expr, ast.stmt)) for part, _ in inner)
                else inner
            )
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return [(old, new)]
            for left, right in zip(one, other, strict=True):
                if not isinstance(left, ast.AST):
                    found += [] if left == right else [(old, new)]
                    continue
                inner = _differences(left, right)
                found += (
                    [(old, new)]
                    if any(not isinstance(part, (ast.expr, ast.stmt)) for part, _ in inner)
                    else inner
                )
        elif one != other and name not in {"kind", "type_comment", "ctx"}:
            return [(old, new)]
    return list(dict.fromkeys(found))


def _inversion(old: ast.AST, new: ast.AST) -> str:
    """The kind of inversion between two expressions, as named in ``INVERSIONS``, or "" if it is another change."""
    return next((kind for kind, matches in INVERSIONS if matches(old, new)), "")


def _same(old: ast.AST, new: ast.AST) -> bool:
    return ast.dump(old) == ast.dump(new)


def _comparison(old: ast.AST, new: ast.AST) -> bool:
    """``a < b`` became ``a <= b``, ``is`` became ``is not``, and so on."""
    if not isinstance(old, ast.Compare) or not isinstance(new, ast.Compare) or not _same(old.left, new.left):
        return False
    if [ast.dump(node) for node in old.comparators] != [ast.dump(node) for node in new.comparators]:
        return False
    operators = zip(old.ops, new.ops, strict=False)
    return any(type(two) in _OPPOSITES.get(type(one), frozenset()) for one, two in operators)


def _and_or(old: ast.AST, new: ast.AST) -> bool:
    """``and`` became ``or``, or the reverse, between the same operands."""
    if not isinstance(old, ast.BoolOp) or not isinstance(new, ast.BoolOp) or type(old.op) is type(new.op):
        return False
    return list(map(ast.dump, old.values)) == list(map(ast.dump, new.values))


def _condition(old: ast.AST, new: ast.AST) -> bool:
    """A ``not`` was added or removed."""
    return _negates(old, new) or _negates(new, old)


def _negates(negation: ast.AST, node: ast.AST) -> bool:
    return (
        isinstance(negation, ast.UnaryOp)
        and isinstance(negation.op, ast.Not)
        and isinstance(node, ast.expr)
        and _same(negation.operand, node)
    )


def _other_operator(old: ast.AST, new: ast.AST) -> bool:
    return isinstance(old, ast.BinOp) and isinstance(new, ast.BinOp) and type(old.op) is not type(new.op)


def _sign(old: ast.AST, new: ast.AST) -> bool:
    """An arithmetic operator was exchanged between the same operands."""
    if not isinstance(old, ast.BinOp) or not isinstance(new, ast.BinOp) or not _other_operator(old, new):
        return False
    return _same(old.left, new.left) and _same(old.right, new.right)


def _bound(old: ast.AST, new: ast.AST) -> bool:
    """One was added to a value or subtracted from it, or that was undone."""
    return not _other_operator(old, new) and (_is_shifted(old, new) or _is_shifted(new, old))


def _is_shifted(node: ast.AST, shifted: ast.AST) -> bool:
    return (
        isinstance(shifted, ast.BinOp)
        and isinstance(shifted.op, (ast.Add, ast.Sub))
        and isinstance(shifted.right, ast.Constant)
        and shifted.right.value == 1
        and _same(node, shifted.left)
    )


def _truth_value(old: ast.AST, new: ast.AST) -> bool:
    """``True`` became ``False``, or the reverse."""
    if not isinstance(old, ast.Constant) or not isinstance(new, ast.Constant):
        return False
    return isinstance(old.value, bool) and isinstance(new.value, bool) and old.value is not new.value


def _argument_order(old: ast.AST, new: ast.AST) -> bool:
    """The same call with its positional arguments in another order."""
    if not isinstance(old, ast.Call) or not isinstance(new, ast.Call) or not _same(old.func, new.func):
        return False
    was, now = [ast.dump(node) for node in old.args], [ast.dump(node) for node in new.args]
    return len(was) > 1 and was != now and sorted(was) == sorted(now)


def _function(old: ast.AST, new: ast.AST) -> bool:
    """A function was exchanged for its counterpart, such as ``min`` for ``max``."""
    if not isinstance(old, (ast.Name, ast.Attribute)) or not isinstance(new, (ast.Name, ast.Attribute)):
        return False
    names = dotted(old) or getattr(old, "attr", ""), dotted(new) or getattr(new, "attr", "")
    last = names[0].rpartition(".")[2], names[1].rpartition(".")[2]
    return bool({names, names[::-1], last, last[::-1]} & _SWAPPED_NAMES)


INVERSIONS: tuple[tuple[str, Callable[[ast.AST, ast.AST], bool]], ...] = (
    ("comparison", _comparison),
    ("and/or", _and_or),
    ("condition", _condition),
    ("sign", _sign),
    ("bound", _bound),
    ("truth value", _truth_value),
    ("order of arguments", _argument_order),
    ("function", _function),
)
"""What was inverted, in the words of the message, and the test for it; the first that matches counts."""


CHECKS = (inverted_logic,)
