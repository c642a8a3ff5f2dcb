"""The tree holds together: class names, modules that docstrings and the READMEs name, and the parts of a family."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tests.paths import REPOSITORY

SOURCES = REPOSITORY / "src" / "kodo"
HALVES = {"server": ("server",), "use": ("client", "jobs", "ci", "cli")}
FAMILIES = SOURCES / "server" / "http"
READMES = ("README.md", "README.ja.md")
DOTTED = re.compile(r"(?<![\w./])kodo(?:\.[A-Za-z_]\w*)+")
NAMES_OF_OTHERS = {"kodo.db"}
"""Dotted words that name no Python object: the database file in the home folder."""
TREE = re.compile(r"^```\nsrc/kodo/\n.*?^```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w/`])((?:[\w-]+/)+[\w-]*|[\w-]+\.py)(?![\w`])")


def modules(folder: Path) -> list[Path]:
    """The Python files of a folder; not the programs that the scorecard keeps as data."""
    return sorted(file for file in folder.rglob("*.py") if "data" not in file.relative_to(SOURCES).parts)


@pytest.mark.parametrize("half", HALVES)
def test_a_public_class_name_occurs_once_in_a_half(half: str) -> None:
    """A name read in a traceback, a log or a review leads to one class."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in (file for folder in HALVES[half] for file in modules(SOURCES / folder)):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file.relative_to(SOURCES).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_a_constant_is_bound_once_in_its_module() -> None:
    """A second one of the same name silently changes what the code above it meant."""
    twice = []
    for file in modules(SOURCES):
        bound: set[str] = set()
        for node in ast.parse(file.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else ()
            names = {one.id for one in targets if isinstance(one, ast.Name) and one.id.isupper()}
            twice += [f"{file.relative_to(SOURCES)}: {name}" for name in names & bound]
            bound |= names
    assert twice == []


def docstrings(file: Path) -> Iterator[str]:
    """Every docstring of a file; those of attributes too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one (of a class in it)."""
    words = dotted.split(".")
    for end in range(len(words), 0, -1):
        name = ".".join(words[:end])
        file = REPOSITORY / "src" / Path(*words[:end])
        if not (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()):
            continue
        if end == len(words):
            return True
        found: object = import_module(name)
        for word in words[end:]:
            fields: object = getattr(found, "__annotations__", {})
            if isinstance(fields, dict) and word in fields and not hasattr(found, word):
                return True
            if not hasattr(found, word):
                return False
            found = getattr(found, word)
        return True
    return False


def test_every_name_of_kodo_in_a_docstring_resolves() -> None:
    """A module or class that is renamed takes the docstrings that name it along."""
    named = {
        (file.relative_to(SOURCES).as_posix(), dotted)
        for file in modules(SOURCES)
        for text in docstrings(file)
        for dotted in DOTTED.findall(text)
    }
    assert len(named) > 20, "the pattern finds the mentions"
    unknown = {(file, dotted) for file, dotted in named if dotted not in NAMES_OF_OTHERS}
    assert sorted((file, dotted) for file, dotted in unknown if not resolves(dotted)) == []


def missing_of_tree(page: str) -> list[str]:
    """The paths in a README's tree that name nothing below the folders their line is in."""
    found = TREE.search((REPOSITORY / page).read_text())
    assert found is not None, f"{page} shows the tree"
    missing: list[str] = []
    above: list[tuple[int, Path]] = []
    for line in found[0].splitlines()[1:-1]:
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        folders = [REPOSITORY, *(folder for _, folder in above)]
        heading = line.split()[0]
        if heading.endswith("/") and (folders[-1] / heading).is_dir():
            above.append((indent, folders[-1] / heading))
            folders.append(above[-1][1])
        missing += [
            path
            for path in PATH.findall(line)
            if not any((folder / path).exists() or (folder / f"{path}.py").is_file() for folder in folders)
        ]
    return missing


@pytest.mark.parametrize("page", READMES)
def test_every_path_in_a_readmes_tree_exists(page: str) -> None:
    """The first picture a reader gets of the source is the source's."""
    assert missing_of_tree(page) == []


@pytest.mark.parametrize("family", sorted(file.parent.name for file in FAMILIES.glob("*/__init__.py")))
def test_a_family_has_its_parts_under_their_usual_names(family: str) -> None:
    """Routes are in ``endpoints``; what describes stored rows, where there are any, is in ``documents``."""
    folder = FAMILIES / family
    parts = {file.stem for file in folder.iterdir()}
    assert "endpoints" in parts
    if any("DocumentRow(" in file.read_text() for file in folder.rglob("*.py")):
        assert "documents" in parts
