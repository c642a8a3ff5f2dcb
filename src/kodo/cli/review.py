"""`kodo review`: parse, review once, print in every format that was asked for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kodo.cli.context import read_text
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.jobs.report.model import Category, ReviewReport, Severity
    from kodo.jobs.review.options import ReviewOptions
    from kodo.jobs.review.source import ReviewSource

MESSAGES = Catalogue(
    {
        "no_source": (
            "nothing to review was named: give files or folders, - for stdin, --diff, --staged, --base or --commit",
            "レビュー対象がありません: ファイル、フォルダー、-(標準入力)、--diff、--staged、--base、--commit のいずれかを指定してください",
        ),
        "one_source": (
            "{names}: one of them, not several",
            "{names}: 同時に指定できません",
        ),
        "format": (
            "--format {name}: no such format; there are {names}",
            "--format {name}: 形式がありません。使えるのは {names} です",
        ),
        "one_stdout": (
            "--format {names}: only one of them can go to stdout; write the others to files (NAME=FILE)",
            "--format {names}: 標準出力に出せるのは一つです。他は NAME=FILE でファイルに書いてください",
        ),
        "baseline": (
            "--baseline {path}: no baseline: {error}",
            "--baseline {path}: ベースラインではありません: {error}",
        ),
        "written": ("written: {path}", "書き込みました: {path}"),
        "failed": ("review failed: {reason}", "レビューに失敗しました: {reason}"),
        "dry_run": (
            "{requests} requests at most, {tokens:,} tokens in and out at most",
            "リクエスト最大 {requests} 回、入出力合計で最大 {tokens:,} トークン",
        ),
    }
)

app = new_app()


@app.command()
@job
def review(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders to review whole; - for stdin.")
    ] = None,
    diff: Annotated[
        Path | None, typer.Option("--diff", help="Review a unified diff from this file; - for stdin.")
    ] = None,
    staged: Annotated[bool, typer.Option("--staged", help="Review what is staged for commit.")] = False,
    base: Annotated[
        str | None, typer.Option("--base", help="Review what HEAD added since it left this ref.")
    ] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="Review one commit.")] = None,
    stdin_name: Annotated[
        str, typer.Option("--stdin-name", help="File name of stdin; its suffix says the language.")
    ] = "stdin.py",
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="text, markdown, json, sarif, codequality, junit or github; NAME=FILE writes to a file. May be repeated.",
        ),
    ] = None,
    fail_on: Annotated[
        Literal["error", "warning", "info", "never"],
        typer.Option("--fail-on", help="Exit with 1 from this severity on."),
    ] = "warning",
    fail_on_opinions: Annotated[
        bool, typer.Option("--fail-on-opinions", help="Let opinions, which no rule or run proves, count too.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--class", help="Only bug, security, performance, readability or practice. May be repeated."
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Findings listed in this file do not count.")
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", help="Write a baseline of everything that was found.")
    ] = None,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Analysers only; nothing is sent anywhere.")
    ] = False,
    size: Annotated[
        Literal["small", "capable"],
        typer.Option(
            "--size", help="What the model is good for: small chooses among labels, capable fills a schema."
        ),
    ] = "small",
    window: Annotated[
        int, typer.Option("--window", min=512, help="Tokens the model can read and write in one request.")
    ] = 2048,
    max_requests: Annotated[
        int, typer.Option("--max-requests", min=1, help="Ask the model at most so often.")
    ] = 40,
    tests: Annotated[
        bool, typer.Option("--tests", help="Run the project's tests in the sandbox, for evidence and fixes.")
    ] = False,
    no_fixes: Annotated[bool, typer.Option("--no-fixes", help="Do not try fixes.")] = False,
    *,
    options: JobOptions,
) -> ExitCode:
    """Review files, a diff, staged changes, a branch or a commit. Every finding says what it rests on.

    Exits with 1 for findings, 3 if not everything was reviewed, 2 if nothing could be.
    """
    from kodo.jobs.review import (
        review as review_source,
    )  # here: the analysers take half a second to import

    output = options.output(MESSAGES)
    outputs = _outputs(formats or ["text"], output)
    source = _source(paths or [], diff, staged, base, commit, stdin_name, output)
    wanted = _wanted(
        output,
        categories=_categories(only or []),
        model=options.model or "",
        size=size,
        window=window,
        max_requests=max_requests,
        baseline=_known(baseline, output) if baseline else frozenset(),
        tests=tests,
        fixes=not no_fixes,
    )
    if options.dry_run:
        _dry_run(source, wanted, no_model, output)
        return ExitCode.DONE
    if no_model:
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
        raise CommandError(str(error)) from error
    output.result(output.say("dry_run", requests=requests, tokens=requests * wanted.window))


def _source(
    paths: list[Path],
    diff: Path | None,
    staged: bool,
    base: str | None,
    commit: str | None,
    stdin_name: str,
    output: Output,
) -> ReviewSource:
    """The one source that was named. Raises CommandError for none, or several."""
    from kodo.jobs.review import source

    named = {"PATHS": paths, "--diff": diff, "--staged": staged, "--base": base, "--commit": commit}
    given = [name for name, value in named.items() if value]
    if len(given) != 1:
        raise CommandError(
            output.say("one_source", names=", ".join(given)) if given else output.say("no_source")
        )
    here = Path.cwd()
    if staged:
        return source.StagedSource(here)
    if base:
        return source.BaseSource(base, here)
    if commit:
        return source.CommitSource(commit, here)
    if diff:
        return source.DiffSource(_stdin() if str(diff) == "-" else read_text(diff, output), here)
    if [str(path) for path in paths] == ["-"]:
        return source.TextSource(_stdin(), stdin_name)
    return source.PathsSource(tuple(paths), here)


def _stdin() -> str:
    """Standard input with its line ends kept."""
    return sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape")


def _outputs(formats: list[str], output: Output) -> list[tuple[str, Path | None]]:
    """Format names with their files, None for stdout. Raises CommandError for an unknown one, or two on stdout."""
    from kodo.jobs.report.formats import FORMATS

    parsed: list[tuple[str, Path | None]] = []
    for text in formats:
        name, given, file = text.partition("=")
        if name not in FORMATS or (given and not file):
            raise CommandError(output.say("format", name=text, names=", ".join(FORMATS)))
        parsed.append((name, Path(file) if given else None))
    printed = [name for name, file in parsed if file is None]
    if len(printed) > 1:
        raise CommandError(output.say("one_stdout", names=", ".join(printed)))
    return parsed


def _wanted(output: Output, **values: Any) -> ReviewOptions:
    """The options as one value. Raises CommandError for one that is wrong."""
    from kodo.jobs.review.options import ReviewOptions

    try:
        return ReviewOptions(lang=output.lang, **values)
    except ValueError as error:
        raise CommandError(f"--{error}") from error


def _categories(names: list[str]) -> frozenset[Category]:
    from kodo.jobs.report.model import Category

    try:
        return frozenset(Category(name) for name in names) or frozenset(Category)
    except ValueError as error:
        raise CommandError(f"--class: {error}; there are {', '.join(Category)}") from error


def _known(path: Path, output: Output) -> frozenset[str]:
    from kodo.jobs.report.jsonfile import BaselineError, read_baseline

    try:
        return read_baseline(read_text(path, output))
    except BaselineError as error:
        raise CommandError(output.say("baseline", path=path, error=error)) from error


def _deliver(report: ReviewReport, outputs: list[tuple[str, Path | None]], output: Output) -> None:
    """Write the report in every format."""
    from kodo.jobs.report import terminal
    from kodo.jobs.report.formats import FORMATS

    for name, file in outputs:
        if file is not None:
            write_atomically(file, FORMATS[name](report))
            output.note("written", path=file)
        elif name == "text" and sys.stdout.isatty():
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
