"""What ``kodo serve`` lends to the dashboard from the half that uses APIs: the ledger, list prices, and a mask for traces.

The server does not know that half; here, where a command may import both, they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from kodo.cli.usage_report import By, UsageRow, usage_rows
from kodo.client.budget import Scope, Windows
from kodo.client.ledger import Ledger
from kodo.client.prices import PriceBook
from kodo.client.redaction import mask_text
from kodo.client.usage import Usage
from kodo.server.lifecycle import tracing
from kodo.server.lifecycle.ports import Usage as ServedUsage
from kodo.server.ui import rendering
from kodo.server.ui.app import build_pages
from kodo.server.ui.context import LedgerLimit, LedgerRow, Lent

if TYPE_CHECKING:
    from starlette.routing import Route

    from kodo.server.http.state import State

_MILLION = 1_000_000
_WINDOWS: tuple[Scope, ...] = ("day", "month")


def warm() -> None:
    """Do what the first page would wait for, while the models are loading: compile it, and read the table of prices."""
    rendering.warm()
    BookPrices().list_cost("a model that no table knows", ServedUsage())


def pages(state: State) -> Sequence[Route]:
    """The routes of the dashboard, with what it is lent."""
    tracing.lend_mask(lambda text: mask_text(text)[0])
    return build_pages(state, Lent(ledger=LedgerFile(), prices=BookPrices()))


class BookPrices:
    """List prices of tokens, by the client's price book. A price is a sum over kinds of tokens, so three are enough."""

    def __init__(self) -> None:
        self._book = PriceBook()
        self._known: dict[str, tuple[float, float, float] | None] = {}

    def list_cost(self, model: str, usage: ServedUsage) -> float | None:
        """See :class:`kodo.server.ui.context.ListPrices`."""
        price = self._price(model)
        if price is None:
            return None
        given, cached, made = price
        return ((usage.input - usage.cached) * given + usage.cached * cached + usage.output * made) / _MILLION

    def _price(self, model: str) -> tuple[float, float, float] | None:
        """Dollars for a million tokens of input, of cached input, and of output."""
        if model not in self._known:
            kinds = (
                Usage(input_tokens=_MILLION),
                Usage(input_tokens=_MILLION, cached_tokens=_MILLION),
                Usage(output_tokens=_MILLION),
            )
            costs = [self._cost(model, kind) for kind in kinds]
            known = [float(cost) for cost in costs if cost is not None]
            self._known[model] = (known[0], known[1], known[2]) if len(known) == len(kinds) else None
        return self._known[model]

    def _cost(self, model: str, usage: Usage) -> Decimal | None:
        return self._book.charge(model, usage, free=True).list_usd


class LedgerFile:
    """Reads ``KODO_HOME/ledger.db``, which is opened for each look: it belongs to the commands."""

    def rows(self, by: str, since: float | None) -> Sequence[LedgerRow]:
        """See :class:`kodo.server.ui.context.LedgerReader`."""
        columns: dict[str, By] = {"day": "day", "model": "model", "job": "job", "repository": "repo"}
        moment = None if since is None else datetime.fromtimestamp(since, UTC)
        with Ledger() as ledger:
            return [_row(row) for row in usage_rows(ledger, columns[by], moment)]

    def limits(self) -> Sequence[LedgerLimit]:
        """See :class:`kodo.server.ui.context.LedgerReader`."""
        with Ledger() as ledger:
            limits = dict(ledger.limits().limits())
            now = Windows.at(datetime.now(UTC).timestamp(), "", "")
            keys = {scope: key for scope, key in now.each() if scope in _WINDOWS}
            return [
                LedgerLimit(scope, float(limits[scope]), float(ledger.spent(scope, key)))
                for scope, key in keys.items()
                if scope in limits
            ]


def _row(row: UsageRow) -> LedgerRow:
    return LedgerRow(
        key=row.key,
        calls=row.calls,
        failed=row.failed,
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        output_tokens=row.output_tokens,
        cost=float(row.usd),
        list_cost=float(row.list_usd),
    )
