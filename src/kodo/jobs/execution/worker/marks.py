"""Marks in the code of some functions of a file: which of them a piece of work ran, and which of their statements.

A trace function is called for every call of the whole program, which makes a long run three times as long. Here the
functions themselves say so: their code is exchanged for one that notes each statement before it runs. Nothing else of them
is another, neither their lines nor their names.
"""

from __future__ import annotations

import ast
import gc
import os
import types
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from kodo.jobs.execution.worker.operands import OPERAND, Operands, Sides

_NOTE = "<what notes a statement>"
"""Stands in the compiled code for the function that notes, which no source text can name."""
_FIRST_PART, _PARTS = 10**7, 10**6
"""The numbers of parts of expressions begin there; no file has so many lines."""
_BLOCKS = ("body", "orelse", "finalbody")


class Marks:
    """The statements that ran of the functions ``names`` of a file, since the last :meth:`clear`, once :meth:`put` was called.

    ``operands`` gets what their comparisons compare, which makes them slower.
    """

    def __init__(self, file: str, names: Collection[str], operands: Operands | None = None) -> None:
        self._file = file
        self._names = names
        self._operands = operands
        self._seen: set[int] = set()
        self._numbers: list[str] = []
        self._codes: dict[tuple[object, ...], types.CodeType] | None = None

    def prepare(self) -> None:
        """Compile what :meth:`put` puts, so that processes that are forked from here need not; nothing where the file cannot be read."""
        try:
            tree = ast.parse(Path(self._file).read_bytes())
        except (OSError, SyntaxError, ValueError):
            self._codes = {}
            return
        self._mark(tree.body, "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a text is called
            whole = compile(ast.fix_missing_locations(tree), self._file, "exec", dont_inherit=True)
        notes: dict[object, object] = {_NOTE: self._seen.add}
        if self._operands is not None:
            notes[OPERAND] = self._operands.note
        self._codes = {_key(code): code for code in _codes(_with_notes(whole, notes))}

    def put(self) -> bool:
        """Exchange the code of the functions that are there now; whether there were any, and the file could be read."""
        if self._codes is None:
            self.prepare()
        marked = self._codes or {}
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
        if self._operands is not None:
            self._operands.clear()

    @property
    def reached(self) -> tuple[str, ...]:
        """The functions that ran, sorted."""
        return tuple(sorted({self._numbers[-number - 1] for number in self._seen if number < 0}))

    @property
    def lines(self) -> tuple[int, ...]:
        """The first lines of their statements that ran, in order; then larger numbers for parts of expressions that did."""
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
                    if self._operands is not None:
                        self._operands.watch(node)
                    _mark_function(node, -len(self._numbers))
            elif isinstance(node, ast.ClassDef):
                self._mark(node.body, f"{owner}{node.name}.")
            else:
                for block in _blocks(node):
                    self._mark(block, owner)
                self._mark(getattr(node, "handlers", ()), owner)


class Looking:
    """What the comparisons of the functions ``names`` of a file compare, in a process forked from the one that this is made in.

    Only there other code takes the place of theirs, so that the calls of later processes are as fast as before.
    """

    def __init__(self, file: str, names: Collection[str]) -> None:
        self._operands = Operands()
        self._marks = Marks(file, names, self._operands)
        self._marks.prepare()
        self._process = 0

    def begin(self) -> None:
        """Begin a call."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._marks.put()
        self._marks.clear()

    @property
    def pairs(self) -> tuple[Sides, ...]:
        """What the call compared."""
        return self._operands.pairs


def _mark_function(node: ast.FunctionDef | ast.AsyncFunctionDef, number: int) -> None:
    """Mark a function's statements and those of functions in it, the start of each by the function's number, and the parts of
    expressions that may not be reached.
    """
    inner = list(ast.walk(node))
    for place, part in enumerate(inner):
        _mark_parts(part, _FIRST_PART + place)
    for one in inner:
        is_function = isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        for block in list(_blocks(one)):
            start = int(_has_documentation(one))
            first = block[0]
            block[start:] = [made for statement in block[start:] for made in (_noted(statement), statement)]
            if is_function:
                block.insert(start, _noted(first, number))


def _mark_parts(node: ast.AST, number: int) -> None:
    """Mark what comes after ``and`` and ``or``, and the first of the values of a condition, by numbers from ``number`` on."""
    if isinstance(node, ast.BoolOp):
        node.values[1:] = [_noted_before(one, number + at * _PARTS) for at, one in enumerate(node.values[1:])]
    elif isinstance(node, ast.IfExp):
        node.body = _noted_before(node.body, number)


def _noted_before(value: ast.expr, number: int) -> ast.expr:
    """The value, after a number was noted, which gives None."""
    is_noted = ast.Compare(_note(number), [ast.Is()], [ast.Constant(None)])
    made = ast.IfExp(is_noted, value, ast.Constant(None))
    for node in (made, made.orelse, *ast.walk(is_noted)):
        if isinstance(node, ast.expr):
            ast.copy_location(node, value)
    return made


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
    made = ast.Expr(_note(statement.lineno if number is None else number))
    for node in ast.walk(made):
        if isinstance(node, ast.expr | ast.stmt):
            ast.copy_location(node, statement)
    return made


def _note(number: int) -> ast.expr:
    return ast.Call(ast.Constant(_NOTE), [ast.Constant(number)], [])


def _with_notes(code: types.CodeType, notes: Mapping[object, object]) -> types.CodeType:
    """A code object and those in it with the functions that note in their places."""

    def other(value: object) -> object:
        if isinstance(value, types.CodeType):
            return _with_notes(value, notes)
        return notes.get(value, value) if isinstance(value, str) else value

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
