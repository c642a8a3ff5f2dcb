"""A server with its dashboard, and a browser without scripts: it keeps cookies and knows the token of its forms."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
from tests.serving import Served, served, settings

from kodo.server.http.keys import new_key
from kodo.server.ui.app import build_pages
from kodo.server.ui.context import Lent

TOKEN = re.compile(r'name="csrf" (?:content|value)="([0-9a-f]{64})"')


class Browser:
    """An HTTP client that is at the dashboard."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """A page."""
        return await self.http.get(
            path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def token(self, path: str = "/ui") -> str:
        """The token of the forms on a page."""
        found = TOKEN.search((await self.get(path)).text)
        assert found is not None
        return found[1]

    async def post(self, path: str, form_of: str = "/ui", **fields: str) -> httpx2.Response:
        """Send a form with its token."""
        return await self.http.post(path, data={**fields, "csrf": await self.token(form_of)})

    async def sign_in(self, key: str) -> httpx2.Response:
        """Sign in with an API key."""
        return await self.post("/ui/login", "/ui/login", key=key)


@contextlib.asynccontextmanager
async def dashboard(
    home: Path, *, lent: Lent | None = None, **options: Any
) -> AsyncIterator[tuple[Served, Browser]]:
    """A server with a scripted model that echoes, and a browser at it."""
    async with (
        served(settings(home, **options), pages=lambda state: build_pages(state, lent)) as server,
        server.http() as http,
    ):
        yield server, Browser(http)


async def make_key(
    server: Served, project: str = "default", role: Any = "project", tokens_per_day: int | None = None
) -> str:
    """A key of the running server."""
    key, row = new_key(name="test", project=project, role=role, tokens_per_day=tokens_per_day)
    await server.state.store.put_key(row)
    return key
