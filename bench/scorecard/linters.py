"""ruff and bandit alone, as a reviewer: the yardstick for everything static in kodo's own review.

They get what a careful project would give them: a strict choice of rules, and only what stands on lines that the
change added. Languages other than Python they do not read. Knows nothing of kodo's review.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.scorecard.cases import ReviewCase, SourceFile
from bench.scorecard.results import SCORECARD, code_of
from bench.scorecard.review_score import Remark, Reviewed
from bench.scorecard.revisions import added_lines, after, on_the_comment, push_again

RUFF_RULES = "E9,F,B,S,BLE,SIM,PLE,PLW,ASYNC,DTZ,RUF"
"""A strict project's choice; S101 and B101 (assert) are left out, as everybody does for tests."""

_TIMEOUT_SECONDS = 120
_PRACTICE = ("S110", "S112", "B110", "B112", "BLE", "SIM", "PLW", "RUF")
"""Rules, or their beginnings, about how code is written rather than what it does."""


class _Position(msgspec.Struct):
    row: int


class _RuffItem(msgspec.Struct):
    filename: str
    location: _Position
    code: str | None = None


class _BanditItem(msgspec.Struct):
    filename: str
    line_number: int
    test_id: str


class _BanditReport(msgspec.Struct):
    results: list[_BanditItem]


class LinterReviewer:
    """ruff and bandit on the added lines of Python files."""

    name = "ruff and bandit alone"

    def __init__(self) -> None:
        self.session = None
        self.version = code_of(SCORECARD / "linters.py", SCORECARD / "revisions.py")

    def review(self, case: ReviewCase) -> Reviewed:
        """Lint both pushes of one case; rule and line text stand in for a fingerprint."""
        start = time.perf_counter()
        first = lint(case.files)
        second = lint(push_again(case.files))
        again = tuple(r for r in second if not on_the_comment(case.files, r.path, r.line))
        state = "findings" if first else "clean"
        return Reviewed(case.name, first, again, state, time.perf_counter() - start)


def lint(files: tuple[SourceFile, ...]) -> tuple[Remark, ...]:
    """What both say of the added lines, each rule once a line, sorted by place."""
    added = {file.path: added_lines(file) for file in files if file.path.endswith(".py")}
    if not any(added.values()):
        return ()
    texts = after(files)
    with tempfile.TemporaryDirectory(prefix="kodo-scorecard-") as folder:
        root = Path(folder).resolve()
        for path, text in texts.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        places = sorted({*_ruff(root), *_bandit(root)})
    return tuple(
        Remark(
            path,
            line,
            line,
            category,
            "warning",
            rule,
            fingerprint=f"{rule}:{texts[path].splitlines()[line - 1].strip()}",
        )
        for path, line, rule, category in places
        if line in added.get(path, ())
    )


def _ruff(root: Path) -> Iterator[tuple[str, int, str, str]]:
    rules = ["--select", RUFF_RULES, "--ignore", "S101", "--output-format", "json"]
    text = _run(root, ["ruff", "check", "--isolated", "--no-cache", "--exit-zero", *rules, "."])
    for item in msgspec.json.decode(text, type=list[_RuffItem]):
        rule = item.code or "invalid-syntax"
        category = "security" if rule.startswith("S") else "bug"
        yield _place(root, item.filename), item.location.row, rule, _or_practice(rule, category)


def _bandit(root: Path) -> Iterator[tuple[str, int, str, str]]:
    text = _run(root, ["bandit", "-q", "-r", "--exit-zero", "-s", "B101", "-f", "json", "."])
    for item in msgspec.json.decode(text, type=_BanditReport).results:
        yield (
            _place(root, item.filename),
            item.line_number,
            item.test_id,
            _or_practice(item.test_id, "security"),
        )


def _or_practice(rule: str, category: str) -> str:
    return "practice" if rule.startswith(_PRACTICE) else category


def _place(root: Path, name: str) -> str:
    return (root / name).relative_to(root).as_posix()


def _run(root: Path, command: list[str]) -> str:
    """Run a linter's module with this interpreter; its standard output."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    ).stdout
