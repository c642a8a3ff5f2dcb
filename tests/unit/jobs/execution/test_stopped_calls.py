"""Statements before a call at which one version alone stops, and what becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.stopped_calls import StoppedCalls, ended_at

_CALL = Call(
    1, "f", "shop.total()", (Arg("x", "'a'"),), ("import m", "shop = m.Shop()", "shop.add(_0)"), origin="test"
)
_MADE = Outcome(1, "value", {"result": "1"})


def _stopped(at: int) -> Outcome:
    return Outcome(1, "unusable", {"why": "no"}, stopped=at)


def test_the_statement_becomes_the_call() -> None:
    """With those before it; one that binds a name is what it binds it to."""
    made = ended_at(_CALL, 2)
    assert made is not None
    assert [*filled_setup(made), filled(made)] == ["import m", "shop = m.Shop()", "shop.add('a')"]
    bound = ended_at(_CALL, 1)
    assert bound is not None and bound.expression == "m.Shop()"
    assert ended_at(_CALL, 0) is None


def test_it_is_found_where_one_version_goes_on() -> None:
    """Once; not where both stop at it, or none does."""
    found = StoppedCalls()
    found.see([_CALL], {1: (_stopped(2), _stopped(2))})
    found.see([_CALL], {1: (_MADE, _MADE)})
    found.see([_CALL], {})
    assert found.taken() == []
    found.see([_CALL, _CALL], {1: (_MADE, _stopped(2))})
    assert [one.expression for one in found.taken()] == ["shop.add(_0)"]
    found.see([_CALL], {1: (_stopped(2), _MADE)})
    assert found.taken() == []


_SHOP = """class Shop:
    def __init__(self):
        self.items = []

    def add(self, item):
        {check}
        self.items.append(item)

    def total(self):
        return len(self.items)
"""


def test_what_the_statement_does_is_the_difference(tmp_path: Path) -> None:
    """The call of a test comes after one that is refused now; the refusal is told, by the statement alone."""
    for name, check in ((BEFORE, "pass"), (AFTER, "if item == 'a': raise ValueError(item)")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(_SHOP.format(check=check))
    where = ModuleLocation("m.py", ".", "m", "", ("Shop",))
    job = Compare(where, where, (), 1.0, time.monotonic() + 20.0, (_CALL,), ("Shop.add",))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    here = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker", "job.json"],
        cwd=tmp_path,
        env={**os.environ, "KODO_PROJECT": here, "KODO_FILES": here, "HOME": here, "TMPDIR": here},
        capture_output=True,
        check=True,
    )
    answers = [msgspec.json.decode(line, type=CompareAnswer) for line in done.stdout.splitlines()]
    found = [each for one in answers if isinstance(one, Compared) for each in one.differences]
    assert found
    assert all(filled(one.call) == "shop.add('a')" for one in found)
    assert {(one.before.kind, one.after.parts.get("raises")) for one in found} == {("value", "ValueError")}
