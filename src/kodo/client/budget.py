"""Limits on spending and the windows they count in. Values only; the ledger holds the sums and the transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args

Scope = Literal["run", "day", "month", "repository"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in US dollars; None means unlimited. Days and months are UTC.

    ``run`` counts one session (or all that share a ``run_id``), ``repository`` everything ever spent on one.
    Limits that are stored in the ledger (``Ledger.set_limit``) hold as well; the smaller one counts.
    """

    run: Decimal | None = None
    day: Decimal | None = None
    month: Decimal | None = None
    repository: Decimal | None = None

    def __post_init__(self) -> None:
        for scope in SCOPES:
            value = getattr(self, scope)
            if value is not None and not _is_amount(value):
                raise ValueError(f"budget {scope}: {value!r} is not an amount of dollars")

    def limits(self) -> Iterator[tuple[Scope, Decimal]]:
        """The limits that are set. Floats and strings given by a caller are taken as decimals."""
        for scope in SCOPES:
            value = getattr(self, scope)
            if value is not None:
                yield scope, Decimal(str(value))


def _is_amount(value: object) -> bool:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return False
    return amount.is_finite() and amount >= 0


@dataclass(frozen=True, slots=True)
class Windows:
    """Where one call counts: the key of each scope at the moment it is reserved."""

    run: str
    day: str
    month: str
    repository: str

    @classmethod
    def at(cls, seconds: float, run: str, repository: str) -> Windows:
        """The windows of a moment, given in seconds since 1970."""
        moment = datetime.fromtimestamp(seconds, UTC)
        return cls(run, f"{moment:%Y-%m-%d}", f"{moment:%Y-%m}", repository)

    def each(self) -> Iterator[tuple[Scope, str]]:
        """``(scope, key)`` of every window; the repository only where there is one."""
        yield "run", self.run
        yield "day", self.day
        yield "month", self.month
        if self.repository:
            yield "repository", self.repository
