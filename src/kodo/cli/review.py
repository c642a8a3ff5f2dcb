"""``kodo review``: parse, review once, print in every format that was asked for."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kodo.cli.context import read_text
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.job_options import ModelOptions, ReportOptions
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.places import note_repository
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.jobs.report.model import Category, ReviewReport, Severity
    from kodo.jobs.review.options import ReviewOptions
    from kodo.jobs.review.source import ReviewSource

MESSAGES = Catalogue(
    {
        "no_source": (
            "nothing to review: name files or folders, - for stdin, --diff, --staged, --base or --commit",
            "レビュー対象がありません。ファイル、フォルダー、-（標準入力）、--diff、--staged、--base、--commit のいずれかを指定してください",
        ),
        "unknown_class": (
            "unknown class {name!r}; choose from {names}",
            "{name!r} という分類はありません。次から選んでください: {names}",
        ),
        "pending": ("reviewing what is not committed yet", "コミットされていない変更をレビューします"),
        "against": (
            "reviewing this branch against {base}",
            "{base} に対するこのブランチの変更をレビューします",
        ),
        "nothing_new": (
            "nothing to review: everything is committed, and this branch adds nothing to its base",
            "レビュー対象がありません。すべてコミット済みで、このブランチには基点からの変更がありません",
        ),
        "one_source": (
            "{names} are mutually exclusive",
            "{names} は同時に指定できません",
        ),
        "baseline": (
            "--baseline {path}: not a baseline: {error}",
            "--baseline {path} はベースラインファイルではありません: {error}",
        ),
        "written": ("written: {path}", "書き込みました: {path}"),
        "failed": ("review failed: {reason}", "レビューに失敗しました: {reason}"),
        "dry_run": (
            "at most {requests} requests and {tokens:,} input and output tokens",
            "最大 {requests} リクエスト、入出力合計で最大 {tokens:,} トークンです",
        ),
    }
)

app = new_app()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What to review, where it is not files or folders."""

    diff: Annotated[
        Path | None, typer.Option("--diff", help="Review a unified diff from this file; - for stdin.")
    ] = None
    staged: Annotated[bool, typer.Option("--staged", help="Review what is staged for commit.")] = False
    base: Annotated[
        str | None, typer.Option("--base", help="Review the changes of HEAD since it branched off this ref.")
    ] = None
    commit: Annotated[str | None, typer.Option("--commit", help="Review one commit.")] = None
    stdin_name: Annotated[
        str, typer.Option("--stdin-name", help="File name for stdin; its suffix determines the language.")
    ] = "stdin.py"


@app.command()
@job
def review(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders to review in full; - for stdin.")
    ] = None,
    *,
    named: SourceOptions,
    reporting: ReportOptions,
    fail_on: Annotated[
        Literal["error", "warning", "info", "never"],
        typer.Option("--fail-on", help="Exit with 1 for findings of this severity or above."),
    ] = "warning",
    fail_on_opinions: Annotated[
        bool, typer.Option("--fail-on-opinions", help="Count opinions too, which no rule or run proves.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Report only this class: bug, security, performance, readability or practice. May be repeated.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Ignore the findings listed in this file.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", help="Write all findings to this file as a baseline.")
    ] = None,
    models: ModelOptions,
    window: Annotated[
        int, typer.Option("--window", min=512, help="Context window of the model, in tokens.")
    ] = 2048,
    max_requests: Annotated[
        int, typer.Option("--max-requests", min=1, help="Maximum number of requests to the model.")
    ] = 40,
    tests: Annotated[
        bool, typer.Option("--tests", help="Run the project's tests in the sandbox, for evidence and fixes.")
    ] = False,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Do not run the changed functions in the sandbox.")
    ] = False,
    run_seconds: Annotated[
        float, typer.Option("--run-seconds", help="Seconds for running the changed functions.")
    ] = 20.0,
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds", help="Seconds for the review; the report lists what there was no time for."
        ),
    ] = 600.0,
    no_fixes: Annotated[bool, typer.Option("--no-fixes", help="Do not propose fixes.")] = False,
    options: JobOptions,
) -> ExitCode:
    """Review files, a diff, staged changes, a branch or a commit. Every finding states its evidence.

    Report formats: text, markdown, json, sarif, rdjson, codequality, junit, github, problems.

    Exits with 1 for findings, 3 if not everything was reviewed, 2 if nothing could be.
    """
    from kodo.jobs.report.formats import FORMATS
    from kodo.jobs.review import (
        review as review_source,
    )  # here: the analysers take half a second to import

    output = options.output(MESSAGES)
    outputs = reporting.targets(FORMATS, output)
    source = _source(paths or [], named, output)
    wanted = _wanted(
        output,
        categories=_categories(only or [], output),
        model=options.model or "",
        size=models.size,
        window=window,
        max_requests=max_requests,
        baseline=_known(baseline, output) if baseline else frozenset(),
        tests=tests,
        run=not no_run,
        run_seconds=run_seconds,
        max_seconds=max_seconds,
        fixes=not no_fixes,
    )
    if options.dry_run:
        _dry_run(source, wanted, models.no_model, output)
        return ExitCode.DONE
    if models.no_model:
        report = review_source(source, wanted, None)
    else:
        with options.session("review") as session:
            report = review_source(source, wanted, session)
    _deliver(report, outputs, output)
    if write_baseline is not None:
        from kodo.jobs.report.jsonfile import baseline as render_baseline

        write_atomically(write_baseline, render_baseline(report))
        output.note("written", path=write_baseline)
    return _exit_code(report, fail_on, fail_on_opinions, output)


def _dry_run(source: ReviewSource, wanted: ReviewOptions, no_model: bool, output: Output) -> None:
    """Say how often the model would be asked. Raises CommandError for a source that cannot be read."""
    from kodo.jobs.review.job import max_requests_for
    from kodo.jobs.review.reading import SourceError
    from kodo.jobs.review.settings import ProjectSettingsError

    try:
        requests = 0 if no_model else max_requests_for(source, wanted)
    except (SourceError, ProjectSettingsError) as error:
        raise CommandError(output.error(error)) from error
    output.result(output.say("dry_run", requests=requests, tokens=requests * wanted.window))


def _source(paths: list[Path], named: SourceOptions, output: Output) -> ReviewSource:
    """The one source that was named. Raises CommandError for none, or several."""
    from kodo.jobs.review import source

    options = {
        "PATHS": paths,
        "--diff": named.diff,
        "--staged": named.staged,
        "--base": named.base,
        "--commit": named.commit,
    }
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise CommandError(output.say("one_source", names=", ".join(given)))
    here = Path.cwd()
    if not given or named.staged or named.base or named.commit:
        note_repository(output)
    if not given:
        return _unnamed(here, output)
    if named.staged:
        return source.StagedSource(here)
    if named.base:
        return source.BaseSource(named.base, here)
    if named.commit:
        return source.CommitSource(named.commit, here)
    if named.diff:
        return source.DiffSource(_stdin() if str(named.diff) == "-" else read_text(named.diff, output), here)
    if [str(path) for path in paths] == ["-"]:
        return source.TextSource(_stdin(), named.stdin_name)
    return source.PathsSource(tuple(paths), here)


def _unnamed(here: Path, output: Output) -> ReviewSource:
    """The default source of a review: the uncommitted changes, else the branch against its base; a notice says which."""
    from kodo.jobs.review import source
    from kodo.jobs.review.git import GitError, Repository

    repository = Repository(here)
    try:
        repository = Repository(repository.top())
        if repository.pending():
            output.note("pending")
            return source.PendingSource(here)
        base = repository.default_base()
        if base is None or repository.merge_base(repository.commit(base), "HEAD") == repository.commit(
            "HEAD"
        ):
            raise CommandError(output.say("nothing_new"))
    except GitError as error:
        raise CommandError(output.say("no_source")) from error
    output.note("against", base=base)
    return source.BaseSource(base, here)


def _stdin() -> str:
    """Standard input with its line ends kept."""
    return sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape")


def _wanted(output: Output, **values: Any) -> ReviewOptions:
    """The options as one value. Raises CommandError for one that is wrong."""
    from kodo.jobs.review.options import ReviewOptions

    try:
        return ReviewOptions(lang=output.lang, **values)
    except ValueError as error:
        raise CommandError(f"--{error}") from error


def _categories(names: list[str], output: Output) -> frozenset[Category]:
    from kodo.jobs.report.model import Category

    unknown = [name for name in names if name not in set(Category)]
    if unknown:
        raise CommandError(output.say("unknown_class", name=unknown[0], names=", ".join(Category)))
    return frozenset(Category(name) for name in names) or frozenset(Category)


def _known(path: Path, output: Output) -> frozenset[str]:
    from kodo.jobs.report.jsonfile import BaselineError, read_baseline

    try:
        return read_baseline(read_text(path, output))
    except BaselineError as error:
        raise CommandError(output.say("baseline", path=path, error=output.error(error))) from error


def _deliver(report: ReviewReport, outputs: list[tuple[str, Path | None]], output: Output) -> None:
    """Write the report in every format, and keep it for the dashboard."""
    from kodo.cli.kept_reports import keep_report
    from kodo.jobs.report.formats import FORMATS

    keep_report("review", report.source, report)
    for name, file in outputs:
        if file is not None:
            write_atomically(file, FORMATS[name](report))
            output.note("written", path=file)
        elif name == "text" and sys.stdout.isatty():
            from kodo.jobs.report import terminal  # here: rich is for a terminal's colours and for text

            width = shutil.get_terminal_size().columns
            output.result(terminal.render(report, colour=True, width=width), end="")
        else:
            output.result(FORMATS[name](report), end="")


def _exit_code(report: ReviewReport, fail_on: str, opinions: bool, output: Output) -> ExitCode:
    from kodo.jobs.report.model import Severity, State

    threshold: Severity | None = None if fail_on == "never" else Severity(fail_on)
    if report.state is State.FAILED:
        output.warn("failed", reason="; ".join(report.notes))
        return ExitCode.BAD_INPUT
    if report.failing(threshold, opinions=opinions):
        return ExitCode.FINDINGS
    return ExitCode.PARTIAL if report.state is State.PARTIAL else ExitCode.DONE
