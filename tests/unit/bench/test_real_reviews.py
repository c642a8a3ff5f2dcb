"""The scorecard on real commits: the rule that chooses them, and a fix taken back."""

import subprocess
from pathlib import Path

import pytest
from bench.real.cases import make_case
from bench.real.review_report import Remark, Row, report
from bench.real.selection import git, select


def commit(root: Path, subject: str, **files: str) -> None:
    """One commit with these files; ``__`` in a name is a folder."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    names = ["-c", "user.name=n", "-c", "user.email=e@x"]
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    subprocess.run(["git", *names, "commit", "-qm", subject], cwd=root, check=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A history with a fix, a fix without a test, a documentation fix, and a feature."""
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    commit(tmp_path, "start", pkg__m="def f(x):\n    return x\n", tests__test_m="def test_f():\n    pass\n")
    commit(tmp_path, "Add a limit", pkg__m="def f(x):\n    return min(x, 9)\n")
    commit(
        tmp_path,
        "Fix f of big values",
        pkg__m="def f(x):\n    return min(x, 8)\n",
        tests__test_m="def test_f():\n    assert 1\n",
    )
    commit(tmp_path, "Fix without a test", pkg__m="def f(x):\n    return min(x, 7)\n")
    commit(
        tmp_path,
        "Fix docs",
        pkg__m='def f(x):\n    """Doc."""\n    return min(x, 7)\n',
        tests__test_m="def test_f():\n    assert 2\n",
    )
    return tmp_path


def test_bugs_are_tested_fixes_and_clean_commits_are_no_fixes(repo: Path) -> None:
    """A fix without a test, and one of documentation alone, is no case; the newest come first."""
    bugs, clean = select(repo, "HEAD", 5)
    assert [one.subject for one in bugs] == ["Fix f of big values"]
    assert [one.subject for one in clean] == ["Add a limit"]


def test_no_case_is_older_than_the_date_of_a_repository(repo: Path) -> None:
    """A repository can name the day from which on its commits are taken."""
    assert select(repo, "HEAD", 5, "2000-01-01") == select(repo, "HEAD", 5)
    assert select(repo, "HEAD", 5, "2090-01-01") == ([], [])


def test_a_bug_is_the_fix_taken_back_with_the_old_tests(repo: Path) -> None:
    """The source goes from fixed to buggy; the fix's own test is in neither state."""
    (bug,) = select(repo, "HEAD", 1)[0]
    case = make_case("o/n", repo, bug, "bug", aside=False)
    assert git(repo, "diff", "--name-only", f"{case.sha}^", case.sha).split() == ["pkg/m.py"]
    assert "min(x, 8)" in git(repo, "show", f"{case.sha}^:pkg/m.py")
    assert "min(x, 9)" in git(repo, "show", f"{case.sha}:pkg/m.py")
    assert "assert" not in git(repo, "show", f"{case.sha}^:tests/test_m.py")


def test_the_report_counts_by_evidence_and_severity() -> None:
    """Bugs are counted once, by the strongest evidence; false alarms are those on clean changes."""
    said = Remark("m.py", 1, "kodo/behaviour-changed", "info", "execution", "For `f(1)` it changed")
    ruled = Remark("m.py", 1, "B006", "warning", "rule", "A default")
    rows = [
        Row("a bug", "o/n", "bug", "s", True, (said, ruled), {"ruff": []}, 1.0),
        Row("b bug", "o/n", "bug", "s", True, (), {"ruff": ["x"]}, 3.0),
        Row("c clean", "o/n", "clean", "s", True, (ruled,), {"ruff": []}, 2.0),
    ]
    text = report(rows)
    assert "| bugs with a remark | 1 of 2 |" in text and "| … of which by execution | 1 |" in text
    assert "| … with ruff | 1 of 2 |" in text
    assert "| false alarms a clean change, warning and above | 1.00 (1 on 1 changes) |" in text
