"""The lines that coverage.py leaves out by default: no mutant is asked where no line is counted.

As its manual has them (https://coverage.readthedocs.io/en/7.17.0/excluding.html): what is marked ``pragma: no cover``, bodies that are
``...``, and what stands under ``if TYPE_CHECKING``; a clause or a decorator takes all that it introduces with it. The overloads that
``typing.overload`` marks have such bodies.
"""

from __future__ import annotations

import ast
import re

_EXCLUDED = re.compile(
    r"#\s*(?:pragma|PRAGMA)[:\s]?\s*(?:no|NO)\s*(?:cover|COVER)"
    r"|^\s*(?:(?:(?:async )?def .*?)?[\])]+(?:\s*->.*?)?:\s*)?\.\.\.\s*(?:#|$)"
    r"|^\s*if (?:typing\.)?TYPE_CHECKING:"
)
_Marked = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def excluded_lines(source: str, tree: ast.Module) -> frozenset[int]:
    """The numbers of the lines of a module that are left out; ``tree`` is that of the source."""
    marked = {at for at, line in enumerate(source.splitlines(), 1) if _EXCLUDED.search(line)}
    out = set(marked)
    for node in ast.walk(tree):
        if (isinstance(node, ast.stmt | ast.excepthandler) and _introduced(node) & marked) or (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_overload(node)
        ):
            out.update(range(_first(node), _last(node) + 1))
    return frozenset(out)


def _introduced(node: ast.stmt | ast.excepthandler) -> set[int]:
    """The lines of a statement up to where its body begins; all of one without a body."""
    body = getattr(node, "body", None)
    end = body[0].lineno - 1 if isinstance(body, list) and body else _last(node)
    return set(range(_first(node), max(end, node.lineno) + 1))


def _first(node: ast.stmt | ast.excepthandler) -> int:
    marks = node.decorator_list if isinstance(node, _Marked) else []
    return min([node.lineno, *(one.lineno for one in marks)])


def _last(node: ast.stmt | ast.excepthandler) -> int:
    """The last line of a statement; of an ``if`` and a loop, the last of their first block."""
    body = getattr(node, "body", None)
    if isinstance(node, ast.If | ast.For | ast.While | ast.AsyncFor) and isinstance(body, list):
        return body[-1].end_lineno or node.lineno
    return node.end_lineno or node.lineno


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(getattr(one, "id", getattr(one, "attr", "")) == "overload" for one in node.decorator_list)
