"""bandit, run once over all Python texts: what it finds that ruff's ``S`` rules do not.

Tests whose finding is about an import, or is wrong more often than right (B101 assert, B311 random, B603, B607),
are not used. ``# nosec`` is not applied here: ``suppression`` applies it and lists what it suppresses.
"""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.model import Category, Severity
from kodo.jobs.review.analysers.one_file import NO_TIME
from kodo.jobs.review.analysers.ruff import batches, halve, seconds_for, write
from kodo.jobs.review.candidate import AnalyserResult, Candidate, Subject
from kodo.jobs.review.languages import is_test

NAME = "bandit"
SKIPPED = (
    [
        "B101",
        "B104",
        "B105",
        "B106",
        "B107",
        "B108",
        "B110",
        "B112",
        "B113",
        "B310",
        "B311",
        "B608",
    ]  # too often wrong, or ruff has the same rule
    + [f"B4{number:02}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15)]  # imports alone
    + ["B603", "B606", "B607"]  # every call of a program
)
_SEVERITY = {"HIGH": Severity.ERROR, "MEDIUM": Severity.WARNING, "LOW": Severity.INFO}


class _Result(msgspec.Struct):
    filename: str
    test_id: str
    issue_text: str
    issue_severity: str
    issue_confidence: str
    line_number: int
    line_range: list[int]
    col_offset: int = -1


class _Failure(msgspec.Struct):
    filename: str
    reason: str


class _Answer(msgspec.Struct):
    results: list[_Result]
    errors: list[_Failure]


def run(subjects: Sequence[Subject], deadline: Deadline | None = None) -> AnalyserResult:
    """Candidates for every Python file that is not a test. A file that ends bandit is a failure of that file alone."""
    mine = [
        index
        for index, subject in enumerate(subjects)
        if subject.language == "python" and not is_test(subject.path) and not subject.path.endswith(".pyi")
    ]
    if not mine:
        return AnalyserResult({}, frozenset())
    files: dict[str, int] = {}
    answers: list[_Answer] = []
    failed: dict[str, str] = {}
    unread: dict[int, str] = {}
    for batch in batches(mine):
        if deadline is not None and deadline.up:
            unread |= dict.fromkeys(batch, f"bandit could not run: {NO_TIME}")
            continue
        with TemporaryDirectory(prefix="kodo-bandit-") as name:
            folder = Path(name)
            written = {write(folder, index, subjects[index]): index for index in batch}
            found, failures = halve(list(written), partial(_ask_in_time, folder, deadline), deadline)
        files |= written
        answers += found
        failed |= failures
    candidates: dict[int, list[Candidate]] = {index: [] for index in mine}
    unread |= {files[file]: f"bandit could not run: {reason}" for file, reason in failed.items()}
    for answer in answers:
        for result in answer.results:
            if result.issue_confidence != "LOW":
                candidates[files[result.filename.removeprefix("./")]].append(_candidate(result))
        unread |= {
            files[failure.filename.removeprefix("./")]: f"bandit: {failure.reason}"
            for failure in answer.errors
        }
    return AnalyserResult(candidates, frozenset(mine) - unread.keys(), unread)


def _ask_in_time(folder: Path, deadline: Deadline | None, files: Sequence[str]) -> list[_Answer]:
    return [_ask(folder, files, seconds_for(deadline))]


def _ask(folder: Path, files: Sequence[str], seconds: float) -> _Answer:
    command = [sys.executable, "-P", "-m", "bandit", "-f", "json", "-q", "--ignore-nosec", "--exit-zero"]
    done = subprocess.run(
        [*command, "-s", ",".join(SKIPPED), *files],
        cwd=folder,
        capture_output=True,
        timeout=seconds,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=_Answer)


def _candidate(result: _Result) -> Candidate:
    return Candidate(
        rule=result.test_id,
        category=Category.SECURITY,
        severity=_SEVERITY.get(result.issue_severity, Severity.INFO),
        line=result.line_number,
        end_line=max(result.line_range, default=result.line_number),
        message=result.issue_text,
        source=NAME,
        detail=f"{result.issue_text} (confidence {result.issue_confidence.lower()})",
    )
