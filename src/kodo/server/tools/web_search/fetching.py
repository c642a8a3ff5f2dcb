"""Pages over HTTP, behind the guard of :mod:`kodo.server.tools.web_search.addresses` and limits on time, bytes and
decompression. Neither proxies of the environment nor cookies are used, and nothing of the caller is sent along."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias
from urllib.parse import urljoin

import httpcore2

from kodo.server.config import WebSearchSettings
from kodo.server.tools.web_search.addresses import AddressPolicy, PageRefused, PageUrl, check_url

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host. Raises ``OSError``."""
Hop: TypeAlias = Callable[[PageUrl], None]
"""Looks at a URL before it is asked, the first one and each redirect. Raises :class:`PageRefused`."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = (
    (b"User-Agent", b"kodo (web_search)"),
    (b"Accept", b"text/html,application/xhtml+xml,text/plain,application/pdf;q=0.9,*/*;q=0.1"),
    (b"Accept-Encoding", b"gzip, deflate"),
)


@dataclass(frozen=True)
class FetchedPage:
    """What a server answered. ``hops``: every URL that was asked, the last one's answer is this."""

    hops: tuple[PageUrl, ...]
    media_type: str
    charset: str | None
    body: bytes


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens connections for the HTTP client: resolves a host once, checks every address, connects to one of them."""

    def __init__(self, policy: AddressPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the client's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to a host. Raises :class:`PageRefused` and the client's ``ConnectError``."""
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise PageRefused("The host has no address.") from None
        error: Exception = httpcore2.ConnectError("no address")
        for address in self._policy.check(addresses):
            try:
                return await self._network.connect_tcp(address, port, timeout, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                error = failed
        raise error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the client's interface
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refused."""
        raise PageRefused("Only http and https URLs can be opened.")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class PageFetcher:
    """Fetches pages. ``resolver``: the tests' own; ``tls``: another trust than the machine's."""

    def __init__(
        self, settings: WebSearchSettings, resolver: Resolver = resolve, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._network = GuardedNetwork(AddressPolicy(settings.networks), resolver)

    @cached_property
    def _pool(self) -> httpcore2.AsyncConnectionPool:
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=32,
            max_keepalive_connections=0,
            network_backend=self._network,
        )

    async def close(self) -> None:
        """Close what is open."""
        if "_pool" in self.__dict__:
            await self._pool.aclose()

    async def fetch(self, url: str, hop: Hop) -> FetchedPage:
        """A page, over its redirects.

        Raises:
            PageRefused: it is not allowed, too large, too slow, or there is none; the message says which.
        """
        try:
            async with asyncio.timeout(self._settings.page_seconds):
                return await self._follow(url, hop)
        except TimeoutError:
            raise PageRefused("The page took too long.") from None
        except (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            OSError,
        ) as error:
            what = str(error) if isinstance(error, ssl.SSLError) else type(error).__name__
            raise PageRefused(f"The page could not be fetched ({what}).") from None

    async def _follow(self, url: str, hop: Hop) -> FetchedPage:
        hops: list[PageUrl] = []
        while len(hops) <= self._settings.redirects:
            page = check_url(url, self._settings.ports)
            hop(page)
            hops.append(page)
            address = httpcore2.URL(
                scheme=page.scheme.encode(),
                host=page.host.encode(),
                port=page.port,
                target=page.target.encode(),
            )
            async with self._pool.stream(
                "GET", address, headers=[(b"Host", page.authority.encode()), *_HEADERS]
            ) as response:
                headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
                if response.status in _REDIRECTS and b"location" in headers:
                    url = urljoin(page.text, headers[b"location"])
                    continue
                if response.status != 200:
                    raise PageRefused(f"The server answered {response.status}.")
                body = await self._body(response, headers.get(b"content-encoding", ""))
            kind, _, parameters = headers.get(b"content-type", "text/html").partition(";")
            return FetchedPage(tuple(hops), kind.strip().lower(), _charset(parameters), body)
        raise PageRefused("The page redirects too often.")

    async def _body(self, response: httpcore2.Response, encoding: str) -> bytes:
        """The decompressed body, inside both limits."""
        unpack = _Unpacker(encoding, self._settings.unpacked_bytes)
        left = self._settings.page_bytes
        async for chunk in response.aiter_stream():
            left -= len(chunk)
            if left < 0:
                raise PageRefused("The page is too large.")
            unpack.feed(chunk)
        return bytes(unpack.body)


class _Unpacker:
    """Decompresses a body piece by piece and never makes more than ``most`` bytes of it."""

    def __init__(self, encoding: str, most: int) -> None:
        self.body = bytearray()
        self._most = most
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise PageRefused("The page is compressed in a way that was not asked for.")
        self._zlib = None if name in ("", "identity") else zlib.decompressobj(wbits=47)  # gzip or zlib

    def feed(self, chunk: bytes) -> None:
        if self._zlib is None:
            self._add(chunk)
            return
        try:
            while chunk and not self._zlib.eof:
                self._add(self._zlib.decompress(chunk, self._most - len(self.body) + 1))
                chunk = self._zlib.unconsumed_tail
        except zlib.error:
            raise PageRefused("The page is damaged.") from None

    def _add(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > self._most:
            raise PageRefused("The page is too large when it is unpacked.")


def _charset(parameters: str) -> str | None:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower() or None
    return None
