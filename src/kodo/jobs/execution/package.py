"""The other modules of the package that a module is in: which of them stand on it, and which classes derive from its own.

Reads source only, of at most a few hundred files of one package.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kodo.jobs.execution.imports import imported_modules
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.target import TargetModule, load

_MAX_FILES = 200
_MAX_BYTES = 200_000
_MAX_STEPS = 3
_LEFT_OUT = frozenset(
    {"tests", "test", "testing", "vendor", "_vendor", "__main__", "conftest", "setup", "benchmarks"}
)


@dataclass(frozen=True)
class PackageSurvey:
    """The package of one module."""

    module: TargetModule

    @cached_property
    def others(self) -> tuple[TargetModule, ...]:
        """Its other modules, those of the outer folders first, by their paths; none for a module outside of a package."""
        folder = self.module.import_root / self.module.name.partition(".")[0]
        if not (folder / "__init__.py").is_file():
            return ()
        paths = sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path))
        found = [path for path in paths if not self._is_left_out(path)]
        return tuple(one for path in found[:_MAX_FILES] if (one := _loaded(path)) is not None)

    def _is_left_out(self, path: Path) -> bool:
        names = {*path.relative_to(self.module.import_root).parts[:-1], path.stem}
        return bool(names & _LEFT_OUT) or path == self.module.path or path.stat().st_size > _MAX_BYTES

    @cached_property
    def users(self) -> tuple[TargetModule, ...]:
        """The modules that stand on this one, those that import it themselves first, then through at most two others."""
        reached, out = {self.module.name}, list[TargetModule]()
        left = list(self.others)
        for _ in range(_MAX_STEPS):
            new = [one for one in left if imported_modules(one.tree, one.name, one.path) & reached]
            reached |= {one.name for one in new}
            out += new
            left = [one for one in left if one not in new]
        return tuple(out)

    @cached_property
    def subclasses(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Class of the module -> (name, module) of the public classes that derive from it elsewhere, the nearest first."""
        own = {node.name for node in self.module.tree.body if isinstance(node, ast.ClassDef)}
        out: dict[str, list[tuple[str, str]]] = {}
        for user in self.users:
            parents: dict[str, set[str]] = {name: {name} for name in own}
            for node in user.tree.body:
                if isinstance(node, ast.ClassDef):
                    bases = {_name(one) for one in node.bases}
                    parents[node.name] = set().union(*(parents.get(base, ()) for base in bases)) - {node.name}
                    for base in sorted(parents[node.name] if not node.name.startswith("_") else ()):
                        out.setdefault(base, []).append((node.name, user.name))
        return {name: tuple(found) for name, found in out.items()}


def _name(base: ast.expr) -> str:
    """The last name of a base class, without what it is generic in."""
    base = base.value if isinstance(base, ast.Subscript) else base
    return ast.unparse(base).rpartition(".")[2]


def _loaded(path: Path) -> TargetModule | None:
    """A module that was read; None for a file that cannot be one."""
    try:
        return load(path)
    except ExecutionError:
        return None
