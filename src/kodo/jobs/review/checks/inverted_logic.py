"""A function in which one thing was turned round: a comparison, a bound, a sign, `and` for `or`, two arguments.

Whether that repairs or breaks it depends on what was meant, which no analyser knows; so these are opinions, worded as
questions, and only asked where nothing else changed that would answer them: the rest of the function, its docstring,
and the change's tests.
"""

import ast
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_node
from kodo.jobs.review.checks.definition_pairs import DefinitionPair
from kodo.jobs.review.python import dotted

MAX_INVERSIONS = 2
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
    """One candidate for each part that was turned round, where at most two parts of the function differ."""
    if pair.documented:
        return
    differences = _differences(pair.old, pair.new)
    if not differences or len(differences) > MAX_INVERSIONS:
        return
    for old, new in differences:
        what = _inversion(old, new)
        if what and isinstance(new, (ast.expr, ast.stmt)) and new.lineno in pair.file.touched:
            yield report_node(pair.new_module, new, "turned-round", what, *_short(old, new))


def _short(old: ast.AST, new: ast.AST) -> tuple[str, str]:
    def text(node: ast.AST) -> str:
        words = ast.unparse(node)
        return words if len(words) <= 60 else words[:57] + "..."

    return text(old), text(new)


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
    """What was turned round, in a word or two; "" if it is something else."""
    match old, new:
        case ast.Compare(), ast.Compare() if ast.dump(old.left) == ast.dump(new.left):
            pairs = list(zip(old.ops, new.ops, strict=False))
            same = [ast.dump(node) for node in old.comparators] == [
                ast.dump(node) for node in new.comparators
            ]
            if same and any(type(two) in _OPPOSITES.get(type(one), frozenset()) for one, two in pairs):
                return "comparison"
        case ast.BoolOp(), ast.BoolOp() if type(old.op) is not type(new.op):
            return "and/or"
        case ast.UnaryOp(op=ast.Not()), ast.expr() if ast.dump(old.operand) == ast.dump(new):
            return "condition"
        case ast.expr(), ast.UnaryOp(op=ast.Not()) if ast.dump(old) == ast.dump(new.operand):
            return "condition"
        case ast.BinOp(), ast.BinOp() if type(old.op) is not type(new.op):
            same = ast.dump(old.left) == ast.dump(new.left) and ast.dump(old.right) == ast.dump(new.right)
            return "sign" if same else ""
        case ast.expr(), ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)) if ast.dump(
            old
        ) == ast.dump(new.left):
            return "bound"
        case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)), ast.expr() if ast.dump(
            old.left
        ) == ast.dump(new):
            return "bound"
        case ast.Constant(value=bool() as one), ast.Constant(value=bool() as two) if one is not two:
            return "truth value"
        case ast.Call(), ast.Call() if len(old.args) == len(new.args) > 1:
            was, now = [ast.dump(node) for node in old.args], [ast.dump(node) for node in new.args]
            exchanged = ast.dump(old.func) == ast.dump(new.func) and was != now and sorted(was) == sorted(now)
            return "order of arguments" if exchanged else ""
        case ((ast.Name() | ast.Attribute()), (ast.Name() | ast.Attribute())):
            names = dotted(old) or getattr(old, "attr", ""), dotted(new) or getattr(new, "attr", "")
            last = names[0].rpartition(".")[2], names[1].rpartition(".")[2]
            return "function" if {names, names[::-1], last, last[::-1]} & _SWAPPED_NAMES else ""
    return ""


CHECKS = (inverted_logic,)
