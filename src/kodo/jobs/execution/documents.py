"""Find the documents of a project: its README and guides, or for an installed package the description in its metadata.

Reads files and imports nothing. A document is found by where it stands, and never by what a test would make of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kodo.jobs.execution.target import TargetModule

_SUFFIXES = frozenset({".rst", ".md", ".txt", ""})
_FOLDERS = ("docs", "doc")
_MAX_DOCUMENTS = 40
_MAX_BYTES = 400_000


def documents(module: TargetModule) -> tuple[str, ...]:
    """The texts of the documents that belong to a module's project, the README first; empty where there are none."""
    found = _of_project(module.root)
    if not found and module.root.name == "site-packages":
        found = list(_of_distribution(module))
    texts = (_text(path) for path in found[:_MAX_DOCUMENTS])
    return tuple(text for text in texts if text)


def _of_project(root: Path) -> list[Path]:
    readme = sorted(path for path in root.glob("README*") if path.suffix in _SUFFIXES)
    guides = [
        path for name in _FOLDERS for path in sorted((root / name).rglob("*")) if path.suffix in _SUFFIXES
    ]
    return [path for path in (*readme, *guides) if path.is_file()]


def _of_distribution(module: TargetModule) -> Iterator[Path]:
    """The metadata of the installed distribution that recorded the module's file."""
    place = module.path.relative_to(module.root).as_posix()
    for record in sorted(module.root.glob("*.dist-info/RECORD")):
        if any(line.startswith(f"{place},") for line in (_text(record) or "").splitlines()):
            yield record.with_name("METADATA")


def metadata_of(module: TargetModule) -> str | None:
    """The metadata of the installed distribution that a module is of; None for one of a project."""
    if module.root.name != "site-packages":
        return None
    return next((_text(path) for path in _of_distribution(module)), None)


def _text(path: Path) -> str | None:
    """The text of a file; None for one that is not there, too large, or no text."""
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= _MAX_BYTES else None
    except (OSError, UnicodeDecodeError):
        return None
