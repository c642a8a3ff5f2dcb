"""Middleware in front of every route: request ids, checks of Host and Origin, and authentication.

Plain ASGI, outermost first: :class:`RequestId`, :class:`Guard`, then the routes. A web page in the user's browser
cannot use an open server on the loopback interface: requests with its ``Origin`` are refused, and so is a ``Host`` that
is not allowed, such as a name that was rebound to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kodo.server.http.bodies import CHECK
from kodo.server.http.errors import UnknownUrl, UnsupportedMediaType, error_response
from kodo.server.http.keys import Keys, Secrets
from kodo.server.http.metrics import Metrics
from kodo.server.http.random_ids import random_hex
from kodo.server.lifecycle.errors import PermissionDenied, ServiceError
from kodo.server.wire.echo import shorten_param

Headers: TypeAlias = Mapping[bytes, bytes]
"""A request's headers by their names in lower case."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NAMED = re.compile(r"\(\?P<\w+>")
"""A named group: the patterns of two routes may have the same one."""
GUARDED = frozenset({"/metrics", "/openapi.json"})
"""Outside of ``/v1``, but not for everybody: they name models, routes and counts of tokens."""
_MULTIPART = ("/v1/files", "/v1/uploads", "/v1/containers/")
VERSION = b"2020-10-01"
"""Of the API; the hosted service has had the same since its beginning."""
MAX_ACCEPTED = 64
"""Values of ``Host`` that are remembered as allowed ones."""
PAGES = "/ui"
"""Where the dashboard is: pages of this server's own, which check their callers and their forms themselves."""


class RequestId:
    """Sets ``x-request-id`` on every response, and counts the responses in the metrics.

    Under ``/v1`` it sets the other headers too that the hosted service has: ``openai-version`` and, in milliseconds until
    the response begins, ``openai-processing-ms``. Anthropic's clients look for ``request-id``.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; add the header to its response, and count it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = f"req_{random_hex(16)}"
        tag = request_id.encode()
        scope.setdefault("state", {})["request_id"] = request_id
        path: str = scope["path"]
        of_anthropic = path == "/v1/messages" or path.startswith("/v1/messages/")
        began = time.perf_counter()

        async def tagged(message: Message) -> None:
            if message["type"] in (
                "http.response.start",
                "websocket.http.response.start",
                "websocket.accept",
            ):
                headers = [*message.get("headers", ()), (b"x-request-id", tag)]
                if of_anthropic:
                    headers.append((b"request-id", tag))
                elif path.startswith("/v1/"):
                    spent = round((time.perf_counter() - began) * 1000)
                    headers.append((b"openai-version", VERSION))
                    headers.append((b"openai-processing-ms", b"%d" % spent))
                message = {**message, "headers": headers}  # whoever sent it may keep it, and send it again
                if message["type"] == "http.response.start":
                    route = scope.get("route")
                    self._metrics.request(getattr(route, "path", "other"), message["status"])
            await send(message)

        await self._app(scope, receive, tagged)


class Guard:
    """Refuses foreign Hosts and Origins, unknown paths, bodies that are not JSON, and requests without a valid key.

    ``paths`` are the patterns of the routes. A key is needed under ``/v1``, and for /metrics and /openapi.json unless
    ``open_metrics``.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        secrets: Secrets,
        *,
        host: str,
        allowed_hosts: Iterable[str],
        origins: Iterable[str],
        paths: Iterable[str],
        open_metrics: bool,
    ) -> None:
        self._app = app
        self._keys = keys
        self._secrets = secrets
        self._origins = frozenset(origins)
        self._known = re.compile("|".join(_NAMED.sub("(?:", path) for path in paths))
        self._open_metrics = open_metrics
        self._accepted: set[bytes] = set()
        """Values of ``Host`` that were found to be allowed."""
        self._hosts = (
            LOOPBACK | {host.strip("[]")} | set(allowed_hosts) if host.strip("[]") in LOOPBACK else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its caller, or send the error that refuses it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            await self._check(scope)
        except ServiceError as error:
            await error_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        headers: Headers = dict(reversed(scope["headers"]))  # of several with one name, the first
        self._check_host(scope)
        path: str = scope["path"]
        origin = _text(headers, b"origin")
        if path == PAGES or path.startswith(f"{PAGES}/"):
            _check_same_origin(scope["method"] if scope["type"] == "http" else "GET", headers)
        elif origin is not None and origin not in self._origins:
            raise PermissionDenied(
                "Requests from web pages are refused; add the page's origin to cors_origins.",
                code="origin_not_allowed",
            )
        if scope["type"] == "http" and self._known.fullmatch(path) is None:
            raise UnknownUrl(f"Unknown request URL: {scope['method']} {shorten_param(path)}.")
        if path in GUARDED and not self._open_metrics:
            await self._keys.caller(_authorization(headers))
        if not path.startswith("/v1/"):
            return
        if scope["type"] == "http":
            _check_body(scope["method"], path, headers)
        authorization = _authorization(headers)
        secret = self._secrets.find(authorization) if path == "/v1/realtime" else None
        if secret is not None:
            caller = secret.caller
            await self._keys.check(caller)
        else:
            caller = await self._keys.caller(authorization)
        state = scope.setdefault("state", {})
        state["caller"] = caller
        state[CHECK] = partial(self._keys.check, caller)

    def _check_host(self, scope: Scope) -> None:
        """Refuse a ``Host`` that is not allowed. Raises ``PermissionDenied``."""
        if self._hosts is None:
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        if len(given) == 1 and given[0] in self._accepted:
            return
        name = _hostname(given[0].decode("latin-1")) if len(given) == 1 else ""
        if name not in self._hosts:
            raise PermissionDenied(
                f"The host '{name}' is not allowed; add it to allowed_hosts.", code="host_not_allowed"
            )
        if len(self._accepted) < MAX_ACCEPTED:
            self._accepted.add(given[0])


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def _authorization(headers: Headers) -> str | None:
    """The ``Authorization`` header, or a key that was sent as ``x-api-key``, as Anthropic's clients do."""
    key = _text(headers, b"x-api-key")
    return _text(headers, b"authorization") or (f"Bearer {key}" if key else None)


def _check_same_origin(method: str, headers: Headers) -> None:
    """Refuse what another page sends to the dashboard; a link to it may be followed.

    Raises:
        PermissionDenied: the request is from a page of another origin, those of ``cors_origins`` included.
    """
    origin, host = _text(headers, b"origin"), _text(headers, b"host") or ""
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    site = headers.get(b"sec-fetch-site", b"none")
    followed = method == "GET" and headers.get(b"sec-fetch-mode") == b"navigate"
    if foreign or (site not in (b"none", b"same-origin") and not followed):
        raise PermissionDenied("The dashboard takes no requests from other pages.", code="origin_not_allowed")


def _hostname(host: str) -> str:
    """Return the name in a Host header; empty if the header is malformed, which no list of hosts contains."""
    try:
        split = urlsplit(f"//{host}")
        plain = split.netloc == host and "@" not in host and (split.port or 1) > 0
        return (split.hostname or "") if plain else ""
    except ValueError:
        return ""


def _check_body(method: str, path: str, headers: Headers) -> None:
    has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
    if method not in ("POST", "PUT", "PATCH") or not has_body:
        return
    kind = (_text(headers, b"content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return
    accepted = ["application/json", *(["multipart/form-data"] if path.startswith(_MULTIPART) else [])]
    if kind not in accepted:
        sent = f"not '{kind[:80]}'" if kind else "but the header is missing"
        raise UnsupportedMediaType(f"Content-Type must be {' or '.join(accepted)}, {sent}.")
