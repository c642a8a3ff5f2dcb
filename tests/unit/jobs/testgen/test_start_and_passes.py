"""What a module's run does not wait for: imports that few calls need, a second start after a first, scores after verdicts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import msgspec
import pytest

from kodo.jobs.execution.model import Arg, Call, Observed
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.jobs import Observation, Observe
from kodo.jobs.testgen import render
from kodo.jobs.testgen.model import Options, Score
from kodo.jobs.testgen.pipeline import Pipeline
from kodo.jobs.testgen.select import Chosen
from kodo.jobs.testgen.worker.jobs import Judge, Judged, Killed, Measure, Measured, ScoreMutants

SOURCE = "def double(x: int) -> int:\n    return x + x\n"


def run(code: str) -> str:
    """What an interpreter of its own prints."""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_worker_starts_without_what_few_calls_need():
    """Both take longer to import than everything else that a job over calls needs."""
    asked = "{'asyncio', 'asyncio.events', 'doctest', 'pytest'} & set(sys.modules)"
    assert run(f"import sys; import kodo.jobs.testgen.worker.__main__; print(sorted({asked}))") == "[]"


def test_calls_may_name_asyncio_all_the_same():
    """It is imported when something of it is asked for, and code that imports it has the same module."""
    code = (
        "import sys, types; from kodo.jobs.execution.worker import load;"
        "load.defined = lambda *_: {}; load.module_names = lambda _: {};"
        "names = load.namespace(types.SimpleNamespace(module='m'), None);"
        "print('asyncio.events' in sys.modules, names['asyncio'].run.__name__, 'asyncio.events' in sys.modules);"
        "import asyncio; print(asyncio is names['asyncio'])"
    )
    assert run(code).split() == ["False", "run", "True", "True"]


class Worker:
    """Answers the jobs of a pipeline over SOURCE; ``fails`` is a test that fails."""

    where = None
    imported: dict[str, str] = {}  # noqa: RUF012 - never changed

    def __init__(self, path, together: threading.Barrier | None = None, fails: str = "") -> None:
        self.module = load(path)
        self.asked: list[str] = []
        self.spent: list[float] = []
        self._together, self._fails = together, fails

    def ask(self, job, seconds, files=None, seed=0):
        self.asked.append(type(job).__name__)
        if self._together is not None:
            self._together.wait()
        match job:
            case Observe():
                return [
                    Observation(Observed(call.id, "value", call.args[0].source, skipped=self.skipped(call)))
                    for call in job.calls
                ]
            case Judge():
                return [Judged(name, True, True, name != self._fails, "", 0.1) for name in job.names]
            case Measure():
                names = [part.partition("(")[0] for part in files["test_kodo_generated.py"].split("def ")[1:]]
                return [Measured(Score(2, 2, 0, 0), tuple(names), ())]
            case ScoreMutants():
                return [Killed(mutant, (-1,)) for mutant in job.only]
        raise AssertionError(job)

    def skipped(self, call):
        return (0,) if call.setup else ()


def call(number: int, *setup: str) -> Call:
    """A call of the function, with setup that raises."""
    return Call(number, "double", "double(_0)", (Arg("x", str(number)),), setup)


@pytest.fixture
def path(tmp_path):
    """The module's file."""
    out = tmp_path / "mod.py"
    out.write_text(SOURCE)
    return out


def test_both_passes_of_few_calls_are_made_at_once(path, monkeypatch):
    """Each waits for the other to have begun: one after the other they would not come to an end."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    worker = Worker(path, threading.Barrier(2, timeout=20))
    trials = Pipeline(worker, (), Options()).attempt([call(1), call(2, "no.name()")])
    assert [one.setup for one in trials.usable] == [(), ()], "setup that raised is left out"
    assert worker.asked == ["Observe", "Observe"]


@pytest.mark.parametrize("statement", ["from math import *", "from __future__ import annotations", "f(:"])
def test_setup_that_cannot_stand_in_a_test_is_no_candidate(path, statement):
    """Documents show such statements at the top of a session; in the written file, one would end the run of all tests."""
    pipeline = Pipeline(Worker(path), (), Options())
    trials = pipeline.attempt([call(1), call(2, statement), call(3, "import math", "if math: math.pi")])
    assert [one.id for one in trials.usable] == [1, 3]
    assert [one.id for one in trials.unparsed] == [2]


def written(pipeline: Pipeline, numbers: list[int]):
    """Tests of so many calls."""
    trials = pipeline.attempt([call(number) for number in numbers])
    return pipeline.write([Chosen(one, frozenset(), frozenset()) for one in trials.usable], trials, set())


def test_the_file_is_scored_while_its_tests_are_judged(path):
    """Where all pass, nothing is asked again afterwards."""
    worker = Worker(path)
    pipeline = Pipeline(worker, load(path).functions, Options())
    tests = written(pipeline, [1, 2])
    worker.asked.clear()
    judged = pipeline.judge(tests)
    assert all(one.passes_five_times for one in judged.values())
    assert {"Judge", "Measure", "ScoreMutants"} == set(worker.asked)
    count = len(worker.asked)
    text = pipeline.file(pipeline.lay_out(tests).written)
    assert pipeline.measure(text, ()) == Score(2, 2, 0, 0)
    every = frozenset(place.id for place in pipeline.places)
    assert pipeline.killed(text, (), every) == every
    assert len(worker.asked) == count


def test_one_thread_reads_python_at_a_time(path, monkeypatch):
    """Python 3.11's parser raises a SystemError where two do, and the tests are judged while the file is scored."""
    pipeline = Pipeline(Worker(path), load(path).functions, Options())
    tests = written(pipeline, [1, 2])
    busy, file, apart = threading.Lock(), render.file, []

    def slow_file(*given: object) -> str:
        apart.append(busy.acquire(blocking=False))
        time.sleep(0.1)
        text = file(*given)
        if apart[-1]:
            busy.release()
        return text

    monkeypatch.setattr(render, "file", slow_file)
    pipeline.judge(tests)
    assert len(apart) > 1 and all(apart)


def test_a_file_without_a_test_that_failed_is_scored_anew(path):
    """The answers that were kept are those of another file."""
    worker = Worker(path)
    pipeline = Pipeline(worker, load(path).functions, Options())
    tests = written(pipeline, [1, 2])
    pipeline.judge(tests)
    worker.asked.clear()
    text = pipeline.file(pipeline.lay_out(tests[:1]).written)
    pipeline.killed(text, (), frozenset({0}))
    assert worker.asked[-1] == "ScoreMutants"


def test_a_pass_shows_the_call_without_the_setup_that_raised(tmp_path, monkeypatch):
    """A statement may have changed something before it raised; a test without it would not see that."""
    body = (
        "class Counter:\n    def __init__(self):\n        self.n = 0\n\n"
        "    def bad(self):\n        self.n += 1\n        raise ValueError\n\n"
        "    def count(self):\n        return self.n\n"
    )
    (tmp_path / "counting.py").write_text(body)
    job = {
        "where": {
            "path": "counting.py",
            "import_root": ".",
            "module": "counting",
            "source": body,
            "defined": ["Counter"],
        },
        "calls": [
            {
                "id": 0,
                "function": "Counter.count",
                "expression": "counter.count()",
                "setup": ["counter = Counter()", "counter.bad()"],
                "receiver": "counter",
            }
        ],
        "invariants": {},
        "seconds": 2.0,
        "trace": True,
        "backwards": False,
        "type": "Observe",
    }
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.testgen.worker", "job.json"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "KODO_PROJECT": str(tmp_path)},
    )
    seen = msgspec.json.decode(done.stdout.splitlines()[0], type=Observation).observed
    assert (seen.text, seen.skipped) == ("0", (1,))
