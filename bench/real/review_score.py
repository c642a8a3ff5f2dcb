"""Review one case and write down what was said, on what evidence, and what it cost."""

from __future__ import annotations

import resource
import time
import traceback

from bench.real.cases import Case
from bench.real.others import reports
from bench.real.review_report import Remark, Row
from kodo.jobs.report.model import Finding, State
from kodo.jobs.review import reading
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import CommitSource


def review_case(case: Case, seconds: float, *, types: bool) -> Row:
    """Review a case without a model, running both versions, and run the other tools on it."""
    options = ReviewOptions(run=True, run_seconds=seconds, fixes=False)
    source = CommitSource(case.sha, case.root)
    start, used = time.perf_counter(), _cpu()
    try:
        report = review(source, options, None)
    except Exception:  # noqa: BLE001 - a crash of the job is a result of the scorecard
        error = traceback.format_exc(limit=-3)
        return Row(case.name, case.repository, case.kind, case.subject, case.aside, crash=error)
    spent, cpu = time.perf_counter() - start, _cpu() - used
    executed = report.executed
    files = list(reading.read(source, options.max_bytes).files)
    return Row(
        case.name,
        case.repository,
        case.kind,
        case.subject,
        case.aside,
        remarks=tuple(map(remark, report.findings)),
        others=reports(files, case.root, types=types) if case.kind != "fix" else {},
        seconds=spent,
        cpu=cpu,
        functions=len(executed.functions) if executed else 0,
        inputs=executed.inputs if executed else 0,
        not_run=executed.not_run if executed else (),
        crash="; ".join(report.notes) if report.state is State.FAILED else "",
    )


def remark(finding: Finding) -> Remark:
    """A finding as a row keeps it."""
    place = finding.place
    severity, evidence = str(finding.severity), str(finding.evidence.kind)
    return Remark(
        place.path, place.line, finding.rule, severity, evidence, finding.message, finding.definition
    )


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
