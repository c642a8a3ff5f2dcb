"""The services that search the web, over one port: :class:`~kodo.server.tools.web_search.backends.ports.SearchBackend`."""

from __future__ import annotations

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends.brave import BraveBackend
from kodo.server.tools.web_search.backends.command import CommandBackend
from kodo.server.tools.web_search.backends.ports import SearchBackend
from kodo.server.tools.web_search.backends.searxng import SearxngBackend
from kodo.server.tools.web_search.backends.tavily import TavilyBackend


def open_backend(settings: WebSearchSettings) -> SearchBackend:
    """The service that the settings name."""
    match settings.backend:
        case "searxng":
            return SearxngBackend(settings)
        case "brave":
            return BraveBackend(settings)
        case "tavily":
            return TavilyBackend(settings)
        case "command":
            return CommandBackend(settings)
        case None:
            raise ValueError("the settings name no search service")
