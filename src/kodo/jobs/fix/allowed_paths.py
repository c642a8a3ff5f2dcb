"""Which paths a patch may touch, and add without standing in the place of others. Pure: paths in, one line for the model or the report out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from kodo.jobs.review.languages import is_test
from kodo.jobs.review.pytest_settings import PARTS, WHOLE

FROZEN_FILES = WHOLE | PARTS | {"noxfile.py", "Makefile", ".coveragerc", "usercustomize.py"}
_ENDS = (".pth", ".pyc", ".so", ".egg-link")
_METADATA = (".dist-info", ".egg-info")
_CODE = (".py", ".pyi")


def refused_path(path: str, allowed: Collection[str]) -> str | None:
    """Why a patch may not touch a path; None where it may.

    Args:
        path: relative to the project, with forward slashes.
        allowed: patterns, one of which must fit (``src/*``); empty allows every Python file.
    """
    pure = PurePosixPath(path)
    if any(part.startswith(".") for part in pure.parts):
        return f"{path}: hidden files and folders are not touched"
    if is_test(path):
        return f"{path}: tests are frozen"
    if pure.name in FROZEN_FILES or pure.name.endswith(_ENDS) or pure.parts[0].endswith(_METADATA):
        return f"{path}: decides what tests report; it is frozen"
    if allowed:
        if any(fnmatchcase(path, pattern) or path == pattern for pattern in allowed):
            return None
        return f"{path}: is not among the allowed paths ({', '.join(allowed)})"
    if not path.endswith(_CODE):
        return f"{path}: is no Python; a test may read what it expects there, so it is touched only if --allow-path names it"
    return None


def shadowed(path: str, files: Iterable[str]) -> str | None:
    """The file of a project that is not imported any more where a patch adds a file at ``path``; None for none.

    A package comes before a module of its name, and the project's root before ``src``.
    """
    if not path.endswith(".py"):
        return None
    name, own = _dotted(path), path.removesuffix("__init__.py")
    for other in files:
        if not other.endswith(".py") or other == path:
            continue
        theirs = _dotted(other)
        if theirs == name or (theirs.startswith(f"{name}.") and not (own != path and other.startswith(own))):
            return other
    return None


def _dotted(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
