"""What a patch may not contain to be a proof. Pure: texts in, one line for the model or the report out.

Code that asks whether it is being tested (``runner_signs``), that chooses with values of its own (``own_values``), or that keeps the old
function beside a new one is no proof of anything.
"""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from kodo.jobs.fix.own_values import own_values
from kodo.jobs.fix.runner_signs import runner_signs
from kodo.jobs.review.pytest_settings import shadows_library

Changes = Mapping[str, tuple[str | None, str | None]]
"""Path to the text before and after."""
_PLAIN: frozenset[object] = frozenset({0, 1, 2, -1, 10, 100, None, "", " ", ",", ".", "/", "\n"})


def changed_doctests(before: str, after: str) -> list[str]:
    """The functions and classes whose doctest lacks an example that it had; "" for the module's own. One that is gone is none."""
    old, new = _examples(_parsed(before)), _examples(_parsed(after))
    return [
        name
        for name, examples in old.items()
        if name in new and any(examples.count(one) > new[name].count(one) for one in examples)
    ]


def _examples(tree: ast.Module | None) -> dict[str, list[tuple[str, str]]]:
    """The examples of each docstring, as what is run and what is expected."""
    found: dict[str, list[tuple[str, str]]] = {}
    nodes: list[tuple[str, ast.AST]] = [("", tree)] if tree is not None else []
    while nodes:
        name, node = nodes.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            try:
                examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
            except ValueError:
                examples = []
            found[name] = [(example.source, example.want) for example in examples]
        if isinstance(node, ast.Module | ast.ClassDef):
            nodes += [
                (f"{name}.{inner.name}".lstrip("."), inner)
                for inner in node.body
                if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            ]
    return found


def suspicious(changes: Changes, test: str, issue: str = "") -> list[str]:
    """Why a patch is no proof although the test passes: one line for each reason.

    Args:
        changes: path to the text before and after.
        test: the source of the frozen test.
        issue: what was said of the fault in words.
    """
    try:
        return list(_reasons(changes, test, issue))
    except RecursionError:
        return ["the patch is nested too deeply to be judged"]


def _reasons(changes: Changes, test: str, issue: str) -> Iterator[str]:
    yield from _against_choices(changes, test, issue)
    parsed = _parsed(test)
    for path, (before, after) in changes.items():
        if not path.endswith(".py") or after is None:
            continue
        old, new = _parsed(before or ""), _parsed(after)
        if new is None:
            yield f"{path}: does not parse"
            continue
        if before is None and _is_top(path) and shadows_library(path):
            yield f"{path}: would be imported in the place of a library that tests use"
        found = (*runner_signs(old, new), *_against_values(old, new, parsed), *_against_names(old, new))
        yield from (f"{path}: {why}" for why in found)


def _against_choices(changes: Changes, test: str, issue: str) -> Iterator[str]:
    """By what a change chooses with values of its own; all files together, as one may ask another."""
    paths = [path for path, (_, after) in changes.items() if path.endswith(".py") and after is not None]
    before, after, frozen = (
        "\n".join(text for text in texts if _parsed(text) is not None)
        for texts in (*([changes[path][at] or "" for path in paths] for at in (0, 1)), [test])
    )
    if own := own_values(before, after, frozen, issue):
        yield f"{', '.join(paths)}: {own}, which neither the code before nor the issue names"


def _against_values(old: ast.Module | None, new: ast.Module, test: ast.Module | None) -> Iterator[str]:
    """What a change does with the values of the test."""
    stated = _literals(test)
    if other := _changed_values(old, new) & _read_names(test):
        yield f"changes {', '.join(sorted(other))}, which the test gives or expects by its name"
    constant = _constant_functions(new) - _constant_functions(old)
    if fixed := {name for name, value in constant if value in stated}:
        yield f"always returns the test's own value ({', '.join(sorted(fixed))})"


def _against_names(old: ast.Module | None, new: ast.Module) -> Iterator[str]:
    """How a change keeps a function as it was, beside another one in its place."""
    if moved := _renamed(old, new):
        yield f"leaves {', '.join(moved)} as it was, under another name"
    if kept := _replaced(new, _defined(old)) - _replaced(old, _defined(old)):
        yield f"puts another function in the place of {', '.join(sorted(kept))} and leaves the old one"


def _is_top(path: str) -> bool:
    """Whether a file is a module, or the beginning of a package, at the top of what is imported."""
    parts = PurePosixPath(path.removeprefix("src/")).parts
    return len(parts) == 1 or (len(parts) == 2 and parts[1] == "__init__.py")


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _changed_values(old: ast.Module | None, new: ast.Module) -> set[str]:
    """The variables of a module and of its classes that have another value than before."""
    before, after = _values(old), _values(new)
    return {name for name, value in before.items() if after.get(name, value) != value}


def _values(tree: ast.Module | None) -> dict[str, str]:
    found: dict[str, str] = {}
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))] if tree else []
    for node in (one for body in bodies for one in body):
        match node:
            case ast.Assign(targets=targets, value=value):
                found |= {
                    one.id: found.get(one.id, "") + ast.dump(value)
                    for one in targets
                    if isinstance(one, ast.Name)
                }
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = ast.dump(value)
    return found


def _read_names(tree: ast.Module | None) -> set[str]:
    """The names that a test reads beside calls of others; none where it calls nothing, and so looks at a value itself."""
    functions = [
        node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    ]
    inside = [node for function in functions for node in ast.walk(function)]
    called = {id(node.func) for node in inside if isinstance(node, ast.Call)}
    if not called:
        return set()
    found = set()
    for node in inside:
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) if id(node) not in called:
                found.add(name)
    return found


def _literals(tree: ast.Module | None) -> set[object]:
    """The constants of a test that tell it from others."""
    return {value for node in (ast.walk(tree) if tree else ()) for value in _constant(node)}


def _constant(node: ast.AST) -> Iterator[object]:
    """The constant that a node is, with its sign, unless it is one that any code may have."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            value: object = -number
        case ast.Constant(value=str() | int() | float() | bytes() as constant):
            value = constant
        case _:
            return
    if value not in _PLAIN:
        yield value


def _defined(tree: ast.Module | None) -> set[str]:
    """The functions of a module and the methods of its classes (``Cart.total``)."""
    found: set[str] = set()
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {node.name, *(f"{node.name}.{one.name}" for one in methods)}
    return found


def _renamed(old: ast.Module | None, new: ast.Module) -> list[str]:
    """The functions of the old text whose whole body is that of a function with a new name, beside a new one of theirs."""
    before, after = _bodies(old), _bodies(new)
    added = {body for name, body in after.items() if name not in before}
    return sorted(name for name, body in before.items() if after.get(name, body) != body and body in added)


def _bodies(tree: ast.Module | None) -> dict[str, str]:
    """Each function's name to its parameters and body; a name that is there twice counts once."""
    return {
        node.name: ast.dump(ast.Module([*node.body], [])) + ast.dump(node.args)
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _replaced(tree: ast.Module | None, known: set[str]) -> set[str]:
    """The functions and methods that a module binds again after they were defined, by a statement of its own."""
    found: set[str] = set()
    bound: set[str] = set()
    for node in tree.body if tree is not None else ():
        names: set[str] = set()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = {name}
            case ast.Assign(targets=targets):
                names = {ast.unparse(target) for target in targets}
                found |= {name for name in names if "." in name} & known
        found |= names & bound & known
        bound |= names
    return found


def _constant_functions(tree: ast.Module | None) -> set[tuple[str, object]]:
    """The functions that do nothing but return a constant, with it."""
    found: set[tuple[str, object]] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [line for line in node.body if not isinstance(line, ast.Expr | ast.Pass)]
            if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
                found |= {(node.name, value) for value in _constant(body[0].value)}
    return found
