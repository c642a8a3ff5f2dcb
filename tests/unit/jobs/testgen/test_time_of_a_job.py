"""A job's time is held: no further search is begun after half of it, and the report says what was left out."""

from __future__ import annotations

import pytest

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.testgen.model import Options
from kodo.jobs.testgen.pipeline import Pipeline

MANY = "".join(f"def f{number}(x: int) -> int:\n    return x + {number}\n" for number in range(50))


def pipeline(tmp_path, monkeypatch, source: str = MANY, **options: float) -> Pipeline:
    """The steps over a module, at second 0 of a clock that stands still."""
    path = tmp_path / "mod.py"
    path.write_text(source)
    module = load(path)
    for clock in ("monotonic", "process_time"):
        monkeypatch.setattr(f"kodo.jobs.testgen.pipeline.time.{clock}", lambda: 0.0)
    return Pipeline(type("W", (), {"module": module, "spent": []})(), module.functions, Options(**options))


def test_no_step_of_the_search_begins_after_half_of_the_time(tmp_path, monkeypatch):
    """Of the clock's time it is the whole, for a busy machine. What is not begun is noted, once."""
    one = pipeline(tmp_path, monkeypatch, seconds=100)
    assert one.may_begin("uses of results")
    monkeypatch.setattr("kodo.jobs.testgen.pipeline.time.monotonic", lambda: 101.0)
    assert not one.may_begin("uses of results")
    assert not one.may_begin("uses of results")
    assert one.left_out == ["uses of results"]


def test_the_time_of_the_search_is_what_it_used_itself(tmp_path, monkeypatch):
    """CPU seconds of the workers count, whatever the clock says."""
    one = pipeline(tmp_path, monkeypatch, seconds=100)
    one.worker.spent += [20.0, 20.0]
    assert one.may_begin("uses of results")
    one.worker.spent.append(20.0)
    assert not one.may_begin("more calls for each mutant")


@pytest.mark.parametrize(("asked", "made"), [(None, 140), (300, 300), (7, 7)])
def test_many_functions_get_fewer_calls_each_unless_a_number_is_asked_for(tmp_path, monkeypatch, asked, made):
    """Fifty functions of 240 calls each would take most of the time; a number that is asked for is kept."""
    assert pipeline(tmp_path, monkeypatch, inputs=asked).inputs == made


def test_few_functions_get_the_most_calls(tmp_path, monkeypatch):
    """Nothing is saved where there is nothing to save."""
    assert pipeline(tmp_path, monkeypatch, "def f(x: int) -> int:\n    return x\n").inputs == 240


def test_a_step_that_runs_is_ended_with_the_time_of_the_search(tmp_path, monkeypatch):
    """Calls that were not run by then are said to be so; a step has twenty seconds at least."""
    asked: list[float] = []

    def ask(job, seconds, files=None, seed=0):
        asked.append(seconds)
        return []

    one = pipeline(tmp_path, monkeypatch, seconds=100)
    one.worker.ask = ask
    one.worker.where = ModuleLocation("mod.py", ".", "mod", MANY, ())
    trials = one.attempt([Call(0, "f0", "f0(_0)", (Arg("x", "1"),))])
    assert trials.rejected == {0: "not run: the time for this step was over"}
    monkeypatch.setattr("kodo.jobs.testgen.pipeline.time.monotonic", lambda: 90.0)
    one.attempt([Call(0, "f0", "f0(_0)", (Arg("x", "1"),))])
    assert sorted(asked[:2]) == [50.0, 100.0]
    assert set(asked[2:]) == {20.0}
