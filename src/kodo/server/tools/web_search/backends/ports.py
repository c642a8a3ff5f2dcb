"""The port of the services that search the web."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kodo.server.tools.web_search.options import UserPlace


class SearchFailed(Exception):
    """The service gave no results. The message is for the model and for the log; it holds no key."""


@dataclass(frozen=True)
class WebQuery:
    """A search. Domains are hints to the service: what it gives beside them is left out afterwards."""

    text: str
    most: int
    """Results that are wanted at most."""
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    place: UserPlace | None = None
    language: str | None = None

    @property
    def with_sites(self) -> str:
        """The text with the domains as search engines know them: ``site:a.example``."""
        allowed = " OR ".join(f"site:{domain}" for domain in self.allowed_domains[:10])
        if len(self.allowed_domains) > 1:
            allowed = f"({allowed})"
        blocked = " ".join(f"-site:{domain}" for domain in self.blocked_domains[:10])
        return " ".join(part for part in (self.text, allowed, blocked) if part)


@dataclass(frozen=True)
class WebResult:
    """A page that was found. ``text``: what the service shows of it, without markup."""

    url: str
    title: str
    text: str


class SearchBackend(Protocol):
    """A service that searches the web."""

    async def search(self, query: WebQuery) -> Sequence[WebResult]:
        """The results, best first.

        Raises:
            SearchFailed: it did not answer, or not with results.
        """

    async def close(self) -> None:
        """Let go of connections."""
