"""The routes of the dashboard, and what stands around every page: who looks, the form's token, errors as pages."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kodo.server.http import guard
from kodo.server.http.errors import Unauthorized, translate
from kodo.server.http.state import State
from kodo.server.lifecycle.errors import NotFound, PermissionDenied, ServiceError
from kodo.server.ui import access
from kodo.server.ui.access import Sessions, check_form, identify, session_cookie, set_cookie, sign_in
from kodo.server.ui.context import Lent, PageRequest, UiContext
from kodo.server.ui.forms import read_form
from kodo.server.ui.rendering import LANGUAGES, SECURITY_HEADERS, THEMES, is_partial, render, static_file
from kodo.server.ui.views import (
    batches,
    conversations,
    files,
    keys,
    ledger,
    live,
    models,
    overview,
    playground,
    reports,
    requests,
)

Handler: TypeAlias = Callable[[PageRequest], Awaitable[Response]]
PREFERENCE_SECONDS = 365 * 86400


async def _missing(page: PageRequest) -> Response:
    """``GET`` of anything else: with a slash at its end, what is without it; else there is no such page."""
    path = page.http.url.path
    if path.endswith("/"):
        return RedirectResponse(path.rstrip("/"), 303)
    raise NotFound("There is no such page.")


PAGES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/ui", overview.show),
    ("GET", "/ui/overview/series", overview.series),
    ("GET", "/ui/overview/live", overview.live),
    ("GET", "/ui/requests", requests.show_list),
    ("GET", "/ui/requests/{response_id}", requests.show),
    ("GET", "/ui/requests/{response_id}/events", requests.events),
    ("POST", "/ui/requests/{response_id}/cancel", requests.cancel),
    ("POST", "/ui/requests/{response_id}/delete", requests.delete),
    ("GET", "/ui/live", live.show),
    ("GET", "/ui/batches", batches.show_list),
    ("GET", "/ui/batches/{batch_id}", batches.show),
    ("POST", "/ui/batches/{batch_id}/cancel", batches.cancel),
    ("GET", "/ui/files", files.show_list),
    ("GET", "/ui/files/{file_id}", files.show),
    ("POST", "/ui/files/{file_id}/delete", files.delete),
    ("GET", "/ui/vector-stores", files.show_stores),
    ("GET", "/ui/vector-stores/{store_id}", files.show_store),
    ("GET", "/ui/conversations", conversations.show_list),
    ("GET", "/ui/conversations/{conversation_id}", conversations.show),
    ("GET", "/ui/playground", playground.show),
    ("POST", "/ui/playground/run", playground.run),
    ("GET", "/ui/keys", keys.show_list),
    ("POST", "/ui/keys", keys.create),
    ("POST", "/ui/keys/{key_id}/revoke", keys.revoke),
    ("GET", "/ui/models", models.show),
    ("POST", "/ui/models/pull", models.pull),
    ("GET", "/ui/ledger", ledger.show),
    ("GET", "/ui/reports", reports.show_list),
    ("GET", "/ui/reports/{name}", reports.show),
    ("GET", "/ui/{rest:path}", _missing),
)
"""Method, path and handler of every page that a viewer has to be known for."""


def build_pages(state: State, lent: Lent | None = None) -> list[Route]:
    """The routes of the dashboard; none where the settings turn it off."""
    if not state.settings.ui.enabled:
        return []
    context = UiContext(state, Sessions(state.settings.ui.session_hours * 3600), lent or Lent())
    open_routes = [
        Route("/ui/static/{name:path}", _static, methods=["GET"]),
        Route("/ui/login", functools.partial(_login, context), methods=["GET", "POST"]),
        Route("/ui/logout", functools.partial(_logout, context), methods=["POST"]),
        Route("/ui/preferences", functools.partial(_preferences, context), methods=["POST"]),
    ]
    by_path: dict[str, dict[str, Handler]] = {}
    for method, path, handler in PAGES:
        by_path.setdefault(path, {})[method] = handler
    return open_routes + [
        Route(path, functools.partial(_serve, context, handlers), methods=list(handlers))
        for path, handlers in by_path.items()
    ]


async def _serve(context: UiContext, handlers: dict[str, Handler], request: Request) -> Response:
    """Identify the viewer, check a form's token, and answer; errors become pages."""
    viewer = None
    try:
        viewer = await identify(request, context.state, context.sessions)
        if request.method == "POST":
            await _checked_form(request, context)
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        response = await handler(PageRequest(request, context, viewer))
    except access.NotSignedIn:
        if request.method != "GET" or request.headers.get("accept", "").startswith(
            ("text/event", "application/json")
        ):
            response = Response("Sign in again.", 401, headers=SECURITY_HEADERS, media_type="text/plain")
        elif is_partial(request):
            response = Response(None, 204, headers={**SECURITY_HEADERS, "hx-redirect": "/ui/login"})
        else:
            response = RedirectResponse("/ui/login", 303, headers=SECURITY_HEADERS)
    except ServiceError as error:
        response = render(
            request, "error.html", viewer, page="error", status=translate(error)[0], message=error.message
        )
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    _keep_cookie(request, response, context)
    return response


async def _checked_form(request: Request, context: UiContext) -> None:
    """Check the token of a form.

    Raises:
        PermissionDenied: it is missing or wrong.
        TooLarge, InvalidRequest: the form cannot be read.
    """
    token = (await read_form(request)).get(access.CSRF_FIELD)
    check_form(request, context.sessions, token)


def _keep_cookie(request: Request, response: Response, context: UiContext) -> None:
    """Give a browser without a cookie the one that this page's forms were made for."""
    if access.cookie_name(request) not in request.cookies and "kodo.ui.cookie" in request.scope:
        set_cookie(request, response, session_cookie(request), context.sessions.seconds)


async def _static(request: Request) -> Response:
    found = static_file(request.path_params["name"])
    if found is None:
        raise NotFound("There is no such file.", code="unknown_url")
    data, media, mark = found
    kept = request.query_params.get("v") == mark
    headers = {
        **SECURITY_HEADERS,
        "cache-control": "public, max-age=31536000, immutable" if kept else "no-cache",
    }
    return Response(data, headers=headers, media_type=media)


async def _login(context: UiContext, request: Request) -> Response:
    """``GET``: the form. ``POST``: sign in with an API key."""
    message, status = None, 200
    if not await context.state.keys.exist():
        return RedirectResponse("/ui", 303, headers=SECURITY_HEADERS)
    if request.method == "POST":
        try:
            await _checked_form(request, context)
            key = (await read_form(request)).get("key", "")
            cookie = await sign_in(context.state, context.sessions, key)
        except Unauthorized:
            message, status = "login.wrong", 401
        except PermissionDenied:
            message, status = "login.expired", 403
        else:
            response: Response = RedirectResponse("/ui", 303, headers=SECURITY_HEADERS)
            set_cookie(request, response, cookie, context.sessions.seconds)
            return response
    token = context.sessions.form_token(session_cookie(request))
    response = render(request, "login.html", None, page="login", status=status, token=token, message=message)
    _keep_cookie(request, response, context)
    return response


async def _logout(context: UiContext, request: Request) -> Response:
    await _checked_form(request, context)
    context.sessions.close(session_cookie(request))
    response = RedirectResponse("/ui/login", 303, headers=SECURITY_HEADERS)
    set_cookie(request, response, None, 0)
    return response


async def _preferences(context: UiContext, request: Request) -> Response:
    """Language, theme and project, as cookies: they are no secrets, and no session is needed for them."""
    await _checked_form(request, context)
    form = await read_form(request)
    back = form.get("back", "")
    target = back if back.startswith("/ui") and "\\" not in back else "/ui"
    response = RedirectResponse(target, 303, headers=SECURITY_HEADERS)
    for name, allowed in (("language", LANGUAGES), ("theme", THEMES), ("project", None)):
        value = form.get(name)
        if isinstance(value, str) and (value in allowed if allowed is not None else len(value) <= 128):
            response.set_cookie(
                f"kodo_ui_{name}",
                quote(value, safe=""),  # a project may have a name in any language; a cookie is ASCII
                max_age=PREFERENCE_SECONDS if value else 0,
                path=guard.PAGES,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
    return response
