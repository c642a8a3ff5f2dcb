"""Put a mutant into a process: its code into the functions that the module made, wherever something holds them.

Other modules of a package hold the functions and classes of the module under test, and derive from the latter: a changed
copy of the module would be one that nobody else knows, and no call through them could tell the mutant. Where the change
is not in the code of a function (a default value), or the function ran while the module was imported, the module is made
anew.
"""

from __future__ import annotations

import ast
import gc
import types
from collections.abc import Iterator

from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.load import TooLong, install, project
from kodo.jobs.testgen.mutate import Mutant

_IMPORT_SECONDS = 5.0
_Place = tuple[str, int]
"""The qualified name of a function and the line that its code begins at."""


class MutantCode:
    """The functions of one imported module, found once, before processes are forked for its mutants."""

    def __init__(self, where: ModuleLocation, module: types.ModuleType) -> None:
        self._where, self._module = where, module
        self._path = str(project() / where.path)
        self._functions: dict[_Place, list[types.FunctionType]] = {}
        for one in gc.get_objects():
            if type(one) is types.FunctionType and one.__code__.co_filename == self._path:
                code = one.__code__
                self._functions.setdefault((code.co_qualname, code.co_firstlineno), []).append(one)
        self._used_at_import = frozenset(_names_outside_functions(ast.parse(where.source)))

    def put(self, mutant: Mutant) -> types.ModuleType | None:
        """The module with the mutant in it; None for one that does not even import."""
        name = mutant.place.function.rpartition(".")[2]
        if name not in self._used_at_import and self._replace_code(mutant):
            return self._module
        try:
            return install(self._where, mutant.tree, _IMPORT_SECONDS)
        except (TooLong, Exception):  # noqa: BLE001 - a mutant may raise anything at import
            return None

    def _replace_code(self, mutant: Mutant) -> bool:
        """Whether the code of a function of the module is another one now."""
        found = False
        for code in _codes(compile(self._statement(mutant), self._path, "exec", dont_inherit=True)):
            if code.co_qualname == mutant.place.function:
                for function in self._functions.get((code.co_qualname, code.co_firstlineno), ()):
                    if function.__code__ != code and len(function.__code__.co_freevars) == len(
                        code.co_freevars
                    ):
                        function.__code__ = code
                        found = True
        return found

    def _statement(self, mutant: Mutant) -> ast.Module:
        """The class or function at the top level that the mutant changes, under the module's ``__future__`` imports."""
        body = mutant.tree.body
        future = [one for one in body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
        line = mutant.place.line
        inside = [one for one in body if _first_line(one) <= line <= (one.end_lineno or one.lineno)]
        return ast.Module([*future, *inside], [])


def _first_line(node: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    marks = (
        node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
    )
    return min([node.lineno, *(one.lineno for one in marks)])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code and all that is in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _codes(one)


def _names_outside_functions(tree: ast.Module) -> Iterator[str]:
    """The names that run when the module is imported: what decorates, and what statements outside of functions read."""
    left: list[ast.AST] = list(tree.body)
    while left:
        node = left.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                left += node.decorator_list
            case ast.Lambda():
                continue
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                yield name
                left += ast.iter_child_nodes(node)
            case _:
                left += ast.iter_child_nodes(node)
