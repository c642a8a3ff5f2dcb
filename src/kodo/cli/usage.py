"""``kodo usage``: what was called and what it cost, from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.files import write_atomically
from kodo.cli.options import LangOption, make_output
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.cli.tables import as_csv, as_json, as_table
from kodo.cli.usage_report import By, UsageRow, parse_since, total, usage_rows
from kodo.client.errors import SettingsError
from kodo.client.i18n import Catalogue
from kodo.client.ledger import Ledger

MESSAGES = Catalogue(
    {
        "day": ("day (UTC)", "日 (UTC)"),
        "model": ("model", "モデル"),
        "job": ("job", "ジョブ"),
        "repo": ("repository", "リポジトリ"),
        "calls": ("calls", "呼び出し"),
        "failed": ("failed", "失敗"),
        "input_tokens": ("input", "入力"),
        "cached_tokens": ("cached", "キャッシュ"),
        "output_tokens": ("output", "出力"),
        "reasoning_tokens": ("reasoning", "推論"),
        "usd": ("USD", "USD"),
        "list_usd": ("list USD", "定価 USD"),
        "total": ("total", "合計"),
        "nothing": ("no calls in this period", "この期間の呼び出しはありません"),
        "bad_since": (
            "invalid --since {text!r}: give a date (2026-11-01) or a duration (24h, 7d, 4w)",
            "--since {text!r} は無効です。日付（2026-11-01）または期間（24h、7d、4w）を指定してください",
        ),
        "png_needs_file": ("--format png requires -o FILE", "--format png には -o FILE が必要です"),
        "written": ("written: {path}", "書き込みました: {path}"),
    }
)

app = new_app()


@app.command()
def usage(
    by: Annotated[By, typer.Option(help="Group by.")] = "day",
    since: Annotated[
        str | None,
        typer.Option(help="Only calls since a date (2026-11-01) or within a duration (24h, 7d, 4w)."),
    ] = None,
    format: Annotated[
        Literal["table", "json", "csv", "png"],
        typer.Option(help="Output format; png draws a plot and requires -o."),
    ] = "table",
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of stdout.")
    ] = None,
    lang: LangOption = None,
) -> ExitCode:
    """Show calls and costs by day, model, job or repository, as a table, JSON, CSV or a plot."""
    output = make_output(MESSAGES, lang)
    if format == "png" and out is None:
        raise CommandError(output.say("png_needs_file"))
    try:
        moment = parse_since(since, datetime.now(UTC)) if since else None
    except (ValueError, OverflowError) as error:
        raise CommandError(output.say("bad_since", text=since)) from error
    try:
        with Ledger() as ledger:
            rows = usage_rows(ledger, by, moment)
    except SettingsError as error:
        raise CommandError(output.error(error)) from error
    if not rows:
        output.note("nothing")
    if out is None:
        output.result(_text(rows, by, format, output))
        return ExitCode.DONE
    if format == "png":
        _plot(rows, by, out)
    else:
        write_atomically(out, _text(rows, by, format, output) + "\n")
    output.note("written", path=out)
    return ExitCode.DONE


def _plot(rows: list[UsageRow], by: By, out: Path) -> None:
    from kodo.cli.usage_plot import plot_usage  # here, because it brings matplotlib with it

    try:
        plot_usage(rows, by, out)
    except OSError as error:
        raise CommandError(f"-o {out}: {error.strerror}") from error


def _text(rows: list[UsageRow], by: By, format: str, output: Output) -> str:
    """The report in one of the text formats; the table alone has headings in the user's language and a total."""
    summed = total(rows, output.say("total"))
    if format == "json":
        plain = {name: value for name, value in summed.as_json().items() if name != "key"}
        return as_json({"by": by, "rows": [row.as_json() for row in rows], "total": plain})
    columns = list(summed.as_json())
    if format == "csv":
        return as_csv([row.as_json() for row in rows], columns)
    titles = {name: output.say(by if name == "key" else name) for name in columns}
    return as_table([row.as_json() for row in [*rows, summed]], titles)
