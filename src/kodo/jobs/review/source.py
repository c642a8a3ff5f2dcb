"""Where the code under review comes from: one value per way of naming it.

These say what to read; ``reading`` does the reading. ``after`` in a comment is the state under review,
``before`` the state it is compared with (nothing, for whole files).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PathsSource:
    """Whole files, and the files under directories; every line of them is under review."""

    paths: tuple[Path, ...]
    root: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class TextSource:
    """One text (standard input); ``name`` gives the language by its suffix."""

    text: str
    name: str = "stdin.py"


@dataclass(frozen=True, slots=True)
class DiffSource:
    """A unified diff. The tree at ``root``, if given, is in the state before or after it (found out)."""

    diff: str
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class VersionsSource:
    """Two states of some files in memory, path to text; a path missing on one side is new or deleted."""

    before: Mapping[str, str]
    after: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PendingSource:
    """What is not committed yet: the working tree, new files included, against the last commit."""

    root: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class StagedSource:
    """What ``git add`` has put aside for the next commit."""

    root: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class BaseSource:
    """What ``head`` added since it left ``ref`` (``git diff ref...head``); of ``paths`` only, if given."""

    ref: str
    root: Path = field(default_factory=Path.cwd)
    head: str = "HEAD"
    paths: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class CommitSource:
    """What one commit changed against its first parent."""

    sha: str
    root: Path = field(default_factory=Path.cwd)


ReviewSource = (
    PathsSource
    | TextSource
    | DiffSource
    | PendingSource
    | VersionsSource
    | StagedSource
    | BaseSource
    | CommitSource
)
