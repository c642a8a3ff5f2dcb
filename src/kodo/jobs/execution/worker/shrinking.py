"""Make sure of a difference between two versions, and make the call that shows it smaller."""

import time
from collections.abc import Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.difference import Difference, common, tells, worth
from kodo.jobs.execution.worker.seeds import Two
from kodo.jobs.execution.worker.smaller import size, smaller_calls
from kodo.jobs.execution.worker.version_pair import Pair

_MAX_ROUNDS = 12
_WIDTH = 40
_CONFIRMED = 3
"""Of the smaller calls of a round, how many of the smallest are made again; one of them is gone on with."""
_MORE_TIME = 4.0


def stable(
    calls: Sequence[Call], seen: Mapping[int, Two], pair: Pair, *, apart: bool = False
) -> dict[int, Two]:
    """The calls that still tell the versions apart by what both do again, backwards, under another hash seed and with
    more time; with those parts of their outcomes. ``apart``: each in a process that has made no other call.
    """
    again = pair.run(calls[::-1], _MORE_TIME, apart=apart)
    out: dict[int, Two] = {}
    for call in calls:
        if call.id in again:
            before, after = (
                one.steady(other) for one, other in zip(seen[call.id], again[call.id], strict=True)
            )
            if before is not None and after is not None and tells(*common(before, after)):
                out[call.id] = common(before, after)
    return out


def is_stated(call: Call) -> bool:
    """Whether the documentation says what comes of this very call."""
    return call.expect is not None and call.expect.kind in ("value", "shows")


def shrunk(call: Call, seen: Two, first: Pair, second: Pair, end: float) -> Difference:
    """The smallest call found before the monotonic time ``end`` that tells the versions apart in the same way; one of which the
    documentation says something stays as it is, since it says that of no other.
    """
    if is_stated(call):
        return Difference(call, *seen, call)
    best, outcome = call, seen
    for _ in range(_MAX_ROUNDS):
        if time.monotonic() > end or any(one.kind in ("timeout", "died") for one in outcome):
            break  # what does not end costs a limit of time at every step
        options = [
            msgspec.structs.replace(one, id=number)
            for number, one in zip(range(_WIDTH), smaller_calls(best), strict=False)
        ]
        results = first.run(options)
        better = [
            one for one in options
            if one.id in results and tells(*results[one.id]) and worth(one, *results[one.id]) <= worth(call, *seen)
        ]  # fmt: skip
        smallest = sorted(better, key=size)[:_CONFIRMED]
        steady = stable(smallest, results, second) if smallest else {}
        if not steady:
            break
        best = next(one for one in smallest if one.id in steady)
        outcome = steady[best.id]
    return Difference(best, *outcome, call)
