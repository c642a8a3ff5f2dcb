"""Make calls in both versions of a module, and say what each gives and whether they do something else, and do so again.

Each version is alone in a sandbox, at the same place there and with the same times of its files: nothing but the text of the
project tells the one before from the one with the patch. What the version before gives does not change within a run of ``kodo fix``, so it is made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kodo.jobs.execution.file_times import even_times
from kodo.jobs.execution.model import Call, ExecutionError
from kodo.jobs.execution.sandboxed import run_worker
from kodo.jobs.execution.worker.apart import Apart, ApartAnswer, SeededOutcome
from kodo.jobs.execution.worker.difference import common, tells
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.sandbox import Sandbox

CALL_SECONDS = 1.0
SECONDS = 120.0
"""For all calls of one version: most take two; without their results there is no proof."""
_WORKER = "kodo.jobs.execution.worker"
_SEEDS = (1, 2)
Seeded = Mapping[int, Outcome]
"""What one call did, by hash seed."""
Known = dict[tuple[str, Call], Seeded]
"""What calls did in the version before, by the path of its module and the call without its number."""


@dataclass(frozen=True, slots=True)
class Both:
    """What a call does in both versions.

    Attributes:
        differs: whether they do something else, under both hash seeds alike.
        before, after: what is alike under both seeds; all of it where the versions do the same.
    """

    differs: bool
    before: Outcome
    after: Outcome


@dataclass(slots=True)
class Version:
    """One version of a project and of the module in it that the calls are of; ``known`` is what they did already."""

    root: Path
    where: ModuleLocation
    known: Known = field(default_factory=dict)


def outcomes(
    version: Version, calls: Sequence[Call], sandbox: Sandbox, seeds: Sequence[int] = _SEEDS
) -> dict[int, Seeded]:
    """What calls do in one version, by their places; those that there was time for under all seeds.

    Raises:
        ExecutionError: the version cannot be imported, or its worker ended early.
    """
    even_times(version.root)
    numbered = tuple(msgspec.structs.replace(call, id=at) for at, call in enumerate(calls))
    job = Apart(version.where, numbered, CALL_SECONDS, SECONDS, tuple(seeds))
    answers: list[ApartAnswer] = run_worker(sandbox, version.root, _WORKER, job, ApartAnswer, seconds=SECONDS)
    seen: dict[int, dict[int, Outcome]] = {}
    for one in answers:
        if isinstance(one, SeededOutcome):
            seen.setdefault(one.outcome.id, {})[one.seed] = msgspec.structs.replace(one.outcome, id=0)
    return {at: made for at, made in seen.items() if len(made) == len(seeds)}


def does_the_same(
    version: Version, calls: Sequence[Call], expected: Sequence[Outcome], sandbox: Sandbox
) -> bool:
    """Whether calls do in a version what is expected of each; no where they cannot be made."""
    try:
        made = outcomes(version, calls, sandbox, _SEEDS[:1])
    except ExecutionError:
        return False
    return len(made) == len(calls) and all(
        _are_alike(one, made[at][_SEEDS[0]]) for at, one in enumerate(expected)
    )


def _are_alike(one: Outcome, other: Outcome) -> bool:
    """Whether nothing but the type of a number tells two outcomes apart: 9 + 0.0 is 9.0."""
    if not tells(*common(one, other)):
        return True
    try:
        return bool(literal_value(one.parts["result"]) == literal_value(other.parts["result"]))
    except (KeyError, NoLiteral):
        return False


@dataclass(frozen=True, slots=True)
class Versions:
    """Both versions, and the sandbox for each."""

    before: Version
    after: Version
    sandbox: Sandbox

    def run(self, calls: Sequence[Call]) -> tuple[dict[int, Both], bool]:
        """What ran in both, by the places of the calls; and whether the time was enough for all.

        Raises:
            ExecutionError: a version cannot be imported, or its worker ended early.
        """
        with ThreadPoolExecutor(2) as threads:  # they are two sandboxes
            made = list(threads.map(lambda version: self._made(version, calls), (self.before, self.after)))
        both = {at: (made[0][at], made[1][at]) for at in made[0].keys() & made[1].keys()}
        ran = {at: found for at in sorted(both) if (found := _compared(*both[at])) is not None}
        return ran, len(both) == len(calls)

    def _made(self, version: Version, calls: Sequence[Call]) -> dict[int, Seeded]:
        """What the calls do in one version, by their places; those that there was time for."""
        keys = [(version.where.path, msgspec.structs.replace(call, id=0)) for call in calls]
        new = [at for at, key in enumerate(keys) if key not in version.known]
        if new:
            made = outcomes(version, [calls[at] for at in new], self.sandbox)
            version.known |= {keys[new[place]]: seeded for place, seeded in made.items()}
        return {at: version.known[key] for at, key in enumerate(keys) if key in version.known}


def _compared(before: Seeded, after: Seeded) -> Both | None:
    """Both outcomes by what is alike under both seeds; None where a call did not run, or tells the versions apart under one seed only."""
    first, second = ((before[seed], after[seed]) for seed in _SEEDS)
    if any(one.kind == "unusable" or one.unbound for one in first):
        return None
    if not tells(*first):
        return Both(False, *first)
    steady = [one.steady(other) for one, other in zip(first, second, strict=True)]
    if steady[0] is None or steady[1] is None or not tells(*common(steady[0], steady[1])):
        return None
    return Both(True, *common(steady[0], steady[1]))
