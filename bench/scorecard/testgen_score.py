"""Scores of a writer of tests: what its suites are worth on good and bad versions. Pure arithmetic.

Definitions. On the good version: coverage of lines and branches, mutants killed (by the tests that pass), and false
alarms, tests that accuse right code. From the bad version alone: a bug is revealed when a test that accuses the code
fails on the bad version and passes on the good one; it is cemented when a test that is kept as right passes on the bad
version and fails on the good one. A regression is caught when the suite written for the good version fails on the bad.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """What one writer of tests was worth on one module, in counts of tests unless said otherwise."""

    case: str
    kept: int
    """Tests of the suite for the good version that pass on it."""
    covered: float
    """Share of lines and branches of the good version that they run, 0 to 1."""
    mutants: int
    killed: int
    caught: bool
    """Whether a test that passes on the good version fails on the bad one."""
    false_alarms: int
    """Tests that accuse the good version."""
    revealed: bool
    accusations: int
    """Tests that accuse the bad version, rightly or not."""
    wrong_accusations: int
    """Of these, the tests that fail on the good version too."""
    cemented: int
    """Tests kept for the bad version that fail on the good one."""
    cemented_unmarked: int
    """Of these, the tests that are not marked as read off the code."""
    funnel: dict[str, int] = {}
    """Candidates left after each step, on the good version."""
    seconds: float = 0.0
    error: str = ""
    """Why there is no suite; empty when there is one."""


@dataclass(frozen=True)
class WriterScore:
    """Counts over the modules, and the figures that follow from them."""

    modules: int
    kept: int
    coverage: float | None
    """Mean over the modules; a module without tests counts as 0."""
    mutants: int
    killed: int
    caught: int
    false_alarms: int
    alarmed: int
    """Good versions with at least one false alarm."""
    revealed: int
    accusations: int
    wrong_accusations: int
    cemented: int
    """Bad versions with at least one test that holds the bug to be right."""
    cemented_unmarked: int
    funnel: dict[str, int]

    @property
    def mutation_score(self) -> float | None:
        """Mutants killed over mutants made; None without mutants."""
        return self.killed / self.mutants if self.mutants else None


def score(tested: Iterable[Measured]) -> WriterScore:
    """Add the modules up."""
    items = list(tested)
    funnel: dict[str, int] = {}
    for item in items:
        for step, count in item.funnel.items():
            funnel[step] = funnel.get(step, 0) + count
    return WriterScore(
        modules=len(items),
        kept=sum(item.kept for item in items),
        coverage=sum(item.covered for item in items) / len(items) if items else None,
        mutants=sum(item.mutants for item in items),
        killed=sum(item.killed for item in items),
        caught=sum(item.caught for item in items),
        false_alarms=sum(item.false_alarms for item in items),
        alarmed=sum(item.false_alarms > 0 for item in items),
        revealed=sum(item.revealed for item in items),
        accusations=sum(item.accusations for item in items),
        wrong_accusations=sum(item.wrong_accusations for item in items),
        cemented=sum(item.cemented > 0 for item in items),
        cemented_unmarked=sum(item.cemented_unmarked > 0 for item in items),
        funnel=funnel,
    )
