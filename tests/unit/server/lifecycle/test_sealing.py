"""Sealed values: only this server, only for their owner, only unchanged."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.server.lifecycle import sealing
from kodo.server.lifecycle.sealing import Sealer

SEALER = Sealer(b"k" * 64)


@given(st.binary(max_size=300), st.text(max_size=5), st.text(max_size=5))
def test_a_value_opens_for_its_owner_only(data: bytes, owner: str, other: str) -> None:
    """And is the same each time it is sealed, so that a log folds to the same bytes."""
    sealed = SEALER.seal(owner, data)
    assert SEALER.seal(owner, data) == sealed
    assert SEALER.open(owner, sealed) == data
    if other != owner:
        assert SEALER.open(other, sealed) is None


@given(st.binary(min_size=1, max_size=50), st.integers(0), st.sampled_from("AB-_z9"))
def test_a_changed_value_does_not_open(data: bytes, place: int, character: str) -> None:
    """Whichever character is changed, cut off or added."""
    sealed = SEALER.seal("ada", data)
    place %= len(sealed)
    changed = sealed[:place] + character + sealed[place + 1 :]
    if changed != sealed:
        assert SEALER.open("ada", changed) in (None, data)  # the last character has bits that mean nothing
        if place < len(sealed) - 3:
            assert SEALER.open("ada", changed) is None
    assert SEALER.open("ada", sealed[:-5]) is None
    assert SEALER.open("ada", f"{sealed}AAAA") is None


@given(st.text(max_size=40))
def test_anything_else_does_not_open(text: str) -> None:
    """Never an exception."""
    assert SEALER.open("ada", text) is None
    assert SEALER.open("ada", f"kodo1.{text}") is None


def test_the_key_is_made_once_and_for_this_user(tmp_path: Path) -> None:
    """A later server opens what an earlier one sealed; another home does not."""
    sealed = Sealer.at(tmp_path / "key").seal("ada", b"x")
    assert Sealer.at(tmp_path / "key").open("ada", sealed) == b"x"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert Sealer.at(tmp_path / "other").open("ada", sealed) is None


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_the_key_is_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As on SMB, which servers may share: whole, for this user, and one that is there is not replaced."""

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "key"
    sealed = Sealer.at(path).seal("ada", b"x")
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
    assert (len(path.read_bytes()), stat.S_IMODE(path.stat().st_mode)) == (sealing.KEY_BYTES, 0o600)
    assert sealing._make_key(path) == path.read_bytes()
    assert Sealer.at(path).open("ada", sealed) == b"x"


def test_a_key_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """Another server may be just making it."""
    path = tmp_path / "key"
    path.write_bytes(b"k" * 10)
    writing = threading.Timer(0.2, path.write_bytes, [b"k" * sealing.KEY_BYTES])
    writing.start()
    assert Sealer.at(path).seal("ada", b"x") == SEALER.seal("ada", b"x")
    writing.join()
