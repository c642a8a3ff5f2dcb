"""The checks of a text as it is, and their run over many texts."""

from collections.abc import Callable, Iterable, Sequence

from kodo.jobs.review import python
from kodo.jobs.review.checks import calls, flow, loops, orders, risky, secrets, stated
from kodo.jobs.review.draft import Draft, Outcome, Subject
from kodo.jobs.review.python import Module

NAME = "kodo"
CHECKS: tuple[Callable[[Module], Iterable[Draft]], ...] = (
    *calls.CHECKS,
    *flow.CHECKS,
    *loops.CHECKS,
    *risky.CHECKS,
    *stated.CHECKS,
)


def run(subjects: Sequence[Subject]) -> Outcome:
    """Drafts for every subject: secrets and orders in all of them, the rest in Python."""
    drafts: dict[int, list[Draft]] = {}
    failures: dict[int, str] = {}
    for index, subject in enumerate(subjects):
        found = [*secrets.run(subject), *orders.run(subject)]
        if subject.language == "python":
            module = python.parse(subject.text)
            if module is None:
                failures[index] = "its tree could not be built"
            else:
                for check in CHECKS:
                    found += check(module)
        drafts[index] = found
    return Outcome(drafts, frozenset(drafts) - failures.keys(), failures)
