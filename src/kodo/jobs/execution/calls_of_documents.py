"""Calls out of the code that documents show: each expression with the statements before it that it needs.

``>>> f(1)``, fenced blocks of Python and indented blocks of reStructuredText are read. What a document says an
expression gives is left aside: a call says how the package is used, and running it says what comes out. Reads text only.
"""

from __future__ import annotations

import ast
import builtins
import copy
import doctest
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kodo.jobs.execution.call_literals import with_placeholders
from kodo.jobs.execution.model import Call

Resolve = Callable[[str, str], str]
"""(module or "", name) -> the name that a call may use for it, or "" where it may not be named."""

_FENCED = re.compile(
    r"^([ \t]*)(```+|~~~+)[ \t]*([\w.{}-]*)[^\n]*\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL
)
_LANGUAGES = frozenset({"", "python", "py", "pycon", "python3", "{code-block}", "{doctest}"})
_INDENTED = re.compile(
    r"^[^\n]*::[ \t]*(?:python|pycon|py)?[ \t]*\n(?:[ \t]+:\w+:[^\n]*\n)*[ \t]*\n((?:[ \t]+\S[^\n]*\n|[ \t]*\n)+)",
    re.MULTILINE,
)
_MAX_SETUP = 8
_MAX_CALLS = 400
_MAX_SOURCE = 400


@dataclass
class _Session:
    """The statements of one document so far, and what its imports bind: name -> (module, name in it)."""

    statements: list[ast.stmt] = field(default_factory=list)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


def calls_of_documents(texts: Sequence[str], resolve: Resolve) -> tuple[Call, ...]:
    """The calls that documents show, numbered from 0 and without repeats; ``function`` is what the call names last.

    A call whose names cannot all be resolved is left out, and so is one that needs more than 8 statements before it.
    """
    out: dict[tuple[object, ...], Call] = {}
    for text in texts:
        session = _Session()
        for block in code_blocks(text):
            for call in _calls_of(block, session, resolve):
                out.setdefault((call.setup, call.expression, call.args), call)
                if len(out) >= _MAX_CALLS:
                    return tuple(out.values())
    return tuple(out.values())


def code_blocks(text: str) -> Iterator[str]:
    """The Python that a document shows, block by block in its order; what does not parse is left out."""
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:  # prompts that are no doctest
        examples = []
    shown = [(one.lineno, one.source) for one in examples]
    fenced = [found for found in _FENCED.finditer(text) if found.group(3) in _LANGUAGES]
    for found in (*fenced, *_INDENTED.finditer(text)):
        source = textwrap.dedent(found.group(found.lastindex or 0))
        if ">>>" not in source:
            shown.append((text.count("\n", 0, found.start()), source))
    for _, source in sorted(shown, key=lambda row: row[0]):
        if _parsed(source):
            yield source


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError):
        return []


def _calls_of(source: str, session: _Session, resolve: Resolve) -> Iterator[Call]:
    for statement in _parsed(source):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            session.imports |= _bound_by(statement)
            continue
        for seen in _looked_at(statement):
            call = _call(seen, session, resolve)
            if call is not None:
                yield call
        session.statements.append(statement)


def _bound_by(statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    if isinstance(statement, ast.ImportFrom):
        return {one.asname or one.name: (statement.module or "", one.name) for one in statement.names}
    whole = {one.asname: (one.name, "") for one in statement.names if one.asname}
    return whole | {
        (top := one.name.partition(".")[0]): (top, "") for one in statement.names if not one.asname
    }


def _looked_at(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement that the document is about: those with a call in them."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[*inner])):
            found = [one for one in inner if not isinstance(one, ast.Starred)]
        case ast.Expr(value=ast.expr() as value) | ast.Assign(value=ast.expr() as value):
            found = [value]
        case ast.Assert(test=ast.Compare(left=left, comparators=others)):
            found = [left, *others]
        case ast.Assert(test=test):
            found = [test]
        case _:
            found = []
    for one in found:
        nodes = list(ast.walk(one))
        if any(isinstance(node, ast.Call) for node in nodes) and not any(
            isinstance(node, ast.Yield | ast.Await | ast.NamedExpr) for node in nodes
        ):
            yield one


def _call(seen: ast.expr, session: _Session, resolve: Resolve) -> Call | None:
    before = _needed(seen, session.statements)
    if len(before) > _MAX_SETUP or len(ast.unparse(seen)) > _MAX_SOURCE:
        return None
    module = ast.Module([*copy.deepcopy(before), ast.Expr(copy.deepcopy(seen))], [])
    named = _Names(session, resolve, _own(module))
    named.visit(module)
    if named.unknown:
        return None
    *statements, last = module.body
    assert isinstance(last, ast.Expr)  # noqa: S101 - it was just written
    setup, expression, args = with_placeholders(statements, last.value)
    lines = tuple(ast.unparse(ast.fix_missing_locations(one)) for one in setup)
    return Call(
        0, _callee(seen), ast.unparse(ast.fix_missing_locations(expression)), args, lines, "", "document"
    )


def _needed(seen: ast.expr, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements before an expression that bind or use a variable it needs, in their order."""
    wanted = _read(seen)
    bound = frozenset().union(*map(_binds, statements))
    out: list[ast.stmt] = []
    for statement in reversed(statements):
        touched = _binds(statement) | (_used(statement) & bound)
        if touched & wanted:
            out.append(statement)
            wanted |= _read(statement)
            if isinstance(statement, ast.Assign | ast.FunctionDef | ast.ClassDef):
                wanted -= _binds(statement) - _read(statement)
    return out[::-1]


def _used(statement: ast.stmt) -> frozenset[str]:
    """The variable that a statement may change by calling a method of it."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return frozenset({name})
    return frozenset()


def _binds(statement: ast.stmt) -> frozenset[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({statement.name})
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return frozenset(node.id for node in nodes if isinstance(node.ctx, ast.Store))


def _read(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


def _own(module: ast.Module) -> frozenset[str]:
    """The names that the statements of a call bind themselves, parameters of functions in them included."""
    defined = (node for node in ast.walk(module) if isinstance(node, ast.stmt))
    params = (node.arg for node in ast.walk(module) if isinstance(node, ast.arg))
    return frozenset(params).union(*map(_binds, defined))


class _Names(ast.NodeTransformer):
    """Writes the names of a document as the call has them, and keeps those that it cannot have."""

    def __init__(self, session: _Session, resolve: Resolve, own: frozenset[str]) -> None:
        self._session, self._resolve, self._own = session, resolve, own
        self.unknown: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """``module.name`` is the name itself, where the call may have it."""
        if isinstance(node.value, ast.Name) and node.value.id not in self._own:
            module, inner = self._session.imports.get(node.value.id, (node.value.id, ""))
            if not inner and (found := self._resolve(module, node.attr)):
                return ast.Name(found, node.ctx)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._own or (node.id not in self._session.imports and hasattr(builtins, node.id)):
            return node
        found = self._resolve(*self._session.imports.get(node.id, ("", node.id)))
        if not found:
            self.unknown.add(node.id)
        return ast.Name(found or node.id, node.ctx)


def _callee(seen: ast.expr) -> str:
    """The last name of what an expression calls outermost: ``a.b(1).c`` is about b, ``f(1)[0]`` about f."""
    calls = (node for node in ast.walk(seen) if isinstance(node, ast.Call))
    named = (
        call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for call in calls
    )
    return next(filter(None, named), "")
