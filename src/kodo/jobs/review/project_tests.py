"""The project's own tests, run in the sandbox on copies: what they say before and after the change.

A test that passed before the change and fails after it is evidence of the strongest kind. The results come from outside
of the tested process (``inside/run_tests.py``), and files that decide what tests report are those from before the
change (``pytest_settings``). The copy holds what git
would track, the reviewed texts laid over it. Tests that need the network or files outside of the project fail in both
states, and so say nothing.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kodo.jobs.execution.file_times import even_times
from kodo.jobs.report.model import Category, EvidenceKind, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks.catalogue import rules
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.reading import project_files
from kodo.sandbox import FILES, PROJECT, PYTHON, TMP, ResourceLimits, Sandbox

_INSIDE = Path(__file__).parent / "inside"
_PROGRAMS = ("run_tests.py", "report_tests.py")
MAX_PROJECT_BYTES = 100_000_000
RULE = "kodo/test-fails"


class TestsError(Exception):
    """The tests could not be run at all; the message says why."""

    __test__ = False  # the name begins with Test; pytest is not to collect it


class _Result(msgspec.Struct):
    phase: str
    outcome: str
    text: str


class _Run(msgspec.Struct):
    results: dict[str, _Result]
    error: str | None
    output: str


@dataclass(frozen=True)
class ProjectTests:
    """The tests of the project at ``root``.

    ``settings`` are the files that decide what tests report and that the change touches, with their text before it
    (None: not there); every run uses these, so that a change cannot make its own tests pass.
    """

    root: Path
    sandbox: Sandbox
    limits: ResourceLimits = field(default_factory=lambda: ResourceLimits(wall_seconds=120, cpu_seconds=120))
    settings: Mapping[str, str | None] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    """The site-packages of the project's own environment, which the sandbox can read; empty without one."""
    parts: bool = True
    """Whether a test counts as passed though one of its sub-tests was skipped; if not, it is left out like a skipped one."""

    def failures(self, texts: Mapping[str, str | None], only: Sequence[str] = ()) -> dict[str, str]:
        """Each test's name to "" if it passed, else to its output, with ``texts`` laid over the project.

        A text of None removes the file; ``only`` are the files whose tests are run, each test in a process of its own.
        Where the change touches test settings, tests that fail before they begin
        (a fixture that only the new settings have) are left out. Raises TestsError if the run gives no result.
        """
        with TemporaryDirectory(prefix="kodo-tests-") as folder:
            copy = Path(folder) / "project"
            _copy(self.root, copy)
            for path, text in {**texts, **self.settings}.items():
                _lay(copy / path, text)
            even_times(copy)
            Path(folder).chmod(0o755)
            outcome = self.sandbox.run(
                [
                    PYTHON,
                    "-I",
                    "-S",
                    f"{FILES}/run_tests.py",
                    PYTHON,
                    TMP,
                    PROJECT,
                    json.dumps(only),
                    *self.packages,
                ],
                project=copy,
                files={name: (_INSIDE / name).read_bytes() for name in _PROGRAMS},
                limits=self.limits,
                env={"PYTHONPATH": f"{PROJECT}:{PROJECT}/src"},
                cwd=PROJECT,
            )
        if outcome.timed_out:
            raise TestsError(f"the project's tests did not end in {self.limits.wall_seconds:.0f} s")
        try:
            run = msgspec.json.decode(outcome.stdout.encode(), type=_Run)
        except msgspec.MsgspecError as error:
            last = (outcome.stderr or outcome.stdout).strip().splitlines()[-1:] or [
                f"status {outcome.status}"
            ]
            raise TestsError(f"the project's tests did not run: {last[0]}") from error
        if run.error:
            last = run.output.strip().splitlines()[-1:]
            raise TestsError(": ".join(["the project's tests did not run", run.error, *last]))
        return {
            name: (result.text or "failed") if result.outcome == "failed" else ""
            for name, result in run.results.items()
            if result.outcome not in (("skipped",) if self.parts else ("skipped", "part"))
            and not (self.settings and result.outcome == "failed" and result.phase != "call")
        }


def _lay(file: Path, text: str | None) -> None:
    """Write a text over a file of the copy, or remove it."""
    if text is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))


def broken_tests(
    files: list[ChangedFile], before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, list[Candidate]]:
    """A candidate for each test that passed before the change and fails after it, on the changed line it went through."""
    candidates: dict[str, list[Candidate]] = {}
    code = [file for file in files if file.language == "python" and not is_test(file.path) and file.touched]
    if not code:
        return candidates
    rule = rules()[RULE]
    for name, failure in after.items():
        if not failure or before.get(name, "-") != "":
            continue
        file, line = _blame(code, failure)
        candidates.setdefault(file.path, []).append(
            Candidate(
                rule=RULE,
                category=Category.BUG,
                severity=Severity.ERROR,
                line=line,
                message=rule.en.format(name),
                source="pytest",
                detail=failure[-2000:],
                kind=EvidenceKind.EXECUTION,
                values=(name,),
            )
        )
    return candidates


def _blame(files: list[ChangedFile], failure: str) -> tuple[ChangedFile, int]:
    """The changed file and line that a failure names; the last one it names, else the first of the change."""
    best: tuple[int, ChangedFile, int] | None = None
    for file in files:
        for line in sorted(file.touched):
            at = failure.rfind(f"{file.path}:{line}:")
            if at >= 0 and (best is None or at > best[0]):
                best = (at, file, line)
    if best is not None:
        return best[1], best[2]
    named = [file for file in files if file.path.rpartition("/")[2].removesuffix(".py") in failure]
    file = (named or files)[0]
    return file, min(file.added or file.touched)


def _copy(root: Path, target: Path) -> None:
    """Copy what git would track. Raises TestsError for a project that is too large to copy."""
    total = 0
    for name in project_files(root):
        source = root / name
        if source.is_symlink() or not source.is_file():
            continue
        total += source.stat().st_size
        if total > MAX_PROJECT_BYTES:
            raise TestsError(
                f"the project, without what git ignores, is larger than {MAX_PROJECT_BYTES // 1_000_000} MB; its tests were not run"
            )
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
    target.mkdir(parents=True, exist_ok=True)
