"""The output formats: each is what its reader expects, and text from the code cannot break out of it."""

import json
import re
from collections.abc import Callable

import jsonschema
import msgspec
import pytest
from junitparser import JUnitXml
from tests.paths import DATA

from kodo.jobs.report import codequality, github, jsonfile, junit, markdown, sarif, terminal
from kodo.jobs.report.formats import FORMATS
from kodo.jobs.report.model import (
    Category,
    Evidence,
    EvidenceKind,
    Executed,
    Finding,
    Fix,
    Place,
    ReviewReport,
    Severity,
    State,
    Suppressed,
    Unreviewed,
)

SCHEMA = DATA / "sarif/sarif-2.1.0-rtm.5.json"
NASTY = "x\x1b[31m ```\n::error::owned %0A ]]> & <b>@team</b> | \u202egnp.exe \x00"


def finding(number: int, kind: EvidenceKind = EvidenceKind.RULE, **more: object) -> Finding:
    values: dict[str, object] = {
        "fingerprint": f"{number:032x}",
        "rule": "B006",
        "category": Category.BUG,
        "severity": Severity.ERROR,
        "place": Place("src/a b/ü.py", number, number + 1, 3, 7),
        "message": "a message",
        "evidence": Evidence(kind, "ruff", "its words"),
        "code": "def f(x=[]):\n    pass",
    }
    return Finding(**{**values, **more})  # type: ignore[arg-type]  # fields by name


REPORT = ReviewReport(
    state=State.PARTIAL,
    source="test",
    findings=(
        finding(1, fix=Fix(1, 1, "def f(x=None):\n", ("parses", "analysers"))),
        finding(2, EvidenceKind.OPINION, message=NASTY, code=NASTY, severity=Severity.WARNING),
        finding(3, EvidenceKind.EXECUTION, related=(Place("b.py", 9, 9),), category=Category.SECURITY),
    ),
    known=(finding(4),),
    suppressed=(Suppressed(finding(5), "# kodo: ignore[bug]", True),),
    unreviewed=(Unreviewed("c.rb", "no analyser for Ruby", True), Unreviewed("d.png", "binary", False)),
    notes=("a note",),
)
EMPTY = ReviewReport(state=State.CLEAN, source="test")
FAILED = ReviewReport(state=State.FAILED, source="", notes=("no commit is named 'x'",))


@pytest.mark.parametrize("report", [REPORT, EMPTY, FAILED], ids=["full", "empty", "failed"])
def test_sarif_is_valid_by_its_schema(report: ReviewReport) -> None:
    """Every kind of report is a SARIF 2.1.0 log by the schema of the standard."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    assert not list(validator.iter_errors(json.loads(sarif.render(report))))


def test_the_schema_is_able_to_refuse() -> None:
    """A log with a wrong level is not valid, so the test above can fail."""
    log = json.loads(sarif.render(REPORT))
    log["runs"][0]["results"][0]["level"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(log)


def test_sarif_says_what_is_known_silenced_and_an_opinion() -> None:
    """Opinions are reviews and no failures, silenced findings carry their comment, the run was not a success."""
    (run,) = json.loads(sarif.render(REPORT))["runs"]
    by_mark = {result["partialFingerprints"]["kodo/v1"][-1]: result for result in run["results"]}
    assert by_mark["2"]["kind"] == "review"
    assert by_mark["4"]["baselineState"] == "unchanged"
    assert by_mark["5"]["suppressions"][0]["kind"] == "inSource"
    assert run["invocations"][0]["executionSuccessful"] is False
    assert (
        by_mark["1"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/a%20b/%C3%BC.py"
    )


def test_code_quality_has_what_gitlab_requires() -> None:
    """Each issue has a description, a check name, a unique fingerprint, a severity GitLab knows, path and line."""
    issues = json.loads(codequality.render(REPORT))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 3
    for issue in issues:
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert issue["description"] and issue["check_name"]
        assert issue["location"]["path"] and issue["location"]["lines"]["begin"] >= 1
    assert issues[1]["severity"] == "info"  # an opinion


def test_junit_never_shows_green_for_what_was_left_out() -> None:
    """Rules and runs fail, opinions are skipped, gaps are errors."""
    xml = JUnitXml.fromstring(junit.render(REPORT).encode())
    assert (xml.failures, xml.skipped, xml.errors) == (2, 1, 1)
    assert JUnitXml.fromstring(junit.render(FAILED).encode()).errors == 1


def test_a_github_command_is_one_line() -> None:
    """Text from the code cannot begin a command of its own or reach another property."""
    lines = github.render(REPORT).splitlines()
    assert all(re.match(r"::(error|warning|notice) ", line) for line in lines)
    assert len(lines) == 4
    assert "file=src/a b/ü.py,line=1,endLine=2," in lines[0]


def test_markdown_keeps_code_inside_its_fence() -> None:
    """A fence is longer than any run of backticks in the code, nobody is mentioned, no tag survives."""
    text = markdown.render(REPORT)
    assert "````py" in text
    outside = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", text)
    assert "<b>" not in outside
    assert "@team" not in outside
    assert "no analyser for Ruby" in outside


def test_the_terminal_shows_control_characters_as_escapes() -> None:
    """Neither colours nor direction marks from the code reach the terminal."""
    text = terminal.render(REPORT)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    assert "src/a b/ü.py:1:3" in text
    assert "no analyser for Ruby" in text


@pytest.mark.parametrize("render", [terminal.render, markdown.render])
def test_one_is_counted_in_the_singular(render: Callable[..., str]) -> None:
    """A finding, a function, an input, a difference; eleven are many, and Japanese has no plural."""
    one = Executed(functions=("f",), inputs=1, recorded=1, differences=1, budget=1)
    report = ReviewReport(state=State.FINDINGS, source="test", findings=(finding(1),), executed=one)
    text = render(report).replace("\\", "")
    assert "1 function, 1 input (1 recorded from running tests), 1 difference, 0.0 s of 1 s" in text
    assert "1 finding ·" in text
    many = msgspec.structs.replace(report, executed=msgspec.structs.replace(one, inputs=11))
    assert "11 inputs" in render(many)
    japanese = render(msgspec.structs.replace(report, lang="ja"))
    assert "1 件の指摘" in japanese


@pytest.mark.parametrize("render", [terminal.render, markdown.render])
def test_what_execution_showed_is_said_in_the_readers_language(render: Callable[..., str]) -> None:
    """The words of the lines; the values and the command stay as they are, also where they look like words."""
    detail = "before: 'after:  1'\nafter:  2\nrepeat in both versions: python -c 'print(before: 1)'"
    shown = finding(1, evidence=Evidence(EvidenceKind.EXECUTION, "both versions", detail))
    report = ReviewReport(state=State.FINDINGS, source="test", findings=(shown,), lang="ja")
    text = render(report)
    assert "変更前: 'after:  1'" in text
    assert "変更後: 2" in text
    assert "それぞれで再現: python -c 'print(before: 1)'" in text
    assert "both versions" not in text
    assert "before: 'after:  1'" in render(msgspec.structs.replace(report, lang="en"))


def test_colour_is_only_there_when_asked() -> None:
    """The same report with colours has escape sequences, and without has none."""
    assert "\x1b[" in terminal.render(REPORT, colour=True)
    assert "\x1b[" not in terminal.render(REPORT)


def test_json_can_be_read_back() -> None:
    """JSON is the report itself, field for field."""
    assert msgspec.json.decode(jsonfile.render(REPORT), type=ReviewReport) == REPORT
    assert json.loads(jsonfile.render(REPORT))["findings"][0]["class"] == "bug"


def test_a_baseline_is_read_from_a_report_or_from_what_was_written() -> None:
    """Both give the fingerprints of new and known findings."""
    marks = {item.fingerprint for item in (*REPORT.findings, *REPORT.known)}
    assert jsonfile.read_baseline(jsonfile.baseline(REPORT)) == marks
    assert jsonfile.read_baseline(jsonfile.render(REPORT)) == marks
    with pytest.raises(jsonfile.BaselineError):
        jsonfile.read_baseline("[]")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("report", [REPORT, EMPTY, FAILED], ids=["full", "empty", "failed"])
def test_every_format_renders_every_report(name: str, report: ReviewReport) -> None:
    """A format is text that ends in a newline, or nothing at all; and Japanese changes words, not structure."""
    text = FORMATS[name](report)
    assert text == "" or text.endswith("\n")
    japanese = FORMATS[name](msgspec.structs.replace(report, lang="ja"))
    if name in {"text", "markdown"}:
        assert japanese != text
    else:
        assert len(japanese.splitlines()) == len(text.splitlines())


def test_opinions_do_not_fail_a_build_unless_asked() -> None:
    """The threshold counts severities, and opinions only with `opinions`."""
    assert [item.place.line for item in REPORT.failing(Severity.WARNING)] == [1, 3]
    assert [item.place.line for item in REPORT.failing(Severity.WARNING, opinions=True)] == [1, 2, 3]
    assert [item.place.line for item in REPORT.failing(Severity.ERROR, opinions=True)] == [1, 3]
    assert REPORT.failing(None, opinions=True) == ()
