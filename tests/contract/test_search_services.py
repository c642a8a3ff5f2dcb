"""What every service that searches the web promises: :class:`kodo.server.tools.web_search.backends.ports.SearchBackend`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.search_services import KEY, SERVICES, Service

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.backends import open_backend
from kodo.server.tools.web_search.backends.ports import SearchFailed, WebQuery
from kodo.server.tools.web_search.options import UserPlace

QUERY = WebQuery(
    text="green tea",
    most=7,
    allowed_domains=("a.example", "b.example"),
    blocked_domains=("c.example",),
    place=UserPlace(city="京都", country="jp", timezone="Asia/Tokyo"),
    language="ja",
)


@pytest.fixture(params=sorted(SERVICES))
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    """Each of them."""
    async with SERVICES[request.param](tmp_path) as made:
        yield made


async def test_results_are_plain_texts_in_their_order(service: Service) -> None:
    """URL, title and text of each, without markup and entities."""
    found = await service.backend.search(QUERY)
    assert [one.url for one in found] == ["https://a.example/tea", "https://b.example/"]
    assert found[0].title == "Green tea & more"
    assert found[0].text.startswith("Steep green tea.")


async def test_the_service_is_told_everything_it_can_use(service: Service) -> None:
    """The words, the domains; the key where there is one; the place, where it takes one."""
    await service.backend.search(QUERY)
    asked = {name: str(value) for name, value in service.asked[0].items()}
    everything = " ".join(asked.values())
    for part in ("green tea", "a.example", "b.example", "c.example"):
        assert part in everything
    if "x-subscription-token" in asked:
        assert asked["x-subscription-token"] == KEY and asked["count"] == "7"
        assert (asked["country"], asked["x-loc-timezone"]) == ("JP", "Asia/Tokyo")
    elif "authorization" in asked:
        assert asked["authorization"] == f"Bearer {KEY}"
    else:
        assert (asked["city"], asked["language"], asked["max_results"]) == ("京都", "ja", "7")


@pytest.mark.parametrize("fault", ["status", "json", "large", "compressed", "redirect"])
async def test_a_wrong_answer_is_an_error_without_secrets(service: Service, fault: str) -> None:
    """It says what happened; neither the key nor the service's own text is in it."""
    service.set_fault(fault)
    with pytest.raises(SearchFailed) as caught:
        await service.backend.search(QUERY)
    assert KEY not in str(caught.value) and "secret inside" not in str(caught.value)


async def test_results_of_another_shape_are_left_out(service: Service) -> None:
    """What is no result is none; there is no crash."""
    service.set_fault("shape")
    assert await service.backend.search(QUERY) == []


async def test_the_next_search_after_an_error_works(service: Service) -> None:
    """Nothing of the error stays."""
    service.set_fault("status")
    with pytest.raises(SearchFailed):
        await service.backend.search(QUERY)
    service.set_fault("")
    assert len(await service.backend.search(QUERY)) == 2


async def test_a_service_that_is_not_there_is_an_error() -> None:
    """Neither the port nor the program exists."""
    settings = (
        WebSearchSettings(backend="searxng", url="http://127.0.0.1:1"),
        WebSearchSettings(backend="command", command=("/does/not/exist",)),
    )
    for given in settings:
        backend = open_backend(given)
        with pytest.raises(SearchFailed):
            await backend.search(QUERY)
        await backend.close()


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """After its time; what it started is gone as well."""
    program = tmp_path / "hang.py"
    program.write_text(
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    settings = WebSearchSettings(
        backend="command", command=(sys.executable, "-S", str(program)), search_seconds=5
    )
    with pytest.raises(SearchFailed, match="too long"):
        await open_backend(settings).search(QUERY)
    pid = int((tmp_path / "pid").read_text())
    async with asyncio.timeout(30):
        while _runs(pid):
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    """Whether a process runs: a dead one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_engines_that_are_all_silent_are_no_empty_web() -> None:
    """SearXNG answers 200 without results where its engines are blocked: that is said."""
    from tests.web import served_web

    async with served_web() as (_, port):
        backend = open_backend(WebSearchSettings(backend="searxng", url=f"http://127.0.0.1:{port}"))
        with pytest.raises(SearchFailed, match="silent: brave"):
            await backend.search(WebQuery(text="xyzzy", most=3))
        await backend.close()


@pytest.mark.parametrize(
    ("given", "needed"),
    [({"backend": "searxng"}, "url"), ({"backend": "brave"}, "api_key"), ({"backend": "command"}, "command")],
)
def test_settings_that_lack_something_are_refused(given: dict[str, str], needed: str) -> None:
    """By the name of what is missing."""
    with pytest.raises(ValueError, match=f"needs {needed}"):
        WebSearchSettings.model_validate(given)
