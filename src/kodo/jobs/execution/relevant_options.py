"""What a change asks of options: the names on its lines by which an argument may be called, and what they are compared with there.

A line ``if self.type == "xml"`` says that something is made with ``type="xml"``. Reads source only.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Collection, Iterator

from kodo.jobs.execution.target import TargetModule

_MAX_NAMES = 12
_MAX_VALUES = 6
"""Values of one name."""
_COMMON = frozenset({"self"})
_ASKING = ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn


def relevant_names(module: TargetModule, touched: Collection[int]) -> tuple[str, ...]:
    """The names on the ``touched`` lines of a module, attributes and texts that are names too, and those in the conditions that
    hold such a line. Names of functions and classes of the module are left out: no option is called so.
    """
    found = dict.fromkeys(name for node in _relevant_nodes(module, touched) for name in _names_in(node))
    own = {part for name in (*module.every_function, *module.classes) for part in name.split(".")}
    kept = (name for name in found if name not in own and not name.startswith("__") and name not in _COMMON)
    return tuple(name for name in kept if name not in vars(builtins) and not keyword.iskeyword(name))[
        :_MAX_NAMES
    ]


def compared_values(module: TargetModule, touched: Collection[int]) -> dict[str, tuple[str, ...]]:
    """The sources of the constants that names are compared with there, by name; a constant of the module's, or one that it imports
    from the project, is told by its value.
    """
    found: dict[str, dict[str, None]] = {}
    named = _named_constants(module)
    for node in _relevant_nodes(module, touched):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for operator, one, other in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operator, _ASKING):
                for side, value in ((one, other), (other, one)):
                    for name in _names_in(side) if isinstance(side, ast.Name | ast.Attribute) else ():
                        found.setdefault(name, {}).update(dict.fromkeys(_sources(value, named)))
    return {name: tuple(sources)[:_MAX_VALUES] for name, sources in found.items() if sources}


def _relevant_nodes(module: TargetModule, touched: Collection[int]) -> Iterator[ast.AST]:
    """What begins on one of the lines, and all that is in the conditions which hold one."""
    for node in ast.walk(module.tree):
        start, end = getattr(node, "lineno", None), getattr(node, "end_lineno", None)
        if start is None or end is None:
            continue
        if isinstance(node, ast.If | ast.While | ast.IfExp) and any(start <= line <= end for line in touched):
            yield from ast.walk(node.test)
        elif start in touched:
            yield node


def _names_in(node: ast.AST) -> Iterator[str]:
    """The name that a node is, or has."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
            yield name.lstrip("_")
        case ast.Constant(value=str(name)) if name.isidentifier():
            yield name


def _named_constants(module: TargetModule) -> dict[str, ast.expr]:
    """The constants that the module binds to a name, or imports by one."""
    own = {
        target.id: statement.value
        for statement in module.tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return {
        name: value
        for name, value in (module.imported_values | own).items()
        if isinstance(value, ast.Constant)
    }


def _sources(node: ast.expr, named: dict[str, ast.expr]) -> Iterator[str]:
    """The constants that an expression is, names or holds."""
    match node:
        case ast.Constant():
            yield ast.unparse(node)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in named:
            yield ast.unparse(named[name])
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            for item in items:
                yield from _sources(item, named)
