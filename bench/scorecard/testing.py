"""Scores one writer of tests on one module: has it write for both versions, and has the suites judged.

The order of things, and what each comparison means, is in :mod:`bench.scorecard.testgen_score`.
"""

from __future__ import annotations

import time

from bench.scorecard.cases import ModuleCase
from bench.scorecard.contestants import SuiteWriter, WrittenSuite, suspects_suite
from bench.scorecard.suites import Judge, Judged, Run
from bench.scorecard.testgen_score import Measured

NOTHING = Judged(Run(), Run())


def measure(writer: SuiteWriter, judge: Judge, case: ModuleCase) -> Measured:
    """What the maker is worth on this module. Raises SuiteError when a suite cannot be run at all."""
    start = time.perf_counter()
    good = writer.write(case.filename, case.good)
    bad = writer.write(case.filename, case.bad)
    seconds = time.perf_counter() - start
    suite = judge.judge(case, good.suite) if good.suite else NOTHING
    if not bad.suite:
        bad_suite = NOTHING
    elif bad.suite == good.suite:
        bad_suite = suite
    else:
        bad_suite = judge.on_both(case, bad.suite)
    accusers = _accusers(writer, judge, case, bad, bad_suite)
    accused = set(accusers.bad.failed)
    cemented = set() if writer.accuses_by_failing else set(bad_suite.bad.passed) & set(bad_suite.good.failed)
    return Measured(
        case.name,
        kept=len(suite.good.passed),
        covered=suite.good.covered or 0.0,
        mutants=suite.mutants or judge.mutants_of(case),
        killed=suite.killed,
        caught=bool(set(suite.good.passed) & (set(suite.bad.failed) | set(suite.bad.broken)))
        or (suite.bad.timed_out and not suite.good.timed_out),
        false_alarms=_false_alarms(writer, good, suite),
        revealed=bool(accused & set(accusers.good.passed)),
        accusations=len(accused),
        wrong_accusations=len(accused - set(accusers.good.passed)),
        cemented=len(cemented),
        cemented_unmarked=len({name for name in cemented if name.partition("[")[0] not in bad.marked}),
        funnel=good.funnel,
        seconds=seconds,
        error=good.error,
    )


def _accusers(
    writer: SuiteWriter, judge: Judge, case: ModuleCase, bad: WrittenSuite, bad_suite: Judged
) -> Judged:
    """The tests that accuse the bad version, run on both."""
    if writer.accuses_by_failing:
        return bad_suite
    if not bad.suspects:
        return NOTHING
    return judge.on_both(case, suspects_suite(case.filename, case.bad, bad.suspects))


def _false_alarms(writer: SuiteWriter, good: WrittenSuite, suite: Judged) -> int:
    if writer.accuses_by_failing:
        return len(suite.good.failed)
    return len(good.suspects)
