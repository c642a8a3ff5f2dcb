"""Put a mutant into a process: its code into the functions that the module made, wherever something holds them.

Other modules of a package hold the functions and classes of the module under test, and derive from the latter: a changed
copy of the module would be one that nobody else knows, and no call through them could tell the mutant, while every
comparison of its classes with the real ones would. Where the function ran while the package was imported, or its code is
nowhere to be found, the whole package is imported anew.
"""

from __future__ import annotations

import ast
import copy
import gc
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

from kodo.jobs.execution.worker.fork import forked
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.load import TooLong, import_target, project
from kodo.jobs.testgen.mutate import Mutant
from kodo.jobs.testgen.worker.changed_import import functions_run, import_changed

_IMPORT_SECONDS = 5.0
_CHECK_SECONDS = 60.0
_Place = tuple[str, int]
"""The qualified name of a function and the line that its code begins at."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef


class MutantCode:
    """The functions of one imported module, found once, before processes are forked for its mutants."""

    def __init__(self, where: ModuleLocation) -> None:
        self._where = where
        self._path = str(project() / where.path)
        self._ran: set[str] = set()
        self._can_import_again = False
        self._functions: dict[_Place, list[types.FunctionType]] = {}

    def load(self, seconds: float) -> types.ModuleType:
        """Import the module.

        Raises:
            CannotImport: it raised or did not end in time.
        """
        with self.importing():
            self.module = import_target(self._where, seconds)
        return self.module

    @contextmanager
    def importing(self) -> Iterator[None]:
        """Note which functions of the module run in this block, which imports it or what uses it."""
        with functions_run(self._path) as ran:
            yield
        self._ran |= ran

    def prepare(self, works: Callable[[types.ModuleType], bool]) -> None:
        """Find the functions, once all is imported; and see whether the unchanged package works when it is imported again.

        Where it does not, no mutant is put in that way: what fails for the unchanged package too says nothing of a mutant.
        """
        for one in gc.get_objects():
            if type(one) is types.FunctionType and one.__code__.co_filename == self._path:
                code = one.__code__
                self._functions.setdefault((code.co_qualname, code.co_firstlineno), []).append(one)

        def work(send: Callable[[bytes], None]) -> None:
            again = self._import(ast.parse(self._where.source))
            send(b"works" if again is not None and works(again) else b"")

        messages, _ = forked(work, _CHECK_SECONDS)
        self._can_import_again = messages == [b"works"]

    def put(self, mutant: Mutant) -> types.ModuleType | None:
        """The module with the mutant in it; None for one that does not even import."""
        ran = mutant.place.function in self._ran
        if not ran and (self._replace_code(mutant) or self._replace_default(mutant)):
            return self.module
        return self._import(mutant.tree) if self._can_import_again else self.module

    def _import(self, tree: ast.Module) -> types.ModuleType | None:
        try:
            return import_changed(self._where, tree, _IMPORT_SECONDS)
        except (TooLong, Exception):  # noqa: BLE001 - a mutant may raise anything at import
            return None

    def _replace_code(self, mutant: Mutant) -> bool:
        """Whether the code of a function of the module is another one now."""
        found = False
        for code in _codes(compile(self._statement(mutant), self._path, "exec", dont_inherit=True)):
            if code.co_qualname == mutant.place.function:
                for function in self._functions.get((code.co_qualname, code.co_firstlineno), ()):
                    if function.__code__ != code and function.__code__.co_freevars == code.co_freevars:
                        function.__code__ = code
                        found = True
        return found

    def _statement(self, mutant: Mutant) -> ast.Module:
        """The class or function at the top level that the mutant changes, under the module's ``__future__`` imports."""
        body = mutant.tree.body
        future = [one for one in body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
        line = mutant.place.line
        inside = [one for one in body if _first_line(one) <= line <= (one.end_lineno or one.lineno)]
        return ast.Module([*future, *(self._with_class(one) for one in inside)], [])

    def _with_class(self, statement: ast.stmt) -> ast.stmt:
        """A class whose methods still have the ``__class__`` that ``super()`` reads where a mutant left that call out.

        The code of a function can be replaced only by one with as many variables from outside.
        """
        if not isinstance(statement, ast.ClassDef):
            return statement
        changed = copy.copy(statement)
        changed.body = [self._naming_class(one, statement) for one in statement.body]
        return changed

    def _naming_class(self, one: ast.stmt, owner: ast.ClassDef) -> ast.stmt:
        if not isinstance(one, _Definition):
            return one
        known = self._functions.get((f"{owner.name}.{one.name}", _first_line(one)), ())
        if not any("__class__" in function.__code__.co_freevars for function in known):
            return one
        never = ast.If(ast.Constant(False), [ast.Expr(ast.Name("__class__", ast.Load()))], [])
        changed = copy.copy(one)
        changed.body = [*one.body, ast.fix_missing_locations(ast.copy_location(never, one.body[-1]))]
        return changed

    @cached_property
    def _definitions(self) -> dict[_Place, _Definition]:
        """The functions of the unchanged module, at the top level and in classes there."""
        return dict(_defined(ast.parse(self._where.source)))

    def _replace_default(self, mutant: Mutant) -> bool:
        """Whether a default value of a function of the module is another one now."""
        found = False
        for place, new in _defined(mutant.tree):
            if place[0] != mutant.place.function or place not in self._definitions:
                continue
            old = self._definitions[place].args
            for function in self._functions.get(place, ()):
                values = list(function.__defaults__ or ())
                for at, (was, now) in enumerate(zip(old.defaults, new.args.defaults, strict=True)):
                    if ast.dump(was) != ast.dump(now):
                        values[at] = self._value(now, function)
                        found = True
                function.__defaults__ = tuple(values) or None
                by_name = zip(old.kwonlyargs, old.kw_defaults, new.args.kw_defaults, strict=True)
                for one, before, after in by_name:
                    if before is not None and after is not None and ast.dump(before) != ast.dump(after):
                        changed = {one.arg: self._value(after, function)}
                        function.__kwdefaults__ = (function.__kwdefaults__ or {}) | changed
                        found = True
        return found

    def _value(self, node: ast.expr, function: types.FunctionType) -> object:
        """A default value, with the names of the module and of the class that it stands in."""
        owner = getattr(self.module, function.__qualname__.rpartition(".")[0], None)
        names = dict(vars(owner)) if isinstance(owner, type) else {}
        code = compile(ast.Expression(node), self._path, "eval", dont_inherit=True)
        return eval(code, function.__globals__, names)  # noqa: S307 - in the sandbox; running it is the point


def _defined(tree: ast.Module) -> Iterator[tuple[_Place, _Definition]]:
    """The functions at the top level and in classes there, by qualified name and first line."""
    for node in tree.body:
        for one in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(one, _Definition):
                name = f"{node.name}.{one.name}" if isinstance(node, ast.ClassDef) else one.name
                yield (name, _first_line(one)), one


def _first_line(node: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    marks = node.decorator_list if isinstance(node, ast.ClassDef | _Definition) else []
    return min([node.lineno, *(one.lineno for one in marks)])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code and all that is in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _codes(one)
