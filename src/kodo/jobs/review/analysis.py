"""All analysers over all files, before and after the change.

Every analyser sees both states in one run; what it reports of the state before was not caused by the change.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.model import Unreviewed
from kodo.jobs.review.analysers import bandit, ruff, syntax
from kodo.jobs.review.analysers.one_file import in_time
from kodo.jobs.review.candidate import AnalyserResult, Candidate, Subject
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks import diff_checks, file_checks
from kodo.jobs.review.checks.definition_pairs import ChangeLines
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.reading import printable


@dataclass(frozen=True)
class Analysis:
    """Candidates by path for both states, which analysers read each path, and what could not be read."""

    after: dict[str, list[Candidate]]
    before: dict[str, list[Candidate]]
    looked: dict[str, tuple[str, ...]]
    unreviewed: tuple[Unreviewed, ...]

    def names(self, path: str) -> tuple[str, ...]:
        """The analysers that looked at a path."""
        return self.looked.get(path, ())


def analyse(files: Sequence[ChangedFile], target: str = "", deadline: Deadline | None = None) -> Analysis:
    """Run every analyser that knows the languages of ``files``; ``target`` is ruff's name for the oldest Python."""
    complete = [file for file in files if file.complete]
    changed = [file for file in complete if file.before is not None]
    subjects = [Subject(file.path, file.language, file.after) for file in complete]
    subjects += [Subject(file.path, file.language, file.before or "") for file in changed]
    results = run_analysers(subjects, target, deadline)
    after: dict[str, list[Candidate]] = {file.path: [] for file in files}
    before: dict[str, list[Candidate]] = {}
    looked: dict[str, list[str]] = {file.path: [] for file in files}
    failed: dict[str, str] = {}
    for index, file in enumerate(complete):
        after[file.path] += _candidates_at(results, index)
        looked[file.path] += [name for name, result in results.items() if index in result.looked_at]
        if reason := _failure_at(results, index):
            failed.setdefault(file.path, reason)
    for index, file in enumerate(changed, len(complete)):
        before.setdefault(file.path, []).extend(_candidates_at(results, index))
    for path, (found, failure) in _comparisons(files, changed, deadline):
        after[path] += found
        if failure:
            failed.setdefault(path, failure)
    unreviewed = [
        Unreviewed(printable(path), reason, gap=True)
        for path, reason in failed.items()
        if not _has_syntax_error(after[path])
    ]
    return Analysis(after, before, {path: tuple(names) for path, names in looked.items()}, tuple(unreviewed))


def _comparisons(
    files: Sequence[ChangedFile], changed: Sequence[ChangedFile], deadline: Deadline | None
) -> Iterator[tuple[str, tuple[list[Candidate], str]]]:
    """What comparing each changed file with what it was finds, and why that was not done to its end."""
    tested = any(is_test(file.path) for file in files)
    change = ChangeLines(files)
    for file in changed:
        yield file.path, in_time(partial(_compare, file, tested, change), deadline)


def _compare(file: ChangedFile, tested: bool, change: ChangeLines, found: list[Candidate]) -> str:
    found += diff_checks.run(file, tested=tested, change=change)
    return ""


def _candidates_at(results: Mapping[str, AnalyserResult], index: int) -> list[Candidate]:
    """What all analysers report of one subject."""
    return [candidate for result in results.values() for candidate in result.candidates.get(index, [])]


def _failure_at(results: Mapping[str, AnalyserResult], index: int) -> str:
    """Why the first analyser that failed on a subject did, or "" if none failed."""
    reasons = (result.failures[index] for result in results.values() if index in result.failures)
    return next(reasons, "")


def _has_syntax_error(candidates: Sequence[Candidate]) -> bool:
    return any(candidate.rule == "syntax" for candidate in candidates)


def run_analysers(
    subjects: Sequence[Subject], target: str = "", deadline: Deadline | None = None
) -> dict[str, AnalyserResult]:
    """Run all analysers; return their results by name."""
    with ThreadPoolExecutor(2) as pool:  # the two that are programs of their own
        by_ruff, by_bandit = (
            pool.submit(ruff.run, subjects, target, deadline),
            pool.submit(bandit.run, subjects, deadline),
        )
        found = {
            syntax.NAME: syntax.run(subjects, deadline),
            file_checks.NAME: file_checks.run(subjects, deadline),
            ruff.NAME: by_ruff.result(),
            bandit.NAME: by_bandit.result(),
        }
    return _without_refusals_of_valid_text(found)


def _without_refusals_of_valid_text(found: dict[str, AnalyserResult]) -> dict[str, AnalyserResult]:
    """The results without the compiler's refusal of a text that ruff's parser accepts.

    It is newer than this Python, or beyond a limit of this compiler (digits of a number, nesting).
    The checks that need a tree did not see it, which is a failure of ``syntax`` for it.
    """
    mine, theirs = found[syntax.NAME], found[ruff.NAME]
    candidates = dict(mine.candidates)
    failures = dict(mine.failures)
    for index in theirs.looked_at & mine.candidates.keys():
        refused = next((one.message for one in mine.candidates[index] if one.rule == "syntax"), None)
        if (
            refused is not None
            and not any(candidate.rule == "syntax" for candidate in theirs.candidates[index])
            and index in found[file_checks.NAME].failures
        ):
            candidates[index] = []
            failures[index] = (
                f"this Python's compiler does not accept it ({refused[:100]}); its tree was not checked"
            )
    return {**found, syntax.NAME: AnalyserResult(candidates, mine.looked_at - failures.keys(), failures)}
