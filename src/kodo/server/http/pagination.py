"""List calls of the contract: ``after``, ``before``, ``limit``, ``order`` in; ``{"object": "list", …}`` out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import msgspec
from starlette.requests import Request

from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.request import Include

_MIN_READ = 100
"""Documents that are read at a time where only some of them are wanted."""
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def page_of(query: Mapping[str, str], *, default: int = 20, max_limit: int = 100) -> Page:
    """The page that a query asks for; ``default`` and ``max_limit`` are for its ``limit``.

    Raises:
        BadBody: ``limit`` or ``order`` is invalid.
    """
    limit = whole_number(query.get("limit", str(default)), "limit", 1, max_limit)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadBody(
            f"Invalid value for 'order': '{order}'. Supported values are: 'asc' and 'desc'.",
            "order",
            "invalid_value",
        )
    return Page(
        after=query.get("after"),
        before=query.get("before"),
        limit=limit,
        order="asc" if order == "asc" else "desc",
    )


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """Parse a whole number of a query, from ``least`` to ``most``. Raises :class:`BadBody`, in the words for bodies."""
    value = int(text) if _NUMBER.fullmatch(text) else text
    convert({name: value}, _bounded(name, least, most))
    return int(text)


@cache
def _bounded(name: str, least: int, most: int) -> type[msgspec.Struct]:
    return msgspec.defstruct("Query", [(name, Annotated[int, msgspec.Meta(ge=least, le=most)])])


async def matching(
    fetch: Callable[[Page], Awaitable[tuple[Sequence[DocumentRow], bool]]],
    page: Page,
    wanted: Callable[[DocumentRow], bool],
) -> tuple[Sequence[DocumentRow], bool]:
    """A page of the documents that pass ``wanted``, and whether there are more; reads as many pages as it needs.

    Raises:
        NotFound: the page's cursor names no document.
    """
    backwards = page.before is not None and page.after is None
    matches: list[DocumentRow] = []
    window, more = msgspec.structs.replace(page, limit=max(page.limit, _MIN_READ)), True
    while more and len(matches) <= page.limit:
        rows, more = await fetch(window)
        hits = [row for row in rows if wanted(row)]
        matches = hits + matches if backwards else matches + hits
        if more:
            next_window = {"before": rows[0].id} if backwards else {"after": rows[-1].id}
            window = msgspec.structs.replace(window, **next_window)
    return matches[-page.limit :] if backwards else matches[: page.limit], len(matches) > page.limit


def wire_list(data: Sequence[Any], ids: Sequence[str], more: bool) -> dict[str, Any]:
    """A page as the API's list object."""
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }


def switch(query: Mapping[str, str], name: str) -> bool:
    """Whether a query turns something on. Raises :class:`BadBody` for anything but ``true`` and ``false``."""
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise BadBody(f"'{name}' must be true or false.", name, "invalid_value")
    return value == "true"


def includes_of(request: Request, known: Any = tuple[Include, ...]) -> tuple[str, ...]:
    """What ``include`` of a query asks for. Raises :class:`BadBody` for what is not ``known``, by default that of a
    response."""
    values = request.query_params.getlist("include[]") + request.query_params.getlist("include")
    found: tuple[str, ...] = convert(values, known, "include")
    return found


def query_of(request: Request, known: Collection[str], *, prefix: str | None = None) -> dict[str, str]:
    """The query of a request. Raises :class:`BadBody` for a name that is not known and does not begin with ``prefix``."""
    for name in request.query_params:
        if name not in known and not (prefix and name.startswith(prefix)):
            raise BadBody(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return dict(request.query_params)
