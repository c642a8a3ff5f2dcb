"""One run of the scorecard: every contestant over every case, resumable, and the values it ends in.

The only module here that knows both jobs. It imports them as any program would; no job imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from bench.scorecard import ghostwriter
from bench.scorecard.cases import ModuleCase, ReviewCase, module_cases, review_cases
from bench.scorecard.contestants import Ghostwriter, KodoWriter, SuiteWriter
from bench.scorecard.linters import LinterReviewer
from bench.scorecard.results import Results, digest
from bench.scorecard.review_score import Reviewed
from bench.scorecard.reviewers import KodoReviewer, Reviewer
from bench.scorecard.suites import Judge
from bench.scorecard.testgen_score import Measured
from bench.scorecard.testing import measure
from kodo.jobs.testgen import Options
from kodo.sandbox import Sandbox

if TYPE_CHECKING:
    from kodo.client.session import Session
    from kodo.jobs.review import ReviewOptions

T = TypeVar("T")

JobName = Literal["review", "tests"]
JOBS: tuple[JobName, ...] = ("review", "tests")
WITHOUT_MODEL = "kodo without a model"

Progress = Callable[[str, int, int], None]
"""Told the contestant, how many cases are done, and of how many."""


class ModelLostError(Exception):
    """The model's server failed in the middle of a case, whose result would say nothing of the model."""


@dataclass(frozen=True)
class Setup:
    """What to run: the model's session and name, or None for both; how many cases of each set; which jobs."""

    session: Session | None
    model: str
    review: ReviewOptions
    tests: Options
    jobs: tuple[JobName, ...] = JOBS
    limit: int | None = None


@dataclass(frozen=True)
class Scorecard:
    """Everything that was measured: by contestant, in the order of the cases."""

    model: str
    """Empty where none was asked."""
    reviews: dict[str, list[Reviewed]]
    tests: dict[str, list[Measured]]
    cases: tuple[ReviewCase, ...]
    modules: tuple[ModuleCase, ...]
    left_out: tuple[str, ...]
    """Contestants that could not take part, and why."""
    isolation: str
    """What the generated tests ran in, in one line; empty where none ran."""


def run(setup: Setup, results: Results, progress: Progress) -> Scorecard:
    """Run everything that ``results`` does not hold yet.

    Raises IsolationRefused (kodo.sandbox) where generated tests may not run here, SuiteError where a suite
    cannot be run at all, ModelLostError where calls to the model fail, and the client's errors where there is none.
    """
    cases = (*review_cases("seeded")[: setup.limit], *review_cases("clean")[: setup.limit])
    modules = module_cases()[: setup.limit]
    reviews: dict[str, list[Reviewed]] = {}
    tests: dict[str, list[Measured]] = {}
    left_out: list[str] = []
    isolation = ""
    if "review" in setup.jobs:
        for reviewer in _reviewers(setup):
            reviews[reviewer.name] = _review_all(reviewer, cases, results, progress)
    if "tests" in setup.jobs:
        sandbox = Sandbox()
        judge = Judge(sandbox, allow_weak=setup.tests.allow_weak_isolation)
        isolation = sandbox.probe().line()
        for writer in _suite_writers(setup, sandbox):
            tests[writer.name] = _test_all(writer, judge, modules, results, progress)
        if not ghostwriter.available():
            left_out.append(f"{Ghostwriter.name}: black, which it imports, is not installed")
    model = setup.model if setup.session else ""
    return Scorecard(model, reviews, tests, cases, modules, tuple(left_out), isolation)


def with_model(model: str) -> str:
    """The name of the contestant that asks this model."""
    return f"kodo with {model}"


def _reviewers(setup: Setup) -> list[Reviewer]:
    asking: list[Reviewer] = (
        [KodoReviewer(with_model(setup.model), setup.session, setup.review)] if setup.session else []
    )
    return [*asking, KodoReviewer(WITHOUT_MODEL, None, setup.review), LinterReviewer()]


def _suite_writers(setup: Setup, sandbox: Sandbox) -> list[SuiteWriter]:
    asking: list[SuiteWriter] = (
        [KodoWriter(with_model(setup.model), setup.session, setup.tests, sandbox)] if setup.session else []
    )
    ghost: list[SuiteWriter] = [Ghostwriter(sandbox)] if ghostwriter.available() else []
    return [*asking, KodoWriter(WITHOUT_MODEL, None, setup.tests, sandbox), *ghost]


def _review_all(
    reviewer: Reviewer, cases: Sequence[ReviewCase], results: Results, progress: Progress
) -> list[Reviewed]:
    done = []
    for number, case in enumerate(cases):
        progress(reviewer.name, number, len(cases))
        key = digest("review", reviewer.name, reviewer.version, repr(case))
        done.append(
            results.get(key, Reviewed, partial(_answered, reviewer.session, partial(reviewer.review, case)))
        )
    progress(reviewer.name, len(cases), len(cases))
    return done


def _test_all(
    writer: SuiteWriter,
    judge: Judge,
    modules: Sequence[ModuleCase],
    results: Results,
    progress: Progress,
) -> list[Measured]:
    done = []
    for number, case in enumerate(modules):
        progress(writer.name, number, len(modules))
        key = digest("tests", writer.name, writer.version, repr(case))
        done.append(
            results.get(
                key, Measured, partial(_answered, writer.session, partial(measure, writer, judge, case))
            )
        )
    progress(writer.name, len(modules), len(modules))
    return done


def _answered(session: Session | None, compute: Callable[[], T]) -> T:
    """What ``compute`` gives, unless a call to the model failed meanwhile: both jobs go on without it, a score must not."""
    failed = _failures(session)
    value = compute()
    if _failures(session) > failed:
        raise ModelLostError(
            "the model's server failed in the middle of a case; run again to go on from there"
        )
    return value


def _failures(session: Session | None) -> int:
    """Calls of this session that did not end in an answer."""
    if session is None:
        return 0
    sql = "SELECT id FROM calls WHERE run = ? AND status IN ('failed', 'cut', 'lost')"
    return len(session.ledger.query(sql, (session.run_id,)))
