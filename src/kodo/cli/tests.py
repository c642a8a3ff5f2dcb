"""`kodo tests`: parse, generate once, write the test file, print the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue

if TYPE_CHECKING:
    from kodo.jobs.testgen.model import TestReport

MESSAGES = Catalogue(
    {
        "written": ("written: {path}", "書き込みました: {path}"),
        "merged": ("merged into: {path}", "追記しました: {path}"),
        "nothing": (
            "no test was kept, so nothing was written",
            "採用されたテストがないため、何も書き込みませんでした",
        ),
        "format": (
            "--format {name}: no such format; there are text, json and junit",
            "--format {name}: 形式がありません。使えるのは text、json、junit です",
        ),
        "one_stdout": (
            "--format {names}: only one of them can go to stdout; write the others to files (NAME=FILE)",
            "--format {names}: 標準出力に出せるのは一つです。他は NAME=FILE でファイルに書いてください",
        ),
        "dry_run": (
            "{requests} requests at most, {tokens:,} tokens in and out at most",
            "リクエスト最大 {requests} 回、入出力合計で最大 {tokens:,} トークン",
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
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="Report as text, json or junit; NAME=FILE writes to a file. May be repeated.",
        ),
    ] = None,
    framework: Annotated[
        Literal["pytest", "unittest"], typer.Option("--framework", help="What the tests are written for.")
    ] = "pytest",
    existing: Annotated[
        Path | None,
        typer.Option("--existing", help="The tests there are already. Default: test_NAME.py of the project."),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="No model; nothing is sent anywhere.")] = False,
    size: Annotated[
        Literal["small", "capable"],
        typer.Option(
            "--size", help="What the model is good for: small fills in arguments, capable writes whole cases."
        ),
    ] = "small",
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=0, help="Samples of the model for each function.")
    ] = 8,
    inputs: Annotated[
        int, typer.Option("--inputs", min=1, help="Calls for each function without the model.")
    ] = 300,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same candidates.")] = 0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.01, help="Seconds that one call may take.")
    ] = 1.0,
    allow_weak: Annotated[
        bool,
        typer.Option(
            "--allow-weak-isolation", help="Run generated code without a full sandbox. Never applies to root."
        ),
    ] = False,
    *,
    options: JobOptions,
) -> ExitCode:
    """Write tests that were seen to pass, to be stable, and to add coverage or kill a mutant.

    Exits with 1 where a documented fact does not hold (this may be a bug), 3 if no test was kept or the model
    could not be asked to the end, 2 if the target cannot be tested or there is no sandbox.
    """
    from kodo.jobs.sandbox import SandboxError  # here, because the job brings libcst and the SDK with it
    from kodo.jobs.testgen.job import default_file, testgen, worst_case
    from kodo.jobs.testgen.model import Options, TestgenError

    output = options.output(MESSAGES)
    outputs = _outputs(formats or ["text"], print_only, output)
    try:
        file = to or default_file(target)
        wanted = Options(
            framework=framework,
            inputs=inputs,
            samples=samples,
            seed=seed,
            call_seconds=timeout,
            existing=str(existing) if existing else None,
            merge_into=None if print_only else str(file),
            model_size=size,
            allow_weak_isolation=allow_weak,
        )
        if options.dry_run:
            requests, tokens = (0, 0) if no_model else worst_case(target, wanted)
            output.result(output.say("dry_run", requests=requests, tokens=tokens))
            return ExitCode.DONE
        if no_model:
            report = testgen(target, wanted, None)
        else:
            with options.session("tests") as session:
                report = testgen(target, wanted, session)
    except (TestgenError, SandboxError, ValueError) as error:
        raise CommandError(str(error)) from error
    _deliver(report, file, print_only, outputs, output)
    if report.suspects:
        return ExitCode.FINDINGS
    return ExitCode.DONE if report.kept and not report.notes else ExitCode.PARTIAL


def _outputs(formats: list[str], print_only: bool, output: Output) -> list[tuple[str, Path | None]]:
    """Format names with their files, None for stdout. Raises CommandError for an unknown one, or two on stdout."""
    parsed: list[tuple[str, Path | None]] = []
    for text in formats:
        name, given, file = text.partition("=")
        if name not in ("text", "json", "junit") or (given and not file):
            raise CommandError(output.say("format", name=text))
        parsed.append((name, Path(file) if given else None))
    printed = [name for name, file in parsed if file is None]
    if len(printed) > 1:
        raise CommandError(output.say("one_stdout", names=", ".join(printed)))
    return [(name, file) for name, file in parsed if file is not None] if print_only else parsed


def _deliver(
    report: TestReport, file: Path, print_only: bool, outputs: list[tuple[str, Path | None]], output: Output
) -> None:
    """Write the test file, or print it, and the report in every format."""
    from kodo.jobs.testgen import report as reports

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
