"""The checks of a text as it is, and their run over many texts."""

from collections.abc import Callable, Iterable, Sequence

from kodo.jobs.review import python
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


def run(subjects: Sequence[Subject]) -> AnalyserResult:
    """Candidates for every file: secrets and instructions to a model in all of them, the rest in Python."""
    candidates: dict[int, list[Candidate]] = {}
    failures: dict[int, str] = {}
    for index, subject in enumerate(subjects):
        found = [*secrets.run(subject), *prompt_injection.run(subject)]
        if subject.language == "python":
            module = python.parse(subject.text)
            if module is None:
                failures[index] = "its tree could not be built"
            else:
                try:
                    for check in CHECKS:
                        found += check(module)
                except RecursionError:
                    failures[index] = "its tree is too deep to be checked"
        candidates[index] = found
    return AnalyserResult(candidates, frozenset(candidates) - failures.keys(), failures)
