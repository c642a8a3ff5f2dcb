"""Calls that are handed over while they are found are read once each, as whole lines, until their end is said."""

from __future__ import annotations

import stat
from pathlib import Path

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.handover import Incoming, Outgoing


def _call(number: int) -> Call:
    return Call(number, "test_m.py", f"f({number})")


def test_what_comes_is_read_once_and_in_order_until_the_end(tmp_path: Path) -> None:
    """A file that is not there yet has no calls; one that ended is not looked at again."""
    incoming = Incoming(tmp_path, ("written", "recorded"))
    assert list(incoming.read()) == [] and not incoming.ended
    recorded = Outgoing(tmp_path / "recorded", lambda call: True)
    recorded.add(_call(1))
    recorded.add(_call(2))
    assert list(incoming.read()) == [("recorded", [_call(1), _call(2)])]
    assert list(incoming.read()) == []
    written = Outgoing(tmp_path / "written", lambda call: True)
    written.add(_call(3))
    written.end()
    recorded.add(_call(4))
    assert list(incoming.read()) == [("written", [_call(3)]), ("recorded", [_call(4)])]
    assert not incoming.ended
    recorded.end()
    assert list(incoming.read()) == [] and incoming.ended


def test_a_line_that_is_not_written_to_its_end_is_read_later(tmp_path: Path) -> None:
    """A reader may come in the middle of a write."""
    whole = tmp_path / "whole"
    outgoing = Outgoing(whole, lambda call: True)
    outgoing.add(_call(1))
    outgoing.end()
    text, incoming = whole.read_bytes(), Incoming(tmp_path, ("part",))
    (tmp_path / "part").write_bytes(text[:10])
    assert list(incoming.read()) == []
    (tmp_path / "part").write_bytes(text)
    assert list(incoming.read()) == [("part", [_call(1)])] and incoming.ended


def test_only_what_is_to_be_kept_is_handed_over_and_every_user_can_read_it(tmp_path: Path) -> None:
    """What runs in the sandbox is another user where kodo runs as root."""
    outgoing = Outgoing(tmp_path / "calls", lambda call: call.id != 2)
    for number in (1, 2, 3):
        outgoing.add(_call(number))
    outgoing.end()
    (row,) = Incoming(tmp_path, ("calls",)).read()
    assert row == ("calls", [_call(1), _call(3)])
    assert stat.S_IMODE((tmp_path / "calls").stat().st_mode) == 0o644
