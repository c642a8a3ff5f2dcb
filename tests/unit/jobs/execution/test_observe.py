"""The time that the calls of a function take of a run."""

from __future__ import annotations

import sys
import time
import types

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.jobs import ModuleLocation, Observe
from kodo.jobs.execution.worker.observe import run_observe

CODE = """
import time

def slow():
    time.sleep(0.2)
    return 1

def fast():
    return 2
"""


def test_a_function_of_slow_calls_leaves_time_for_the_others(tmp_path, monkeypatch):
    """It is left after a few times its part of the seconds; what was seen until then is said, and the next function is called."""
    path = tmp_path / "slowmod.py"
    path.write_text(CODE, encoding="utf-8")
    module = types.ModuleType("slowmod")
    exec(compile(CODE, str(path), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "slowmod", module)
    monkeypatch.setenv("KODO_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    calls = [*(Call(at, "slow", "slow()") for at in range(60)), Call(60, "fast", "fast()")]
    where = ModuleLocation("slowmod.py", ".", "slowmod", CODE, ("slow", "fast"))
    started = time.monotonic()
    seen = [
        one.observed
        for one in run_observe(Observe(where, tuple(calls), {}, 5.0, False, False, budget=0.5), module)
    ]
    assert 1 <= len(seen) < 40
    assert seen[-1].id == 60
    assert {one.kind for one in seen} == {"value"}
    assert time.monotonic() - started < 60 * 0.2
