"""ruff and bandit alone, as a reviewer."""

from bench.scorecard.cases import ReviewCase, SourceFile
from bench.scorecard.linters import LinterReviewer, lint

BEFORE = "import subprocess\n\n\ndef run(name: str) -> None:\n    eval(name)\n"
AFTER = BEFORE + '    subprocess.run(f"ls {name}", shell=True, check=True)\n'


def test_both_speak_and_only_of_added_lines():
    """The eval was there before the change."""
    remarks = lint((SourceFile("pkg/a.py", BEFORE, AFTER),))
    assert {(remark.path, remark.line) for remark in remarks} == {("pkg/a.py", 6)}
    assert {remark.rule for remark in remarks} == {"B602", "S602"}
    assert {remark.category for remark in remarks} == {"security"}


def test_style_rules_are_practice_and_errors_are_bugs():
    """A class that names an off-by-one must not come from how a line is written."""
    text = "try:\n    import os\nexcept Exception:\n    pass\n"
    by_rule = {remark.rule: remark.category for remark in lint((SourceFile("a.py", None, text),))}
    assert by_rule["S110"] == by_rule["BLE001"] == by_rule["B110"] == "practice"
    assert by_rule["F401"] == "bug"


def test_asserts_are_no_finding():
    """As every project with tests has it."""
    assert lint((SourceFile("tests/test_a.py", None, "def test_a():\n    assert 1 + 1 == 2\n"),)) == ()


def test_other_languages_are_not_read():
    """No process is started for them either."""
    assert lint((SourceFile("a.js", None, "eval(x)\n"),)) == ()


def test_a_second_push_says_the_same_under_the_same_fingerprints():
    """Rule and line text do not move."""
    case = ReviewCase("c", "", "Python", True, (SourceFile("a.py", BEFORE, AFTER),), ())
    got = LinterReviewer().review(case)
    assert got.state == "findings"
    assert [remark.fingerprint for remark in got.again] == [remark.fingerprint for remark in got.remarks]
    assert [remark.line for remark in got.again] == [8, 8]
