"""API keys: make one, which is shown once, with its limits, budgets and role; what each has spent; revoke one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec
from starlette.responses import RedirectResponse, Response

from kodo.server.http.backends import KEYS_MARK
from kodo.server.http.budgets import BUDGETS, check_budgets
from kodo.server.http.keys import DEFAULT_PROJECT, KeyLimits, new_key
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.ui.access import require_admin, set_cookie
from kodo.server.ui.context import PageRequest, not_found

LIMITS: Final = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
MAX_NAME: Final = 64
_DOLLARS: Final = re.compile(r"[0-9]{1,6}([.][0-9]{1,6})?")


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/keys``."""
    return await _page(page)


async def create(page: PageRequest) -> Response:
    """``POST /ui/keys``: the answer is the only place where the key is ever shown."""
    require_admin(page.viewer)
    form = await page.form()
    try:
        name, project = _text(form, "name", ""), _text(form, "project", DEFAULT_PROJECT)
        role: Literal["project", "admin"] = "admin" if form.get("role") == "admin" else "project"
        limits: dict[str, float | None] = {limit: _whole(form, limit, 9) for limit in LIMITS}
        for budget, (unit, _) in BUDGETS.items():
            limits[budget] = _dollars(form, budget) if unit == "usd" else _whole(form, budget, 15)
        key, row = new_key(name=name, project=project, role=role, **cast(KeyLimits, limits))
        check_budgets(row, page.state.settings)
    except InvalidRequest as error:
        return await _page(page, status=400, message=error.message)
    first = not await page.state.keys.exist()
    if first:
        # with a project's key alone, nobody could see the dashboard's keys again
        row = msgspec.structs.replace(row, role="admin")
    await page.state.store.put_key(row)
    (page.state.settings.home / KEYS_MARK).touch(0o600)
    response = await _page(page, made=key, first=first)
    if first:  # the server has keys from now on: this browser is signed in with the one it made
        cookie = page.context.sessions.open(row.id)
        set_cookie(page.http, response, cookie, page.context.sessions.seconds)
    return response


async def revoke(page: PageRequest) -> Response:
    """``POST /ui/keys/{id}/revoke``: at once and for good."""
    require_admin(page.viewer)
    row = await page.state.store.key(page.path("key_id"))
    if row is None:
        raise not_found("key")
    if row.revoked_at is None:
        await page.state.store.put_key(msgspec.structs.replace(row, revoked_at=page.state.clock.now()))
    return RedirectResponse("/ui/keys", 303)


async def _page(
    page: PageRequest,
    *,
    status: int = 200,
    made: str | None = None,
    first: bool = False,
    message: str | None = None,
) -> Response:
    require_admin(page.viewer)
    keys = sorted(
        await page.state.store.keys(), key=lambda key: (key.revoked_at is not None, -key.created_at)
    )
    priced = page.state.settings.has_prices
    budgets = {key.id: await page.state.limits.budgets.of(key) for key in keys if key.revoked_at is None}
    return page.render(
        "keys.html",
        "keys",
        status=status,
        keys=keys,
        budgets=budgets,
        made=made,
        first=first,
        message=message,
        limits=LIMITS,
        fields=[*LIMITS, *(name for name, (unit, _) in BUDGETS.items() if unit == "tokens" or priced)],
        priced=priced,
    )


def _text(form: Mapping[str, str], name: str, default: str) -> str:
    value = form.get(name, "").strip()
    if len(value) > MAX_NAME or not value.isprintable():
        raise InvalidRequest(f"{name}: at most {MAX_NAME} printable characters.", param=name)
    return value or default


def _whole(form: Mapping[str, str], name: str, digits: int) -> int | None:
    value = form.get(name, "").strip()
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > digits or int(value) < 1:
        raise InvalidRequest(f"{name}: a whole number from 1 to {10**digits - 1:,}.", param=name)
    return int(value)


def _dollars(form: Mapping[str, str], name: str) -> float | None:
    value = form.get(name, "").strip().removeprefix("$")
    if not value:
        return None
    if _DOLLARS.fullmatch(value) is None or not float(value):
        raise InvalidRequest(f"{name}: US dollars, above 0 and below 1,000,000.", param=name)
    return float(value)
