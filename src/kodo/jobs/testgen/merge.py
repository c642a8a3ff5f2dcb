"""Put new tests into an existing test file and leave every line of it as it was.

libcst keeps comments and layout. New imports go after the last import, new tests to the end; a name that
is taken gets a number, a test that is there word for word is left out.
"""

import ast

import libcst as cst

from kodo.jobs.testgen.model import TestgenError


def merge(existing: str, new: str) -> str:
    """The existing file with the imports and tests of ``new``, a formatted test file of ours.

    Raises:
        TestgenError: the existing file does not parse.
    """
    try:
        old = cst.parse_module(existing)
    except cst.ParserSyntaxError as error:
        raise TestgenError(f"merge: the existing test file does not parse: line {error.raw_line}") from error
    fresh = cst.parse_module(new)
    have = {_code(statement) for statement in old.body}
    imported = _imported(existing)
    added_imports = [
        item
        for item in (_missing(statement, imported) for statement in fresh.body if _is_import(statement))
        if item
    ]
    taken = {
        statement.name.value
        for statement in old.body
        if isinstance(statement, cst.FunctionDef | cst.ClassDef)
    }
    tests: list[cst.BaseStatement] = []
    for statement in fresh.body:
        if isinstance(statement, cst.FunctionDef | cst.ClassDef) and _code(statement) not in have:
            name, number = statement.name.value, 2
            while name in taken:
                name, number = f"{statement.name.value}_{number}", number + 1
            taken.add(name)
            tests.append(
                statement.with_changes(name=cst.Name(name), leading_lines=[cst.EmptyLine(indent=False)] * 2)
            )
    if not tests:
        return existing
    at = _after_imports(old)
    body = [*old.body[:at], *added_imports, *old.body[at:], *tests]
    return old.with_changes(body=body).code


def names(source: str) -> frozenset[str]:
    """The functions and classes a test file defines at its top; empty for one that does not parse."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    )


def _code(statement: cst.CSTNode) -> str:
    return cst.Module(body=[statement]).code.strip()  # type: ignore[list-item] # statements of a module are what it takes


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], cst.Import | cst.ImportFrom
    )


def _imported(source: str) -> frozenset[tuple[str, str]]:
    """(module, name) for each import at the top; name is empty for ``import module``."""
    out: set[tuple[str, str]] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            out |= {(alias.name, "") for alias in node.names if alias.asname is None}
        elif isinstance(node, ast.ImportFrom):
            out |= {(node.module or "", alias.name) for alias in node.names if alias.asname is None}
    return frozenset(out)


def _missing(statement: cst.CSTNode, have: frozenset[tuple[str, str]]) -> cst.BaseStatement | None:
    """What an import statement of ours brings that the file does not have yet."""
    (node,) = ast.parse(_code(statement)).body
    if isinstance(node, ast.Import):
        return None if (node.names[0].name, "") in have else cst.parse_statement(_code(statement))
    assert isinstance(node, ast.ImportFrom)  # noqa: S101 - the caller asked
    wanted = [alias.name for alias in node.names if (node.module or "", alias.name) not in have]
    return cst.parse_statement(f"from {node.module} import {', '.join(wanted)}") if wanted else None


def _after_imports(module: cst.Module) -> int:
    last = 0
    for at, statement in enumerate(module.body):
        is_docstring = (
            at == 0
            and isinstance(statement, cst.SimpleStatementLine)
            and isinstance(statement.body[0], cst.Expr)
        )
        if _is_import(statement) or is_docstring:
            last = at + 1
    return last
