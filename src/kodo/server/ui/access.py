"""Who looks at the dashboard: sessions, what a viewer may see, and the token that every form carries.

A session is a cookie with 256 random bits; the server keeps its hash and the id of the key that opened it, never the
key. The cookie is ``HttpOnly`` and ``SameSite=Strict``; a form's token is an HMAC of it, so a page of another origin can
neither read nor make one. Without keys everybody who reaches the server is its administrator, as for the API. What other
origins send is refused before this, by :mod:`kodo.server.http.guard`.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.errors import Unauthorized
from kodo.server.http.guard import PAGES
from kodo.server.http.keys import DEFAULT_PROJECT, Caller, digest
from kodo.server.http.state import State
from kodo.server.lifecycle.errors import NotFound, PermissionDenied

MAX_SESSIONS = 10_000
"""Sessions of all keys; the oldest one ends where another begins."""
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"


@dataclass(frozen=True)
class Viewer:
    """Who a page is for."""

    caller: Caller
    """The project and key that its own requests are made with."""
    admin: bool
    """Whether it sees every project, the keys and the models."""
    open: bool
    """Whether the server has no keys, so that nobody signs in."""
    project: str | None
    """The project that is looked at; None: every one."""
    token: str
    """For its forms."""
    show_prompts: bool

    @property
    def owner(self) -> str | None:
        """The owner whose objects it sees now; None: those of all."""
        return self.project if self.admin else self.caller.owner

    def may_see(self, owner: str) -> bool:
        """Whether an owner's objects are there for this viewer."""
        return self.admin or owner == self.caller.owner


class NotSignedIn(Exception):
    """Keys exist, and this browser has not shown one."""


@dataclass(frozen=True)
class _Session:
    key_id: str
    expires_at: float


class Sessions:
    """The browsers that are signed in. In memory: a restart signs everybody out."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.time) -> None:
        self.seconds = seconds
        self._now = now
        self._held: dict[bytes, _Session] = {}
        self._secret = secrets.token_bytes(32)

    def open(self, key_id: str) -> str:
        """Begin a session of a key; the value of its cookie."""
        value = secrets.token_urlsafe(32)
        now = self._now()
        self._held = {name: held for name, held in self._held.items() if held.expires_at > now}
        while len(self._held) >= MAX_SESSIONS:
            del self._held[next(iter(self._held))]
        self._held[digest(value)] = _Session(key_id, now + self.seconds)
        return value

    def key_id(self, cookie: str) -> str | None:
        """The key that a cookie stands for; None: none that is still valid."""
        held = self._held.get(digest(cookie))
        return held.key_id if held is not None and held.expires_at > self._now() else None

    def close(self, cookie: str) -> None:
        """End a session."""
        self._held.pop(digest(cookie), None)

    def form_token(self, cookie: str) -> str:
        """The token of the forms that are sent with a cookie."""
        return hmac.digest(self._secret, cookie.encode(), "sha256").hex()


def cookie_name(request: Request) -> str:
    """Browsers share cookies between the ports of a host, so the name has the port in it."""
    server = request.scope.get("server") or ("", 0)
    return f"kodo_ui_{server[1]}"


def session_cookie(request: Request) -> str:
    """The cookie that came with a request, or a new one, which :func:`set_cookie` then sends."""
    held: str | None = request.scope.get("kodo.ui.cookie")
    if held is None:
        held = request.cookies.get(cookie_name(request)) or secrets.token_urlsafe(32)
        request.scope["kodo.ui.cookie"] = held
    return held


def set_cookie(request: Request, response: Response, value: str | None, seconds: float) -> None:
    """Send a session's cookie, or (None) take it back."""
    response.set_cookie(
        cookie_name(request),
        value or "",
        max_age=int(seconds) if value else 0,
        path=PAGES,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


async def identify(request: Request, state: State, sessions: Sessions) -> Viewer:
    """Who sent a request.

    Raises:
        NotSignedIn: the server has keys, and the request has no session of a valid one.
    """
    cookie = session_cookie(request)
    token = sessions.form_token(cookie)
    project = unquote(request.cookies.get("kodo_ui_project", "")) or None
    show = state.settings.ui.show_prompts
    if not await state.keys.exist():
        caller = Caller(owner=DEFAULT_PROJECT)
        return Viewer(caller, admin=True, open=True, project=project, token=token, show_prompts=show)
    key_id = sessions.key_id(cookie)
    if key_id is None:
        raise NotSignedIn
    key = await state.store.key(key_id)
    if key is None or key.revoked_at is not None:
        sessions.close(cookie)
        raise NotSignedIn
    caller = Caller(owner=key.project, key=key)
    return Viewer(
        caller, admin=key.role == "admin", open=False, project=project, token=token, show_prompts=show
    )


async def sign_in(state: State, sessions: Sessions, key: str) -> str:
    """Begin a session with an API key; the value of its cookie.

    Raises:
        Unauthorized: it is no valid key.
    """
    caller = await state.keys.caller(f"Bearer {key}")
    if caller.key is None:
        raise Unauthorized("This server has no keys.")
    return sessions.open(caller.key.id)


def check_form(request: Request, sessions: Sessions, token: str | None) -> None:
    """Check the token of a form.

    Raises:
        PermissionDenied: it is missing or another session's.
    """
    held = request.cookies.get(cookie_name(request))
    sent = token or request.headers.get(CSRF_HEADER, "")
    if held is None or not hmac.compare_digest(sent.encode(), sessions.form_token(held).encode()):
        raise PermissionDenied("The form has expired; load the page again.", code="csrf")


def require_admin(viewer: Viewer) -> None:
    """Raises ``NotFound``: the page is not there for a project's key."""
    if not viewer.admin:
        raise NotFound("There is no such page.")
