"""SearXNG: ``GET /search?format=json``. Its default settings answer 403 until ``search.formats`` has ``json``."""

from __future__ import annotations

from collections.abc import Sequence

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends.ports import SearchFailed, WebQuery, WebResult
from kodo.server.tools.web_search.backends.service_http import ServiceHttp, results_of

_HINTS = {
    403: "add json to search.formats in its settings.yml",
    429: "its limiter is on; allow this server in its limiter.toml",
}


class SearxngBackend:
    """A SearXNG instance."""

    def __init__(self, settings: WebSearchSettings) -> None:
        self._url = f"{(settings.url or '').rstrip('/')}/search"
        key = settings.api_key
        self._headers = {"accept": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key.get_secret_value()}"
        self._http = ServiceHttp(settings, "SearXNG")

    async def search(self, query: WebQuery) -> Sequence[WebResult]:
        """See the port. It has no number of results to ask for, and no place of the user."""
        params = {"q": query.with_sites, "format": "json"}
        if query.language is not None:
            params["language"] = query.language
        answer = await self._http.ask("GET", self._url, headers=self._headers, params=params, hints=_HINTS)
        found = results_of(answer.get("results"), ["content"])
        silent = answer.get("unresponsive_engines")
        if not found and isinstance(silent, list) and silent:
            names = ", ".join(str(one[0]) for one in silent if isinstance(one, list) and one)[:200]
            raise SearchFailed(f"None of the engines behind SearXNG answered with results; silent: {names}.")
        return found

    async def close(self) -> None:
        """See the port."""
        await self._http.close()
