"""``kodo batch run``: a JSONL file of requests in, a JSONL file of results out."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import typer

from kodo.cli.batch_bar import progress_bar
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.failures import code_of
from kodo.cli.options import JobOptions, job
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.client.i18n import Catalogue
from kodo.client.prices import BATCH_FACTOR
from kodo.jobs.batch.job import BatchLimits, BatchReport, run_batch
from kodo.jobs.batch.lines import BatchInputError, read_requests, scan_input
from kodo.jobs.batch.submit import submit_batch

MESSAGES = Catalogue(
    {
        "pace_and_batch_api": (
            "--concurrency, --rpm and --tpm cannot be used with --via batch-api",
            "--concurrency、--rpm、--tpm は --via batch-api と同時に指定できません",
        ),
        "stopping": (
            "stopping: waiting for requests in flight (press Ctrl-C again to abandon them)",
            "停止しています。処理中のリクエストの完了を待っています（もう一度 Ctrl-C を押すと中断します）",
        ),
        "left_running": (
            "the batch continues on the server; run the same command again to collect its results",
            "バッチはサーバー上で実行中です。同じコマンドを再実行すると結果を取得できます",
        ),
        "done": (
            "{done:,} of {total:,} done, {failed:,} failed, {rate:.1f}/s, {input:,} + {output:,} tokens, ${usd:.6f}",
            "{total:,} 件中 {done:,} 件完了、{failed:,} 件失敗、{rate:.1f} 件/秒、{input:,} + {output:,} トークン、${usd:.6f}",
        ),
        "list_price": ("list price: ${usd:.6f}", "定価: ${usd:.6f}"),
        "see_errors": (
            "failed requests are in {path}; run the same command again to retry them",
            "失敗したリクエストは {path} にあります。同じコマンドを再実行すると再試行します",
        ),
        "go_on": ("run the same command again to continue", "同じコマンドを再実行すると続きから再開します"),
        "dry": (
            "{requests:,} requests, about {tokens:,} input tokens, at most ${usd:.6f} (list price: ${listed:.6f})",
            "{requests:,} 件、入力 約 {tokens:,} トークン、最大 ${usd:.6f}（定価: ${listed:.6f}）",
        ),
        "dry_open": (
            "some requests set no max_output_tokens; their output is not included",
            "max_output_tokens の指定がないリクエストがあり、その出力は見積もりに含まれていません",
        ),
    }
)

app = new_app("Process a file of requests.")


@app.callback()
def _batch() -> None:
    """Process a file of requests."""


@app.command()
@job
def run(
    source: Annotated[
        Path, typer.Argument(metavar="IN.jsonl", help="Requests, in the Batch API's line format.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.jsonl", help="Results; a run continues where the last one stopped.")
    ],
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "-c", min=1, max=1000, help="Maximum number of concurrent requests. Default: 64."
        ),
    ] = None,
    rpm: Annotated[int | None, typer.Option("--rpm", min=1, help="Maximum requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option("--tpm", min=1, help="Maximum tokens per minute.")] = None,
    via: Annotated[
        Literal["responses", "batch-api"],
        typer.Option(
            help="responses: one call per request, now. batch-api: submit the file and wait, at half price."
        ),
    ] = "responses",
    *,
    options: JobOptions,
) -> ExitCode:
    """Answer every request of a file that has no result yet. It can be stopped and rerun at any time.

    Results are appended to OUT.jsonl, one line per custom_id. Failed requests are written to
    OUT.jsonl.errors.jsonl and retried by the next run.
    """
    output = options.output(MESSAGES)
    try:
        if options.dry_run:
            return _dry_run(source, options, output, batch_api=via == "batch-api")
        if via == "batch-api":
            if concurrency or rpm or tpm:
                raise CommandError(output.say("pace_and_batch_api"))
            report = asyncio.run(_submit(source, out, options, output))
        else:
            limits = BatchLimits(concurrency or BatchLimits().concurrency, rpm, tpm)
            report = asyncio.run(_run_directly(source, out, limits, options, output))
    except BatchInputError as error:
        raise CommandError(output.error(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")) from error
    return _report_end(report, output)


async def _run_directly(
    source: Path, out: Path, limits: BatchLimits, options: JobOptions, output: Output
) -> BatchReport:
    stop = asyncio.Event()
    async with options.async_session("batch") as session:
        with progress_bar(output) as show, _first_interrupt_stops(stop, output):
            return await run_batch(session, source, out, limits=limits, on_progress=show, stop=stop)


async def _submit(source: Path, out: Path, options: JobOptions, output: Output) -> BatchReport:
    async with options.async_session("batch") as session:
        try:
            with progress_bar(output) as show:
                return await submit_batch(session, source, out, on_progress=show)
        except asyncio.CancelledError:
            output.warn("left_running")
            raise


@contextmanager
def _first_interrupt_stops(stop: asyncio.Event, output: Output) -> Iterator[None]:
    """The first Ctrl-C asks the run to stop; the second one ends it as usual."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # the next one is a KeyboardInterrupt again
        output.warn("stopping")
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _report_end(report: BatchReport, output: Output) -> ExitCode:
    """Tell how it ended, on stderr; the code says the same to a script."""
    end = report.progress
    output.warn(
        "done",
        done=end.before + end.succeeded,
        total=end.total,
        failed=end.failed,
        rate=end.rate,
        input=end.usage.input_tokens,
        output=end.usage.output_tokens,
        usd=end.usd,
    )
    if end.list_usd > end.usd:
        output.note("list_price", usd=end.list_usd)
    if end.failed:
        output.warn("see_errors", path=report.errors)
    elif not report.complete:
        output.warn("go_on")
    if report.stopped_by is not None:
        raise CommandError(output.error(report.stopped_by), code_of(report.stopped_by))
    if report.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if report.complete else ExitCode.PARTIAL


def _dry_run(source: Path, options: JobOptions, output: Output, *, batch_api: bool) -> ExitCode:
    """Add up the estimates of all requests, whether they have a result or not. Sends nothing."""
    tokens, usd, listed, capped = 0, Decimal(0), Decimal(0), True
    with options.session("batch") as session:
        requests = scan_input(source, session.settings.model).requests
        for _, line in read_requests(source, session.settings.model):
            rest = {name: value for name, value in line.body.items() if name != "input"}
            estimate = session.estimate(line.body["input"], ask_server=False, extra=rest)
            tokens += estimate.input_tokens
            usd += estimate.worst.usd
            listed += estimate.worst.list_usd or Decimal(0)
            capped = capped and estimate.output_bound is not None
    factor = BATCH_FACTOR if batch_api else Decimal(1)
    output.result(
        output.say("dry", requests=requests, tokens=tokens, usd=usd * factor, listed=listed * factor)
    )
    if not capped:
        output.warn("dry_open")
    return ExitCode.DONE
