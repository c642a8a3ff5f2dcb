"""``kodo budget``: the limits that every run obeys, and what is left of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.options import LangOption, make_output
from kodo.cli.output import Output
from kodo.cli.registry import new_app
from kodo.cli.tables import Row, as_json, as_table
from kodo.client.budget import Scope, Windows
from kodo.client.errors import SettingsError
from kodo.client.i18n import Catalogue
from kodo.client.ledger import Ledger

MESSAGES = Catalogue(
    {
        "scope": ("per", "単位"),
        "window": ("window", "期間"),
        "limit": ("limit USD", "上限 USD"),
        "spent": ("spent USD", "使用 USD"),
        "left": ("left USD", "残り USD"),
        "set": ("limit per {scope}: ${usd}", "{scope} ごとの上限を ${usd} に設定しました"),
        "off": ("removed the limit per {scope}", "{scope} ごとの上限を解除しました"),
        "bad_amount": (
            "invalid amount {amount!r}: give US dollars, or 'off'",
            "金額 {amount!r} は無効です。米ドルの金額または 'off' を指定してください",
        ),
    }
)

app = new_app("Set and show spending limits for all runs, in US dollars.")


class _AmountCommand(TyperCommand):
    """A command whose last argument is an amount: "-3" is one, and a wrong one, and no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does, with such amounts at the end, behind the mark that ends options."""
        below = [] if "--" in args else [one for one in args if re.match(r"-\.?\d", one)]
        rest = [one for one in args if one not in below]
        return super().parse_args(ctx, [*rest, "--", *below] if below else args)


@contextmanager
def _ledger(output: Output) -> Iterator[Ledger]:
    try:
        with Ledger() as ledger:
            yield ledger
    except SettingsError as error:
        raise CommandError(output.error(error)) from error


@app.command("set", cls=_AmountCommand)
def set_(
    scope: Annotated[Scope, typer.Argument(help="Scope of the limit.")],
    amount: Annotated[str, typer.Argument(help="US dollars, or 'off' to remove the limit.")],
    lang: LangOption = None,
) -> ExitCode:
    """Set the limit for each run, day (UTC), month (UTC) or repository."""
    output = make_output(MESSAGES, lang)
    try:
        usd = None if amount == "off" else Decimal(amount)
        with _ledger(output) as ledger:
            ledger.set_limit(scope, usd)
    except (InvalidOperation, ValueError) as error:
        raise CommandError(output.say("bad_amount", amount=amount)) from error
    if usd is None:
        output.note("off", scope=scope)
    else:
        output.note("set", scope=scope, usd=usd)
    return ExitCode.DONE


@app.command()
def show(
    format: Annotated[Literal["table", "json"], typer.Option(help="Output format.")] = "table",
    lang: LangOption = None,
) -> ExitCode:
    """Show each limit, the amount used (including open reservations), and what is left."""
    output = make_output(MESSAGES, lang)
    with _ledger(output) as ledger:
        rows = list(_rows(ledger))
    if format == "json":
        output.result(as_json(rows))
    else:
        output.result(
            as_table(rows, {name: output.say(name) for name in ("scope", "window", "limit", "spent", "left")})
        )
    return ExitCode.DONE


def _rows(ledger: Ledger) -> Iterator[Row]:
    """A row for the run limit, this day, this month, and each repository that has spent something."""
    limits = dict(ledger.limits().limits())
    now = Windows.at(time.time(), run="", repository="")
    repositories = [
        str(key) for (key,) in ledger.query("SELECT key FROM totals WHERE scope = 'repository' ORDER BY key")
    ]
    windows: list[tuple[Scope, str]] = [("run", ""), ("day", now.day), ("month", now.month)]
    windows += [("repository", key) for key in repositories or [""]]
    for scope, key in windows:
        limit = limits.get(scope)
        spent = ledger.spent(scope, key) if key else None
        left = limit - (spent or 0) if limit is not None else None
        yield {
            "scope": scope,
            "window": key or "-",
            "limit": None if limit is None else float(limit),
            "spent": None if spent is None else float(spent),
            "left": None if left is None else float(left),
        }
