"""The files of a project that decide what its tests report: conftest.py, pytest's settings, plugins, shadowed modules.

A change to one of them could turn a failing test into a passing one, so the tests of both states run with these
files as they were before the change. This module does not run anything.
"""

import ast
import configparser
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from kodo.jobs.review.changes import ChangedFile

WHOLE = frozenset(
    {"conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "sitecustomize.py", "usercustomize.py"}
)  # fmt: skip  # one row
"""File names that count whatever changed in them."""
PARTS = frozenset({"pyproject.toml", "setup.cfg", "tox.ini"})
"""File names that count where a part about tests changed."""
_SECTIONS = ("pytest", "tool:pytest", "options.entry_points")
_LIBRARIES = frozenset(
    {"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "exceptiongroup", "coverage"}
)

TextOf = Callable[[str], str | None]


def changed_settings(
    names: Iterable[str], files: Iterable[ChangedFile], now: TextOf, base: TextOf
) -> dict[str, str | None]:
    """The test settings that a change touches, path to text before it; None where a file is new.

    Args:
        names: the paths of the project, before or after the change.
        files: what the change touched and can be reviewed.
        now: the text of a path after the change.
        base: the text of a path before the change.
    """
    texts = {file.path: file.after for file in files}
    found: dict[str, str | None] = {}
    for path in dict.fromkeys((*names, *texts)):
        name = PurePosixPath(path).name
        if name not in WHOLE | PARTS:
            continue
        before, after = base(path), texts.get(path, now(path))
        if before == after:
            continue
        if name in WHOLE or _part(name, before) != _part(name, after):
            found[path] = before
    for file in files:
        if not file.whole and file.language == "python" and _is_plugin(file):
            found.setdefault(file.path, file.before)
    return found


def _part(name: str, text: str | None) -> object:
    """What a settings file says about tests; the whole text where it cannot be read."""
    try:
        if name == "pyproject.toml":
            data = tomllib.loads(text or "")
            return data.get("tool", {}).get("pytest"), data.get("project", {}).get("entry-points")
        parser = configparser.RawConfigParser()
        parser.read_string(text or "")
        return {section: parser.items(section) for section in _SECTIONS if parser.has_section(section)}
    except (tomllib.TOMLDecodeError, configparser.Error, AttributeError, RecursionError):
        return text


def _is_plugin(file: ChangedFile) -> bool:
    """Whether a file holds hooks of pytest, or would be imported in place of a library that the run needs."""
    if file.before is None and shadows_library(file.path):
        return True
    return any(_has_hooks(text) for text in (file.before, file.after) if text is not None)


def shadows_library(path: str) -> bool:
    """Whether a file of the project would be imported in the place of the standard library or of pytest's parts."""
    pure = PurePosixPath(path)
    top = pure.parts[1] if pure.parts[0] == "src" and len(pure.parts) > 1 else pure.parts[0]
    return top.removesuffix(".py") in sys.stdlib_module_names | _LIBRARIES


def _has_hooks(text: str) -> bool:
    if "pytest_" not in text and "hookimpl" not in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # it cannot be known
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("pytest_"):
            return True
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in {"pytest_plugins", "hookimpl"}:
                return True
    return False
