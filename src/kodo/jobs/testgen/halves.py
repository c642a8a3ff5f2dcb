"""Divide a worker's job into two that run side by side in sandboxes of their own, where a machine has two cores.

Calls of one function stay together, in their order, so that the parts do what the whole does; so do the calls of one mutant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kodo.jobs.execution.model import Call

MIN_CALLS = 700
"""Calls that are worth a second start of the worker, which takes as long as some hundreds of calls."""
_Job = TypeVar("_Job")
_Answer = TypeVar("_Answer")


def halves_of_calls(calls: Sequence[Call]) -> list[tuple[Call, ...]]:
    """The calls as one part, or as two of nearly one length with whole functions in each."""
    counts: dict[str, int] = {}
    for call in calls:
        counts[call.function] = counts.get(call.function, 0) + 1
    first = _half(counts) if len(calls) >= MIN_CALLS else frozenset()
    parts = (
        tuple(call for call in calls if call.function in first),
        tuple(call for call in calls if call.function not in first),
    )
    return [part for part in parts if part]


def halves_of_mutants(relevant: Mapping[int, tuple[int, ...]]) -> list[dict[int, tuple[int, ...]]]:
    """Mutant -> calls to try on it, as one part or as two of nearly as many calls."""
    counts = {mutant: len(calls) for mutant, calls in relevant.items()}
    first = _half(counts) if sum(counts.values()) >= MIN_CALLS else frozenset()
    parts = (
        {mutant: calls for mutant, calls in relevant.items() if mutant in first},
        {mutant: calls for mutant, calls in relevant.items() if mutant not in first},
    )
    return [part for part in parts if part]


def side_by_side(ask: Callable[[_Job], Iterable[_Answer]], jobs: Sequence[_Job]) -> list[_Answer]:
    """The answers to all jobs, in their order. Raises what the first of them raised."""
    workers = min(len(jobs), os.cpu_count() or 1)
    if workers < 2:
        return [answer for job in jobs for answer in ask(job)]
    with ThreadPoolExecutor(workers) as pool:
        return [answer for answers in pool.map(ask, jobs) for answer in answers]


def _half(counts: Mapping[_Job, int]) -> frozenset[_Job]:
    """Keys whose counts make up about a half; the largest first, each to the side that has less."""
    chosen: set[_Job] = set()
    sums = [0, 0]
    for key, count in sorted(counts.items(), key=lambda row: -row[1]):
        side = sums[0] > sums[1]
        sums[side] += count
        if not side:
            chosen.add(key)
    return frozenset(chosen)
