"""List calls of the contract: ``after``, ``before``, ``limit``, ``order`` in; ``{"object": "list", …}`` out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from kodo.lifecycle.records import Page
from kodo.wire.decode import BadBody


def page_of(query: Mapping[str, str], *, default: int = 20, largest: int = 100) -> Page:
    """The window a query asks for.

    Raises:
        BadBody: ``limit`` or ``order`` is none.
    """
    limit = query.get("limit", str(default))
    if not limit.isdigit() or not 1 <= int(limit) <= largest:
        raise BadBody(f"'limit' must be a number from 1 to {largest}.", "limit", "invalid_value")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadBody("'order' must be asc or desc.", "order", "invalid_value")
    return Page(
        after=query.get("after"),
        before=query.get("before"),
        limit=int(limit),
        order="asc" if order == "asc" else "desc",
    )


def wire_list(data: Sequence[Any], ids: Sequence[str], more: bool) -> dict[str, Any]:
    """A page in the contract's form."""
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }


def query_of(request: Request, known: Collection[str], *, prefix: str | None = None) -> dict[str, str]:
    """The query of a request, whose names must be known ones or begin with ``prefix``. Raises :class:`BadBody`."""
    for name in request.query_params:
        if name not in known and not (prefix and name.startswith(prefix)):
            raise BadBody(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return dict(request.query_params)
