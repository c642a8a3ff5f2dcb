"""One review from beginning to end: read, analyse, verify, silence, ask the model, report.

Nothing here knows a particular analyser's rules or an output format. A model only adds to what was found.
"""

from collections.abc import Iterable, Sequence

from kodo import __version__
from kodo.toolkit.report.model import Finding, Reviewed, ReviewReport, State, Suppressed, Unreviewed
from kodo.toolkit.review import reading, settings, suppress
from kodo.toolkit.review.analysis import Analysis, analyse
from kodo.toolkit.review.changes import ChangedFile
from kodo.toolkit.review.options import ReviewOptions
from kodo.toolkit.review.reading import Material, SourceError
from kodo.toolkit.review.source import ReviewSource
from kodo.toolkit.review.verify import Verified, introduced, verify, without_twins


def review(source: ReviewSource, options: ReviewOptions, session: None) -> ReviewReport:
    """Review `source`; `session` is the way to a model, None for none.

    Never raises for what it is given to review: a source that cannot be read, or settings that are wrong, end in
    the state `failed` with the reason in `notes`.
    """
    try:
        material = reading.read(source, options.max_bytes)
        wishes = settings.load(material.base_text)
    except (SourceError, settings.SettingsError) as error:
        return _report(State.FAILED, "", options, notes=(str(error),))
    files = [file for file in material.files if not wishes.excludes(file.path)]
    excluded = [
        Unreviewed(reading.printable(file.path), "excluded by the project's settings", gap=False)
        for file in material.files
        if wishes.excludes(file.path)
    ]
    analysis = analyse(files, wishes.target)
    findings: list[Finding] = []
    silenced: list[Suppressed] = []
    for file in files:
        standing, quiet = _judge(file, analysis, options, wishes)
        findings += standing
        silenced += quiet
    left_out = [*material.unreviewed, *excluded, *analysis.unreviewed, *_between_hunks(files)]
    new = [finding for finding in findings if finding.fingerprint not in options.baseline]
    known = [finding for finding in findings if finding.fingerprint in options.baseline]
    return _report(
        _state(material, files, new, left_out),
        material.name,
        options,
        findings=_sorted(new),
        known=_sorted(known),
        suppressed=tuple(silenced),
        unreviewed=tuple(left_out),
        reviewed=tuple(
            Reviewed(file.path, file.language, len(file.added), analysis.names(file.path)) for file in files
        ),
    )


def _judge(
    file: ChangedFile, analysis: Analysis, options: ReviewOptions, wishes: settings.ProjectSettings
) -> tuple[list[Finding], list[Suppressed]]:
    """The findings of one file that are wanted, and those that comments silence."""
    drafts = introduced(file, without_twins(analysis.after[file.path]), analysis.before.get(file.path, []))
    wanted = [
        draft
        for draft in drafts
        if draft.category in options.categories and not wishes.unwanted(file.path, draft.rule, draft.category)
    ]
    verified = [item.finding for item in verify(file, wanted, options.lang) if isinstance(item, Verified)]
    return suppress.split(file, verified)


def _between_hunks(files: Iterable[ChangedFile]) -> list[Unreviewed]:
    reason = "only the lines of the diff are known; the file itself was not there"
    return [Unreviewed(reading.printable(file.path), reason, gap=True) for file in files if not file.complete]


def _state(
    material: Material,
    files: Sequence[ChangedFile],
    findings: Sequence[Finding],
    left_out: Sequence[Unreviewed],
) -> State:
    """Clean only where everything that should have been read was."""
    if not files and not any(item.gap for item in left_out):
        return State.SKIPPED
    if any(item.gap for item in left_out):
        return State.PARTIAL
    return State.FINDINGS if findings else State.CLEAN


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(
        sorted(
            findings,
            key=lambda finding: (finding.place.path, finding.place.line, finding.place.column, finding.rule),
        )
    )


def _report(state: State, source: str, options: ReviewOptions, **values: object) -> ReviewReport:
    return ReviewReport(state=state, source=source, lang=options.lang, kodo=__version__, **values)  # type: ignore[arg-type]  # its own fields
