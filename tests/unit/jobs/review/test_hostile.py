"""Trees and diffs made to hang, crash or blind a review: each is read to its end, and what was missed is said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.formats import FORMATS
from kodo.jobs.report.model import Category, Severity, State
from kodo.jobs.review import (
    DiffSource,
    PathsSource,
    ReviewOptions,
    TextSource,
    VersionsSource,
    fixes,
    model_review,
    python,
    review,
)
from kodo.jobs.review.analysers import bandit, one_file, ruff
from kodo.jobs.review.candidate import Candidate, Subject
from kodo.jobs.review.checks import control_flow, definition_pairs, file_checks
from kodo.jobs.review.checks.definition_pairs import ChangeLines
from kodo.jobs.review.chunks import split_file
from kodo.jobs.review.python import ParsedModule
from kodo.jobs.review.reading import read
from kodo.jobs.review.verification import introduced, verify

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

    def ask(folder: Path, files: list[str], seconds: float) -> object:
        if any((folder / file).read_text() == "killer\n" for file in files):
            raise subprocess.CalledProcessError(-11, "bandit")
        return real(folder, files, seconds)

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


def parsed(text: str) -> ParsedModule:
    """The tree of a text."""
    module = python.parse(text)
    assert module is not None
    return module


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times longer eight times as much takes, in CPU time: the best of two, for what is no quadratic work."""

    def once(count: int) -> float:
        began = time.process_time()
        work(count)
        return time.process_time() - began

    once(size)  # imports and the like
    return min(once(8 * size), once(8 * size)) / max(once(size), once(size))


def test_a_file_of_many_findings_takes_time_in_proportion() -> None:
    """Undefined names, mutable defaults, long conditions and changed functions: no quadratic work for any of them."""

    def undefined(count: int) -> None:
        text = "".join(f"if a{n} == {n}:\n    b = {n}\n" for n in range(count))
        found = ruff.run([Subject("m.py", "python", text)])
        assert len(found.candidates[0]) == count

    def condition(count: int) -> None:
        text = "x = " + " and ".join(f"a{n}" for n in range(count)) + "\n"
        assert not list(control_flow.same_condition_twice(parsed(text)))

    def functions(count: int) -> None:
        after = "".join(f"def f{n}(x):\n    return x + {n}\n\n" for n in range(count))
        source = VersionsSource(
            {"m.py": "x = 1\n" + after.replace("+", "-") + "y = 2\n"}, {"m.py": f"x = 1\n{after}y = 2\n"}
        )
        (file,) = read(source, 10_000_000).files
        items = [
            Candidate("r", Category.BUG, Severity.ERROR, line, "m", "s")
            for line in range(3, 3 * count + 1, 3)
        ]
        assert len(verify(file, introduced(file, items, items[:5]), "en")) == count
        assert list(
            definition_pairs.changed_definitions(
                file, parsed(file.before or ""), parsed(file.after), ChangeLines([file])
            )
        )
        assert len(split_file(file, 1000)[0]) >= count - 1  # one has all that was removed

    def one_span(count: int) -> None:
        (file,) = read(TextSource("x = 1\n" * count, "m.py"), 10_000_000).files
        assert split_file(file, count)[0]

    for work, size in ((undefined, 300), (condition, 1500), (functions, 600), (one_span, 300)):
        assert growth(work, size) < 24, f"{work.__name__} is quadratic"


def test_what_cannot_be_checked_of_a_file_is_a_gap_of_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises, or does not end, costs its own file; the review of the other one is whole."""

    def checked(module: ParsedModule) -> list[Candidate]:
        if "endless" in module.text:
            while True:
                pass
        if "wrong" in module.text:
            raise OverflowError
        return []

    monkeypatch.setattr(file_checks, "CHECKS", (checked, *file_checks.CHECKS))
    monkeypatch.setattr(one_file, "MAX_SECONDS", 0.3)
    texts = {"endless.py": "endless = 1\n", "wrong.py": "wrong = 1\n", "m.py": BAD}
    report = review(VersionsSource({}, texts), ReviewOptions(), None)
    assert {item.path: item.reason for item in report.unreviewed} == {
        "endless.py": "it takes longer than 0.3 s to check",
        "wrong.py": "it could not be checked: OverflowError",
    }
    assert report.state is State.PARTIAL
    assert "B006" in {item.rule for item in report.findings}


@pytest.mark.parametrize("literal", ["1" * 400, "1" * 4000 + ".0", "1e999"])
def test_a_number_that_is_no_float_is_no_fault(literal: str) -> None:
    """A constant beside a comment is compared with it, whatever its size."""
    report = review(TextSource(f"SIZE = {literal}  # 5 MB\n", "m.py"), ReviewOptions(), None)
    assert report.state is not State.PARTIAL


def test_a_review_ends_with_its_time_and_says_what_it_had_none_for() -> None:
    """Each file that no analyser came to is listed; so is a model that does not answer."""
    report = review(VersionsSource({}, {"a.py": BAD, "b.py": BAD}), ReviewOptions(max_seconds=1e-3), None)
    reasons = {item.path: item.reason for item in report.unreviewed} or {"": report.notes[0]}
    assert all("time" in reason or "could not be read in" in reason for reason in reasons.values())
    assert report.state in {State.PARTIAL, State.FAILED}


class Silent:
    """A session whose server does not answer."""

    def respond(self, *_: object, **options: object) -> object:
        """Wait for longer than any review."""
        time.sleep(1000)


def test_a_model_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The findings of the analysers are reported, and the pieces that the model did not see."""
    session: Any = Silent()
    real = model_review.review_with_model

    def with_little_time(*arguments: Any) -> model_review.ModelReview:
        return real(*arguments[:-1], Deadline(0.3))

    monkeypatch.setattr(model_review, "review_with_model", with_little_time)
    report = review(TextSource(BAD, "m.py"), ReviewOptions(), session)
    assert [item.reason for item in report.unreviewed] == [
        "the time of the review was up, and the model had not answered"
    ]
    assert report.model is not None
    assert report.model.requests == 1
    assert "B006" in {item.rule for item in report.findings}


def test_a_line_of_thousands_of_digits_is_not_sent_to_a_model() -> None:
    """Many models make a token of each digit: it is more than the window, which is said."""
    (file,) = read(TextSource("x = " + "1" * 4000 + "\n", "m.py"), 1_000_000).files
    assert split_file(file, 1500) == ([], [(1, 1)])


def test_fixes_are_tried_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is the whole file once more; the report says for how many findings none was tried."""
    monkeypatch.setattr(fixes.FixBudget.__init__, "__defaults__", (2, 20_000_000, 0))
    report = review(
        TextSource("import os\nimport sys\nimport re\nimport io\n", "m.py"), ReviewOptions(), None
    )
    assert [item.fix is not None for item in report.findings] == [True, True, False, False]
    assert any("not tried for 2 findings" in note for note in report.notes)


def test_many_files_are_given_to_an_analyser_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command line has an end: a thousand files are several calls."""
    calls: list[int] = []

    def ask(folder: Path, files: list[str], seconds: float) -> bandit._Answer:
        calls.append(len(files))
        return bandit._Answer([], [])

    monkeypatch.setattr(bandit, "_ask", ask)
    result = bandit.run([Subject(f"m{number}.py", "python", "x = 1\n") for number in range(1000)])
    assert (max(calls), sum(calls), len(result.looked_at)) == (400, 1000, 1000)


@pytest.mark.parametrize("analyser", [ruff, bandit])
def test_an_analyser_is_asked_nothing_once_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch, analyser: Any
) -> None:
    """Of a hundred thousand files too: none is written for it, and each is a gap that says why."""
    deadline = Deadline(600)
    calls: list[int] = []

    def ask(folder: Path, files: list[str], *_: object) -> Any:
        calls.append(len(files))
        monkeypatch.setattr(deadline, "_end", 0.0)
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(analyser, "_ask", ask)
    subjects = [Subject(f"m{number}.py", "python", "x = 1\n") for number in range(1000)]
    result = analyser.run(subjects, deadline=deadline)
    assert calls == [400]
    assert len(result.failures) == 1000
    assert all("the time of the review was up" in reason for reason in result.failures.values())
