"""One review from beginning to end: read, analyse, verify, suppress, ask the model, try fixes, report.

Nothing here knows a particular analyser's rules or an output format. A model only adds to what was found.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kodo import __version__
from kodo.client.i18n import words_of
from kodo.jobs.execution.sandboxed import site_packages
from kodo.jobs.execution.time_limit import Deadline, OutOfTime, time_limit
from kodo.jobs.job import Rejected, Verified
from kodo.jobs.report.model import (
    Category,
    Executed,
    Finding,
    ModelUse,
    Reviewed,
    ReviewReport,
    Severity,
    State,
    Suppressed,
    Unreviewed,
)
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.words import word
from kodo.jobs.review import fixes, model_review, pytest_settings, reading, suppression
from kodo.jobs.review.analysis import Analysis, analyse
from kodo.jobs.review.broken_imports import broken_imports
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.languages import is_generated, is_test_data
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.project_tests import ProjectTests, TestsError, broken_tests
from kodo.jobs.review.reading import ReviewInput, SourceError
from kodo.jobs.review.runnable import can_run
from kodo.jobs.review.settings import ProjectSettings, ProjectSettingsError, load_settings
from kodo.jobs.review.snippets import Proposer
from kodo.jobs.review.source import PathsSource, ReviewSource, TextSource
from kodo.jobs.review.verification import PlacedFinding, introduced, verify, without_duplicates
from kodo.sandbox import Sandbox, SandboxError

if TYPE_CHECKING:
    from kodo.client.session import Session


def review(source: ReviewSource, options: ReviewOptions, session: "Session | None") -> ReviewReport:
    """Review ``source``; ``session`` is the way to a model, None for none.

    Never raises for what it is given to review: a source that cannot be read, or settings that are wrong, end in
    the state ``failed`` with the reason in ``notes``; a server that fails ends in ``partial``.
    """
    deadline = Deadline(options.max_seconds)
    try:
        with time_limit(options.max_seconds):
            material = reading.read(source, options.max_bytes)
            settings = load_settings(material.base_text)
    except OutOfTime:
        if not deadline.up:  # the limit of whoever called this
            raise
        english = f"what is to be reviewed could not be read in {options.max_seconds:g} s"
        japanese = f"レビュー対象を {options.max_seconds:g} 秒以内に読み込めませんでした"
        return _failed(japanese if options.lang == "ja" else english, options)
    except (SourceError, ProjectSettingsError) as error:
        return _failed(words_of(error, options.lang), options)
    files = [file for file in material.files if not settings.excludes(file.path)]
    work = _ReviewState(options, settings, files, analyse(files, settings.target, deadline), deadline)
    for file in files:
        candidates = without_duplicates(work.analysis.after[file.path])
        work.take(file, introduced(file, candidates, work.analysis.before.get(file.path, [])))
    for file, candidates in broken_imports(material, files, deadline):
        if not settings.excludes(file.path):
            work.take(file, candidates)
    runs = options.run and not isinstance(source, PathsSource | TextSource)
    proposer = (
        Proposer(session, options, deadline) if session is not None and options.size == "capable" else None
    )
    executed = _run_both(work, material, proposer) if runs else None
    tests = _run_tests(work, material) if options.tests else None
    use = _ask_model(work, session) if session is not None else None
    if use is not None and proposer is not None:
        use = _with_proposals(use, proposer)
    findings = _with_fixes(work, tests)
    return msgspec.structs.replace(_report(work, material, findings, use), executed=executed)


def _failed(reason: str, options: ReviewOptions) -> ReviewReport:
    """The report of a review that could not be done."""
    return ReviewReport(state=State.FAILED, source="", notes=(reason,), lang=options.lang, kodo=__version__)


def max_requests_for(source: ReviewSource, options: ReviewOptions) -> int:
    """How often ``review`` would ask the model at most. Raises SourceError and ProjectSettingsError."""
    material = reading.read(source, options.max_bytes)
    settings = load_settings(material.base_text)
    files = [file for file in material.files if not settings.excludes(file.path)]
    asked = model_review.max_requests_for(files, options)
    proposals = sum(map(can_run, files)) if options.run and options.size == "capable" else 0
    return asked + proposals


@dataclass
class _ReviewState:
    """What one review has gathered so far."""

    options: ReviewOptions
    settings: ProjectSettings
    files: Sequence[ChangedFile]
    analysis: Analysis
    deadline: Deadline
    active: dict[str, list[Verified[PlacedFinding]]] = field(default_factory=dict)
    suppressed: list[Suppressed] = field(default_factory=list)
    refused_comments: list[str] = field(default_factory=list)
    left_out: list[Unreviewed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def moved(self) -> frozenset[suppression.Line]:
        """The lines that the change only moved."""
        return suppression.moved_lines(self.files)

    def take(self, file: ChangedFile, candidates: Iterable[Candidate]) -> list[Rejected]:
        """Judge candidates of one file: keep what is wanted, holds and is not suppressed; returns what does not hold.

        The code of a file that is data of tests may be wrong on purpose; only security is judged there. What a program
        wrote is judged for faults alone: nobody puts its style right.
        """
        judged_for = set(Category)
        if is_test_data(file.path):
            judged_for = {Category.SECURITY}
        elif is_generated(file.after):
            judged_for = {Category.SECURITY, Category.BUG}
        wanted = [
            candidate
            for candidate in candidates
            if candidate.category in self.options.categories
            and candidate.category in judged_for
            and not self.settings.unwanted(file.path, candidate.rule, candidate.category)
        ]
        judged = verify(file, wanted, self.options.lang)
        holding = [item for item in judged if isinstance(item, Verified)]
        split = suppression.split_suppressed(
            file, holding, self.moved, allow_new=self.settings.allow_new_suppressions
        )
        self.active.setdefault(file.path, []).extend(split.active)
        self.suppressed += split.suppressed
        self.refused_comments += split.refused
        return [item for item in judged if isinstance(item, Rejected)]

    def ask_only(self, path: str, unchanged: Collection[str]) -> None:
        """Make questions of the findings of a file that say what gets through now in a function which seems to do the same as before: a
        check may have excluded what never comes.
        """
        for at, item in enumerate(self.active.get(path, [])):
            finding = item.value.finding
            if finding.rule in _OF_WHAT_GETS_THROUGH and finding.definition in unchanged:
                asking = msgspec.structs.replace(finding, severity=Severity.INFO)
                self.active[path][at] = replace(item, value=replace(item.value, finding=asking))

    @property
    def found(self) -> list[Finding]:
        """The findings that stand so far."""
        return [item.value.finding for items in self.active.values() for item in items]


_OF_WHAT_GETS_THROUGH = frozenset({"kodo/guard-removed"})
_NOTHING_RAN = Unreviewed("behaviour", "no changed function was run: the time was used up before", gap=True)
"""A report must not call a change clean whose functions it was to run, and did not."""


def _run_both(work: _ReviewState, material: ReviewInput, proposer: Proposer | None) -> Executed | None:
    """Run changed functions in both versions and take what differs; returns what was run, None where no time is left."""
    if work.deadline.up:
        work.left_out += [_NOTHING_RAN] if any(map(can_run, work.files)) else []
        return None
    from kodo.jobs.review.behaviour import compare_behaviour  # here: a third of what a review imports

    seconds = min(work.options.run_seconds, work.deadline.left)
    behaviour = compare_behaviour(material, work.files, seconds, proposer)
    work.notes += proposer.notes if proposer else []
    if behaviour.ran_out and not behaviour.functions:
        work.left_out.append(_NOTHING_RAN)
    for file in work.files:
        work.take(file, behaviour.candidates.get(file.path, []))
        work.ask_only(file.path, behaviour.seem_unchanged(file.path))
    summary = behaviour.summary(work.options.run_seconds)
    not_run = tuple(in_lang(reason, work.options.lang) for reason in summary.not_run)
    return msgspec.structs.replace(summary, not_run=not_run)


def _run_tests(work: _ReviewState, material: ReviewInput) -> ProjectTests | None:
    """Run the project's tests in both states and take what broke; None, and a note, where they cannot be run."""
    try:
        if material.root is None:
            raise TestsError("there is no project folder whose tests could be run")
        settings = _changed_test_settings(work, material, material.root)
        packages = site_packages(material.root)
        sandbox = Sandbox(readable=packages)
        isolation = sandbox.require()
        tests = ProjectTests(
            material.root, sandbox, settings=settings, packages=tuple(map(str, packages[:1]))
        )
        after = tests.failures({file.path: file.after for file in work.files})
        before = tests.failures(_texts_before(work.files))
    except (TestsError, SandboxError) as error:
        work.notes.append(str(error))
        work.left_out.append(Unreviewed("tests", str(error), gap=True))
        return None
    work.notes.append(isolation.line())
    after = run_again(tests, {file.path: file.after for file in work.files}, before, after)
    for path, candidates in broken_tests(list(work.files), before, after).items():
        file = next(file for file in work.files if file.path == path)
        work.take(file, candidates)
    failing = sum(1 for failure in after.values() if failure)
    work.notes.append(f"tests: {len(after) - failing} passed, {failing} failed")
    if failing == len(after):
        reason = "none passed" if after else "there are none"
        work.left_out.append(Unreviewed("tests", f"the project's tests say nothing: {reason}", gap=True))
    if gone := before.keys() - after.keys():
        work.notes.append(f"tests: {len(gone)} that ran before the change did not run after it")
    return tests if after and not failing else None


def run_again(
    tests: ProjectTests, texts: Mapping[str, str | None], before: Mapping[str, str], after: dict[str, str]
) -> dict[str, str]:
    """The results after the change, without tests that broke and pass in a second run: those are not reliable."""
    broken = {name for name, failure in after.items() if failure and before.get(name, "-") == ""}
    if not broken:
        return after
    again = tests.failures(texts)
    return {
        name: failure for name, failure in after.items() if name not in broken or again.get(name, "-") != ""
    }


def _changed_test_settings(work: _ReviewState, material: ReviewInput, root: Path) -> dict[str, str | None]:
    """The test settings that the change touches, as they were before it. A gap says so, so it is never clean."""
    names = [*reading.project_files(root), *material.changed]
    settings = pytest_settings.changed_settings(
        names, work.files, reading.tree_text(root), material.base_text
    )
    if settings:
        reason = (
            f"the change touches {', '.join(sorted(settings))}, which decides what the tests report; "
            "they ran with these files as they were before the change"
        )
        work.left_out.append(Unreviewed("tests", reason, gap=True))
    return settings


def _texts_before(files: Iterable[ChangedFile]) -> dict[str, str | None]:
    """What to lay over the project to have the state before the change: new files are removed, names are the old ones."""
    texts: dict[str, str | None] = {}
    for file in files:
        if file.whole:
            continue
        texts[file.path] = None
        if file.before is not None:
            texts[file.old_path or file.path] = file.before
    return texts


def _ask_model(work: _ReviewState, session: "Session") -> ModelUse:
    """Take the model's opinions; returns the use that was made of it."""
    asked = model_review.review_with_model(work.files, work.found, session, work.options, work.deadline)
    before = len(work.found)
    for file in work.files:
        rejected = work.take(file, asked.candidates.get(file.path, []))
        asked.asker.rejected.update(item.reason for item in rejected)
    work.left_out += asked.unreviewed
    work.notes += asked.notes
    return asked.use(len(work.found) - before)


def _with_proposals(use: ModelUse, proposer: Proposer) -> ModelUse:
    """The model's use with the requests for snippets."""
    asker = proposer.asker
    return msgspec.structs.replace(
        use,
        model=use.model or asker.model,
        requests=use.requests + asker.requests,
        rejected=dict(Counter(use.rejected) + proposer.rejected),
        input_tokens=use.input_tokens + asker.input_tokens,
        output_tokens=use.output_tokens + asker.output_tokens,
    )


def _with_fixes(work: _ReviewState, tests: ProjectTests | None) -> list[Finding]:
    if not work.options.fixes:
        return work.found

    def passing(texts: Mapping[str, str]) -> bool:
        assert tests is not None  # noqa: S101 - handed on only where there are tests
        now = {file.path: file.after for file in work.files}
        try:
            return not any(tests.failures({**now, **texts}).values())
        except (TestsError, SandboxError):
            return False

    findings: list[Finding] = []
    budget = fixes.FixBudget(work.deadline)
    for file in work.files:
        reported = work.analysis.after[file.path]
        tester = passing if tests is not None else None
        findings += fixes.with_fixes(
            file, work.active.get(file.path, []), reported, work.settings.target, tester, budget
        )
    read = {file.path for file in work.files}
    findings += [one for one in work.found if one.place.path not in read]
    if budget.left_out:
        work.notes.append(
            f"fixes were not tried for {budget.left_out} findings: a review tries a limited number"
        )
    return findings


def _report(
    work: _ReviewState, material: ReviewInput, findings: Sequence[Finding], use: ModelUse | None
) -> ReviewReport:
    options, files = work.options, work.files
    excluded = {file.path for file in material.files} - {file.path for file in files}
    left_out = [
        *material.unreviewed,
        *(Unreviewed(path, "excluded by the project's settings", gap=False) for path in sorted(excluded)),
        *work.analysis.unreviewed,
        *_between_hunks(files),
        *work.left_out,
    ]
    said = [msgspec.structs.replace(item, reason=in_lang(item.reason, options.lang)) for item in left_out]
    new = [finding for finding in findings if finding.fingerprint not in options.baseline]
    known = [finding for finding in findings if finding.fingerprint in options.baseline]
    return ReviewReport(
        state=_state(files, new, left_out),
        source=material.name,
        findings=_sorted(new),
        known=_sorted(known),
        suppressed=tuple(work.suppressed),
        unreviewed=tuple(said),
        reviewed=tuple(
            Reviewed(file.path, file.language, len(file.added), work.analysis.names(file.path))
            for file in files
        ),
        model=use,
        notes=(*(in_lang(note, options.lang) for note in work.notes), *_refused_comments(work)),
        lang=options.lang,
        kodo=__version__,
    )


def _refused_comments(work: _ReviewState) -> list[str]:
    """A note on the comments with which the change tried to suppress its own findings."""
    places = list(dict.fromkeys(work.refused_comments))
    if not places:
        return []
    text = word("refused comments", work.options.lang)
    return [f"{text} (allow_new_suppressions): {', '.join(places[:10])}{', …' if places[10:] else ''}"]


def _between_hunks(files: Iterable[ChangedFile]) -> list[Unreviewed]:
    reason = "only the lines of the diff are known; the file itself was not there"
    return [Unreviewed(reading.printable(file.path), reason, gap=True) for file in files if not file.complete]


def _state(
    files: Sequence[ChangedFile], findings: Sequence[Finding], left_out: Sequence[Unreviewed]
) -> State:
    """Clean only where everything that should have been read was."""
    if any(item.gap for item in left_out):
        return State.PARTIAL
    if findings:
        return State.FINDINGS
    return State.CLEAN if files else State.SKIPPED


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    def place(finding: Finding) -> tuple[str, int, int, str]:
        return finding.place.path, finding.place.line, finding.place.column, finding.rule

    return tuple(sorted(findings, key=place))
