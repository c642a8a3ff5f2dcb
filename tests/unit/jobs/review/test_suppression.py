"""Comments that silence: what they reach, and that nothing is suppressed without a word."""

import pytest

from kodo.jobs.review import ReviewOptions, TextSource, VersionsSource, review, suppression


@pytest.mark.parametrize(
    "line",
    [
        "def f(x=[]):  # kodo: ignore[bug]",
        "def f(x=[]):  # kodo: ignore[B006]",
        "def f(x=[]):  # kodo: ignore[security, bug]",
        "# kodo: ignore[bug]\ndef f(x=[]):",
        "def f(x=[]):  # noqa: B006",
        "def f(x=[]):  # noqa",
    ],
)
def test_a_comment_silences_its_line(line: str) -> None:
    """By class, by rule, from the line above, and in ruff's own form."""
    report = review(TextSource(f"{line}\n    return x\n", "m.py"), ReviewOptions(), None)
    assert report.findings == ()
    assert report.state == "clean"
    assert [item.finding.rule for item in report.suppressed] == ["B006"]


@pytest.mark.parametrize(
    "line",
    [
        "def f(x=[]):  # kodo: ignore",
        "def f(x=[]):  # kodo: ignore[security]",
        "def f(x=[]):  # noqa: F401",
        "def f(x=[], y='# kodo: ignore[bug]'):",
        "y = 1  # kodo: ignore[bug]\ndef f(x=[]):",
    ],
)
def test_a_comment_silences_nothing_else(line: str) -> None:
    """Not without a class, not another class or rule, not from inside a string, not the line below code."""
    report = review(TextSource(f"{line}\n    return x\n", "m.py"), ReviewOptions(), None)
    assert "B006" in [item.rule for item in report.findings]


def test_nosec_silences_security_only() -> None:
    """bandit's comment is about security."""
    report = review(TextSource("def f(c):\n    eval(c)  # nosec\n", "m.py"), ReviewOptions(), None)
    assert [item.finding.category for item in report.suppressed] == ["security"]


MOVED = "def f(c):\n    return eval(c)  # noqa: S307 - trusted\n"


def test_a_comment_that_moves_with_its_line_still_suppresses() -> None:
    """A line that goes into another file, or under another indentation, takes its comment along."""
    old = {"a.py": f"x = 1\n{MOVED}", "b.py": "y = 1\n"}
    new = {"a.py": "x = 1\n", "b.py": f"y = 1\n{MOVED}"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert [item.rule for item in report.findings if item.rule == "S307"] == []
    assert [item.finding.rule for item in report.suppressed] == ["S307"]


@pytest.mark.parametrize(
    "line", ["    return eval(d)  # noqa: S307 - trusted\n", "    return eval(c)  # noqa: S307\n"]
)
def test_a_comment_that_comes_with_another_line_suppresses_nothing(line: str) -> None:
    """Each removed line stands for one added line with the same text, comment included."""
    old = {"a.py": f"x = 1\n{MOVED}", "b.py": "y = 1\n"}
    new = {"a.py": "x = 1\n", "b.py": f"y = 1\n{MOVED}def g(c, d):\n{line}"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert [item.place.line for item in report.findings if item.rule == "S307"] == [5]


CHANGE = "def f(x=[]):  # kodo: ignore[bug]\n    return x\n"


@pytest.mark.parametrize("comment", ["# kodo: ignore[bug]", "# noqa", "# noqa: B006"])
def test_a_comment_that_the_change_adds_suppresses_nothing(comment: str) -> None:
    """A change cannot switch off its own review, and the report says that it tried."""
    old = {"m.py": "def f(x):\n    return x\n"}
    new = {"m.py": f"def f(x=[]):  {comment}\n    return x\n"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert [item.rule for item in report.findings] == ["B006"]
    assert report.suppressed == ()
    assert [note for note in report.notes if "m.py:1" in note]


def test_a_comment_from_before_the_change_still_suppresses() -> None:
    """Only what the change itself brings is refused."""
    old = {"m.py": "# kodo: ignore[bug]\ndef f(x):\n    return x\n"}
    new = {"m.py": "# kodo: ignore[bug]\ndef f(x=[]):\n    return x\n"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert (report.findings, len(report.suppressed)) == ((), 1)


def test_a_project_may_allow_new_suppressions() -> None:
    """With the setting, in force before the change, a new comment suppresses and is marked as new."""
    settings = "[tool.kodo.review]\nallow_new_suppressions = true\n"
    old = {"m.py": "def f(x):\n    return x\n", "pyproject.toml": settings}
    new = {"m.py": CHANGE, "pyproject.toml": settings}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert (report.findings, [item.in_change for item in report.suppressed]) == ((), [True])


def test_a_change_cannot_allow_its_own_suppressions() -> None:
    """The setting is read from the state before the change."""
    old = {"m.py": "def f(x):\n    return x\n"}
    new = {"m.py": CHANGE, "pyproject.toml": "[tool.kodo.review]\nallow_new_suppressions = true\n"}
    report = review(VersionsSource(old, new), ReviewOptions(), None)
    assert [item.rule for item in report.findings] == ["B006"]


def test_a_syntax_error_cannot_be_silenced() -> None:
    """A file that does not parse is never clean."""
    report = review(TextSource("def f(:  # kodo: ignore[bug]\n", "m.py"), ReviewOptions(), None)
    assert report.state == "findings"
    assert {item.rule for item in report.findings} == {"syntax"}


def test_other_languages_have_comments_too() -> None:
    """The form is the same in JavaScript."""
    report = review(TextSource("debugger; // kodo: ignore[practice]\n", "m.js"), ReviewOptions(), None)
    assert report.state == "clean"
    assert len(report.suppressed) == 1


def test_a_file_without_findings_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree has a hundred thousand of them, and parsing each took longer than the review's time."""

    def comments(file: object) -> dict[int, str]:
        raise AssertionError(f"read for nothing: {file}")

    monkeypatch.setattr(suppression, "_comments", comments)
    report = review(TextSource("def f(x):\n    return x\n", "m.py"), ReviewOptions(), None)
    assert report.state == "clean"
