"""Judges a test suite by running it in the sandbox: on the good and the bad version, and on the good one's mutants.

The same for every contestant, whoever wrote the suite. Knows nothing of how it was written.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from bench.scorecard.cases import ModuleCase
from bench.scorecard.mutants import mutants
from kodo.sandbox import FILES, PYTHON, ResourceLimits, Sandbox

_PROGRAM = Path(__file__).parent / "inside" / "suites.py"
MUTANTS = 24
"""Mutants of each module."""
SECONDS = 60.0
"""What the suite may take for one version. A mutant has less: see :func:`mutant_seconds`."""


class Run(msgspec.Struct, frozen=True):
    """How a suite ended on one version: names of tests, and the share of lines and branches that ran."""

    passed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    covered: float | None = None
    timed_out: bool = False
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.failed or self.broken or self.timed_out)


class Judged(msgspec.Struct, frozen=True):
    """A suite's runs on both versions, and what it did to the good version's mutants."""

    good: Run
    bad: Run
    mutants: int = 0
    killed: int = 0


class SuiteError(Exception):
    """The suite could not be run at all; the message is one line."""


def mutant_seconds(good: Run) -> float:
    """Seconds a mutant may take before it counts as killed, from the time that the good version took."""
    return min(SECONDS, 2.0 + 5 * good.seconds)


class Judge:
    """Runs suites in one sandbox, which must isolate fully (or be allowed not to)."""

    def __init__(self, sandbox: Sandbox, *, allow_weak: bool = False) -> None:
        sandbox.require(allow_weak=allow_weak)
        self._sandbox = sandbox

    def mutants_of(self, case: ModuleCase) -> int:
        """How many mutants a suite for this module is tried on."""
        return len(mutants(case.good, MUTANTS))

    def on_both(self, case: ModuleCase, suite: str) -> Judged:
        """The suite on the good and the bad version, every test told."""
        runs = self._run(case, suite, {"good": case.good, "bad": case.bad})
        return Judged(runs["good"], runs["bad"])

    def judge(self, case: ModuleCase, suite: str) -> Judged:
        """The suite on both versions; then the tests that pass on the good one, on its mutants.

        Raises :class:`SuiteError` when the run itself fails.
        """
        judged = self.on_both(case, suite)
        texts = mutants(case.good, MUTANTS)
        if not judged.good.passed:
            return Judged(judged.good, judged.bad, len(texts), 0)
        versions = {f"mutant {i}": text for i, text in enumerate(texts)}
        runs = self._run(case, suite, versions, judged.good.passed, mutant_seconds(judged.good))
        return Judged(judged.good, judged.bad, len(texts), sum(not run.clean for run in runs.values()))

    def _run(
        self,
        case: ModuleCase,
        suite: str,
        versions: dict[str, str],
        only: tuple[str, ...] = (),
        seconds: float = SECONDS,
    ) -> dict[str, Run]:
        job = {
            "suite": suite,
            "module": case.filename,
            "versions": versions,
            "detail": [name for name in ("good", "bad") if name in versions],
            "only": only,
            "seconds": seconds,
        }
        wall = seconds * len(versions) + 60
        outcome = self._sandbox.run(
            [PYTHON, "-I", f"{FILES}/suites.py", f"{FILES}/job.json"],
            files={"suites.py": _PROGRAM.read_bytes(), "job.json": json.dumps(job)},
            limits=ResourceLimits(wall_seconds=wall, cpu_seconds=int(wall)),
        )
        if not outcome.ok:
            said = (outcome.stderr.strip() or f"status {outcome.status}").splitlines()[-1]
            raise SuiteError(f"{case.name}: the suite's run did not finish: {said}")
        return msgspec.json.decode(outcome.stdout, type=dict[str, Run])
