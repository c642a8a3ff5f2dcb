"""Paths of a test run as expressions: those of temporary files with the files' texts, those of the project from its module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAX_TEXT = 4000
_MAX_FILES = 5
_LEVELS_OF_PYTEST = 3
"""How deep pytest's folder of one test lies in the temporary folder: user, run, test; with xdist, its worker before the test."""


@dataclass(frozen=True, slots=True)
class Places:
    """``root`` is the project's folder, ``path`` that of its module named ``module``, relative to it."""

    root: Path
    path: str
    module: str

    def mentioned_in(self, text: str) -> bool:
        """Whether a text holds a path of this run, which means nothing in another."""
        return str(self.root) in text or f"{tempfile.gettempdir()}/" in text

    def expression(self, text: str) -> tuple[str, tuple[str, ...]] | None:
        """The ``pathlib.Path`` of a place, and the statements that lay its files there; None for no such place."""
        if not text.startswith("/") or "\n" in text:
            return None
        path, temporary = Path(text), Path(tempfile.gettempdir())
        if path.is_relative_to(self.root):
            up, rest = len(Path(self.path).parts) - 1, path.relative_to(self.root).as_posix()
            return f"pathlib.Path({self.module}.__file__).parents[{up}] / {rest!r}", ()
        if path.is_relative_to(temporary) and path != temporary:
            name = _name(path.relative_to(temporary), path.is_file())
            return f"tmp_path / {name!r}" if name else "tmp_path", tuple(_files(path, name))
        return None


def _name(path: Path, is_file: bool) -> str:
    """A temporary path from the folder of one test on; names that were drawn by chance are left out."""
    if path.parts[0].startswith("pytest-of-"):
        levels = _LEVELS_OF_PYTEST + any(part.startswith("popen-") for part in path.parts[2:3])
        return Path(*path.parts[levels:]).as_posix().removeprefix(".")
    drawn, *rest = path.parts
    return "/".join(rest) or (f"file{Path(drawn).suffix}" if is_file else "")


def _files(path: Path, name: str) -> Iterator[str]:
    """Statements that write the small texts at a path, a file or a folder."""
    found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for one in found[:_MAX_FILES]:
        try:
            text = one.read_text(encoding="utf-8") if one.stat().st_size <= _MAX_TEXT else None
        except (OSError, UnicodeDecodeError):
            continue
        if text is not None:
            at = "/".join(part for part in (name, one.relative_to(path).as_posix().removeprefix(".")) if part)
            if "/" in at:
                yield f"(tmp_path / {at.rpartition('/')[0]!r}).mkdir(parents=True, exist_ok=True)"
            yield f"(tmp_path / {at!r}).write_text({text!r})"
