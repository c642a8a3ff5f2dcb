"""The report as JUnit XML: a suite for each file, a failing case for each finding that may fail a build.

A file without findings is one passing case, an opinion a skipped one, and what was not reviewed an error, so that a
reader of JUnit never sees green where something was left out.
"""

import re

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport, State
from kodo.jobs.report.visible import make_visible

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: ReviewReport) -> str:
    """The report as one XML document."""
    report = make_visible(report)
    xml = JUnitXml("kodo review")
    by_path: dict[str, list[Finding]] = {item.path: [] for item in report.reviewed}
    for finding in report.findings:
        by_path.setdefault(finding.place.path, []).append(finding)
    for path, findings in by_path.items():
        suite = TestSuite(_text(path))
        cases = [_case(finding) for finding in findings] or [TestCase("review", classname=_text(path))]
        suite.add_testcases(cases)  # at once: one by one, all are counted again for each
        xml.append(suite)  # type: ignore[no-untyped-call]  # junitparser is typed in part
    if report.gaps or report.state is State.FAILED:
        suite = TestSuite("not reviewed")
        cases = [_error(item.path, item.reason) for item in report.gaps]
        if report.state is State.FAILED:
            cases.append(_error("review", "; ".join(report.notes)))
        suite.add_testcases(cases)
        xml.append(suite)  # type: ignore[no-untyped-call]  # same
    xml.update_statistics()  # type: ignore[no-untyped-call]  # same
    return bytes(xml.tostring()).decode() + "\n"  # type: ignore[no-untyped-call]  # same


def _case(finding: Finding) -> TestCase:
    place = finding.place
    case = TestCase(_text(f"{finding.rule} line {place.line}"), classname=_text(place.path))
    if finding.evidence.kind is EvidenceKind.OPINION:
        result: Failure | Skipped = Skipped(_text(finding.message), "opinion")
    else:
        result = Failure(_text(finding.message), str(finding.category))
    result.text = _text(f"{place.path}:{place.line}\n{finding.code}\n{finding.evidence.detail}")
    case.result = [result]
    return case


def _error(name: str, reason: str) -> TestCase:
    case = TestCase(_text(name), classname="kodo")
    case.result = [Error(_text(reason), "not reviewed")]
    return case


def _text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
