"""List calls of the contract: ``after``, ``before``, ``limit``, ``order`` in; ``{"object": "list", …}`` out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from kodo.lifecycle.records import Page
from kodo.wire.decode import BadBody

_NUMBER = re.compile(r"-?[0-9]{1,18}")


def page_of(query: Mapping[str, str], *, default: int = 20, largest: int = 100) -> Page:
    """The window a query asks for.

    Raises:
        BadBody: ``limit`` or ``order`` is none.
    """
    limit = whole_number(query.get("limit", str(default)), "limit", 1, largest)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadBody("'order' must be asc or desc.", "order", "invalid_value")
    return Page(
        after=query.get("after"),
        before=query.get("before"),
        limit=limit,
        order="asc" if order == "asc" else "desc",
    )


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """A number in a query: ASCII digits, as many as can be meant. Raises :class:`BadBody`."""
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise BadBody(f"'{name}' must be a number from {least} to {most}.", name, "invalid_value")
    return int(text)


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
