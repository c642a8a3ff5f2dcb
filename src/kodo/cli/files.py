"""Writing a result to a file, whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from kodo.cli.exit_codes import CommandError


def write_atomically(path: Path, text: str, option: str = "-o ") -> None:
    """Replace ``path`` by a file with this text, in one step; permissions and symbolic links are kept.

    A device or a pipe is written to. ``option`` is what named the file, for errors. Raises CommandError where that is not possible; what
    was there is then untouched.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)
    except OSError as error:
        raise CommandError(f"{option}{path}: {error.strerror}") from error


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
