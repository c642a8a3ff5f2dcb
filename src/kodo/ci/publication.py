"""Job 2: from a finished run to what is written on the change. ``plan`` is pure; ``publish`` reads, plans and writes.

Running it again changes nothing: what is there already is recognised by marker and fingerprint, so a call that failed
half-way is simply made again. A run that left no report, or one that is refused, is said on the change and fails its
check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

import msgspec

from kodo.ci.artifact import Artifact, ArtifactError, RunInfo, read_artifact
from kodo.ci.diff_lines import ShownLine, commentable_range, shown_lines
from kodo.ci.forge import Comment, Forge, LineComment, ListedFile, PipelineRun, Pull
from kodo.ci.marker import (
    MAX_IGNORED,
    OpenFinding,
    ReviewMarker,
    has_named_marker,
    is_review_comment,
    read_finding_marker,
    read_ignored_rule,
    read_review_marker,
)
from kodo.ci.masking import Masker
from kodo.ci.policy import Policy, lenient_policy
from kodo.ci.review_comment import (
    CommentInput,
    as_open,
    headline,
    render_comment,
    render_line_comment,
    render_resolved,
    render_tests,
)
from kodo.ci.review_job import failed_report
from kodo.ci.words import WORDS
from kodo.ci.writes import (
    AddLineComments,
    Conclusion,
    CreateComment,
    LineNote,
    ResolveLineComment,
    SetCheck,
    UpdateComment,
    Write,
)
from kodo.jobs.report.model import Finding, Severity, State
from kodo.jobs.report.reasons import in_lang

ARTIFACT_NAME = "kodo-review"
TESTS = "tests"
"""The marker of the comment with generated tests."""
PIPELINE_PATHS = (
    ".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/*", "Jenkinsfile*", ".kodo/*",
)  # fmt: skip  # one row of patterns
"""Files that decide how a change is reviewed."""


@dataclass(frozen=True, slots=True)
class ChangeState:
    """Everything about a change that a plan rests on, as the forge told it."""

    pull: Pull
    policy: Policy
    comments: Sequence[Comment] = ()
    line_comments: Sequence[LineComment] = ()
    files: Sequence[ListedFile] = ()
    patches: Mapping[str, str] = field(init=False)
    """The hunks of each file that is listed, by path after the change."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", {file.path: file.patch for file in self.files})

    @property
    def touched(self) -> tuple[str, ...]:
        """Changed paths that decide how the change is reviewed, also those that it renames to something else."""
        return touched_pipeline({path for file in self.files for path in (file.path, file.old_path)})

    @property
    def unlisted(self) -> int:
        """Changed files that the forge does not list; any of them may be the pipeline's own."""
        return max(0, self.pull.changed_files - len(self.files))

    @property
    def believed(self) -> bool:
        """Whether the change could not alter its own review."""
        return not self.touched and not self.unlisted

    @property
    def ignored(self) -> tuple[str, ...]:
        """The rules that are ignored by command: of the marker, and of the answers to commands since."""
        told = [read_ignored_rule(item.body) for item in self.comments if item.is_ours]
        kept = self.marker.ignored if self.marker is not None else ()
        return tuple(dict.fromkeys((*kept, *(rule for rule in told if rule))))[:MAX_IGNORED]

    @property
    def stickies(self) -> list[Comment]:
        """Our comments on the change: one, or more where two runs published at once; the first one counts."""
        return [item for item in self.comments if item.is_ours and is_review_comment(item.body)]

    @property
    def sticky(self) -> Comment | None:
        """Our one comment on the change."""
        return next(iter(self.stickies), None)

    @property
    def marker(self) -> ReviewMarker | None:
        """The state after the last review, from our comment."""
        return read_review_marker(self.sticky.body) if self.sticky is not None else None


def publish(forge: Forge, run_id: int, masker: Masker, *, dry_run: bool = False) -> tuple[Write, ...]:
    """Publish the report of a finished run; returns what was (or, with ``dry_run``, would be) written.

    Nothing is written where no open request has the run's head any more: a newer run will publish.

    Raises:
        ForgeError: the forge refused or did not answer.
    """
    run = forge.run(run_id)
    if run.number == 0:
        return ()
    state = read_state(forge, run.number)
    artifact = masked(checked_artifact(forge, run, state), masker)
    for number in run.others:  # the report only says which of those that the forge names
        if artifact.run.target in ("", state.pull.base_branch):
            break
        state = read_state(forge, number)
    if not state.pull.is_open or state.pull.head_sha != run.head_sha:
        return ()
    return carry_out(forge, plan(state, artifact), state.pull, dry_run=dry_run)


def publish_artifact(
    forge: Forge, number: int, artifact: Artifact, masker: Masker, *, dry_run: bool = False
) -> tuple[Write, ...]:
    """Publish a report that was handed over some other way, on the request ``number`` if its head is the report's."""
    state = read_state(forge, number)
    if not state.pull.is_open:
        return ()
    if artifact.run.head != state.pull.head_sha:
        artifact = _refused(state, WORDS.say(state.policy.lang, "stale"))
    return carry_out(forge, plan(state, masked(artifact, masker)), state.pull, dry_run=dry_run)


def carry_out(forge: Forge, writes: Sequence[Write], pull: Pull, *, dry_run: bool) -> tuple[Write, ...]:
    """Make the writes in order and return those that were made; with ``dry_run``, all of them, and none is made.

    Before the last one, which says that a head is done, the head is asked for again: had it moved, the publication of
    the newer one may be over, and its comment must stay.
    """
    done: list[Write] = []
    for write in writes:
        if not dry_run:
            if write is writes[-1] and forge.pull(pull.number).head_sha != pull.head_sha:
                break
            forge.write(write)
        done.append(write)
    return tuple(done)


def read_state(forge: Forge, number: int) -> ChangeState:
    """Everything that a plan needs. A policy that is wrong is the default one: job 1 has failed over it."""
    pull = forge.pull(number)
    policy = lenient_policy(forge.file_at("pyproject.toml", pull.base_sha))
    return ChangeState(pull, policy, forge.comments(number), forge.line_comments(number), forge.files(number))


def checked_artifact(forge: Forge, run: PipelineRun, state: ChangeState) -> Artifact:
    """The run's report, or one that says why there is none to believe."""
    lang = state.policy.lang
    data = forge.artifact(run.id, ARTIFACT_NAME, latest_attempt=True)
    if data is None:
        return _refused(state, WORDS.say(lang, "no_artifact"))
    try:
        artifact = read_artifact(data)
    except ArtifactError as error:
        return _refused(state, WORDS.say(lang, "bad_artifact", reason=in_lang(str(error), lang)))
    if artifact.run.head and artifact.run.head != run.head_sha:
        return _refused(state, WORDS.say(lang, "stale"))
    return artifact


def masked(artifact: Artifact, masker: Masker) -> Artifact:
    """The artifact without secrets, a second time: the first masking may have been altered with the pipeline."""
    run = artifact.run
    notes = tuple(masker.text(note) for note in run.tests_notes)
    hidden = msgspec.structs.replace(run, tests=masker.text(run.tests), tests_notes=notes)
    return Artifact(hidden, masker.report(artifact.report))


def _refused(state: ChangeState, reason: str) -> Artifact:
    return Artifact(RunInfo(), failed_report(reason, state.policy.lang))


def plan(state: ChangeState, artifact: Artifact) -> tuple[Write, ...]:
    """What to write for a report: resolved line comments, new ones, tests, the check, and last the one comment.

    Last, because its marker says that this head is done: whoever finds it there need not do the rest again.
    """
    pull = state.pull
    artifact = _without_ignored(artifact, state.ignored)
    report = artifact.report
    marker = _next_marker(state, artifact)
    posted = _posted(state.line_comments)
    writes: list[Write] = []
    if report.state not in (State.FAILED, State.SKIPPED):
        still_open = {item.fingerprint for item in marker.open} | {
            finding.fingerprint for finding in report.findings
        }
        writes += _resolutions(state, artifact, posted, still_open)
        notes = tuple(_new_notes(state, report.findings, posted))
        if notes:
            writes.append(AddLineComments(pull.number, pull.head_sha, notes))
    writes += _tests_comment(state, artifact)
    twice = WORDS.say(state.policy.lang, "twice") + "\n"
    writes += [UpdateComment(pull.number, extra.id, twice) for extra in state.stickies[1:]]
    last = _sticky_comment(state, artifact, marker)
    settled = report.state not in (State.FAILED, State.SKIPPED) and state.marker == marker
    if writes or last or not settled:
        writes.append(_check(state, artifact, marker))
    return (*writes, *last)


def _sticky_comment(state: ChangeState, artifact: Artifact, marker: ReviewMarker) -> list[Write]:
    """The one comment, if it is new or says something else; none is made for a change that is not to be reviewed."""
    told = CommentInput(artifact, marker, state.policy.lang, state.touched, state.unlisted)
    body, number = render_comment(told), state.pull.number
    if state.sticky is None:
        return [CreateComment(number, body)] if artifact.report.state is not State.SKIPPED else []
    return [UpdateComment(number, state.sticky.id, body)] if state.sticky.body.strip() != body.strip() else []


def _tests_comment(state: ChangeState, artifact: Artifact) -> list[Write]:
    """The comment with the tests that a command asked for."""
    run, lang, number = artifact.run, state.policy.lang, state.pull.number
    if not run.tests and not run.tests_notes:
        return []
    body = render_tests(run, lang)
    ours = next(
        (item for item in state.comments if item.is_ours and has_named_marker(item.body, TESTS)), None
    )
    if ours is None:
        return [CreateComment(number, body)]
    return [UpdateComment(number, ours.id, body)] if ours.body.strip() != body.strip() else []


def touched_pipeline(paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the changed paths that decide how the change is reviewed."""
    return tuple(sorted(path for path in paths if any(fnmatch(path, pattern) for pattern in PIPELINE_PATHS)))


def _next_marker(state: ChangeState, artifact: Artifact) -> ReviewMarker:
    """The state after this report. After one that failed or was skipped, the state is what it was before.

    Nothing is built on a report that the change may have written itself: were it counted as complete, the next push, without
    the altered pipeline, would be reviewed only for what it changes.
    """
    run, report, before = artifact.run, artifact.report, state.marker
    if report.state in (State.FAILED, State.SKIPPED):
        nothing = ReviewMarker(base="", head="", target=state.pull.base_branch, complete=False)
        return before or nothing
    kept: list[OpenFinding] = []
    if run.since and not run.whole and before is not None:
        looked_at = set(run.paths)
        kept = [item for item in before.open if item.path not in looked_at and item.rule not in state.ignored]
    found = [as_open(finding) for finding in report.findings]
    everything = sorted([*kept, *found], key=lambda item: (-item.severity.weight, item.path, item.line))
    covered = not run.since or run.whole or before is not None
    complete = report.state is not State.PARTIAL and covered and state.believed
    return ReviewMarker(
        base=run.base,
        head=state.pull.head_sha,
        target=state.pull.base_branch,
        complete=complete,
        open=tuple(_without_twins(everything)),
        ignored=state.ignored,
        tests_wanted=before is not None and before.tests_wanted and not (run.tests or run.tests_notes),
    )


def _without_ignored(artifact: Artifact, rules: Sequence[str]) -> Artifact:
    """The artifact without the findings of rules that were ignored by command; a note counts them."""
    report = artifact.report
    kept = tuple(finding for finding in report.findings if finding.rule not in rules)
    count = len(report.findings) - len(kept)
    if not count:
        return artifact
    note = WORDS.say("ja" if report.lang == "ja" else "en", "ignored", count=count, rules=", ".join(rules))
    left = State.CLEAN if report.state is State.FINDINGS and not kept else report.state
    changed = msgspec.structs.replace(report, findings=kept, notes=(*report.notes, note), state=left)
    return Artifact(artifact.run, changed)


def _without_twins(items: Iterable[OpenFinding]) -> list[OpenFinding]:
    return list({item.fingerprint: item for item in items}.values())


def _posted(comments: Iterable[LineComment]) -> dict[str, list[LineComment]]:
    """Our open line comments by fingerprint: one each, or more where two runs published at once."""
    found: dict[str, list[LineComment]] = {}
    for comment in comments:
        mark = read_finding_marker(comment.body) if comment.is_ours else None
        if mark is not None and not mark[1]:
            found.setdefault(mark[0], []).append(comment)
    return found


def _resolutions(
    state: ChangeState, artifact: Artifact, posted: Mapping[str, Sequence[LineComment]], still_open: set[str]
) -> list[Write]:
    """Line comments whose finding is gone. In a partial review, only those of files that were looked at."""
    report, head = artifact.report, state.pull.head_sha
    looked_at = {item.path for item in report.reviewed}
    gone: list[Write] = []
    gone_comments = [
        (mark, item) for mark, items in posted.items() if mark not in still_open for item in items
    ]
    for fingerprint, comment in gone_comments:
        if report.state is State.PARTIAL and comment.path not in looked_at and comment.path in state.patches:
            continue
        body = render_resolved(fingerprint, head, comment.body, state.policy.lang)
        gone.append(ResolveLineComment(state.pull.number, comment.id, comment.thread, body))
    return gone


def _new_notes(state: ChangeState, findings: Iterable[Finding], posted: Iterable[str]) -> Iterable[LineNote]:
    """Comments for the worst findings that have none yet and lie on lines that the diff shows."""
    lines: dict[str, dict[int, ShownLine]] = {}
    seen = set(posted)
    count = 0
    for finding in sorted(findings, key=lambda item: -item.severity.weight):
        path = finding.place.path
        if finding.fingerprint in seen or path not in state.patches or count >= state.policy.max_comments:
            continue
        if path not in lines:
            lines[path] = shown_lines(state.patches[path])
        note = _note(state, finding, lines[path])
        if note is not None:
            seen.add(finding.fingerprint)
            count += 1
            yield note


def _note(state: ChangeState, finding: Finding, shown: dict[int, ShownLine]) -> LineNote | None:
    place, fix = finding.place, finding.fix
    lines = commentable_range(shown, place.line, place.end_line)
    if lines is None:
        return None
    suggest = fix is not None and commentable_range(shown, fix.line, fix.end_line) == (fix.line, fix.end_line)
    if suggest and fix is not None:
        lines = (fix.line, fix.end_line)
    body = render_line_comment(finding, state.policy.lang, suggested=suggest)
    suggestion = fix.text if fix is not None and suggest else None
    return LineNote(place.path, lines[0], lines[1], body, shown[lines[1]].old_line, suggestion)


def _check(state: ChangeState, artifact: Artifact, marker: ReviewMarker) -> SetCheck:
    report, policy = artifact.report, state.policy
    counting = _counting(marker.open, policy)
    title = headline(report.state, len(marker.open), policy.lang)
    if report.state is State.FAILED:
        conclusion = Conclusion.FAILURE
    elif report.state is State.SKIPPED:
        conclusion = Conclusion.NEUTRAL
    elif counting:
        conclusion = Conclusion.FAILURE
    elif report.state is State.PARTIAL or not state.believed:
        conclusion = Conclusion.NEUTRAL
    else:
        conclusion = Conclusion.SUCCESS
    summary = WORDS.say(policy.lang, "check_findings", count=len(counting), open=len(marker.open))
    if report.state in (State.FAILED, State.SKIPPED):
        summary = "\n".join(report.notes[:5]) or title
    return SetCheck(state.pull.number, state.pull.head_sha, conclusion, title, summary[:2_000])


def _counting(items: Iterable[OpenFinding], policy: Policy) -> list[OpenFinding]:
    if policy.fail_on == "never":
        return []
    least = Severity(policy.fail_on).weight
    return [item for item in items if item.counts and item.severity.weight >= least]


def describe_write(write: Write) -> str:
    """One line about a write, for ``--dry-run`` and logs; its texts as JSON, so that they are data."""
    name = type(write).__name__
    return f"{name} {msgspec.json.encode(msgspec.structs.asdict(write)).decode()}"
