"""How far the files of a project are from one of its modules: over how many imports each of them comes to it.

Reads the import statements of Python files as text, those inside functions too. What is imported by a computed name is not
seen.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path

_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#]+)", re.MULTILINE)
_NAME = re.compile(r"([A-Za-z_]\w*)(?:[ \t]+as[ \t]+\w+)?")
_ROOTS = ("src", "lib")
"""Folders that hold packages and are none."""


def import_distances(root: Path, names: Sequence[str], target: str) -> dict[str, int]:
    """Path of a file -> the fewest imports from it to ``target``, 0 for that itself; only files that come to it.

    ``names`` are the project's Python files, relative to ``root``, as is ``target``.
    """
    importers = _importers(root, tuple(names))
    distances = {target: 0}
    todo = deque([target])
    while todo:
        name = todo.popleft()
        for one in sorted(importers.get(name, frozenset()) - distances.keys()):
            distances[one] = distances[name] + 1
            todo.append(one)
    return distances


@lru_cache(maxsize=2)
def _importers(root: Path, names: tuple[str, ...]) -> Mapping[str, Set[str]]:
    """The files that import each file. Kept for all modules of a change, whose trees do not change."""
    by_module = {module: name for name in names for module in module_names(name)}
    importers: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        try:
            text = (root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for module in _imports(text, package_of(name)):
            if (found := by_module.get(module)) is not None:
                importers[found].add(name)
    return importers


def module_names(name: str) -> Iterator[str]:
    """The dotted names of a file: from the project's root and from a folder of packages."""
    parts = name.removesuffix(".py").removesuffix("/__init__").split("/")
    yield ".".join(parts)
    if parts[0] in _ROOTS:
        yield ".".join(parts[1:])


def package_of(name: str) -> list[str]:
    """The parts of the package that a file's relative imports start from."""
    parts = name.split("/")[:-1]
    return parts[1:] if parts and parts[0] in _ROOTS else parts


def _imports(text: str, package: Sequence[str]) -> Iterator[str]:
    """The modules that a text may import; of ``from a import b`` both ``a`` and ``a.b``."""
    for dots, module, names in _FROM.findall(text):
        start = list(package[: len(package) - len(dots) + 1]) if dots else []
        base = ".".join([*start, *([module] if module else [])])
        yield from _with_packages(base)
        yield from (f"{base}.{name}" for name in _NAME.findall(names))
    for names in _IMPORT.findall(text):
        for one in names.split(","):
            yield from _with_packages(one.split()[0] if one.split() else "")


def _with_packages(module: str) -> Iterator[str]:
    """A module and the packages it is in, which are imported with it."""
    parts = module.split(".")
    return (".".join(parts[: at + 1]) for at in range(len(parts)))
