"""The checks that compare a Python text with what it was: run for each pair of definitions of one name."""

from collections.abc import Callable, Iterable

from kodo.jobs.review import python
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks import inverted_logic, removed_guards
from kodo.jobs.review.checks.definition_pairs import ChangeLines, DefinitionPair, changed_definitions
from kodo.jobs.review.languages import is_test

CHECKS: tuple[Callable[[DefinitionPair], Iterable[Candidate]], ...] = removed_guards.CHECKS


def run(file: ChangedFile, *, tested: bool, change: ChangeLines | None = None) -> list[Candidate]:
    """Candidates for a changed Python file; empty for a new file, a test, or one that does not parse in both states.

    ``tested``: the change alters tests too, which answer the questions of ``inverted_logic``. ``change`` is
    all of it (None: this file is).
    """
    if file.language != "python" or file.before is None or not file.complete or is_test(file.path):
        return []
    before, after = python.parse(file.before), python.parse(file.after)
    if before is None or after is None:
        return []
    checks = CHECKS if tested else (*CHECKS, *inverted_logic.CHECKS)
    return [
        candidate
        for pair in changed_definitions(file, before, after, change or ChangeLines((file,)))
        for check in checks
        for candidate in check(pair)
    ]
