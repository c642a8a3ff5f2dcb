"""Trees and diffs made to hang, crash or blind a review: each is read to its end, and what was missed is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kodo.jobs.report.formats import FORMATS
from kodo.jobs.report.model import State
from kodo.jobs.review import DiffSource, PathsSource, ReviewOptions, TextSource, review
from kodo.jobs.review.analysers import bandit, ruff
from kodo.jobs.review.candidate import Subject

BAD = "def f(x=[]):\n    return x\n"


def reviewed(root: Path, *paths: str) -> tuple[State, dict[str, str], set[str]]:
    """Review paths below a folder: the state, what was left out with its reason, and the rules found."""
    report = review(PathsSource(tuple(map(Path, paths)), root), ReviewOptions(), None)
    return (
        report.state,
        {item.path: item.reason for item in report.unreviewed},
        {item.rule for item in report.findings},
    )


@pytest.mark.timeout(60)
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe is left out with the reason, as a gap because of its name; the file beside it is reviewed."""
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "m.py").write_text(BAD)
    state, left, rules = reviewed(tmp_path, ".")
    assert (state, left["fifo.py"]) == (State.PARTIAL, "not a regular file")
    assert "B006" in rules


@pytest.mark.parametrize("name", ["fifo.py", "null.py", "loop.py"])
@pytest.mark.timeout(60)
def test_a_named_thing_that_is_no_file_is_one_line(tmp_path: Path, name: str) -> None:
    """A pipe, a link to a device and a link to itself end in a message."""
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "null.py").symlink_to("/dev/zero")
    (tmp_path / "loop.py").symlink_to("loop.py")
    report = review(PathsSource((Path(name),), tmp_path), ReviewOptions(), None)
    assert (report.state, len(report.notes)) == (State.FAILED, 1)
    assert name in report.notes[0]


def test_links_that_point_at_each_other_are_left_out(tmp_path: Path) -> None:
    """A loop of links is no traceback, and a link is named as it is, not as what it points at."""
    (tmp_path / "a.py").symlink_to("b.py")
    (tmp_path / "b.py").symlink_to("a.py")
    (tmp_path / "c.py").symlink_to("/etc/passwd")
    (tmp_path / "d").symlink_to("d")
    (tmp_path / "m.py").write_text(BAD)
    _, left, rules = reviewed(tmp_path, ".")
    assert left == dict.fromkeys(["a.py", "b.py", "c.py", "d"], "symbolic link")
    assert "B006" in rules


def test_a_tree_deeper_than_the_stack_is_walked(tmp_path: Path) -> None:
    """Folders nested 1,500 deep are walked as any others."""
    (tmp_path / "m.py").write_text(BAD)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        assert sys.getrecursionlimit() <= 1500
        assert "B006" in reviewed(tmp_path, ".")[2]
    finally:  # pytest's own cleaning is recursive
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


@pytest.mark.parametrize("size", ["99999999999", "200000000", "9" * 5000])
def test_a_forged_hunk_is_refused_before_memory_is_taken(size: str) -> None:
    """The line numbers of a diff are claims; the size they stand for is looked at first."""
    diff = f"--- a/m.py\n+++ b/m.py\n@@ -1,0 +{size},1 @@\n+x = 1\n"
    report = review(DiffSource(diff), ReviewOptions(), None)
    assert report.state in {State.PARTIAL, State.FAILED}
    assert len(str(report.notes)) < 6000


def test_a_hunk_at_line_nought_is_refused() -> None:
    """Lines are counted from 1."""
    report = review(DiffSource("--- a/m.py\n+++ b/m.py\n@@ -1,0 +0,1 @@\n+x = 1\n"), ReviewOptions(), None)
    assert report.state is State.FAILED


def test_a_file_that_ends_an_analyser_costs_its_own_findings_only() -> None:
    """ruff dies of a text nested 20,000 deep; the file beside it keeps its findings, and the gap is said."""
    killer = Subject("killer.py", "python", "x = " + "-" * 20_000 + "1\n")
    good = [Subject(f"m{number}.py", "python", BAD) for number in range(5)]
    result = ruff.run([*good[:2], killer, *good[2:]])
    assert set(result.failures) == {2}
    assert all(any(item.rule == "B006" for item in result.candidates[index]) for index in (0, 1, 3, 4, 5))


def test_a_failing_batch_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of sixteen that ends bandit is found by halves, and all others are asked about."""
    real = bandit._ask

    def ask(folder: Path, files: list[str]) -> object:
        if any((folder / file).read_text() == "killer\n" for file in files):
            raise subprocess.CalledProcessError(-11, "bandit")
        return real(folder, files)

    monkeypatch.setattr(bandit, "_ask", ask)
    subjects = [
        Subject(f"m{number}.py", "python", "import pickle\npickle.loads(b'')\n") for number in range(4)
    ]
    subjects[2] = Subject("m2.py", "python", "killer\n")
    result = bandit.run(subjects)
    assert result.failures == {2: "bandit could not run: CalledProcessError"}
    assert result.looked_at == {0, 1, 3}


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "[" + "1" * 5000 + "]"), ("a.toml", "a = " + "1" * 5000)]
)
def test_a_number_of_thousands_of_digits_is_no_traceback(name: str, text: str) -> None:
    """Python refuses to make such numbers; the file is still reviewed."""
    assert review(TextSource(text + "\n", name), ReviewOptions(), None).state in set(State) - {State.FAILED}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_format_lets_a_name_or_a_line_move_the_cursor(tmp_path: Path, name: str) -> None:
    """Escape sequences, carriage returns, direction marks and line separators are escapes in every format."""
    folder = tmp_path / "x\x1b[2J\ry\u202ez\u2028"
    folder.mkdir()
    (folder / "m\n::error::owned.py").write_text("def f(x=[]):  # \x1b[31m \u2066 \u200b\n    return x\n")
    (folder / "left\x9b.rb").write_text("x\n")
    report = review(PathsSource((Path(),), tmp_path), ReviewOptions(), None)
    assert report.findings
    text = FORMATS[name](report)
    assert not set(text) & set("\x1b\r\x9b\u202e\u2066\u2028\u200b")
    assert not any(line.startswith("::error::owned") for line in text.splitlines())
