"""Make calls in two versions of a module and say which of them do something else; nothing is made smaller or repeated."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.compare import Pair, SideFailed
from kodo.jobs.execution.worker.difference import tells
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation


class Vary(msgspec.Struct, frozen=True, tag=True):
    """Make each batch of calls in both versions, each batch in a process of its own; ``seconds`` is for one call."""

    before: ModuleLocation
    after: ModuleLocation
    batches: tuple[tuple[Call, ...], ...]
    seconds: float


class Varied(msgspec.Struct, frozen=True, tag=True):
    """One batch: the numbers of the calls that ran in both versions, and of those that do something else.

    ``results`` are what the second version gives in those that differ, as source or text; "" for an error.
    """

    ran: tuple[int, ...]
    differ: tuple[int, ...]
    results: tuple[str, ...] = ()


VaryAnswer = Varied | Failed


def run_vary(job: Vary) -> Iterator[VaryAnswer]:
    """An answer for each batch."""
    try:
        pair = Pair(job.before, job.after, job.seconds, 1)
        for calls in job.batches:
            seen = pair.run(calls)
            ran = [
                number
                for number, both in seen.items()
                if not any(one.kind == "unusable" or one.unbound for one in both)
            ]
            differ = [number for number in ran if tells(*seen[number])]
            results = tuple(seen[number][1].parts.get("result", "") for number in differ)
            yield Varied(tuple(ran), tuple(differ), results)
    except SideFailed as error:
        yield Failed(str(error))
