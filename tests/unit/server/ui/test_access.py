"""Who sees the dashboard, and what other pages cannot make it do."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.serving import MODEL, served, settings
from tests.unit.server.ui.pages import Browser, dashboard, make_key

from kodo.server.config import UiSettings
from kodo.server.ui.access import Sessions
from kodo.server.ui.app import PAGES, build_pages
from kodo.server.ui.forms import MEDIA_TYPE

READ = [
    path for method, path, _ in PAGES if method == "GET" and "{" not in path and not path.endswith("live")
]
WRITES = [path for method, path, _ in PAGES if method == "POST"] + ["/ui/logout", "/ui/preferences"]


async def test_an_open_server_shows_its_dashboard_to_this_machine(tmp_path: Path) -> None:
    """No key, no sign-in; the sign-in page leads back."""
    async with dashboard(tmp_path) as (_, browser):
        for path in READ:
            assert (await browser.get(path)).status_code == 200, path
        assert (await browser.get("/ui/login")).headers["location"] == "/ui"


async def test_with_keys_every_page_needs_one(tmp_path: Path) -> None:
    """Pages lead to the sign-in form, data and writes are a 401; a wrong key does not open it."""
    async with dashboard(tmp_path) as (server, browser):
        await make_key(server)
        for path in READ:
            answer = await browser.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login"), path
        for path in (path for path in WRITES if path not in ("/ui/logout", "/ui/preferences")):
            assert (await browser.post(path, "/ui/login")).status_code == 401, path
        assert (await browser.get("/ui/overview/series", accept="application/json")).status_code == 401
        assert (await browser.sign_in("sk-kodo-wrong")).status_code == 401
        assert (await browser.get("/ui")).status_code == 303


async def test_a_session_is_a_cookie_that_is_not_the_key(tmp_path: Path) -> None:
    """HttpOnly, SameSite=Strict, for the dashboard only; another value after the sign-in; gone after signing out."""
    async with dashboard(tmp_path) as (server, browser):
        key = await make_key(server, role="admin")
        before = (await browser.get("/ui/login")).cookies
        answer = await browser.sign_in(key)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui")
        cookie = answer.headers["set-cookie"]
        value = cookie.partition("=")[2].partition(";")[0]
        assert {part.strip().lower() for part in cookie.split(";")[1:]} >= {
            "httponly",
            "samesite=strict",
            "path=/ui",
        }
        assert key not in cookie
        assert value not in before.values()
        assert (await browser.get("/ui")).status_code == 200
        await browser.post("/ui/logout")
        assert (await browser.get("/ui")).status_code == 303
        stale = await browser.get("/ui", cookie=f"{cookie.partition('=')[0]}={value}")
        assert stale.status_code == 303, "the old cookie opens nothing"


async def test_a_cookie_from_elsewhere_does_not_become_a_session(tmp_path: Path) -> None:
    """Whoever plants a cookie before the sign-in does not know the one after it."""
    async with dashboard(tmp_path) as (server, browser):
        key = await make_key(server, role="admin")
        name = f"kodo_ui_{server.url.rpartition(':')[2]}"
        browser.http.cookies.set(name, "planted", path="/ui")
        answer = await browser.sign_in(key)
        assert answer.status_code == 303
        browser.http.cookies.clear()
        assert (await browser.get("/ui", cookie=f"{name}=planted")).status_code == 303


@pytest.mark.parametrize("path", ["/ui/login", "/ui/logout", "/ui/preferences", "/ui/keys"])
@pytest.mark.parametrize("kind", [MEDIA_TYPE, "multipart/form-data; boundary=x"])
async def test_forms_are_bounded_before_anybody_is_known(tmp_path: Path, path: str, kind: str) -> None:
    """A form of megabytes is not read, whether it says its size or comes in chunks; nor is one of a thousand fields."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            sent.append(1)
            yield b"a=" + b"x" * 100_000 + b"&"

    statuses = []
    async with dashboard(tmp_path) as (server, browser):
        key = await make_key(server, role="admin")
        if path == "/ui/keys":
            await browser.sign_in(key)
        for content in (b"a=" + b"x" * 100_000, pieces(), b"&".join(b"f%d=1" % n for n in range(1000))):
            sent: list[int] = []
            answer = await browser.http.post(path, content=content, headers={"content-type": kind})
            statuses.append(answer.status_code)
    assert statuses == ([413, 413, 400] if kind == MEDIA_TYPE else [403, 403, 403])


async def test_a_revoked_key_ends_its_sessions(tmp_path: Path) -> None:
    """At the next request, not at the end of the session."""
    async with dashboard(tmp_path) as (server, browser):
        await browser.sign_in(await make_key(server, role="admin"))
        assert (await browser.get("/ui")).status_code == 200
        (row,) = await server.state.store.keys()
        await server.state.store.put_key(msgspec.structs.replace(row, revoked_at=time.time()))
        assert (await browser.get("/ui")).status_code == 303


def test_a_session_ends_by_itself() -> None:
    """After its seconds, whatever the browser keeps."""
    now = [0.0]
    sessions = Sessions(60, lambda: now[0])
    cookie = sessions.open("key_1")
    assert sessions.key_id(cookie) == "key_1"
    now[0] = 61
    assert sessions.key_id(cookie) is None


async def test_a_projects_key_sees_that_project(tmp_path: Path) -> None:
    """Another project's response is not in the list, and a 404 by its address; an admin sees both."""
    async with (
        dashboard(tmp_path) as (server, browser),
        server.http() as other_http,
        server.http() as admin_http,
    ):
        mine, other = await make_key(server, "mine"), await make_key(server, "other")
        admin_key = await make_key(server, "ops", "admin")
        made = await server.sdk(mine).responses.create(model=MODEL, input="my own words")
        await browser.sign_in(mine)
        stranger, admin = Browser(other_http), Browser(admin_http)
        await stranger.sign_in(other)
        await admin.sign_in(admin_key)
        for seen_by, sees in ((browser, True), (stranger, False), (admin, True)):
            assert ("my own words" in (await seen_by.get("/ui/requests")).text) is sees
            one = await seen_by.get(f"/ui/requests/{made.id}")
            assert one.status_code == (200 if sees else 404)
            assert ("my own words" in one.text) is sees
        answer = await stranger.post(f"/ui/requests/{made.id}/delete")
        assert answer.status_code == 404
        assert (await admin.get(f"/ui/requests/{made.id}")).status_code == 200, "it is still there"


@pytest.mark.parametrize("path", WRITES)
async def test_every_write_needs_the_token_of_its_session(tmp_path: Path, path: str) -> None:
    """Without it, with a wrong one, and with that of another browser: 403, and nothing happens."""
    async with dashboard(tmp_path) as (server, browser), server.http() as http:
        made = await server.sdk().responses.create(model=MODEL, input="stays")
        await browser.get("/ui")
        others = await Browser(http).token()
        target = re.sub(r"{\w+}", made.id, path)
        for fields in ({}, {"csrf": "0" * 64}, {"csrf": others}):
            answer = await browser.http.post(target, data=fields)
            assert answer.status_code == 403, target
        assert (await server.sdk().responses.retrieve(made.id)).status == "completed"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"host": "evil.example"},
    ],
)
async def test_other_pages_cannot_write(tmp_path: Path, headers: dict[str, str]) -> None:
    """Another origin (a sandboxed one and another port included), a foreign site, a rebound name: 403, token or not."""
    async with served(
        settings(tmp_path, cors_origins=("https://evil.example",)), pages=build_pages
    ) as server:
        async with server.http() as http:
            browser = Browser(http)
            answer = await http.post(
                "/ui/preferences", data={"csrf": await browser.token(), "theme": "dark"}, headers=headers
            )
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


async def test_a_link_from_another_page_may_be_followed_and_nothing_else(tmp_path: Path) -> None:
    """A navigation is answered; a script, an image or a frame of another page is not."""
    async with dashboard(tmp_path) as (_, browser):
        linked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
        assert (await browser.get("/ui", **linked)).status_code == 200
        assert (
            await browser.get("/ui", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")
        ).status_code == 403
        answer = await browser.get("/ui")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin", (
            "browsers send forms with Origin: null else"
        )


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    """Then there is no such path."""
    async with dashboard(tmp_path, ui=UiSettings(enabled=False)) as (_, browser):
        assert (await browser.get("/ui")).status_code == 404


async def test_preferences_lead_back_to_this_server_only(tmp_path: Path) -> None:
    """What a form names as its page is a path of the dashboard."""
    async with dashboard(tmp_path) as (_, browser):
        for back in ("https://evil.example", "//evil.example", "/ui\\@evil.example", "/v1/models"):
            answer = await browser.post("/ui/preferences", theme="dark", back=back)
            assert answer.headers["location"] == "/ui"
        answer = await browser.post("/ui/preferences", theme="dark", back="/ui/requests")
        assert answer.headers["location"] == "/ui/requests"
        assert 'data-theme="dark"' in (await browser.get("/ui")).text
