"""The checks that compare a Python text with what it was: run for each pair of definitions of one name."""

from collections.abc import Callable, Iterable

from kodo.jobs.review import python
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks import flipped, removed
from kodo.jobs.review.checks.pair import Pair, pairs
from kodo.jobs.review.draft import Draft
from kodo.jobs.review.languages import is_test

CHECKS: tuple[Callable[[Pair], Iterable[Draft]], ...] = removed.CHECKS


def run(file: ChangedFile, *, tested: bool) -> list[Draft]:
    """Drafts for a changed Python file; none for a new file, a test, or one that does not parse in both states.

    `tested`: the change alters tests too, which answer the questions of `flipped`.
    """
    if file.language != "python" or file.before is None or not file.complete or is_test(file.path):
        return []
    before, after = python.parse(file.before), python.parse(file.after)
    if before is None or after is None:
        return []
    checks = CHECKS if tested else (*CHECKS, *flipped.CHECKS)
    return [draft for pair in pairs(file, before, after) for check in checks for draft in check(pair)]
