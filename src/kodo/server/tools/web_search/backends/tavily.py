"""Tavily: ``POST /search``. At most 20 results; domains are its own filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends.ports import WebQuery, WebResult
from kodo.server.tools.web_search.backends.service_http import ServiceHttp, results_of

PLACE: Final = "https://api.tavily.com"
_HINTS = {401: "the api_key is not valid", 429: "its limit is reached", 432: "the plan's limit is reached"}


class TavilyBackend:
    """Tavily's search."""

    def __init__(self, settings: WebSearchSettings) -> None:
        self._url = f"{(settings.url or PLACE).rstrip('/')}/search"
        self._key = settings.api_key
        self._http = ServiceHttp(settings, "Tavily")

    async def search(self, query: WebQuery) -> Sequence[WebResult]:
        """See the port. The user's place is left to the query: the service takes names of countries only."""
        body: dict[str, Any] = {"query": query.text[:400], "max_results": min(query.most, 20)}
        if query.allowed_domains:
            body["include_domains"] = list(query.allowed_domains)
        if query.blocked_domains:
            body["exclude_domains"] = list(query.blocked_domains)
        headers = {"accept": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        answer = await self._http.ask("POST", self._url, headers=headers, json=body, hints=_HINTS)
        return results_of(answer.get("results"), ["content"])

    async def close(self) -> None:
        """See the port."""
        await self._http.close()
