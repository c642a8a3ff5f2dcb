"""Ids of responses, items and everything else that a client can ask for by id."""

from __future__ import annotations

import time

import pytest

from kodo.server.http.random_ids import RandomIds


def test_ids_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """New rows stand behind the others in an index of ids."""
    clock = iter(range(1_600_000_000_000_000_000, 2_000_000_000_000_000_000, 10_000_000_000_000_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    ids = [RandomIds().new("resp") for _ in range(40)]
    assert ids == sorted(ids)
    assert {len(id_) for id_ in ids} == {len("resp_") + 48}


def test_ids_of_one_moment_cannot_be_guessed_from_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the time is random, and no two are the same."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    ids = [RandomIds().new("resp") for _ in range(1000)]
    assert len({id_[-34:] for id_ in ids}) == len(ids)
    assert len({id_[:-34] for id_ in ids}) == 1
