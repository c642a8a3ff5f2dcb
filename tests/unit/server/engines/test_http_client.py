"""The engines' HTTP client: each way in which a connection is kept, ends or is had."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
import trustme

from kodo.server.engines import http_client
from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-Thing: yes\r\n\r\nhello"


@contextlib.asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def client(
    url: str, silence: float = 60, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpClient]:
    """A client, closed at the end."""
    made = HttpClient(
        url, headers={"authorization": "Bearer k"}, connect_seconds=30, silence_seconds=silence, tls=tls
    )
    yield made
    await made.close()


def answering(*answers: bytes) -> tuple[Handler, list[bytes]]:
    """A handler that gives each request of a connection the next answer, and the heads that it was sent."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(b"connected")
        for answer in answers:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()

    return handle, heads


async def get(made: HttpClient, path: str = "/x") -> bytes:
    """A whole answer."""
    exchange = await made.request("GET", path)
    try:
        return await exchange.read()
    finally:
        exchange.close()


async def test_a_connection_is_kept_and_a_closed_one_replaced() -> None:
    """Two requests on the first connection; the server closes it, and the third request has a new one."""
    handler, heads = answering(HELLO, HELLO)
    async with listening(handler) as port, client(f"http://127.0.0.1:{port}/v1") as made:
        assert [await get(made) for _ in range(2)] == [b"hello", b"hello"]
        assert heads.count(b"connected") == 1
        (kept,) = made._idle
        async with asyncio.timeout(30):
            while not kept.lost:
                await asyncio.sleep(0.01)
        assert await get(made) == b"hello"
    assert heads.count(b"connected") == 2
    assert heads[1].startswith(b"GET /v1/x HTTP/1.1\r\n")
    assert b"authorization: Bearer k" in heads[1]


@pytest.mark.parametrize(
    ("answer", "body", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", 1),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello", 2),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HELLO, b"hello", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", 1),
    ],
)
async def test_how_an_answer_ends_decides_over_its_connection(
    answer: bytes, body: bytes, connections: int
) -> None:
    """Chunked and sized answers leave it open; `connection: close` does not."""
    handler, heads = answering(answer, answer)
    async with listening(handler) as port, client(f"http://127.0.0.1:{port}") as made:
        assert [await get(made), await get(made)] == [body, body]
    assert heads.count(b"connected") == connections


async def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    """HTTP/1.0's way."""
    handler, _ = answering(b"HTTP/1.1 200 OK\r\n\r\nhello")
    async with listening(handler) as port, client(f"http://127.0.0.1:{port}") as made:
        assert await get(made) == b"hello"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel", b"no HTTP\r\n\r\n"]
)
async def test_an_answer_that_is_cut_or_none_is_broken(answer: bytes) -> None:
    """Never a short body, and no second try on a fresh connection."""
    handler, heads = answering(answer)
    async with listening(handler) as port, client(f"http://127.0.0.1:{port}") as made:
        with pytest.raises(ConnectionLost):
            await get(made)
    assert heads.count(b"connected") == 1


async def test_a_silent_server_is_given_up() -> None:
    """Silence before the head and in the middle of a body end the exchange."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/half" in head:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel")
        await reader.read()

    async with listening(handle) as port, client(f"http://127.0.0.1:{port}", silence=0.1) as made:
        for path in ("/none", "/half"):
            async with asyncio.timeout(30):
                with pytest.raises(ConnectionLost):
                    await get(made, path)


async def test_each_exchange_has_a_silence_of_its_own() -> None:
    """One that goes on speaking outlives one that began with it and one that began later, which are both given up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/slow" in head:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.1)
                writer.write(b".")
        await reader.read()

    async with listening(handle) as port, client(f"http://127.0.0.1:{port}", silence=0.4) as made:
        slow = asyncio.create_task(get(made, "/slow"))
        early = asyncio.create_task(get(made, "/early"))
        await asyncio.sleep(0.2)
        late = asyncio.create_task(get(made, "/late"))
        async with asyncio.timeout(30):
            for silent in (early, late):
                with pytest.raises(ConnectionLost):
                    await silent
            await slow


async def test_the_end_of_a_stream_that_comes_late_is_drained() -> None:
    """The reader has what it wants before the last chunk; the connection is kept all the same."""
    go_on = asyncio.Event()
    connected = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await go_on.wait()
            writer.write(b"0\r\n\r\n")

    async with listening(handle) as port, client(f"http://127.0.0.1:{port}") as made:
        for _ in range(2):
            exchange = await made.request("GET", "/")
            body = exchange.iter_body()
            assert await anext(body) == b"hello"
            exchange.close(drain=True)
            await body.aclose()
            go_on.set()
            async with asyncio.timeout(30):
                while not made._idle:
                    await asyncio.sleep(0.01)
    assert connected == 1


async def test_an_exchange_that_is_closed_early_ends_the_work_behind_it() -> None:
    """The server sees the connection go, so that it can stop."""
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhel")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()

    async with listening(handle) as port, client(f"http://127.0.0.1:{port}") as made:
        exchange = await made.request("GET", "/")
        exchange.close()
        async with asyncio.timeout(30):
            await gone.wait()


async def test_a_server_is_held_back_while_its_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit, and what a read brings on top, waits in memory; all of it arrives."""
    monkeypatch.setattr(http_client, "MAX_BUFFERED_BYTES", 1000)
    size = 4 * 2**20

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode() + b"x" * size)
        await writer.drain()

    async with listening(handle) as port, client(f"http://127.0.0.1:{port}") as made:
        exchange = await made.request("GET", "/")
        await asyncio.sleep(0.2)
        assert exchange._size < size // 2
        assert len(await exchange.read()) == size
        exchange.close()


async def test_nothing_listens() -> None:
    """No connection is its own error: nothing was sent."""
    async with client("http://127.0.0.1:9") as made:
        with pytest.raises(ConnectFailed):
            await made.request("GET", "/")
    with pytest.raises(ConnectFailed):
        await made.request("GET", "/")  # closed


async def test_tls_is_checked() -> None:
    """A certificate of a known authority is taken, another one is not."""
    authority = trustme.CA()
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(there)
    known = ssl.create_default_context()
    authority.configure_trust(known)
    handler, _ = answering(HELLO)
    async with listening(handler, there) as port:
        async with client(f"https://127.0.0.1:{port}", tls=known) as made:
            assert await get(made) == b"hello"
        async with client(f"https://127.0.0.1:{port}") as made:
            with pytest.raises(ConnectFailed):
                await made.request("GET", "/")


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONNECT for https, the whole URL for http; none for loopback."""
    handler, heads = answering(HELLO)
    authority = trustme.CA()
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("models.example").configure_cert(there)
    known = ssl.create_default_context()
    authority.configure_trust(known)
    connects: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        connects.append(head)
        if not head.startswith(b"CONNECT"):
            writer.write(HELLO)
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
                await sink.drain()

        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    async with listening(handler, there) as target, listening(proxy) as port:
        for name in ("https_proxy", "http_proxy"):
            monkeypatch.setenv(name, f"http://user:word@127.0.0.1:{port}")
        async with client("https://models.example", tls=known) as made:
            assert await get(made) == b"hello"
        async with client("http://models.example") as made:
            assert await get(made) == b"hello"
    assert connects[0].startswith(b"CONNECT models.example:443 HTTP/1.1")
    assert connects[1].startswith(b"GET http://models.example/x HTTP/1.1")
    assert all(b"proxy-authorization: Basic dXNlcjp3b3Jk" in head for head in connects)
    assert heads[1].startswith(b"GET /x HTTP/1.1")


async def test_a_proxy_is_told_an_ipv6_address_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them, nobody can tell the address from the port."""
    heads: list[bytes] = []

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    async with listening(refusing) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        async with client("https://[2001:db8::7]") as made:
            with pytest.raises(ConnectFailed):
                await made.request("GET", "/")
    assert heads[0].startswith(b"CONNECT [2001:db8::7]:443 HTTP/1.1\r\nhost: [2001:db8::7]:443\r\n")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "nothing"])
async def test_what_is_no_url_is_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="URL"):
        HttpClient(url, headers={}, connect_seconds=1, silence_seconds=1)


async def test_a_header_cannot_smuggle_another() -> None:
    """A line break in a setting is an error."""
    with pytest.raises(ValueError, match="line break"):
        HttpClient("http://x", headers={"a": "b\r\nc: d"}, connect_seconds=1, silence_seconds=1)
