"""Brave Search: ``GET /res/v1/web/search``. Queries have at most 400 characters and 50 words, answers 20 results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends.ports import WebQuery, WebResult
from kodo.server.tools.web_search.backends.service_http import ServiceHttp, results_of

PLACE: Final = "https://api.search.brave.com"
_HINTS = {
    401: "the api_key is not valid",
    422: "the api_key is not valid",
    429: "the plan's limit is reached",
}


class BraveBackend:
    """Brave's web search."""

    def __init__(self, settings: WebSearchSettings) -> None:
        self._url = f"{(settings.url or PLACE).rstrip('/')}/res/v1/web/search"
        self._key = settings.api_key
        self._http = ServiceHttp(settings, "Brave")

    async def search(self, query: WebQuery) -> Sequence[WebResult]:
        """See the port."""
        params = {"q": " ".join(query.with_sites.split()[:50])[:400], "count": str(min(query.most, 20))}
        headers = {"accept": "application/json"}
        if self._key is not None:
            headers["x-subscription-token"] = self._key.get_secret_value()
        if query.language is not None:
            params["search_lang"] = query.language
        place = query.place
        if place is not None:
            if place.country:
                params["country"] = headers["x-loc-country"] = place.country.upper()
            for name, value in (
                ("x-loc-city", place.city),
                ("x-loc-state-name", place.region),
                ("x-loc-timezone", place.timezone),
            ):
                if value:
                    headers[name] = quote(value, safe=" /,.-")
        answer = await self._http.ask("GET", self._url, headers=headers, params=params, hints=_HINTS)
        web = answer.get("web")
        listed = web.get("results") if isinstance(web, dict) else None
        return results_of(listed, ["description", "extra_snippets"])

    async def close(self) -> None:
        """See the port."""
        await self._http.close()
