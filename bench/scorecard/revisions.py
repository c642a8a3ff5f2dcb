"""The two pushes of a case: the change, and the change pushed again with two lines of comment above every file.

The second push moves every line, as the next commit of a branch does; what was said of the first one must be
recognised in it. Knows files and lines, no reviewer.
"""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath

from bench.scorecard.cases import SourceFile

_COMMENT_MARK = {".py": "#", ".md": ""}
_COMMENT = ("reviewed once already", "pushed again after the first remarks")


def push_again(files: tuple[SourceFile, ...]) -> tuple[SourceFile, ...]:
    """The same change with the comment above every changed file that still exists."""
    return tuple(
        SourceFile(file.path, file.before, _comment(file.path) + file.after)
        if file.after is not None and file.after != file.before
        else file
        for file in files
    )


def on_the_comment(files: tuple[SourceFile, ...], path: str, line: int) -> bool:
    """Whether a place of the second push is in the comment, which the first push does not have."""
    changed = any(file.path == path and file.before != file.after for file in files)
    return changed and line <= len(_COMMENT)


def before(files: tuple[SourceFile, ...]) -> dict[str, str]:
    """Path to text before the change."""
    return {file.path: file.before for file in files if file.before is not None}


def after(files: tuple[SourceFile, ...]) -> dict[str, str]:
    """Path to text after the change."""
    return {file.path: file.after for file in files if file.after is not None}


def added_lines(file: SourceFile) -> frozenset[int]:
    """The lines that are new after the change, counted from 1."""
    matcher = difflib.SequenceMatcher(
        None, (file.before or "").splitlines(), (file.after or "").splitlines(), autojunk=False
    )
    return frozenset(
        line
        for tag, _, _, start, end in matcher.get_opcodes()
        if tag != "equal"
        for line in range(start + 1, end + 1)
    )


def _comment(path: str) -> str:
    mark = _COMMENT_MARK.get(PurePosixPath(path).suffix, "//")
    return "".join(f"{mark} {text}".strip() + "\n" for text in _COMMENT)
