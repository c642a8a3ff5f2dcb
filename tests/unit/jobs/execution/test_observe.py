"""The time that the calls of a function take of a run."""

from __future__ import annotations

import sys
import time
import types

from kodo.jobs.execution.model import Arg, Call, Observed
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

AROUND = """
import os

def beside(folder):
    return len(os.listdir(folder))

def size(text):
    return len(text)
"""


def _observed(name: str, code: str, job: Observe, tmp_path, monkeypatch) -> list[Observed]:
    path = tmp_path / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    module = types.ModuleType(name)
    exec(compile(code, str(path), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("KODO_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return [one.observed for one in run_observe(job, module)]


def test_what_is_around_the_folder_is_other_in_the_second_run(tmp_path, monkeypatch):
    """A test that counts the files here, above or beside holds in the sandbox alone; what reads none does the same in both."""
    folders = ("'.'", "'..'", "'../..'", "'abc'")
    calls = [Call(at, "beside", "beside(_0)", (Arg("folder", one),)) for at, one in enumerate(folders[:3])]
    calls.append(Call(3, "size", "size(_0)", (Arg("text", folders[3]),)))
    where = ModuleLocation("around.py", ".", "around", AROUND, ("beside", "size"))
    first, second = (
        {
            one.id: one.text
            for one in _observed(
                "around",
                AROUND,
                Observe(where, tuple(calls), {}, 5.0, False, backwards),
                tmp_path,
                monkeypatch,
            )
        }
        for backwards in (False, True)
    )
    assert [at for at in first if first[at] == second[at]] == [3]


def test_a_function_of_slow_calls_leaves_time_for_the_others(tmp_path, monkeypatch):
    """It is left after a few times its part of the seconds; what was seen until then is said, and the next function is called."""
    calls = [*(Call(at, "slow", "slow()") for at in range(60)), Call(60, "fast", "fast()")]
    where = ModuleLocation("slowmod.py", ".", "slowmod", CODE, ("slow", "fast"))
    started = time.monotonic()
    job = Observe(where, tuple(calls), {}, 5.0, False, False, budget=0.5)
    seen = _observed("slowmod", CODE, job, tmp_path, monkeypatch)
    assert 1 <= len(seen) < 40
    assert seen[-1].id == 60
    assert {one.kind for one in seen} == {"value"}
    assert time.monotonic() - started < 60 * 0.2
