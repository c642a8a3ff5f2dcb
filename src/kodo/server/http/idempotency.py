"""``Idempotency-Key``: the status and body of the first response to a POST are stored for a day and sent again.

The same key with a different body is answered with 409; bodies are compared as they are decompressed, because gzip
writes the time into what it makes. Of two concurrent requests one runs, and both get its response.
Server errors (5xx), rate limits (429) and responses whose client disconnected early are not stored: the next attempt
runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kodo.server.http.bodies import ClientDisconnect, read_body
from kodo.server.http.errors import error_response
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, ServiceError, StoreFailed
from kodo.server.lifecycle.records import ReplayRow
from kodo.server.lifecycle.store_ports import ReplayStore
from kodo.server.wire.decode import BadBody

logger = logging.getLogger(__name__)

REPLAY_SECONDS = 24 * 3600
_MAX_KEY_LENGTH = 255
_ELSEWHERE_SECONDS = 0.25
"""Pause before a key is looked at again whose first request runs on another server."""
_SKIPPED_HEADERS = frozenset({"content-length", "transfer-encoding", "x-request-id", "connection", "date"})


class Idempotency:
    """ASGI middleware between the guard and the routes."""

    def __init__(self, app: ASGIApp, store: ReplayStore, now: Callable[[], float], body_bytes: int) -> None:
        self._app = app
        self._store = store
        self._now = now
        self._limit = body_bytes
        self._running: dict[tuple[str, str], asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stored response to a repeated request, or pass the request on and record its response."""
        key = _key_of(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            if not 1 <= len(key) <= _MAX_KEY_LENGTH:
                raise InvalidRequest(
                    f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} characters.", param="Idempotency-Key"
                )
            body = await read_body(Request(scope, receive), self._limit)
            await self._run_once(key, body, _uncompressed(scope), receive, send)
        except ClientDisconnect:
            return
        except (ServiceError, BadBody) as error:
            await error_response(error, scope)(scope, receive, send)

    async def _run_once(self, key: str, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        replay_key = (scope["state"]["caller"].owner, key)
        digest = hashlib.sha256(b"\0".join((scope["method"].encode(), scope["path"].encode(), body))).digest()
        claim = ReplayRow(digest=digest, created_at=self._now())
        while True:
            if (other := self._running.get(replay_key)) is not None:
                await other.wait()
                continue
            done = self._running[replay_key] = asyncio.Event()
            try:
                stored = await self._store.claim_replay(
                    *replay_key, claim, expired=self._now() - REPLAY_SECONDS
                )
                if stored is not None and stored.digest != digest:
                    raise Conflict(
                        "This Idempotency-Key was used with another request.",
                        param="Idempotency-Key",
                        code="idempotency_key_reused",
                    )
                if stored is not None and stored.elsewhere:
                    await asyncio.sleep(_ELSEWHERE_SECONDS)
                    continue
                if (
                    stored is None or stored.status is None
                ):  # ours, or left by a request whose end could not be kept
                    await self._run(replay_key, claim, body, scope, receive, send)
                    return
            finally:
                del self._running[replay_key]
                done.set()
            headers = {**dict(stored.headers), "idempotent-replayed": "true"}
            await Response(stored.body, stored.status, headers=headers)(scope, receive, send)
            return

    async def _run(
        self,
        replay_key: tuple[str, str],
        claim: ReplayRow,
        body: bytes,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        async def settle(row: ReplayRow | None) -> None:
            await self._store.settle_replay(*replay_key, row)

        async def refuse(error: StoreFailed) -> None:
            await error_response(error, scope)(scope, receive, send)

        recorder = _Recorder(send, claim, settle, refuse)
        try:
            await self._app(scope, _replayed(body, receive), recorder)
        finally:
            if not recorder.settled:
                try:
                    await settle(None)
                except (
                    StoreFailed
                ) as error:  # the next request with this key finds a claim of nobody, and takes it
                    logger.error("an Idempotency-Key could not be released: %s", error)


class _Recorder:
    """Passes a response on, and stores it before its end is sent: a client that received all of it will receive it
    again, even after a crash.
    """

    def __init__(
        self,
        send: Send,
        claim: ReplayRow,
        settle: Callable[[ReplayRow | None], Awaitable[None]],
        refuse: Callable[[StoreFailed], Awaitable[None]],
    ) -> None:
        self._send = send
        self._claim = claim
        self._settle = settle
        self._refuse = refuse
        self._start: Message | None = None
        self._body: list[bytes] = []
        self.settled = False

    async def __call__(self, message: Message) -> None:
        """ASGI's ``send``. The status is held back until the body begins, because an error can still replace it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        first = not self._body
        if message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                try:
                    await self._settle(self._row())
                    self.settled = True
                except StoreFailed as error:
                    if first:
                        await self._refuse(error)
                        return
                    logger.error("a stream with an Idempotency-Key could not be stored: %s", error)
        if first and self._start is not None:
            await self._send(self._start)
        await self._send(message)

    def _row(self) -> ReplayRow | None:
        """Return the row to store, or None."""
        start = self._start
        if start is None or start["status"] >= 499 or start["status"] == 429:
            return None
        headers = ((name.decode(), value.decode()) for name, value in start["headers"])
        return ReplayRow(
            digest=self._claim.digest,
            status=start["status"],
            headers=tuple(pair for pair in headers if pair[0].lower() not in _SKIPPED_HEADERS),
            body=b"".join(self._body),
            created_at=self._claim.created_at,
        )


def _key_of(scope: Scope) -> str | None:
    """The key of a request whose response is to be stored; None: it is not."""
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
        return None
    if not any(name == b"idempotency-key" for name, _ in scope["headers"]):
        return None
    headers = Headers(scope=scope)
    is_json = headers.get("content-type", "").strip().lower().startswith("application/json")
    return headers["idempotency-key"] if is_json else None


def _uncompressed(scope: Scope) -> Scope:
    """The request as it is passed on: its body is decompressed."""
    gone = (b"content-encoding", b"content-length")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in gone]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
