"""Make calls in one version of a module, each in a process of its own, under several hash seeds.

The version is alone in its sandbox, at the place where a run of its tests has it, so that nothing but its own text tells it
from another version.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.jobs import Failed, ModuleLocation
from kodo.jobs.execution.worker.one_version import Batch
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.version_pair import SideFailed, SideProcess


class Apart(msgspec.Struct, frozen=True, tag=True):
    """Make each call under each hash seed.

    ``seconds`` are for one call; none is begun ``within`` seconds after the start.
    """

    where: ModuleLocation
    calls: tuple[Call, ...]
    seconds: float
    within: float
    seeds: tuple[int, ...]


class SeededOutcome(msgspec.Struct, frozen=True, tag=True):
    """What one call did under one hash seed."""

    seed: int
    outcome: Outcome


ApartAnswer = SeededOutcome | Failed


def run_apart(job: Apart) -> Iterator[ApartAnswer]:
    """An answer for each call and seed that there was time for; the seeds work at the same time."""
    batch = Batch(job.calls, job.seconds, until=time.monotonic() + job.within, apart=True)
    try:
        sides = [(seed, SideProcess("", job.where, seed)) for seed in job.seeds]
        for _, side in sides:
            side.send(batch)
        for seed, side in sides:
            yield from (SeededOutcome(seed, outcome) for outcome in side.receive().values())
    except SideFailed as error:
        yield Failed(str(error))
