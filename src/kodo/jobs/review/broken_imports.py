"""Imports that a change breaks in files that it leaves as they are: of a module that is gone, or of a name in one.

Only what is certain is said. An import counts where it is made without a condition and without a handler of its error; a
name is gone where nothing in its module binds it any more, in any function or branch; a module is gone where no file of
the project stands for its name. Modules that answer for any name (``__getattr__``, ``import *``) are left out.
What is used as an attribute (``prices.tax``) is not looked at.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.review import python
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks.catalogue import report_line
from kodo.jobs.review.import_distance import module_names, package_of
from kodo.jobs.review.reading import ReviewInput, project_files, tree_text


@dataclass(frozen=True, slots=True)
class _Gone:
    """What the change took away: names of modules, and modules as a whole."""

    names: Mapping[str, frozenset[str]]
    modules: frozenset[str]

    def broken(self, node: ast.Import | ast.ImportFrom, package: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The module, and the name in it or "", of each part of an import that is gone."""
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name in self.modules)
            return
        start = [*package[: len(package) - node.level + 1]] if node.level else []
        base = ".".join([*start, *([node.module] if node.module else [])])
        if base in self.modules:
            yield base, ""
            return
        for one in node.names:
            if one.name in self.names.get(base, ()):
                yield base, one.name
            elif f"{base}.{one.name}" in self.modules:
                yield f"{base}.{one.name}", ""


def broken_imports(
    material: ReviewInput, files: Sequence[ChangedFile], deadline: Deadline
) -> Iterator[tuple[ChangedFile, list[Candidate]]]:
    """The files of the project with imports that the change breaks, as files that are read whole.

    Nothing where the tree is not the state after the change, as for an old commit.
    """
    if material.root is None:
        return
    changed = {file.path: file for file in files if file.language == "python" and not file.whole}
    left = _left(material, material.root, changed)
    if not left and not any(file.removals for file in changed.values()):
        return
    text_of = tree_text(material.root)
    paths = [path for path in project_files(material.root) if path.endswith(".py")]
    gone = _Gone(
        dict(_gone_names(changed, paths, text_of)),
        frozenset(_gone_modules(left, paths, material.root, material.base_text)),
    )
    ends = {name.rpartition(".")[2] for name in {*gone.modules, *gone.names}}
    for path in paths if ends else ():
        if deadline.up:
            return
        text = changed[path].after if path in changed else text_of(path) or ""
        if any(end in text for end in ends) and (found := _broken_in(path, text, gone)):
            yield ChangedFile(path, "python", text, whole=True), found


def _left(material: ReviewInput, root: Path, changed: Mapping[str, ChangedFile]) -> list[str]:
    """The Python files that the change removes or moves; none where it changes what git ignores: a build may make them."""
    if any(Path(path).name == ".gitignore" for path in material.changed):
        return []
    named = {*material.changed, *(file.old_path for file in changed.values())} - {""}
    return sorted(
        path for path in named if path.endswith(".py") and path not in changed and not (root / path).exists()
    )


def _broken_in(path: str, text: str, gone: _Gone) -> list[Candidate]:
    """A candidate for each import of a file that is gone."""
    module = python.parse(text)
    if module is None:
        return []
    package = package_of(path)
    return [
        _candidate(node, *what) for node in _plain_imports(module.tree) for what in gone.broken(node, package)
    ]


def _candidate(node: ast.Import | ast.ImportFrom, module: str, name: str) -> Candidate:
    end = node.end_lineno or node.lineno
    if name:
        return report_line(node.lineno, "import-of-gone-name", name, module, end_line=end)
    return report_line(node.lineno, "import-of-gone-module", module, end_line=end)


def _gone_names(
    changed: Mapping[str, ChangedFile], paths: Sequence[str], text_of: Callable[[str], str | None]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Each name of a changed module, with what the change took out of it."""
    for path, file in changed.items():
        if file.before is None or not file.removals or file.old_path or text_of(path) != file.after:
            continue
        before, after = _bound(file.before), _bound(file.after)
        if before is None or after is None:
            continue
        names = before - after
        if path.endswith("/__init__.py"):  # a module of the package can be imported from it too
            folder = path.removesuffix("__init__.py")
            inside = (one.removeprefix(folder) for one in paths if one.startswith(folder))
            names -= {one.partition("/")[0].removesuffix(".py") for one in inside}
        if names:
            yield from ((module, names) for module in module_names(path))


def _gone_modules(
    left: Sequence[str], paths: Sequence[str], root: Path, base_text: Callable[[str], str | None]
) -> Iterator[str]:
    """The names of modules whose file is gone, without those that another file or folder stands for."""
    there = {module for path in paths for module in module_names(path)}
    for path in left:
        stem = path.removesuffix("/__init__.py").removesuffix(".py")
        if base_text(path) is None or any((root / stem).parent.glob(f"{Path(stem).name}*")):
            continue
        yield from (module for module in module_names(path) if module and module not in there)


def _bound(text: str) -> frozenset[str] | None:
    """What a module's text binds, also in its branches and as ``global``; None where it may bind anything."""
    try:
        top = symtable.symtable(text, "module", "exec")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    stars = (isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree))
    calls = (
        isinstance(node, ast.Call) and ast.unparse(node.func) in ("globals", "vars", "exec", "setattr")
        for node in ast.walk(tree)
    )
    names = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        names |= {
            one.get_name()
            for one in table.get_symbols()
            if one.is_declared_global() and (one.is_assigned() or one.is_imported())
        }
    return None if "__getattr__" in names or any(stars) or any(calls) else frozenset(names)


def _plain_imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that no condition guards and whose error nobody handles."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(
            node, ast.Try | ast.TryStar | ast.If | ast.With | ast.AsyncWith | ast.Match | ast.While
        ):
            yield from _plain_imports(node)
