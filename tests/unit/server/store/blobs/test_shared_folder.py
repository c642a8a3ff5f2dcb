"""The id of a shared folder, on file systems of every kind."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs import shared_folder
from kodo.server.store.blobs.shared_folder import ID, make_id, read_id


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """SMB, and some of FUSE: of servers that start at once, all have the same id, and nothing else is left."""

    def refused(path: Path, target: Path) -> None:
        raise OSError(code, "no hard links", str(path))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    together = threading.Barrier(8)

    def start(_: int) -> str:
        together.wait()
        return make_id(tmp_path)

    with ThreadPoolExecutor(8) as servers:
        found = set(servers.map(start, range(8)))
    assert found == {read_id(tmp_path)}
    assert [path.name for path in tmp_path.iterdir()] == [ID]


def test_an_id_that_is_just_being_written_is_waited_for(tmp_path: Path) -> None:
    """Where it cannot be there whole at once, it is empty for a moment."""
    (tmp_path / ID).touch()
    writing = threading.Timer(0.2, (tmp_path / ID).write_text, ["abc"])
    writing.start()
    assert (make_id(tmp_path), read_id(tmp_path)) == ("abc", "abc")
    writing.join()


def test_an_id_that_was_never_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server was killed between the two."""
    monkeypatch.setattr(shared_folder, "WRITING_SECONDS", 0.05)
    (tmp_path / ID).touch()
    with pytest.raises(StoreFailed, match="delete it"):
        make_id(tmp_path)
    assert read_id(tmp_path) is None


def test_a_folder_that_cannot_be_written_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt of a server to start takes back what it has written."""

    def full(path: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "full", str(path))

    monkeypatch.setattr(Path, "hardlink_to", full)
    monkeypatch.setattr(shared_folder, "_create_exclusively", full)
    for _ in range(3):
        with pytest.raises(StoreFailed, match="cannot be used: full"):
            make_id(tmp_path)
    assert list(tmp_path.iterdir()) == []
