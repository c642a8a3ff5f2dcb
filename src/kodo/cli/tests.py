"""``kodo tests``: parse, generate once, write the test file, print the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.job_options import ModelOptions, ReportOptions
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.places import note_place
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.jobs.testgen.model import TestReport

MESSAGES = Catalogue(
    {
        "written": ("written: {path}", "書き込みました: {path}"),
        "merged": ("added to: {path}", "追記しました: {path}"),
        "nothing": (
            "no test was accepted; nothing was written",
            "採用されたテストがないため、何も書き込みませんでした",
        ),
        "dry_run": (
            "at most {requests} requests and {tokens:,} input and output tokens",
            "最大 {requests} リクエスト、入出力合計で最大 {tokens:,} トークンです",
        ),
    }
)

app = new_app()


@app.command()
@job
def tests(
    target: Annotated[
        str, typer.Argument(metavar="PATH[::NAME]", help="A Python file, or one function or class of it.")
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The test file; an existing one is added to. Default: beside the project's tests.",
        ),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the test file instead of writing it.")
    ] = False,
    *,
    reporting: ReportOptions,
    framework: Annotated[
        Literal["pytest", "unittest"], typer.Option("--framework", help="Test framework.")
    ] = "pytest",
    existing: Annotated[
        Path | None,
        typer.Option("--existing", help="The existing tests. Default: test_NAME.py of the project."),
    ] = None,
    models: ModelOptions,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=0, help="Model samples for each function.")
    ] = 8,
    inputs: Annotated[
        int | None,
        typer.Option(
            "--inputs",
            min=1,
            help="Calls for each function without the model. Default: up to 240, fewer for many functions.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same candidates.")] = 0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.01, help="Time limit for one call, in seconds.")
    ] = 1.0,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            min=1,
            help="Time for the job, in CPU seconds; the search for calls ends at half of it.",
        ),
    ] = 120.0,
    allow_weak: Annotated[
        bool,
        typer.Option(
            "--allow-weak-isolation", help="Run generated code without a full sandbox. Never applies to root."
        ),
    ] = False,
    options: JobOptions,
) -> ExitCode:
    """Write tests that pass, are stable, and add coverage or kill a mutant; each is run to prove it.

    Report formats: text, json, junit.

    Exits with 1 if documented behaviour does not hold (this may be a bug), 3 if no test was accepted or the model
    failed before the end, 2 if the target cannot be tested or there is no sandbox.
    """
    from kodo.jobs.testgen.job import default_file, project_of, testgen, worst_case
    from kodo.jobs.testgen.model import Options, TestgenError
    from kodo.sandbox import SandboxError  # here, because the job brings libcst and the SDK with it

    output = options.output(MESSAGES)
    outputs = reporting.targets(("text", "json", "junit"), output)
    if print_only:
        outputs = [(name, where) for name, where in outputs if where is not None]
    try:
        note_place("project", project_of(target), output)
        file = to or default_file(target)
        wanted = Options(
            framework=framework,
            inputs=inputs,
            samples=samples,
            seed=seed,
            call_seconds=timeout,
            seconds=seconds,
            existing=str(existing) if existing else None,
            merge_into=None if print_only else str(file),
            model_size=models.size,
            allow_weak_isolation=allow_weak,
        )
        if options.dry_run:
            requests, tokens = (0, 0) if models.no_model else worst_case(target, wanted)
            output.result(output.say("dry_run", requests=requests, tokens=tokens))
            return ExitCode.DONE
        if models.no_model:
            report = testgen(target, wanted, None)
        else:
            with options.session("tests") as session:
                report = testgen(target, wanted, session)
    except (TestgenError, SandboxError, ValueError) as error:
        raise CommandError(output.error(error)) from error
    _deliver(report, file, print_only, outputs, output)
    if report.suspects:
        return ExitCode.FINDINGS
    return ExitCode.DONE if report.kept and not report.notes else ExitCode.PARTIAL


def _deliver(
    report: TestReport, file: Path, print_only: bool, outputs: list[tuple[str, Path | None]], output: Output
) -> None:
    """Write the test file, or print it, and the report in every format; keep it for the dashboard."""
    from kodo.cli.kept_reports import keep_report
    from kodo.jobs.testgen import report as reports

    keep_report("tests", report.target, report)
    if print_only:
        output.result(report.text, end="")
    elif report.text:
        was_there = file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, report.text)
        output.note("merged" if was_there else "written", path=file)
    else:
        output.warn("nothing")
    render = {
        "text": lambda one: reports.text(one, output.lang),
        "json": reports.json,
        "junit": reports.junit,
    }
    for name, where in outputs:
        if where is None:
            output.result(render[name](report), end="")
        else:
            write_atomically(where, render[name](report))
            output.note("written", path=where)
