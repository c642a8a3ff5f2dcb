"""Whether a patch chooses anew, and brings values of its own beside it: what a special case can hardly do without.

A special case has to know the test: by what it tells its call from others, or by what it gives there. A fix follows
from the code, and from what is said of it. So a patch that chooses between calls has no value but plain ones and those that
the code before or the issue names. Texts only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from kodo.jobs.fix.new_conditions import new_conditions
from kodo.jobs.fix.special_means import special_means

_CHOOSING = ast.Mod | ast.FloorDiv | ast.BitAnd | ast.BitXor | ast.RShift | ast.LShift | ast.Pow
_CHOOSING_CALLS = frozenset({"min", "max", "abs", "divmod", "pow", "bool", "get", "pop", "setdefault"})


def own_values(before: str, after: str, test: str, said: str = "") -> str:
    """What a patch chooses by, and the values that it brings; empty where it lacks one of the two.

    Args:
        before, after: the text of the modules without and with the patch.
        test: the source of the frozen test; the issue's example of it names nothing for the patch.
        said: the issue.
    """
    brought = special_means(before, after, said=said, example=test)
    if not brought:
        return ""
    asked = next(_choices(ast.parse(before), ast.parse(after)), "")
    return f"chooses by {asked[:80]}, with {', '.join(brought)[:80]}" if asked else ""


def _choices(before: ast.Module, after: ast.Module) -> Iterator[str]:
    """What decides in the module after and not in the one before; the conditions on a call come first."""
    yield from new_conditions(before, after)
    old = set(_decisions(before))
    yield from (source for source in _decisions(after) if source not in old)


def _decisions(tree: ast.Module) -> Iterator[str]:
    """What gives one value here and another one there, with a condition or without."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.If(test=part)
                | ast.IfExp(test=part)
                | ast.While(test=part)
                | ast.Match(subject=part)
                | ast.UnaryOp(op=ast.Not(), operand=part)
                | (ast.BoolOp() as part)
            ):
                yield ast.unparse(part)
            case ast.BinOp(op=op) if isinstance(op, _CHOOSING):
                yield ast.unparse(node)
            case ast.Compare(ops=ops) if any(
                not isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in ops
            ):
                yield ast.unparse(node)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _CHOOSING_CALLS:
                yield ast.unparse(node)
            case ast.Try(handlers=[_, *_]):
                yield ast.unparse(node).partition("\n")[2].strip()
