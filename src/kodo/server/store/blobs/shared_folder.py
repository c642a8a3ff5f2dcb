"""The folder that servers of one database share, and the id in it by which they know that it is the same one."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Final

from kodo.server.lifecycle.errors import StoreFailed

ID: Final = "folder.id"
"""The file that holds the id."""
WRITING_SECONDS: Final = 2.0
"""How long an empty file is taken for one that another server is just writing."""


def read_id(folder: Path) -> str | None:
    """The id of a folder; None: no server has used it yet.

    Raises:
        StoreFailed: the folder is not there, or cannot be read.
    """
    try:
        if not folder.is_dir():
            raise StoreFailed(f"The shared folder {folder} is not there.")
        return _read(folder) or None
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
        if not (folder / ID).exists():
            _create(folder, secrets.token_hex(16))
        found = _read(folder)
    except OSError as error:
        raise StoreFailed(f"The shared folder cannot be used: {error.strerror}.") from error
    if not found:
        raise StoreFailed(f"{folder / ID} is empty: delete it, and start the server again.")
    return found


def _create(folder: Path, text: str) -> None:
    """Write the id, unless there is one: whole or not at all, where the file system has hard links."""
    new = folder / f"{ID}.{secrets.token_hex(8)}"
    try:
        new.write_text(text, encoding="ascii")
        (folder / ID).hardlink_to(new)
    except FileExistsError:
        return
    except OSError:  # SMB and some of FUSE have none
        _create_exclusively(folder / ID, text)
    finally:
        new.unlink(missing_ok=True)


def _create_exclusively(path: Path, text: str) -> None:
    try:
        file = path.open("x", encoding="ascii")
    except FileExistsError:
        return
    try:
        with file:
            file.write(text)
    except OSError:  # a full disk, most likely
        path.unlink(missing_ok=True)
        raise


def _read(folder: Path) -> str:
    """The id; empty, where a server was stopped while it wrote it."""
    deadline = time.monotonic() + WRITING_SECONDS
    while not (found := (folder / ID).read_text(encoding="ascii").strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
