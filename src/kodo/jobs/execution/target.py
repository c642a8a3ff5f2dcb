"""Read the module under test without running it: where it is imported from, and what it defines.

Knows source text and ``ast`` only. What the documentation promises is read in ``doc_contracts.py``.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kodo.jobs.execution.definitions import (
    Class,
    Function,
    decorator_name,
    is_private,
    read_class,
    read_function,
    read_imported,
)
from kodo.jobs.execution.imports import ImportedClass, Importer, dotted_classes, imported_names
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.operators import OPERATORS
from kodo.jobs.execution.parameters import FunctionNode
from kodo.jobs.execution.sandboxed import site_packages
from kodo.jobs.execution.scope import Scope, aliases_of, read_scope

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_MARKERS = ("pyproject.toml", "setup.cfg", "setup.py", ".git", "tox.ini", "pytest.ini")
_MAX_BASES = 5


@dataclass(frozen=True)
class TargetModule:
    """The module under test."""

    path: Path
    root: Path
    import_root: Path
    name: str
    source: str
    tree: ast.Module

    @cached_property
    def scope(self) -> Scope:
        """What the names in the module's annotations mean."""
        aliases: dict[str, ast.expr] = {}
        for tree in Importer((self.import_root,)).sources(self.path, self.tree, self.name):
            aliases |= aliases_of(tree)
        return read_scope(self.tree, frozenset(self._foreign), aliases)

    @cached_property
    def classes(self) -> dict[str, Class]:
        """The classes at the top level, by name."""
        out: dict[str, Class] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                out[node.name] = read_class(node, self.scope, self.foreign_classes | out)
        return out

    @cached_property
    def foreign_classes(self) -> dict[str, Class]:
        """The classes that the module imports and whose source is in the project or its environment, by name."""
        known = frozenset(self._foreign)
        return {
            name: read_imported(found, self._importer, known, _MAX_BASES)
            for name, found in self._foreign.items()
        }

    @cached_property
    def imported(self) -> dict[str, str]:
        """Name of a foreign class -> the module that defines it."""
        return {name: found.module for name, found in self._foreign.items()}

    @cached_property
    def imported_values(self) -> dict[str, ast.expr]:
        """The expression of each value that the module imports from another one of the project, by its name here."""
        return dict(Importer((self.import_root,)).values(self.path, self.tree, self.name))

    @cached_property
    def constructible(self) -> dict[str, Class]:
        """Every class that an argument may be an instance of, by name."""
        return self.foreign_classes | self.classes

    @cached_property
    def _importer(self) -> Importer:
        return Importer(tuple(dict.fromkeys((self.import_root, self.root, *site_packages(self.root)))))

    @cached_property
    def _foreign(self) -> dict[str, ImportedClass]:
        importer = self._importer
        found = {
            name: importer.imported_class(name, self.path, self.tree, self.name)
            for name in imported_names(self.tree)
            if not is_private(name)
        }
        for name, module in dotted_classes(self.tree, self.name, self.path).items():
            if found.get(name) is None and not is_private(name):
                found[name] = importer.class_of(module, name)
        own = {node.name for node in self.tree.body if isinstance(node, ast.ClassDef)}
        return {name: one for name, one in found.items() if one is not None and name not in own}

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The public functions and methods, in the order of the file."""
        out: list[Function] = []
        for node in self.tree.body:
            if isinstance(node, FunctionNode) and not is_private(node.name) and _is_tested(node):
                out.append(read_function(node, "", self.scope))
            elif isinstance(node, ast.ClassDef) and not is_private(node.name):
                methods = [inner for inner in node.body if isinstance(inner, FunctionNode)]
                out += [read_function(inner, node.name, self.scope) for inner in methods if _is_tested(inner)]
        last = {one.qualname: one for one in out}  # a name that is bound again means the later function
        return tuple(one for one in out if last[one.qualname] is one)

    @cached_property
    def every_function(self) -> dict[str, Function]:
        """All functions and methods by qualified name, private ones included; of two with one name the last."""
        out: dict[str, Function] = {}
        for owner, node in _functions_in(self.tree.body, ""):
            if not {"overload", "setter", "deleter"} & {decorator_name(one) for one in node.decorator_list}:
                function = read_function(node, owner, self.scope)
                out[function.qualname] = function
        return out

    @cached_property
    def definitions(self) -> dict[str, tuple[FunctionNode, ...]]:
        """All definitions of each function by qualified name: of a property also its setter, of a function under ``if``
        those of every branch.
        """
        out: dict[str, tuple[FunctionNode, ...]] = {}
        for owner, node in _functions_in(self.tree.body, ""):
            if "overload" not in {decorator_name(one) for one in node.decorator_list}:
                name = f"{owner}.{node.name}" if owner else node.name
                out[name] = (*out.get(name, ()), node)
        return out

    @cached_property
    def bound(self) -> dict[str, tuple[ast.expr, ...]]:
        """The values that names of the module and of its classes are bound to at the top level, by name."""
        out: dict[str, tuple[ast.expr, ...]] = {}
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        for node in (*self.tree.body, *(inner for one in classes for inner in one.body)):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else (node.target,):
                    if isinstance(target, ast.Name):
                        out[target.id] = (*out.get(target.id, ()), node.value)
        return out

    @cached_property
    def setters(self) -> dict[str, Function]:
        """The functions that set properties, by the qualified name of the property."""
        found = ((owner, node) for owner, node in _functions_in(self.tree.body, "") if owner)
        return {
            f"{owner}.{node.name}": read_function(node, owner, self.scope)
            for owner, node in found
            if "setter" in {decorator_name(one) for one in node.decorator_list}
        }

    @cached_property
    def defined(self) -> frozenset[str]:
        """The names that the module itself defines, which tests may import from it."""
        names: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, FunctionNode | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {
                    inner.id
                    for target in targets
                    for inner in ast.walk(target)
                    if isinstance(inner, ast.Name)
                }
        return frozenset(names)

    @cached_property
    def readable(self) -> frozenset[str]:
        """The names that can be read from the module: those that it defines, and those that it imports at its top level."""
        imports = (node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom))
        names = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
        return self.defined | (names - {"*"})

    def pick(self, name: str | None) -> tuple[Function, ...]:
        """The functions that ``name`` means: one function, one method, a whole class; all for None.

        Raises:
            ExecutionError: nothing is called so.
        """
        if name is None:
            return self.functions
        private = [
            read_function(node, "", self.scope)
            for node in self.tree.body
            if isinstance(node, FunctionNode) and node.name == name
        ]
        found = [one for one in self.functions if name in (one.qualname, one.owner)] or private
        if not found:
            known = ", ".join(one.qualname for one in self.functions) or "none"
            raise ExecutionError(f"{self.path.name}::{name}: no such function or class (there are: {known})")
        return tuple(found)


def _functions_in(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, FunctionNode]]:
    """The functions of a module and the methods of its classes and of classes in these, also under ``if`` and ``try``."""
    for node in body:
        if isinstance(node, FunctionNode):
            yield owner, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions_in(node.body, f"{owner}.{node.name}" if owner else node.name)
        elif isinstance(node, ast.If):
            yield from _functions_in([*node.body, *node.orelse], owner)
        elif isinstance(node, ast.Try):
            yield from _functions_in([*node.body, *node.orelse, *node.finalbody], owner)


def load(path: Path) -> TargetModule:
    """Read a module.

    Raises:
        ExecutionError: there is no such file, it is not Python, or it does not parse.
    """
    path = path.resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ExecutionError(f"{path}: {'not a Python file' if path.exists() else 'there is no such file'}")
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise ExecutionError(f"{path}: does not parse: {error}") from error
    import_root = _import_root(path, tree)
    parts = path.relative_to(import_root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if not all(part.isidentifier() for part in name.split(".")):
        raise ExecutionError(f"{path}: its name cannot be imported")
    root = next(
        (
            one
            for one in (import_root, *import_root.parents)
            if any((one / mark).exists() for mark in _MARKERS)
        ),
        None,
    )
    home = Path.home()
    if root is None or root == home or root == Path(root.anchor):
        root = import_root
    return TargetModule(path, root, import_root, name, source, tree)


def _import_root(path: Path, tree: ast.Module) -> Path:
    """The folder that a module's name begins in.

    A folder without ``__init__.py`` is a package too where it is installed, and where a module in it imports what is
    around it: a namespace package inside of a regular one, as in ``from ..config import Config`` (PEP 420). The ``src`` of a project is
    none though it has an ``__init__.py``, but where the module imports by that name: what is installed are the packages in it.
    """
    installed = [one for one in path.parents if one.name in _INSTALLED]
    if installed:
        return installed[0]
    around = max((node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)), default=0)
    outside = (
        one
        for one in list(path.parents)[around:]
        if not (one / "__init__.py").exists() or (_holds_packages(one) and not _imports_from(one.name, tree))
    )
    return next(outside, path.parent)


def _holds_packages(folder: Path) -> bool:
    """Whether a folder is the ``src`` of a project, which holds the packages to be installed."""
    return folder.name == "src" and any((folder.parent / mark).exists() for mark in _MARKERS)


def _imports_from(name: str, tree: ast.Module) -> bool:
    """Whether a module imports from a top-level package of this name."""
    imported = (
        (node.module or "",) if isinstance(node, ast.ImportFrom) else tuple(one.name for one in node.names)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level)
    )
    return any(one.partition(".")[0] == name for names in imported for one in names)


def _is_tested(node: FunctionNode) -> bool:
    if any(
        decorator_name(one) in ("overload", "abstractmethod", "setter", "deleter")
        for one in node.decorator_list
    ):
        return False
    return not is_private(node.name) or node.name in OPERATORS or node.name == "__init__"
