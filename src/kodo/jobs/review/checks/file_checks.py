"""The checks of a text as it is, and their run over many texts."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.review import python
from kodo.jobs.review.analysers.one_file import in_time
from kodo.jobs.review.candidate import AnalyserResult, Candidate, Subject
from kodo.jobs.review.checks import (
    calls,
    control_flow,
    doc_mismatch,
    insecure_calls,
    loops,
    prompt_injection,
    secrets,
    slow_loops,
)
from kodo.jobs.review.python import ParsedModule

NAME = "kodo"
CHECKS: tuple[Callable[[ParsedModule], Iterable[Candidate]], ...] = (
    *calls.CHECKS,
    *control_flow.CHECKS,
    *loops.CHECKS,
    *slow_loops.CHECKS,
    *insecure_calls.CHECKS,
    *doc_mismatch.CHECKS,
)


def run(subjects: Sequence[Subject], deadline: Deadline | None = None) -> AnalyserResult:
    """Candidates for every file: secrets and instructions to a model in all of them, the rest in Python.

    A file that a check fails on, or takes too long for, is a failure of that file alone.
    """
    candidates: dict[int, list[Candidate]] = {}
    failures: dict[int, str] = {}
    for index, subject in enumerate(subjects):
        candidates[index], failure = in_time(partial(_check, subject), deadline)
        if failure:
            failures[index] = failure
    return AnalyserResult(candidates, frozenset(candidates) - failures.keys(), failures)


def _check(subject: Subject, found: list[Candidate]) -> str:
    """Add what is found in one file; return why a part of it could not be looked for, or ""."""
    found += [*secrets.run(subject), *prompt_injection.run(subject)]
    if subject.language != "python":
        return ""
    module = python.parse(subject.text)
    if module is None:
        return "its tree could not be built"
    for check in CHECKS:
        found += check(module)
    return ""
