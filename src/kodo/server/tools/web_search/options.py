"""What an entry of the request asks for: filters, the user's place, how much of the results the model reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct

from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.tools.web_search.addresses import PageRefused, PageUrl
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.hosted_tools import (
    DatedWebSearchPreviewTool,
    DatedWebSearchTool,
    HostedToolEntry,
    WebSearchPreviewTool,
    WebSearchTool,
)

T = TypeVar("T")
WebSearchEntry: TypeAlias = (
    WebSearchTool | DatedWebSearchTool | WebSearchPreviewTool | DatedWebSearchPreviewTool
)
MAX_DOMAINS: Final = 100
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
)
_Domains: TypeAlias = Annotated[tuple[str, ...], Meta(max_length=MAX_DOMAINS)]
_Place: TypeAlias = Annotated[str, Meta(max_length=200)]


class _Filters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allowed_domains: _Domains = ()
    blocked_domains: _Domains = ()


class UserPlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About where the user is. ``country``: two letters; ``timezone``: as ``Asia/Tokyo``."""

    type: Literal["approximate"] = "approximate"
    city: _Place | None = None
    region: _Place | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Za-z]{2}$")] | None = None
    timezone: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_+/-]*$")] | None = None

    def __str__(self) -> str:
        named = [place for place in (self.city, self.region, self.country) if place]
        return " ".join(", ".join(named).split()) or (
            f"the time zone {self.timezone}" if self.timezone else ""
        )


@dataclass(frozen=True)
class ContextSize:
    """How much the model reads: results of a search and characters of each; characters of a page."""

    results: int
    result_chars: int
    page_chars: int


SIZES: Final = {
    "low": ContextSize(4, 400, 4_000),
    "medium": ContextSize(8, 800, 12_000),
    "high": ContextSize(16, 2_000, 36_000),
}


@dataclass(frozen=True)
class SearchOptions:
    """An entry, checked. ``is_offline``: the client allows no request to the web."""

    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    place: UserPlace | None = None
    size: ContextSize = SIZES["medium"]
    is_offline: bool = False

    def allows(self, host: str) -> bool:
        """Whether the filters let pages of a host through. A domain stands for its subdomains as well."""

        def is_in(domains: tuple[str, ...]) -> bool:
            return any(host == domain or host.endswith(f".{domain}") for domain in domains)

        return (not self.allowed_domains or is_in(self.allowed_domains)) and not is_in(self.blocked_domains)

    def check(self, page: PageUrl) -> None:
        """Raises :class:`PageRefused` for a page that the filters do not let through."""
        if not self.allows(page.host):
            raise PageRefused("The user's filters do not allow pages of this host.")


def parse_options(entry: HostedToolEntry) -> SearchOptions:
    """The options of an entry.

    Raises:
        InvalidRequest: one of them is wrong; ``param`` is its field.
    """
    if not isinstance(entry, WebSearchEntry):
        raise TypeError("not an entry for a search on the web")
    kinds = entry.search_content_types
    if isinstance(kinds, tuple) and "text" not in kinds:
        raise InvalidRequest("Only texts are searched for.", param="search_content_types")
    filters = _Filters()
    if isinstance(entry.filters, dict):
        if not isinstance(entry, WebSearchTool | DatedWebSearchTool):
            raise InvalidRequest(
                "The preview of web_search has no filters; use 'web_search'.", param="filters"
            )
        filters = _converted(entry.filters, _Filters, "filters")
    place = None
    if isinstance(entry.user_location, dict):
        place = _converted(entry.user_location, UserPlace, "user_location")
    size = entry.search_context_size if isinstance(entry.search_context_size, str) else "medium"
    return SearchOptions(
        allowed_domains=_domains(filters.allowed_domains, "filters.allowed_domains"),
        blocked_domains=_domains(filters.blocked_domains, "filters.blocked_domains"),
        place=place if place is not None and str(place) else None,
        size=SIZES[size],
        is_offline=entry.external_web_access is False,
    )


def _converted(given: dict[str, object], kind: type[T], param: str) -> T:
    fields = {name: value for name, value in given.items() if value is not None}
    try:
        return convert(fields, kind, param)
    except BadBody as error:
        raise InvalidRequest(error.message, param=error.param, code=error.code) from None


def _domains(given: tuple[str, ...], param: str) -> tuple[str, ...]:
    """Domains in ASCII and small letters."""
    result = []
    for number, domain in enumerate(given):
        try:
            name = domain.strip().rstrip(".").encode("idna").decode().lower()
        except UnicodeError:
            name = ""
        if not _DOMAIN.fullmatch(name):
            raise InvalidRequest(
                "A domain is a host's name without scheme and path, such as 'example.com'.",
                param=f"{param}[{number}]",
            )
        result.append(name)
    return tuple(result)
