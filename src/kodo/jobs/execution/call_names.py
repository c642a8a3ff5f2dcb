"""The names that calls may use besides those of the module under test: what its package and the library give.

A test imports each name from one module, so a name means one thing in all calls of a run: the first that asked for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from kodo.jobs.execution.imports import exports
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.worker.load import LIBRARY, module_names


class CallNames:
    """Gives names to what code outside the module imports, and keeps from where a test has to import them."""

    def __init__(self, module: TargetModule) -> None:
        self._module = module
        self._package = module.name.partition(".")[0]
        self._exports = exports(module.import_root / self._package / "__init__.py")
        self.imported: dict[str, str] = {}
        """Name -> the module it is imported from, besides those of the module under test."""

    def resolve(self, module: str, name: str) -> str:
        """The name, or dotted name, by which a call may use ``name`` of ``module``; "" where it may not.

        ``module`` is "" for a name that nothing is known of, ``name`` is "" for a module as a whole.
        """
        if not name:
            return self._whole(module)
        if module in LIBRARY:
            return f"{module}.{name}"
        if name in self._module.defined:
            return name if module in ("", self._module.name) or self._is_package(module) else ""
        if not module:
            return self._of_package(name)
        return self._take(module, name) if self._is_package(module) else ""

    def _whole(self, module: str) -> str:
        if module in LIBRARY:
            return module
        known = module_names(self._module.name)
        taken = {*self._module.defined, *self._module.imported}
        return next((one for one, dotted in known.items() if dotted == module and one not in taken), "")

    def _of_package(self, name: str) -> str:
        """A name that a document uses without saying from where: the package itself, or what it exports."""
        if name in LIBRARY or name == self._package:
            return self._whole(name)
        return self._take(self._package, name) if name in self._exports else ""

    def _is_package(self, module: str) -> bool:
        return module.partition(".")[0] == self._package

    def _take(self, module: str, name: str) -> str:
        known = self._module.imported | self.imported
        if name in LIBRARY or name in module_names(self._module.name):
            return ""
        if known.get(name, module) != module and not self._same(name, known[name], module):
            return ""
        self.imported.setdefault(name, known.get(name, module))
        return name

    def _same(self, name: str, one: str, other: str) -> bool:
        """Whether two modules of the package give the same thing under a name: one is the package, which exports it."""
        return self._package in (one, other) and name in self._exports


def names_in(sources: Iterable[str]) -> frozenset[str]:
    """The names that expressions and statements read; none of a source that is not Python, as a document may show."""
    nodes = (node for source in sources for node in _nodes(source))
    return frozenset(
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )


def _nodes(source: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return
