"""No call is begun after the end of a comparison, however slow the compared functions are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer, Exhausted
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.side import Batch, outcomes

_SLOW = """import os
import time

def slow(x):
    with open({begun!r}, "a") as file:
        file.write(f"{{os.getppid()}} {{time.monotonic()}}\\n")
    time.sleep(0.1)
    return {result}

def caller(x):
    return slow(x)
"""
_WHERE = ModuleLocation("m.py", ".", "m", "", ("slow", "caller"))


def _calls(function: str, first: int) -> tuple[Call, ...]:
    return tuple(
        Call(first + number, function, f"{function}(_0)", (Arg("x", str(number)),)) for number in range(100)
    )


def test_a_batch_gives_what_there_was_time_for() -> None:
    """The calls after the end have no outcome: they are neither stalls nor unusable."""

    def make(call: Call, seconds: float) -> Outcome:
        now = time.monotonic()
        time.sleep(0.02)
        return Outcome(call.id, "value", {"result": repr(now)})

    until = time.monotonic() + 0.3
    seen = list(outcomes(Batch(_calls("f", 0), 1.0, until=until), make))
    begun = [float(one.parts["result"]) for one in seen]
    assert len(seen) < 100 and {one.kind for one in seen} <= {"value"}
    assert sum(one > until for one in begun) <= 1


@pytest.mark.parametrize("result", ["x", "x + 1"])
def test_slow_functions_do_not_outlast_the_budget(tmp_path: Path, result: str) -> None:
    """With a budget of two seconds: equal versions, and versions whose difference is repeated and made smaller."""
    begun = tmp_path / "begun"
    for name, text in (("before", "x"), ("after", result)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(_SLOW.format(begun=str(begun), result=text))
    until = time.monotonic() + 2.0
    groups = (("slow", _calls("slow", 0)), ("caller", _calls("caller", 100)))
    tests = tuple(msgspec.structs.replace(call, origin="test") for call in _calls("slow", 200))
    job = Compare(_WHERE, _WHERE, groups, 1.0, until, tests, ("slow",))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker", "job.json"],
        cwd=tmp_path,
        env={**os.environ, "KODO_PROJECT": str(tmp_path), "KODO_FILES": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    rows = [line.split() for line in begun.read_text().splitlines()] if begun.exists() else []
    late = [process for process, began in rows if float(began) > until]
    assert len(late) <= 4 and len(set(late)) == len(
        late
    )  # one a process, begun between the look and the call
    answers = [msgspec.json.decode(line, type=CompareAnswer) for line in done.stdout.splitlines()]
    named = {name for one in answers if isinstance(one, Exhausted) for name in one.functions}
    assert "caller" in named
