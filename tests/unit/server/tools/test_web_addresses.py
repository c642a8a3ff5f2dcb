"""The guard: which URLs and addresses are refused, and that a host is resolved once for the connection that is made."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.web import raw_server, search_settings, served_app

from kodo.server.tools.web_search.addresses import AddressPolicy, PageRefused, PageUrl, check_url
from kodo.server.tools.web_search.fetching import FetchedPage, PageFetcher, Resolver

LOCAL = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "203.0.113.5",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "ff02::1",
    "not an address",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", LOCAL)
def test_addresses_of_networks_are_refused(address: str) -> None:
    """Alone, and beside a public one: a host that has one of them is no public host."""
    for addresses in ([address], [PUBLIC[0], address]):
        with pytest.raises(PageRefused, match="not on the public internet"):
            AddressPolicy().check(addresses)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """Of both versions."""
    assert AddressPolicy().check([address]) == [address]


def test_a_network_of_the_settings_is_allowed_and_no_other() -> None:
    """An intranet; also under its mapped form nothing else opens."""
    policy = AddressPolicy(["10.1.0.0/16"])
    assert policy.check(["10.1.2.3"])
    for other in ("10.2.0.1", "::ffff:10.1.2.3", "127.0.0.1"):
        with pytest.raises(PageRefused):
            policy.check([other])


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://127.0.1/",
        "http://0/", "http://0x7f.0.0.1/", "http://017700000001/", "http://１２７.0.0.1/", "http://127.0.0.0x1/",
        "http://user@a.example/", "http://user:pw@a.example/", "http://a.example:22/", "http://a.example:6379/",
        "https://a.example:8443/", "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "//a.example/",
        "http:///", "http://", "javascript:alert(1)", "http://[fe80::1%25lo]/", "http://a.example\\@127.0.0.1/",
        "http://a.example/ x", "http://a.example/\r\nHost: b", f"http://a.example/{'x' * 3000}", "", "a.example",
    ],
)  # fmt: skip
def test_urls_of_other_forms_are_refused(url: str) -> None:
    """Numbers as hosts, user names, ports, other schemes, what is no URL."""
    with pytest.raises(PageRefused):
        check_url(url, (80, 443))


def test_a_url_is_put_into_one_form() -> None:
    """Small letters, ASCII, no default port, no fragment."""
    page = check_url("HTTP://Bücher.Example:80/ä?q=1#top", (80,))
    assert page.text == "http://xn--bcher-kva.example/%C3%A4?q=1"
    assert (page.host, page.port) == ("xn--bcher-kva.example", 80)


def nothing(page: PageUrl) -> None:
    """No filter."""


def names(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """A resolver that gives these answers in turn, the last one for ever; and the names that it was asked."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolver, asked


@asynccontextmanager
async def fetcher(
    port: int, resolver: Resolver | None = None, **options: object
) -> AsyncIterator[Callable[[str], Awaitable[FetchedPage]]]:
    """What fetches a URL. ``{}`` in it is the port; without ``networks`` this machine is refused."""
    given = search_settings(port, **{"networks": (), **options})
    made = PageFetcher(given) if resolver is None else PageFetcher(given, resolver)
    try:
        yield lambda url: made.fetch(url.replace("{}", str(port)), nothing)
    finally:
        await made.close()


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """Rebinding: the address that was checked is the one that is connected to, and there is no second look-up."""
    reached: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append("server")
        writer.close()

    async with raw_server(handle) as port:
        resolver, asked = names(["127.0.0.1"], ["127.0.0.1"])
        async with fetcher(port, resolver) as fetch:
            with pytest.raises(PageRefused, match="public"):
                await fetch("http://rebind.example:{}/")
        public, asked_public = names(["192.0.2.1"], ["127.0.0.1"])
        async with fetcher(port, public, networks=("192.0.2.1/32",), page_seconds=0.5) as fetch:
            with pytest.raises(PageRefused):
                await fetch("http://rebind.example:{}/")
    assert reached == []
    assert asked == ["rebind.example"] and asked_public == ["rebind.example"]


async def test_every_redirect_is_checked_again() -> None:
    """To an address inside, by a name for one, to another port or scheme, and without an end."""
    targets = {
        "inside": "http://inside.example:{}/secret",
        "literal": "http://10.0.0.1:{}/",
        "port": "http://a.example:1/",
        "scheme": "file:///etc/passwd",
        "loop": "/loop",
        "good": "/page",
    }
    opened: list[str] = []

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        opened.append(name)
        if name in targets:
            return RedirectResponse(targets[name].replace("{}", str(request.url.port)))
        return PlainTextResponse("secret" if name == "secret" else "page")

    async def resolver(host: str, port: int) -> Sequence[str]:
        return {"a.example": ["127.0.0.1"], "inside.example": ["127.0.0.2"]}.get(host, [host])

    async with served_app(Starlette(routes=[Route("/{name}", answer)])) as port:
        async with fetcher(port, resolver, networks=("127.0.0.1/32",)) as fetch:
            assert (await fetch("http://a.example:{}/good")).body == b"page"
            for name in ("inside", "literal", "port", "scheme"):
                with pytest.raises(PageRefused):
                    await fetch(f"http://a.example:{{}}/{name}")
            with pytest.raises(PageRefused, match="too often"):
                await fetch("http://a.example:{}/loop")
    assert "secret" not in opened and opened.count("loop") == 6


async def test_a_redirect_is_shown_to_the_filters() -> None:
    """The caller's own check sees each URL before it is asked."""
    seen: list[str] = []

    def check(page: PageUrl) -> None:
        seen.append(page.host)
        if page.host != "127.0.0.1":
            raise PageRefused("not for me")

    async def answer(request: Request) -> Response:
        return RedirectResponse(f"http://localhost:{request.url.port}/")

    async with served_app(Starlette(routes=[Route("/", answer)])) as port:
        made = PageFetcher(search_settings(port))
        with pytest.raises(PageRefused, match="not for me"):
            await made.fetch(f"http://127.0.0.1:{port}/", check)
        await made.close()
    assert seen == ["127.0.0.1", "localhost"]


def http(body: bytes, *headers: str) -> bytes:
    """An answer as bytes."""
    head = "\r\n".join(["HTTP/1.1 200 OK", "content-type: text/plain", "connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


async def fetched(data: bytes, **options: object) -> FetchedPage:
    """What becomes of an answer of these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    async with raw_server(handle) as port, fetcher(port, networks=("127.0.0.0/8",), **options) as fetch:
        return await fetch("http://127.0.0.1:{}/")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_bomb_is_not_unpacked(pack: Callable[[bytes], bytes]) -> None:
    """A small body that becomes a large one ends at the limit; one inside it is read."""
    kind = "content-encoding: " + ("gzip" if pack is gzip.compress else "deflate")
    with pytest.raises(PageRefused, match="unpacked"):
        await fetched(http(pack(b"\0" * 2_000_000), kind), unpacked_bytes=100_000)
    assert (await fetched(http(pack(b"tea" * 1000), kind))).body == b"tea" * 1000


async def test_a_page_over_its_size_is_refused() -> None:
    """Before all of it was read."""
    with pytest.raises(PageRefused, match="too large"):
        await fetched(http(b"x" * 50_000), page_bytes=10_000)


async def test_other_compression_and_damage_are_refused() -> None:
    """What was not asked for is not unpacked; half a stream is no page of a server that does not speak HTTP."""
    for data in (
        http(b"x", "content-encoding: br"),
        http(b"x", "content-encoding: gzip, gzip"),
        http(b"xxxx", "content-encoding: gzip"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000,
        b"HTTP/1.1 500 Oh\r\n\r\n",
    ):
        with pytest.raises(PageRefused):
            await fetched(data)


async def test_a_slow_drip_ends() -> None:
    """A server that sends a byte now and then keeps nobody: the limit is on the whole page."""
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b""))
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            closed.set()

    async with raw_server(handle) as port:
        async with fetcher(port, networks=("127.0.0.0/8",), page_seconds=0.3) as fetch:
            with pytest.raises(PageRefused, match="too long"):
                await fetch("http://127.0.0.1:{}/")
        async with asyncio.timeout(30):
            await closed.wait()


async def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy that the machine is set to, which would resolve names itself."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await fetched(http(b"direct"))).body == b"direct"
