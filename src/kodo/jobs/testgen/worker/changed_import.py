"""Import a package anew in this process, with one of its modules changed; and see what runs while a module is imported.

All of the package, so that its other modules hold the functions and classes of the changed one: a changed copy beside the
real module would be two classes of one name, and a comparison of an instance of each tells every change.
"""

from __future__ import annotations

import ast
import importlib
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.load import forget, project, time_limit


@contextmanager
def functions_run(path: str) -> Iterator[set[str]]:
    """The qualified names of the functions of a file that run in this block."""
    names: set[str] = set()

    def see(frame: types.FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == path:
            names.add(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield names
    finally:
        sys.setprofile(before)


def import_changed(where: ModuleLocation, tree: ast.Module, seconds: float) -> types.ModuleType:
    """Import the package of a module anew, the module with the code of ``tree``.

    Raises whatever the package raises then, and TooLong after ``seconds``.
    """
    code = compile(tree, str(project() / where.path), "exec", dont_inherit=True)
    finder = _ChangedModule(where.module, code)
    forget(where.module.partition(".")[0])
    sys.meta_path.insert(0, finder)
    try:
        with time_limit(seconds):
            return importlib.import_module(where.module)
    finally:
        sys.meta_path.remove(finder)


class _ChangedModule(MetaPathFinder):
    """Finds one module where it is, and gives it another code."""

    def __init__(self, name: str, code: types.CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the changed module; None for every other."""
        spec = PathFinder.find_spec(fullname, path) if fullname == self._name else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _GivenCode(spec.loader.name, spec.loader.path, self._code)
        return spec


class _GivenCode(SourceFileLoader):
    """Loads a source file, but for its code."""

    def __init__(self, fullname: str, path: str, code: types.CodeType) -> None:
        super().__init__(fullname, path)
        self._code = code

    def get_code(self, fullname: str) -> types.CodeType:
        """The given code."""
        return self._code
