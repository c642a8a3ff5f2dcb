"""Calls that were run and what each did; and the tests that are written of them. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from kodo.jobs.execution.model import Basis, Call, Observed
from kodo.jobs.testgen import render
from kodo.jobs.testgen.select import Chosen
from kodo.jobs.testgen.tables import Case


@dataclass(frozen=True)
class Trials:
    """Calls that were run twice: what each did, and why some were rejected."""

    calls: tuple[Call, ...]
    seen: dict[int, Observed]
    rejected: dict[int, str]
    runs: int
    stable: int
    unparsed: tuple[Call, ...] = ()

    def without(self, numbers: dict[int, str]) -> Trials:
        """The same with more calls rejected: number -> reason."""
        return replace(self, rejected=self.rejected | numbers)

    def joined(self, more: Trials) -> Trials:
        """Both together; the numbers of their calls differ."""
        return Trials(
            (*self.calls, *more.calls),
            self.seen | more.seen,
            self.rejected | more.rejected,
            self.runs + more.runs,
            self.stable + more.stable,
            (*self.unparsed, *more.unparsed),
        )

    @property
    def usable(self) -> tuple[Call, ...]:
        """The calls that may become tests."""
        return tuple(call for call in self.calls if call.id not in self.rejected)

    @cached_property
    def lines(self) -> dict[int, frozenset[int]]:
        """Usable call -> the lines of the module that it runs, with its inputs and its setup."""
        return {call.id: _lines(self.seen[call.id]) for call in self.usable}

    @cached_property
    def ran(self) -> frozenset[int]:
        """The lines of the module that any usable call runs."""
        return frozenset().union(*self.lines.values())


@dataclass(frozen=True, slots=True)
class Test:
    """A written test and what it stands on."""

    __test__ = False

    written: render.RenderedTest
    chosen: Chosen
    case: Case

    @property
    def basis(self) -> Basis:
        """What its expected value rests on."""
        return self.case.basis

    @property
    def quote(self) -> str:
        """The words it rests on; empty where it was read off the code."""
        return self.case.quote


def _lines(seen: Observed) -> frozenset[int]:
    return frozenset(line for arc in seen.arcs for line in arc if line > 0).union(seen.setup_lines)
