"""Small changes to a module that a good suite should notice.

The same source, functions, limit and seed give the same mutants in the same order, so a mutant is known
by its number on both sides of the sandbox. Works on one module's syntax tree in memory: nothing is
written, which lets hundreds of mutants run in forks of one process (docs/decisions/mutation.md).

Operators: comparison, arithmetic, boolean and unary operators; constants; conditions; ``return``;
``break``/``continue``; a statement left out; min/max, any/all; slices; default values; handlers.
"""

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kodo.jobs.testgen.excluded_lines import excluded_lines
from kodo.jobs.testgen.model import MutantPlace

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "True": "False"}
_METHODS = {"append": "remove", "startswith": "endswith", "endswith": "startswith", "lower": "upper", "upper": "lower",
            "lstrip": "rstrip", "rstrip": "lstrip", "strip": "lstrip", "add": "discard", "update": "clear",
            "split": "rsplit", "find": "rfind", "extend": "append"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """A place and the changed tree."""

    place: MutantPlace
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class _Change:
    """Replace the node at the end of ``path`` (fields and places from the root) by ``node``; ``words`` describes it."""

    path: "_Path"
    node: ast.AST
    function: str
    line: int
    words: str


def mutants(source: str, functions: frozenset[str], limit: int, seed: int) -> Iterator[Mutant]:
    """The mutants of the named functions (qualified names); a random ``limit`` of them where there are more."""
    tree = ast.parse(source)
    excluded = excluded_lines(source, tree)
    changes = [one for one in _changes(tree, functions) if one.line not in excluded]
    if len(changes) > limit:
        chosen = sorted(random.Random(seed).sample(range(len(changes)), limit))  # noqa: S311 - a sample, not a secret
        changes = [changes[at] for at in chosen]
    for number, change in enumerate(changes):
        yield Mutant(MutantPlace(number, change.function, change.line, change.words), _apply(tree, change))


_Path = tuple[tuple[str, int | None], ...]


def _apply(tree: ast.Module, change: _Change) -> ast.Module:
    """The changed tree, of which the nodes on the way to the change alone are new: a copy of all takes as long as a test."""
    fresh = copy.copy(tree)
    here: ast.AST = fresh
    for name, index in change.path[:-1]:
        here = _replace(here, name, index, copy.copy(_child(here, name, index)))
    name, index = change.path[-1]
    new = ast.copy_location(copy.copy(change.node), _child(here, name, index))
    _replace(here, name, index, ast.fix_missing_locations(new))
    return fresh


def _child(node: ast.AST, name: str, index: int | None) -> ast.AST:
    value: Any = getattr(node, name)
    found = value if index is None else value[index]
    assert isinstance(found, ast.AST)  # noqa: S101 - a path leads through nodes
    return found


def _replace(node: ast.AST, name: str, index: int | None, new: ast.AST) -> ast.AST:
    """Put ``new`` in a place of a node that is a copy, without a change to the lists of what it was copied from."""
    if index is None:
        setattr(node, name, new)
    else:
        items = list(getattr(node, name))
        items[index] = new
        setattr(node, name, items)
    return new


def _walk(tree: ast.AST, path: _Path = ()) -> Iterator[tuple[ast.AST, ast.AST, _Path]]:
    """Every node with its parent and the way to it from the root; parents first, in source order."""
    for name, value in ast.iter_fields(tree):
        if isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield item, tree, (*path, (name, index))
                    yield from _walk(item, (*path, (name, index)))
        elif isinstance(value, ast.AST):
            yield value, tree, (*path, (name, None))
            yield from _walk(value, (*path, (name, None)))


def _changes(tree: ast.Module, functions: frozenset[str]) -> Iterator[_Change]:
    owners = _owners(tree)
    messages = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc
        for part in ast.walk(node.exc)
    }
    for node, parent, path in _walk(tree):
        name = path[-1][0]
        owner = owners.get(id(node), "")
        if (
            owner not in functions
            or name in ("annotation", "returns", "decorator_list")
            or _in_annotation(node, owners)
        ):
            continue
        if isinstance(parent, ast.Expr) and isinstance(node, ast.Constant):
            continue  # a docstring
        if id(node) in messages:
            continue  # the words of an error: a test that pins them is brittle, so none is asked for
        line = getattr(node, "lineno", getattr(parent, "lineno", 0))
        for new in _variants(node, parent):
            before, after = ast.unparse(node), ast.unparse(new)
            if before != after:
                yield _Change(path, new, owner, line, f"{_short(before)} -> {_short(after)}")


def _owners(tree: ast.Module) -> dict[int, str]:
    """id(node) -> the qualified name of the function at the top level or in a class that holds it."""
    out: dict[int, str] = {}
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for item in inner:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{node.name}.{item.name}" if isinstance(node, ast.ClassDef) else item.name
                out |= {id(part): name for part in ast.walk(item) if part is not item}
                for default in (*item.args.defaults, *item.args.kw_defaults):
                    if default is not None:
                        out |= {id(part): name for part in ast.walk(default)}
                for note in (
                    item.returns,
                    *(arg.annotation for arg in ast.walk(item) if isinstance(arg, ast.arg)),
                    *map(_cast_type, ast.walk(item)),
                    *item.decorator_list,
                ):
                    if note is not None:
                        out |= {id(part): "" for part in ast.walk(note)}
    return out


def _cast_type(node: ast.AST) -> ast.expr | None:
    """The type that a value is said to be of by ``typing.cast``, which no run reads."""
    match node:
        case ast.Call(func=ast.Name(id="cast") | ast.Attribute(attr="cast"), args=[type_, _]):
            return type_
    return None


def _in_annotation(node: ast.AST, owners: dict[int, str]) -> bool:
    return owners.get(id(node)) == ""


def _variants(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """The changes of one node."""
    if isinstance(node, ast.Constant) and isinstance(parent, ast.JoinedStr | ast.FormattedValue):
        return
    change = VARIANTS.get(type(node))
    if change is not None:
        yield from change(node)


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    if len(node.ops) == 1:
        for other in _COMPARE.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [other()], node.comparators)


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    other = _BINARY.get(type(node.op))
    if other is not None and not (isinstance(node.op, ast.Mod) and _is_text(node.left)):
        yield ast.BinOp(node.left, other(), node.right)


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    other = _BINARY.get(type(node.op))
    if other is not None:
        yield ast.AugAssign(node.target, other(), node.value)


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for at in range(len(node.values)):
        rest = [*node.values[:at], *node.values[at + 1 :]]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    negated = isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant)
    if negated or isinstance(node.op, ast.Not):
        yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    yield from (ast.Constant(one) for one in _other_constants(node.value))


def _condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[ast.AST]:
    if not isinstance(node.test, ast.Compare):
        changed = copy.copy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield changed
    if isinstance(node, ast.If):
        never = copy.copy(node)
        never.test = ast.Constant(False)
        yield never


def _return(node: ast.Return) -> Iterator[ast.AST]:
    is_none = isinstance(node.value, ast.Constant) and node.value.value is None
    if node.value is not None and not is_none:
        yield ast.Return(ast.Constant(None))


def _statement(node: ast.Expr) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Call | ast.Await):
        yield ast.Pass()


def _call(node: ast.Call) -> Iterator[ast.AST]:
    match node.func:
        case ast.Name(id=name) if name in _NAMES:
            yield ast.Call(ast.Name(_NAMES[name], ast.Load()), node.args, node.keywords)
        case ast.Attribute(value=value, attr=attr) if attr in _METHODS:
            yield ast.Call(ast.Attribute(value, _METHODS[attr], ast.Load()), node.args, node.keywords)


def _slice(node: ast.Slice) -> Iterator[ast.AST]:
    if node.lower is not None:
        yield ast.Slice(None, node.upper, node.step)
    if node.upper is not None:
        yield ast.Slice(node.lower, None, node.step)


def _loop_filter(node: ast.comprehension) -> Iterator[ast.AST]:
    if node.ifs:
        changed = copy.copy(node)
        changed.ifs = node.ifs[1:]
        yield changed


VARIANTS: dict[type[ast.AST], Callable[[Any], Iterator[ast.AST]]] = {
    ast.Compare: _compare,
    ast.BinOp: _binary,
    ast.AugAssign: _augmented,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.If: _condition,
    ast.While: _condition,
    ast.IfExp: _condition,
    ast.Return: _return,
    ast.Break: lambda node: iter([ast.Continue()]),
    ast.Continue: lambda node: iter([ast.Break()]),
    ast.Expr: _statement,
    ast.Raise: lambda node: iter([ast.Pass()]),
    ast.Call: _call,
    ast.Slice: _slice,
    ast.comprehension: _loop_filter,
}
"""Node type -> the changes of such a node."""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _other_constants(value: object) -> list[bool | int | float | str | bytes]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return [f"XX{value}XX"] if value else ["XX"]
    return [b"XX" + value] if isinstance(value, bytes) else []


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
