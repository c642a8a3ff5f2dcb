"""When two outcomes of one call tell two versions apart, and how much the difference says.

An error of an operation on values it was not made for (a TypeError on a guessed argument) says little: two such
errors are the same, and one is the last thing to report.
"""

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.outcome import Outcome


class Difference(msgspec.Struct, frozen=True):
    """A call, what each version does with it, and the call it was made smaller from."""

    call: Call
    before: Outcome
    after: Outcome
    first: Call
    within: str = ""
    """The call inside, of a changed function, whose outcome differs; "" where the call's own does."""
    varied: str = ""
    """The argument of the call inside, or attribute of its instance, that was given another value for it."""


def tells(before: Outcome, after: Outcome) -> bool:
    """Whether the two outcomes are a difference of behaviour."""
    if "unusable" in (before.kind, after.kind) or (before.kind, before.parts) == (after.kind, after.parts):
        return False  # that a list became an iterator of the same items, the change shows
    if before.unbound or after.unbound or before.lacks_name:
        return False  # the signature changed or there is a new name, which the diff shows
    return not (before.kind == after.kind == "raises" and before.accident and after.accident)


def rank(before: Outcome, after: Outcome) -> int:
    """How much a difference says; smaller says more."""
    if before.kind == after.kind == "value":
        return 0
    kinds = {before.kind, after.kind}
    if kinds == {"value", "raises"}:
        if "AssertionError" in (before.parts.get("raises"), after.parts.get("raises")):
            return 3  # that an object is in a state which the code does not expect may be of our making
        return 2 if before.accident or after.accident else 1
    if kinds == {"raises"}:
        return 3 if before.parts.get("raises") != after.parts.get("raises") else 4
    return 2


def common(before: Outcome, after: Outcome) -> tuple[Outcome, Outcome]:
    """Two outcomes that were made of what is steady, without the parts that only one of them still has by that."""
    lost = before.unsteady | after.unsteady
    first, second = (
        msgspec.structs.replace(one, parts={key: text for key, text in one.parts.items() if key not in lost})
        for one in (before, after)
    )
    return first, second
