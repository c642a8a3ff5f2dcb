"""HTTP to a forge: one retry policy, pages by Link headers, bounded answers, errors without secrets.

Reads, and writes that may be made twice (PUT, PATCH, DELETE), are retried as ``kodo.client.retry`` says. A POST is
retried only where the forge says that it did nothing (a rate limit); where that is unknown, :class:`AmbiguousWriteError`
makes the caller look again before it writes again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx2
import msgspec

from kodo.ci.forge import ForgeError
from kodo.ci.masking import Masker
from kodo.client.retry import RetryPolicy

T = TypeVar("T")

MAX_ANSWER_BYTES = 64_000_000
MAX_PAGES = 100
_NEXT = re.compile(r'<([^<>]+)>;\s*rel="next"')
RETRY = RetryPolicy(max_retries=5, base_delay=1.0, max_delay=30.0, max_server_delay=900.0, deadline=1200.0)
"""A primary rate limit of GitHub is over within the hour; a secondary one within minutes."""


class LookAgainError(ForgeError):
    """What was planned rests on something that is no longer so: read the change again, and plan anew."""


class AmbiguousWriteError(LookAgainError):
    """A write may or may not have happened: the connection or the server broke in the middle of it."""


class StatusError(ForgeError):
    """The forge answered with an error. ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _RefusedError(Exception):
    """One answer with an error status, in the form that the retry policy reads."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.answer = response
        limited, wait = _rate_limit(response)
        self.status_code = 429 if limited else response.status_code
        headers = {"retry-after": str(wait)} if wait is not None else {}
        self.response = SimpleNamespace(status_code=self.status_code, headers=headers)


@dataclass(frozen=True)
class ForgeHttp:
    """The requests of one adapter.

    Args:
        client: with the forge's base URL, headers and time limits.
        masker: masks what errors quote.
        retry: when a request is made again.
    """

    client: httpx2.Client
    masker: Masker
    retry: RetryPolicy = RETRY

    def get(self, path: str, kind: type[T], **params: str | int) -> T:
        """One answer, decoded as ``kind``."""
        return self.decode(self.request("GET", path, params=params), kind, path)

    def get_or_none(self, path: str, kind: type[T], **params: str | int) -> T | None:
        """As :meth:`get`; None for 404."""
        try:
            return self.get(path, kind, **params)
        except StatusError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, kind: type[T], limit: int = 10_000, **params: str | int) -> Iterator[T]:
        """The items of all pages, at most ``limit``; ``kind`` is one item's. A page elsewhere is not followed."""
        left = limit
        url: str | None = path
        asked: Mapping[str, str | int] = {"per_page": min(100, limit), **params}
        for _ in range(MAX_PAGES):
            if url is None or left <= 0:
                return
            response = self.request("GET", url, params=asked)
            items = self.decode(response, list[kind], path)  # type: ignore[valid-type]  # a type made at run time
            yield from items[:left]
            left -= len(items)
            url, asked = self._next(response), {}
        raise ForgeError(f"{path}: more than {MAX_PAGES} pages")

    def download(self, path: str) -> bytes:
        """The bytes of a file; where that is a redirect to another host, this is not sent the token."""
        response = self.request("GET", path)
        if response.status_code not in (301, 302, 303, 307, 308):
            return response.content
        location = httpx2.URL(response.headers.get("location", ""))
        if location.scheme != "https" and self.client.base_url.scheme == "https":
            raise ForgeError(f"{path}: a redirect to an address that is not https")
        with httpx2.Client(timeout=self.client.timeout, follow_redirects=False) as bare:
            return ForgeHttp(bare, self.masker, self.retry).request("GET", str(location)).content

    def send(self, method: str, path: str, body: Mapping[str, Any], **params: str | int) -> None:
        """A write with a JSON body; the answer is not needed."""
        self.request(method, path, body=body, params=params)

    def make(self, path: str, body: Mapping[str, Any], kind: type[T]) -> T:
        """A POST with a JSON body whose answer, decoded as ``kind``, is needed."""
        return self.decode(self.request("POST", path, body=body), kind, path)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
        repeatable: bool | None = None,
    ) -> httpx2.Response:
        """One request, made again where that can help. Raises ForgeError.

        ``repeatable`` says whether it may be made twice; every method but POST may.
        """
        may_repeat = method != "POST" if repeatable is None else repeatable

        def once() -> httpx2.Response:
            return self._once(method, path, body, params, may_repeat)

        try:
            return self.retry.call(f"{method} {path.partition('?')[0]}", once)
        except _RefusedError as error:
            raise self._refused(method, path, error.answer) from None
        except httpx2.TransportError as error:
            raise ForgeError(f"{method} {path}: {type(error).__name__}") from None

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, str | int] | None,
        may_repeat: bool,
    ) -> httpx2.Response:
        try:
            with self.client.stream(method, path, json=body, params=params or None) as response:
                data = bytearray()
                for piece in response.iter_bytes():
                    data += piece
                    if len(data) > MAX_ANSWER_BYTES:
                        raise ForgeError(
                            f"{method} {path}: the answer is larger than {MAX_ANSWER_BYTES} bytes"
                        )
                kept = [
                    (k, v)
                    for k, v in response.headers.multi_items()
                    if k not in ("content-encoding", "content-length")
                ]
                whole = httpx2.Response(response.status_code, headers=kept, content=bytes(data))
        except httpx2.TransportError as error:
            if not may_repeat and not isinstance(error, httpx2.ConnectError):
                raise AmbiguousWriteError(f"{method} {path}: {type(error).__name__}") from None
            raise
        if whole.status_code >= 500 and not may_repeat:
            raise AmbiguousWriteError(f"{method} {path}: status {whole.status_code}")
        if whole.status_code >= 400:
            raise _RefusedError(whole)
        return whole

    def _refused(self, method: str, path: str, response: httpx2.Response) -> StatusError:
        words = self.masker.text(" ".join(response.text[:500].split()))
        return StatusError(f"{method} {path}: status {response.status_code}: {words}", response.status_code)

    def _next(self, response: httpx2.Response) -> str | None:
        found = _NEXT.search(response.headers.get("link", ""))
        if found is None:
            return None
        ours, theirs = self.client.base_url, httpx2.URL(found[1])
        if (theirs.scheme, theirs.host, theirs.port) != (ours.scheme, ours.host, ours.port):
            raise ForgeError("the next page is on another host")  # the token would go there
        return found[1]

    def decode(self, response: httpx2.Response, kind: type[T], path: str) -> T:
        """The JSON of an answer as ``kind``. Raises ForgeError for anything else."""
        try:
            return msgspec.json.decode(response.content, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ForgeError(f"{path}: an answer that is not understood: {error}") from error


def _rate_limit(response: httpx2.Response) -> tuple[bool, float | None]:
    """Whether a refusal is a rate limit (primary or secondary), and the seconds to wait that it names."""
    headers = response.headers
    limited = response.status_code == 429
    if response.status_code == 403:
        limited = (
            "retry-after" in headers
            or headers.get("x-ratelimit-remaining") == "0"
            or b"rate limit" in response.content[:2_000].lower()
        )
    if not limited and response.status_code < 500:
        return False, None
    if headers.get("retry-after", "").isdecimal():
        return limited, float(headers["retry-after"])
    for name in ("x-ratelimit-reset", "ratelimit-reset"):
        if limited and headers.get(name, "").isdecimal() and headers.get("x-ratelimit-remaining", "0") == "0":
            return True, max(1.0, int(headers[name]) - time.time())
    return limited, 60.0 if limited and response.status_code == 403 else None
