"""Make calls in two versions of a module and say which of them do something else, and do so again; nothing is made smaller."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.difference import common, tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.pair import Pair, SideFailed
from kodo.jobs.execution.worker.shrinking import Two


class Vary(msgspec.Struct, frozen=True, tag=True):
    """Make each batch of calls in both versions, each batch in a process of its own; ``seconds`` is for one call."""

    before: ModuleLocation
    after: ModuleLocation
    batches: tuple[tuple[Call, ...], ...]
    seconds: float


class Both(msgspec.Struct, frozen=True):
    """A call that ran in both versions: its number, whether they do something else, and what each gives.

    ``before`` and ``after`` are the result as source or text, or the name of the error; ``raised`` and ``raises`` say which.
    """

    id: int
    differs: bool
    before: str
    after: str
    raised: bool = False
    raises: bool = False


class Varied(msgspec.Struct, frozen=True, tag=True):
    """One batch: its calls that ran in both versions, without those whose difference was another one the second time."""

    ran: tuple[Both, ...]


VaryAnswer = Varied | Failed


def run_vary(job: Vary) -> Iterator[VaryAnswer]:
    """An answer for each batch."""
    try:
        first, second = (Pair(job.before, job.after, job.seconds, seed) for seed in (1, 2))
        for calls in job.batches:
            seen = first.run(calls)
            again = second.run(calls) if any(tells(*both) for both in seen.values()) else seen
            yield Varied(
                tuple(
                    _both(number, *steady)
                    for number, both in seen.items()
                    if not any(one.kind == "unusable" or one.unbound for one in both)
                    if (steady := _steady(both, again.get(number))) is not None
                )
            )
    except SideFailed as error:
        yield Failed(str(error))


def _steady(seen: Two, again: Two | None) -> Two | None:
    """Both outcomes by what was alike in two runs; None where they tell the versions apart in one of these only."""
    if again is None:
        return None
    if not tells(*seen):
        return seen
    before, after = (one.steady(other) for one, other in zip(seen, again, strict=True))
    if before is None or after is None or not tells(*common(before, after)):
        return None
    return common(before, after)


def _both(number: int, before: Outcome, after: Outcome) -> Both:
    first, second = (one.parts.get("result", one.parts.get("raises", one.kind)) for one in (before, after))
    return Both(number, tells(before, after), first, second, before.kind != "value", after.kind != "value")
