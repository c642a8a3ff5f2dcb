"""What a page is made from: the running server, and what start-up lends from the other half of kodo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.errors import Unauthorized
from kodo.server.http.spending import cost_of
from kodo.server.http.state import State
from kodo.server.lifecycle.activity import ActivityReader
from kodo.server.lifecycle.errors import NotFound, ServiceError
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.ui.access import Sessions, Viewer
from kodo.server.ui.forms import read_form
from kodo.server.ui.pulls import Pulls
from kodo.server.ui.rendering import is_partial, render

PAGE_SIZE: Final = 50
"""Rows of a list; a button leads to more."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """Sums of the ledger over one day, model, job or repository (``key``). Money in US dollars."""

    key: str
    calls: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float
    list_cost: float


@dataclass(frozen=True, slots=True)
class LedgerLimit:
    """A budget of the ledger: its scope, its limit and what was spent of it, in US dollars."""

    scope: str
    limit: float
    spent: float


class LedgerReader(Protocol):
    """Reads the ledger of the half that uses APIs, which this half does not know."""

    def rows(self, by: str, since: float | None) -> Sequence[LedgerRow]:
        """Sums by ``day``, ``model``, ``job`` or ``repository``, since a time (seconds since the epoch)."""

    def limits(self) -> Sequence[LedgerLimit]:
        """The stored budgets that are sums over a time."""


class ListPrices(Protocol):
    """Knows what tokens would cost elsewhere."""

    def list_cost(self, model: str, usage: Usage) -> float | None:
        """US dollars at list price; for a model of no known price at that of the model that kodo stands for."""


@dataclass(frozen=True)
class Lent:
    """What start-up lends; None where it has none."""

    ledger: LedgerReader | None = None
    prices: ListPrices | None = None


@dataclass(frozen=True)
class UiContext:
    """Everything that a page reaches besides its request."""

    state: State
    sessions: Sessions
    lent: Lent = field(default_factory=Lent)
    pulls: Pulls = field(default_factory=Pulls)

    @property
    def activity(self) -> ActivityReader:
        """What the store remembers. Raises ``ServiceError``: this store remembers nothing."""
        reader = self.state.store.activity
        if reader is None:
            raise ServiceError("This store keeps nothing for the dashboard.")
        return reader

    async def still_allows(self, viewer: Viewer) -> bool:
        """Whether a viewer may see more of a stream: not if its key was revoked, or if a first one was made since."""
        try:
            await self.state.keys.check(viewer.caller)
        except Unauthorized:
            return False
        return True


@dataclass(frozen=True)
class PageRequest:
    """One request to a page, with who it is for."""

    http: Request
    context: UiContext
    viewer: Viewer

    @property
    def state(self) -> State:
        """The server."""
        return self.context.state

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters."""
        return self.http.query_params

    @property
    def partial(self) -> bool:
        """Whether htmx asks for a part of the page only."""
        return is_partial(self.http)

    def path(self, name: str) -> str:
        """A parameter of the path."""
        value: str = self.http.path_params[name]
        return value

    async def form(self) -> Mapping[str, str]:
        """The form's fields."""
        return await read_form(self.http)

    def render(self, template: str, page: str, *, status: int = 200, **values: Any) -> Response:
        """A page of this request's language, theme and viewer."""
        return render(self.http, template, self.viewer, page=page, status=status, **values)

    def number(self, name: str) -> int | None:
        """A whole number of the query; None where there is none, or something else."""
        value = self.query.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None

    def costs(self, model: str, usage: Usage) -> tuple[float, float | None]:
        """What tokens cost by this server's settings, and at list price (None: not known), in US dollars."""
        backend, listed = self.state.models.get(model), self.context.lent.prices
        cost = 0.0 if backend is None else cost_of(backend.settings, usage)
        return cost, None if listed is None else listed.list_cost(model, usage)

    async def documents(self, kind: str) -> tuple[Sequence[DocumentRow], int | None]:
        """A page of the documents of a kind that the viewer sees, the newest first, and ``before`` of the next page."""
        found = await self.context.activity.documents(
            kind, self.viewer.owner, before=self.number("before"), limit=PAGE_SIZE + 1
        )
        more = found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else None
        return [row for _, row in found[:PAGE_SIZE]], more

    async def document(self, kind: str, document_id: str, name: str) -> DocumentRow:
        """A document that the viewer may see; ``name``: what it is to people.

        Raises:
            NotFound: there is none, or it is another project's.
        """
        row = await self.context.activity.find_document(kind, document_id)
        if row is None or not self.viewer.may_see(row.owner):
            raise not_found(name)
        return row


def not_found(name: str) -> NotFound:
    """The error for an object that is not there, or not for this viewer."""
    return NotFound(f"There is no {name} of this id.")
