"""Marks in the code of some functions of a file: which of them a piece of work ran, and which of their statements.

A trace function is called for every call of the whole program, which makes a long run three times as long. Here the
functions themselves say so: their code is exchanged for one that notes each statement before it runs. Nothing else of them
is another, neither their lines nor their names.
"""

from __future__ import annotations

import ast
import gc
import types
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

_NOTE = "<what notes a statement>"
"""Stands in the compiled code for the function that notes, which no source text can name."""
_BLOCKS = ("body", "orelse", "finalbody")


class Marks:
    """The statements that ran of the functions ``names`` of a file, since the last :meth:`clear`, once :meth:`put` was called."""

    def __init__(self, file: str, names: Collection[str]) -> None:
        self._file = file
        self._names = names
        self._seen: set[int] = set()
        self._numbers: list[str] = []

    def put(self) -> bool:
        """Exchange the code of the functions that are there now; whether there were any, and the file could be read."""
        try:
            tree = ast.parse(Path(self._file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            return False
        self._mark(tree.body, "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a text is called
            whole = compile(ast.fix_missing_locations(tree), self._file, "exec", dont_inherit=True)
        note = self._seen.add
        marked = {_key(code): code for code in _codes(_with_note(whole, note))}
        count = 0
        for function in gc.get_objects():
            if isinstance(function, types.FunctionType) and function.__code__.co_filename == self._file:
                code = marked.get(_key(function.__code__))
                if code is not None and self._is_watched(code.co_qualname):
                    function.__code__ = code
                    count += 1
        return bool(count)

    def clear(self) -> None:
        """Begin anew."""
        self._seen.clear()

    @property
    def reached(self) -> tuple[str, ...]:
        """The functions that ran, sorted."""
        return tuple(sorted({self._numbers[-number - 1] for number in self._seen if number < 0}))

    @property
    def lines(self) -> tuple[int, ...]:
        """The first lines of their statements that ran, in order."""
        return tuple(sorted(number for number in self._seen if number >= 0))

    def _is_watched(self, qualname: str) -> bool:
        return qualname.partition(".<locals>")[0] in self._names

    def _mark(self, body: Iterable[ast.AST], owner: str) -> None:
        """Put marks into the watched functions of a module, a class or a branch of these."""
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{owner}{node.name}"
                if name in self._names:
                    self._numbers.append(name)
                    _mark_function(node, -len(self._numbers))
            elif isinstance(node, ast.ClassDef):
                self._mark(node.body, f"{owner}{node.name}.")
            else:
                for block in _blocks(node):
                    self._mark(block, owner)
                self._mark(getattr(node, "handlers", ()), owner)


def _mark_function(node: ast.FunctionDef | ast.AsyncFunctionDef, number: int) -> None:
    """Mark a function's statements and those of functions in it, and the start of each by the function's number."""
    for one in list(ast.walk(node)):
        is_function = isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        for block in list(_blocks(one)):
            start = int(_has_documentation(one))
            first = block[0]
            block[start:] = [made for statement in block[start:] for made in (_noted(statement), statement)]
            if is_function:
                block.insert(start, _noted(first, number))


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements in a node."""
    for name in _BLOCKS:
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _has_documentation(node: ast.AST) -> bool:
    """Whether a node begins with its documentation, which stands first or is none."""
    body = getattr(node, "body", None)
    return (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and isinstance(body, list)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
    )


def _noted(statement: ast.stmt, number: int | None = None) -> ast.stmt:
    """The statement that notes another one's first line, or a number, at the same place."""
    value = statement.lineno if number is None else number
    call = ast.Call(ast.Constant(_NOTE), [ast.Constant(value)], [])
    made = ast.Expr(call)
    for node in ast.walk(made):
        if isinstance(node, ast.expr | ast.stmt):
            ast.copy_location(node, statement)
    return made


def _with_note(code: types.CodeType, note: Callable[[int], None]) -> types.CodeType:
    """A code object and those in it with the function that notes in its place."""

    def other(value: object) -> object:
        if isinstance(value, types.CodeType):
            return _with_note(value, note)
        return note if value == _NOTE and isinstance(value, str) else value

    return code.replace(co_consts=tuple(map(other, code.co_consts)))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code objects in a code object."""
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield value
            yield from _codes(value)


def _key(code: types.CodeType) -> tuple[object, ...]:
    """What tells the code objects of one file apart, and has to be alike where one takes the other's place."""
    return code.co_qualname, code.co_firstlineno, code.co_freevars, code.co_argcount
