"""Score both jobs on sets written by hand, print the tables, write the page.

    python -m bench.scorecard [--jobs review,tests] [--no-model] [--size small] [--limit N] [--out FILE]

It takes the options of every job of kodo too (``--model``, ``--base-url``, ``--dry-run``, ...).
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kodo import __version__
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.main import run
from kodo.cli.options import JobOptions, job
from kodo.cli.progress import Bar
from kodo.cli.registry import build_command, new_app
from kodo.client.i18n import Catalogue
from kodo.home import kodo_home

if TYPE_CHECKING:
    from bench.scorecard.report import Circumstances
    from bench.scorecard.runner import JobName, Scorecard
    from kodo.client.session import Session

MESSAGES = Catalogue(
    {
        "jobs": ("--jobs {text}: there are {names}", "--jobs {text}: 使えるのは {names} です"),
        "written": ("written: {path}", "書き込みました: {path}"),
        "dry_run": (
            "{cases} reviews, each pushed twice, and {modules} modules with two versions each would be run",
            "レビュー {cases} 件(各 2 回)とモジュール {modules} 件(各 2 版)を実行します",
        ),
    }
)

KILL_SECONDS = 10.0
"""What test generation may spend on its own mutants of one module; its default of a minute makes a run of hours."""

app = new_app()


@app.command()
@job
def scorecard(
    jobs: Annotated[
        str, typer.Option("--jobs", help="Which jobs to score, with commas between them: review, tests.")
    ] = "review,tests",
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Ask no model: the static pipelines and the other tools alone.")
    ] = False,
    size: Annotated[
        Literal["small", "capable"],
        typer.Option("--size", help="What the model is good for, as in kodo review."),
    ] = "small",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first so many cases of each set.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the Markdown page to this file.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the results of earlier runs, finished or not.")
    ] = False,
    *,
    options: JobOptions,
) -> ExitCode:
    """Score kodo review and kodo tests on sets written by hand, beside the same without a model and other tools.

    A run that was stopped goes on where it was: results are kept in KODO_HOME/scorecard.jsonl.
    """
    from bench.scorecard import report  # here, because the analysers take half a second to import
    from bench.scorecard.cases import module_cases, review_cases
    from bench.scorecard.runner import JOBS

    output = options.output(MESSAGES)
    chosen = tuple(name for name in JOBS if name in jobs.split(","))
    if set(jobs.split(",")) != set(chosen):
        raise CommandError(output.say("jobs", text=jobs, names=", ".join(JOBS)))
    if options.dry_run:
        sets = (*review_cases("seeded")[:limit], *review_cases("clean")[:limit])
        output.note("dry_run", cases=len(sets), modules=len(module_cases()[:limit]))
        return ExitCode.DONE
    if fresh:
        _results_path().unlink(missing_ok=True)
    if no_model:
        card = _run(None, "", chosen, size, limit, options)
    else:
        with options.session("scorecard") as session:
            card = _run(session, options.model or session.settings.model, chosen, size, limit, options)
    if card.reviews:
        output.result(report.plain(report.review_table(card, "info")) + "\n")
    if card.tests:
        output.result(report.plain(report.tests_table(card)) + "\n")
    if out is not None:
        write_atomically(out, report.markdown(card, _circumstances(jobs, no_model, size, limit, options)))
        output.note("written", path=out)
    return ExitCode.DONE


def _run(
    session: Session | None,
    model: str,
    jobs: tuple[JobName, ...],
    size: Literal["small", "capable"],
    limit: int | None,
    options: JobOptions,
) -> Scorecard:
    """Run what is not known yet, with a line of progress for each contestant. Raises CommandError."""
    from bench.scorecard import runner
    from bench.scorecard.results import Results
    from bench.scorecard.suites import SuiteError
    from kodo.jobs.review import ReviewOptions
    from kodo.jobs.testgen import Options
    from kodo.sandbox import SandboxError

    setup = runner.Setup(
        session,
        model,
        ReviewOptions(model=options.model or "", size=size),
        Options(model_size=size, kill_seconds=KILL_SECONDS),
        jobs,
        limit,
    )
    with Bar("scorecard") as bar:

        def progress(contestant: str, done: int, total: int) -> None:
            if not options.quiet:
                bar.show(done, total, contestant)

        try:
            return runner.run(setup, Results(_results_path()), progress)
        except (SandboxError, SuiteError) as error:
            raise CommandError(str(error)) from error
        except runner.ModelLostError as error:
            raise CommandError(str(error), ExitCode.SERVER) from error


def _results_path() -> Path:
    return kodo_home() / "scorecard.jsonl"


def _circumstances(
    jobs: str, no_model: bool, size: str, limit: int | None, options: JobOptions
) -> Circumstances:
    from bench.scorecard.report import Circumstances

    command = ["python", "-m", "bench.scorecard", "--jobs", jobs]
    command += ["--no-model"] if no_model else ["--size", size]
    command += ["--model", options.model] if options.model and not no_model else []
    command += ["--limit", str(limit)] if limit else []
    note = f"Test generation may spend {KILL_SECONDS:.0f} s on its own mutants of each version."
    return Circumstances(
        datetime.now(UTC).date().isoformat(),
        f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}",
        f"{os.getloadavg()[0]:.1f}",
        shlex.join(command),
        __version__,
        (note,) if "tests" in jobs else (),
    )


def _processor() -> str:
    """The processor's own name where Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status."""
    return run(argv, build_command(app), "python -m bench.scorecard")


if __name__ == "__main__":
    sys.exit(main())
