"""The bench over a repository's own last commits: which are taken, and what their figures say."""

import subprocess
from pathlib import Path

import pytest
from bench.real.own_bench import OwnRow, figures, last_commits
from bench.real.review_report import Remark

from kodo.jobs.report.model import Executed

NAMES = ["-c", "user.name=n", "-c", "user.email=e@x"]


def _git(root: Path, *args: str) -> None:
    subprocess.run(["git", *NAMES, *args], cwd=root, check=True, capture_output=True)


def _commit(root: Path, subject: str, path: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# {subject}\n")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", subject)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Two commits with Python below src, one with tests alone, one with documentation, and a merge."""
    _git(tmp_path, "init", "-q", "-b", "main")
    _commit(tmp_path, "first", "src/p/m.py")
    _git(tmp_path, "checkout", "-qb", "side")
    _commit(tmp_path, "side", "src/p/side.py")
    _git(tmp_path, "checkout", "-q", "main")
    _commit(tmp_path, "tests", "tests/test_m.py")
    _git(tmp_path, "merge", "-q", "--no-ff", "-m", "merge", "side")
    _commit(tmp_path, "page", "src/p/page.md")
    return tmp_path


def test_the_newest_commits_with_python_below_src_are_taken(repo: Path) -> None:
    """Merges are left out, the others counted; no commit older than the last one taken is looked at."""
    chosen, others = last_commits(repo, "HEAD", 2)
    assert [subject for _, subject in chosen] == ["side", "first"]
    assert others == 2
    chosen, others = last_commits(repo, "HEAD", 1)
    assert len(chosen) == 1


def test_the_figures_count_crashes_remarks_and_executed_code() -> None:
    """A crash is a row too."""
    remark = Remark("m.py", 1, "kodo/x", "info", "execution", "said")
    ran = Executed(functions=("m.py: f",), inputs=9, differences=1)
    rows = [
        OwnRow("a", "one", 2.0, 1.0, remarks=(remark,), executed=ran),
        OwnRow("b", "two", 4.0, crash="Traceback"),
    ]
    lines = "\n".join(figures(rows, 3))
    assert "2 commits (3 between them" in lines
    assert "1 crashes" in lines
    assert "1 remarks (1 info), on 1 commits" in lines
    assert "code executed on 1: 1 functions, 9 inputs, 1 differences" in lines
    assert "CRASH Traceback" in rows[1].text()
