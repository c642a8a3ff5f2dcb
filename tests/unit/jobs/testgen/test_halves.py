"""Two parts of a job side by side do what the whole does."""

from __future__ import annotations

import os
import threading

import pytest

from kodo.jobs.execution.model import Call
from kodo.jobs.testgen.halves import halves_of_calls, halves_of_mutants, side_by_side


def calls(counts: dict[str, int]) -> list[Call]:
    """So many calls of each function, taken in turn."""
    rows = [(at, name) for name, count in counts.items() for at in range(count)]
    return [Call(number, name, "f()") for number, (_, name) in enumerate(sorted(rows))]


def test_a_function_is_in_one_half_with_its_calls_in_their_order():
    """A call may leave something behind for the next one of its function, so none is moved past another."""
    every = calls({"a": 500, "b": 300, "c": 190, "d": 10})
    halves = halves_of_calls(every)
    assert [len(half) for half in halves] == [500, 500]
    names = [{call.function for call in half} for half in halves]
    assert not names[0] & names[1]
    for half in halves:
        kept = [call for call in every if call.function in {one.function for one in half}]
        assert list(half) == kept


def test_few_calls_and_one_function_are_one_part():
    """A second start of the worker takes longer than a few calls; calls of one function are not divided."""
    assert [len(half) for half in halves_of_calls(calls({"a": 20, "b": 20}))] == [40]
    assert [len(half) for half in halves_of_calls(calls({"a": 900}))] == [900]
    assert halves_of_calls([]) == []


def test_every_mutant_is_in_one_half():
    """Nothing is lost and nothing is tried twice."""
    relevant = {mutant: tuple(range(150)) for mutant in range(9)}
    halves = halves_of_mutants(relevant)
    assert len(halves) == 2
    assert halves[0] | halves[1] == relevant
    assert not halves[0].keys() & halves[1].keys()
    assert halves_of_mutants({0: (1, 2)}) == [{0: (1, 2)}]
    assert halves_of_mutants({}) == []


def test_jobs_run_at_once_and_answer_in_their_order(monkeypatch):
    """Each waits for the other to have begun: one after the other they would not come to an end."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=20)

    def ask(job: str) -> list[str]:
        both.wait()
        return [f"{job} 1", f"{job} 2"]

    assert side_by_side(ask, ["a", "b"]) == ["a 1", "a 2", "b 1", "b 2"]


@pytest.mark.parametrize("cores", [1, 2, None])
def test_an_error_of_a_part_is_that_of_the_job(monkeypatch, cores):
    """On one core as on two."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)

    def ask(job: int) -> list[int]:
        if job == 2:
            raise ValueError("the worker ended early")
        return [job]

    assert side_by_side(ask, [1, 3]) == [1, 3]
    with pytest.raises(ValueError, match="ended early"):
        side_by_side(ask, [1, 2])
