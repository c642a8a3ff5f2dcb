"""A headless Chromium (Debian's) at a real dashboard. ``make test-ui`` installs what it needs and runs these."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.paths import REPOSITORY

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
"""Without the driver (``make test-ui`` installs it) there is nothing to run."""

SCREENSHOTS = REPOSITORY / "docs" / "guides" / "dashboard"
AXE = REPOSITORY / ".cache" / "ui" / "package" / "axe.min.js"
NewContext = Callable[..., "Awaitable[BrowserContext]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is a browser test."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of its own."""
    from playwright.async_api import async_playwright

    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert program is not None, "Chromium is missing: apt-get install chromium fonts-noto-cjk"
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest.fixture
async def new_context(browser: Browser) -> AsyncIterator[NewContext]:
    """Makes a browser context whose pages may have no error, no refused script or style, and no dialog by a hostile text."""
    problems: list[str] = []

    async def make(**options: object) -> BrowserContext:
        context = await browser.new_context(**{"viewport": {"width": 1360, "height": 860}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        context.on(
            "console",
            lambda message: (
                problems.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        return context

    yield make
    assert problems == []
