"""Job 1: review one change where it is, without a secret, within limits of time.

Nothing of the change is checked out or imported here: its files are read as git objects, and its code runs in the
sandbox only. The result always says what was not done, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kodo import __version__
from kodo.ci.artifact import Artifact, RunInfo
from kodo.ci.bounds import MAX_PATHS
from kodo.ci.change import Change
from kodo.ci.marker import ReviewMarker
from kodo.ci.policy import Policy, PolicyError, parse_policy
from kodo.ci.test_proposals import propose_tests
from kodo.jobs.execution.time_limit import OutOfTime, time_limit
from kodo.jobs.report.model import Finding, ReviewReport, State
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.visible import one_line
from kodo.jobs.review.git import GitError, Repository
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import BaseSource

if TYPE_CHECKING:
    from kodo.client.session import Session

    OpenSession = Callable[[Policy], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """One change, resolved in a repository: full commit ids, and the policy of its base."""

    repository: Repository
    change: Change
    base: str
    head: str
    policy: Policy


def prepare(change: Change, root: Path) -> ReviewTask:
    """Resolve the change in the repository at ``root`` and read the policy from its base.

    Raises:
        GitError: a revision is not there, or base and head share no history.
        PolicyError: the policy is wrong.
    """
    repository = Repository(Repository(root).top())
    target = repository.commit(change.base)
    head = repository.commit(change.head)
    policy = parse_policy(repository.file_at(target, "pyproject.toml"))
    return ReviewTask(repository, change, repository.merge_base(target, head), head, policy)


def marker_of(artifact: Artifact) -> ReviewMarker:
    """The state after a review that is known by its artifact alone, for pipelines whose job 1 has no token."""
    run, state = artifact.run, artifact.report.state
    complete = state in (State.CLEAN, State.FINDINGS) and (run.whole or not run.since)
    return ReviewMarker(base=run.base, head=run.head, target=run.target, complete=complete)


def is_part_of_change(folder: Path, root: Path) -> bool:
    """Whether a folder, or something on the way to it or in it, is a file of the commit that is checked out at ``root``.

    Then the change wrote it, and it says nothing of an earlier review.
    """
    try:
        repository = Repository(root)
        top = repository.top().resolve()
        path = (root.resolve() / folder).absolute()
        if not path.is_relative_to(top):
            return False
        inside = path.relative_to(top)
        ways = [str(part) for part in (inside, *inside.parents) if str(part) != "."]
        if not ways or any((top / way).is_symlink() for way in ways):
            return True
        listed = repository.run("-C", str(top), "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", ways[0])
        above = repository.run("-C", str(top), "ls-tree", "-z", "HEAD", "--", *ways[1:]) if ways[1:] else b""
    except GitError:
        return True
    return bool(listed) or any(not entry.startswith(b"040000 ") for entry in above.split(b"\0") if entry)


def review_change(
    change: Change,
    root: Path,
    previous: ReviewMarker | None = None,
    open_session: OpenSession | None = None,
    earlier: Artifact | None = None,
) -> Artifact:
    """Review ``change`` in the repository at ``root``.

    Args:
        previous: the state after the review before; what it covers is not reviewed again, unless the head was
            replaced (force-push), the base is another one, or the project's tests are to be run.
        earlier: instead, the artifact of the review before. The new report then holds its findings of the other files.
        open_session: makes the way to a model, within the policy's budget; used only where the policy asks for one.

    Never raises for what it is given: a review that could not be done is a report in the state ``failed``.
    """
    try:
        task = prepare(change, root)
    except (GitError, PolicyError) as error:
        return Artifact(RunInfo(), failed_report(str(error)))
    if earlier is not None and earlier.report.kodo != __version__:
        earlier = None  # another version finds other things
    if earlier is not None:
        previous = marker_of(earlier)
    skipped = task.policy.reason_to_skip(change)
    if skipped:
        run = RunInfo(base=task.base, head=task.head, skipped=skipped)
        return Artifact(run, _report(State.SKIPPED, task.policy.lang, f"not reviewed: {skipped}"))
    paths, reason = _changed_since(previous, task)
    run = RunInfo(
        base=task.base,
        head=task.head,
        target=change.target[:300],
        since=previous.head if previous is not None and paths is not None else "",
        paths=tuple(sorted(paths)) if paths is not None else (),
        not_incremental=in_lang(reason, task.policy.lang),
    )
    source = BaseSource(task.base, task.repository.root, task.head, paths)
    try:
        with (
            time_limit(task.policy.seconds),
            open_session(task.policy) if open_session and task.policy.model else nullcontext() as session,
        ):
            report = review(source, _options(task.policy), session)
            if previous is not None and previous.tests_wanted:
                run = _with_tests(run, task)
    except OutOfTime:
        report = failed_report(
            f"the review did not end within {task.policy.seconds:g} s (tool.kodo.ci.seconds)",
            task.policy.lang,
        )
    if paths is not None and report.state is State.SKIPPED:  # the rest was reviewed before, and stands
        report = msgspec.structs.replace(report, state=State.CLEAN)
    if paths is not None and earlier is not None and report.state is not State.FAILED:
        run = msgspec.structs.replace(run, whole=True)
        report = carried_over(report, earlier.report, paths)
    return Artifact(run, report)


def carried_over(report: ReviewReport, earlier: ReviewReport, paths: frozenset[str]) -> ReviewReport:
    """The report of an incremental review with what the one before found in the files that were not looked at now."""

    def kept(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(item for item in findings if item.place.path not in paths)

    findings = sorted(
        (*report.findings, *kept(earlier.findings)),
        key=lambda item: (item.place.path, item.place.line, item.rule),
    )
    suppressed = [item for item in earlier.suppressed if item.finding.place.path not in paths]
    return msgspec.structs.replace(
        report,
        state=State.FINDINGS if findings and report.state is State.CLEAN else report.state,
        findings=tuple(findings),
        known=(*report.known, *kept(earlier.known)),
        suppressed=(*report.suppressed, *suppressed),
        unreviewed=(*report.unreviewed, *(item for item in earlier.unreviewed if item.path not in paths)),
        reviewed=(*report.reviewed, *(item for item in earlier.reviewed if item.path not in paths)),
    )


def _with_tests(run: RunInfo, task: ReviewTask) -> RunInfo:
    """The run with tests for the whole change, which a command asked for."""
    proposal = propose_tests(BaseSource(task.base, task.repository.root, task.head))
    notes = tuple(one_line(in_lang(note, task.policy.lang))[:400] for note in proposal.notes[:20])
    return msgspec.structs.replace(run, tests=proposal.text, tests_notes=notes)


def failed_report(reason: str, lang: str = "en") -> ReviewReport:
    """The report of a review that could not be done."""
    return _report(State.FAILED, lang, reason)


def _report(state: State, lang: str, note: str) -> ReviewReport:
    return ReviewReport(state=state, source="", notes=(in_lang(note, lang),), lang=lang, kodo=__version__)


def _seconds_for(policy: Policy) -> float:
    """A little less than the policy allows, so that what was done by then is reported; all of it where that is little."""
    return policy.seconds * 0.9 if policy.seconds > 10 else policy.seconds + 10


def _options(policy: Policy) -> ReviewOptions:
    return ReviewOptions(
        lang=policy.lang,
        max_requests=policy.max_requests,
        tests=policy.tests,
        run=True,
        run_seconds=min(policy.run_seconds, policy.seconds),
        max_seconds=_seconds_for(policy),
    )


def _changed_since(previous: ReviewMarker | None, task: ReviewTask) -> tuple[frozenset[str] | None, str]:
    """The paths to review after an earlier review, or None for all of them and the reason."""
    if previous is None:
        return None, ""
    if not previous.complete:
        return None, "the review before was not complete"
    if previous.target != task.change.target or previous.base != task.base:
        return None, "the base is another one"
    if task.policy.tests:
        return None, "the project's tests see the whole change"
    if previous.head == task.head:
        return None, "it was run again"
    repository = task.repository
    try:
        before = repository.commit(previous.head)
        if repository.merge_base(before, task.head) != before:
            return None, "the history was rewritten"
    except GitError:
        return None, "the history was rewritten"
    entries = repository.entries(before, task.head)
    paths = frozenset(path for entry in entries for path in (entry.path, entry.old_path))
    if len(paths) > MAX_PATHS:
        return None, f"more than {MAX_PATHS} files changed since"
    return paths, ""
