"""Middleware in front of every route: request ids, checks of Host and Origin, and authentication.

Plain ASGI, outermost first: :class:`RequestId`, :class:`Guard`, then the routes. A web page in the user's browser
cannot use an open server on the loopback interface: requests with its ``Origin`` are refused, and so is a ``Host`` that
is not allowed, such as a name that was rebound to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kodo.server.http.bodies import KeyRevoked
from kodo.server.http.errors import (
    Unauthorized,
    UnknownUrl,
    UnsupportedMediaType,
    encode_error_event,
    error_response,
)
from kodo.server.http.keys import Caller, Keys, Secrets
from kodo.server.http.metrics import Metrics
from kodo.server.lifecycle.errors import PermissionDenied, ServiceError
from kodo.server.wire.echo import shorten_param

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NAMED = re.compile(r"\(\?P<\w+>")
"""A named group: the patterns of two routes may have the same one."""
GUARDED = frozenset({"/metrics", "/openapi.json"})
"""Outside of ``/v1``, but not for everybody: they name models, routes and counts of tokens."""
_MULTIPART = ("/v1/files", "/v1/uploads", "/v1/containers/")
VERSION = "2020-10-01"
"""Of the API; the hosted service has had the same since its beginning."""
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
        request_id = f"req_{secrets.token_hex(16)}"
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
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if of_anthropic:
                    headers["request-id"] = request_id
                elif path.startswith("/v1/"):
                    headers["openai-version"] = VERSION
                    headers["openai-processing-ms"] = str(round((time.perf_counter() - began) * 1000))
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
        caller = scope.get("state", {}).get("caller")
        if scope["type"] == "http" and caller is not None:
            send = self._checked(caller, scope, send)
        await self._app(scope, receive, send)

    def _checked(self, caller: Caller, scope: Scope, send: Send) -> Send:
        """``send`` that looks the key up again before each event of a stream, and ends the stream of a revoked one.

        Raises (the function that is returned):
            KeyRevoked: the stream was ended with an error event; there is nothing more to send.
        """
        streams = False

        async def checked(message: Message) -> None:
            nonlocal streams
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                streams = kind.startswith("text/event-stream")
            elif streams and message.get("more_body", False):
                try:
                    await self._keys.check(caller)
                except Unauthorized as error:
                    frame = encode_error_event(error, scope)
                    await send({"type": "http.response.body", "body": frame, "more_body": False})
                    raise KeyRevoked from None
            await send(message)

        return checked

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._hosts is not None:
            hosts = headers.getlist("host")
            name = _hostname(hosts[0]) if len(hosts) == 1 else ""
            if name not in self._hosts:
                raise PermissionDenied(
                    f"The host '{name}' is not allowed; add it to allowed_hosts.", code="host_not_allowed"
                )
        path: str = scope["path"]
        origin = headers.get("origin")
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
        scope.setdefault("state", {})["caller"] = caller


def _authorization(headers: Headers) -> str | None:
    """The ``Authorization`` header, or a key that was sent as ``x-api-key``, as Anthropic's clients do."""
    key = headers.get("x-api-key")
    return headers.get("authorization") or (f"Bearer {key}" if key else None)


def _check_same_origin(method: str, headers: Headers) -> None:
    """Refuse what another page sends to the dashboard; a link to it may be followed.

    Raises:
        PermissionDenied: the request is from a page of another origin, those of ``cors_origins`` included.
    """
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    site = headers.get("sec-fetch-site", "none")
    followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if foreign or (site not in ("none", "same-origin") and not followed):
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
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if method not in ("POST", "PUT", "PATCH") or not has_body:
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    accepted = ["application/json", *(["multipart/form-data"] if path.startswith(_MULTIPART) else [])]
    if kind not in accepted:
        sent = f"not '{kind[:80]}'" if kind else "but the header is missing"
        raise UnsupportedMediaType(f"Content-Type must be {' or '.join(accepted)}, {sent}.")
