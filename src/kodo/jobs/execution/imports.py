"""Find the source of a class that a module imports from its own project or the project's environment.

Reads files and imports nothing. A class of the standard library or of a compiled module is not found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MAX_STEPS = 4
_DEFINITION = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ImportedClass:
    """A class definition and the module that holds it."""

    module: str
    path: Path
    node: ast.ClassDef
    tree: ast.Module


@dataclass(frozen=True, slots=True)
class Importer:
    """Follows the import statements of a file; ``folders`` are those that absolute imports start in."""

    folders: tuple[Path, ...]

    def imported_class(self, name: str, path: Path, tree: ast.Module, module: str) -> ImportedClass | None:
        """The class that ``name`` means in a file, through at most a few imports of imports; None where it is no class."""
        found = self._definition(name, path, tree, module)
        if found is None or not isinstance(found[2], ast.ClassDef):
            return None
        return ImportedClass(found[0], found[1], found[2], found[3])

    def class_of(self, module: str, name: str) -> ImportedClass | None:
        """The class that a module calls so, through at most a few imports; None where there is none."""
        path = self._locate(module)
        tree = _parsed(path) if path is not None else None
        return (
            self.imported_class(name, path, tree, module) if path is not None and tree is not None else None
        )

    def imported_path(self, name: str, path: Path, tree: ast.Module, module: str) -> Path | None:
        """The file that defines the function or class that ``name`` means in a file; None where it is neither."""
        found = self._definition(name, path, tree, module)
        return found[1] if found is not None else None

    def sources(self, path: Path, tree: ast.Module, module: str) -> Iterator[ast.Module]:
        """The trees of the modules that a file imports names from, where they are in the folders."""
        for statement in _imports_of(tree):
            found = self._locate(_absolute(statement, module, is_package=path.name == "__init__.py"))
            if found is not None and (parsed := _parsed(found)) is not None:
                yield parsed

    def values(self, path: Path, tree: ast.Module, module: str) -> Iterator[tuple[str, ast.expr]]:
        """The names that a file imports and the expressions that the modules they come from bind to them by an assignment."""
        for statement in _imports_of(tree):
            found = self._locate(_absolute(statement, module, is_package=path.name == "__init__.py"))
            if found is None or (parsed := _parsed(found)) is None:
                continue
            bound = {
                target.id: node.value
                for node in parsed.body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            for alias in statement.names:
                if alias.name in bound:
                    yield alias.asname or alias.name, bound[alias.name]

    def _definition(
        self, name: str, path: Path, tree: ast.Module, module: str
    ) -> tuple[str, Path, ast.stmt, ast.Module] | None:
        is_package = path.name == "__init__.py"
        for _ in range(_MAX_STEPS):
            found = next(
                (node for node in tree.body if isinstance(node, _DEFINITION) and node.name == name), None
            )
            if found is not None:
                return module, path, found, tree
            statement = next(
                (one for one in _imports_of(tree) if any(alias.name == name for alias in one.names)), None
            )
            if statement is None:
                return None
            module = _absolute(statement, module, is_package=is_package)
            located = self._locate(module)
            if located is None or (parsed := _parsed(located)) is None:
                return None
            path, tree, is_package = located, parsed, located.name == "__init__.py"
        return None

    def _locate(self, module: str) -> Path | None:
        parts = module.split(".")
        candidates = (
            path
            for folder in self.folders
            for path in (
                folder.joinpath(*parts[:-1], f"{parts[-1]}.py"),
                folder.joinpath(*parts, "__init__.py"),
            )
        )
        return next((path for path in candidates if path.is_file()), None)


def imported_names(tree: ast.Module) -> tuple[str, ...]:
    """The names that a file imports from other modules under their own names."""
    return tuple(
        alias.name for one in _imports_of(tree) for alias in one.names if alias.asname in (None, alias.name)
    )


def dotted_classes(tree: ast.Module, module: str, path: Path) -> dict[str, str]:
    """Class that a file names through a module, in an annotation or as a base, ``httputil.HTTPHeaders`` -> that module."""
    modules: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(node, module, is_package=path.name == "__init__.py")
            modules |= {alias.asname or alias.name: f"{origin}.{alias.name}" for alias in node.names}
    found: dict[str, str] = {}
    for inner in ast.walk(tree):
        for place in _places_of_types(inner):
            for one in ast.walk(place):
                if isinstance(one, ast.Attribute) and (known := modules.get(ast.unparse(one.value))):
                    found.setdefault(one.attr, known)
    return found


def _places_of_types(node: ast.AST) -> list[ast.expr]:
    """Where a node names classes: the annotation of a parameter, the bases of a class."""
    if isinstance(node, ast.arg):
        note = node.annotation
        if isinstance(note, ast.Constant) and isinstance(note.value, str):
            try:
                note = ast.parse(note.value, mode="eval").body
            except SyntaxError:
                return []
        return [note] if note is not None else []
    return node.bases if isinstance(node, ast.ClassDef) else []


def exports(path: Path) -> frozenset[str]:
    """The names that a file binds at its top level by definitions and imports; empty for no file of Python."""
    tree = _parsed(path) if path.is_file() else None
    if tree is None:
        return frozenset()
    bound = {alias.asname or alias.name for one in _imports_of(tree) for alias in one.names}
    bound |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = (one for node in tree.body if isinstance(node, ast.Assign) for one in node.targets)
    return frozenset(bound | {one.id for one in assigned if isinstance(one, ast.Name)})


def imported_modules(tree: ast.Module, module: str, path: Path) -> frozenset[str]:
    """The modules that a file imports anywhere, and what it imports from modules, each as it may be a module too."""
    is_package = path.name == "__init__.py"
    out: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(node, module, is_package=is_package)
            out |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return frozenset(out)


def _imports_of(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """The imports at the top level, those for type checkers included."""
    for node in tree.body:
        yield from (
            one
            for one in (node.body if isinstance(node, ast.If) else [node])
            if isinstance(one, ast.ImportFrom)
        )


def _absolute(statement: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not statement.level:
        return statement.module or ""
    up = statement.level - (1 if is_package else 0)
    parts = module.split(".")
    parents = parts[: len(parts) - up] if up else parts
    return ".".join([*parents, *((statement.module,) if statement.module else ())])


@lru_cache(maxsize=512)
def _parsed(path: Path) -> ast.Module | None:
    """The tree of a file, which nobody changes; None for one that is too large or does not parse."""
    try:
        return _tree(path.read_text(encoding="utf-8")) if path.stat().st_size <= _MAX_BYTES else None
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
        return None


@lru_cache(maxsize=512)
def _tree(text: str) -> ast.Module:
    """One tree for a text, as most files are the same in both versions of a project."""
    return ast.parse(text)
