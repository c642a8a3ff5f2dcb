"""The folder that servers of one database share, and the id in it by which they know that it is the same one."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Final

from kodo.server.lifecycle.errors import StoreFailed

ID: Final = "folder.id"
"""The file that holds the id."""


def read_id(folder: Path) -> str | None:
    """The id of a folder; None: no server has used it yet.

    Raises:
        StoreFailed: the folder is not there, or cannot be read.
    """
    try:
        if not folder.is_dir():
            raise StoreFailed(f"The shared folder {folder} is not there.")
        return (folder / ID).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"The shared folder cannot be read: {error.strerror}.") from error


def make_id(folder: Path) -> str:
    """The id of a folder, which is made if it has none; of several servers that make one at once, all have the same.

    Raises:
        StoreFailed: the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f"{ID}.{secrets.token_hex(8)}"
        if not (folder / ID).exists():
            new.write_text(secrets.token_hex(16), encoding="ascii")
            with contextlib.suppress(FileExistsError):
                (folder / ID).hardlink_to(new)  # whole or not at all
            new.unlink()
        return (folder / ID).read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreFailed(f"The shared folder cannot be used: {error.strerror}.") from error
