"""How a search service is asked over HTTP. Its place is in the settings, so it may be on this machine; redirects are not
followed, and answers are held to limits on time and bytes."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2
import msgspec

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends.ports import SearchFailed, WebResult
from kodo.server.wire.foreign_json import NotJson, read_json_as

logger = logging.getLogger(__name__)
_OBJECT = msgspec.json.Decoder(dict[str, Any])

_MARKUP: Final = re.compile(r"</?(?:b|strong|em|i|mark|br|span|p)\b[^>]*>", re.IGNORECASE)


class ServiceHttp:
    """JSON from one service."""

    def __init__(self, settings: WebSearchSettings, name: str) -> None:
        self._name = name
        self._most = settings.search_bytes
        self._http = httpx2.AsyncClient(
            timeout=settings.search_seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"accept-encoding": "identity"},
        )

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        hints: Mapping[int, str],
    ) -> dict[str, Any]:
        """The answer to a request. ``hints``: what the operator can do about a status.

        Raises:
            SearchFailed: there is none.
        """
        try:
            async with self._http.stream(method, url, headers=headers, params=params, json=json) as response:
                if response.status_code != 200:
                    hint = hints.get(response.status_code, "")
                    raise self._failed(f"answered {response.status_code}{': ' if hint else ''}{hint}")
                body = bytearray()
                async for chunk in response.aiter_raw(65536):  # what is compressed all the same is no JSON
                    body += chunk
                    if len(body) > self._most:
                        raise self._failed("gave an answer that is too large")
        except httpx2.TimeoutException:
            raise self._failed("took too long") from None
        except httpx2.HTTPError as error:
            raise self._failed(f"cannot be reached ({type(error).__name__})") from None
        try:
            return read_json_as(_OBJECT, body)
        except NotJson:
            raise self._failed("did not answer with JSON") from None

    def _failed(self, what: str) -> SearchFailed:
        message = f"The search service ({self._name}) {what}."
        logger.warning("%s", message)
        return SearchFailed(message)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def results_of(listed: object, text: Sequence[str]) -> list[WebResult]:
    """The sound ones of a service's results; ``text``: the fields whose texts are shown."""
    found: list[WebResult] = []
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or not isinstance(url := one.get("url"), str):
            continue
        parts = [part for name in text for part in _strings(one.get(name))]
        shown = "\n".join(dict.fromkeys(_shown(part) for part in parts if part.strip()))
        title = one.get("title")
        found.append(WebResult(url=url, title=_shown(title) if isinstance(title, str) else "", text=shown))
    return found


def _strings(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _shown(text: str) -> str:
    """A service's text without the marks of what was searched for."""
    return html.unescape(_MARKUP.sub("", text)).strip()
