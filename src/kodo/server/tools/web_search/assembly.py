"""Puts the search on the web together from the settings."""

from __future__ import annotations

from kodo.server.config import WebSearchSettings
from kodo.server.lifecycle.retrieval.ports import TextReader
from kodo.server.tools.web_search.backends import open_backend
from kodo.server.tools.web_search.fetching import PageFetcher
from kodo.server.tools.web_search.pages import PageReader
from kodo.server.tools.web_search.tool import WebSearchHostedTool


def open_web_search(
    settings: WebSearchSettings, read: TextReader, fetcher: PageFetcher | None = None
) -> WebSearchHostedTool:
    """The tool over the service that the settings name. ``fetcher``: None is the one over the machine's network."""
    pages = PageReader(settings, fetcher or PageFetcher(settings), read)
    return WebSearchHostedTool(settings, open_backend(settings), pages)
