"""The engines' HTTP client over a unix socket, one request a connection, as it asks the llama engine's child."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def client(path: str) -> HttpClient:
    """The way to a server at ``path``, without a limit on its silence."""
    headers = {"authorization": "Bearer secret"}
    return HttpClient(
        "http://engine", headers=headers, connect_seconds=5, silence_seconds=None, socket=path, keep=False
    )


@asynccontextmanager
async def server(folder: Path, handler: Handler) -> AsyncIterator[HttpClient]:
    """A server that hands each request to ``handler``, and the way to it."""
    path = str(folder / "s.sock")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await handler(head + await reader.readexactly(length), writer)
        writer.close()

    listener = await asyncio.start_unix_server(serve, path)
    async with listener:
        channel = client(path)
        yield channel
        await channel.close()


def chunk(data: bytes) -> bytes:
    """A part of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_a_request_carries_the_key_and_its_body(tmp_path: Path) -> None:
    """And the answer is read whole, status and all."""
    seen: list[bytes] = []

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone")

    async with server(tmp_path, handler) as channel:
        answer = await channel.request("POST", "/x?a=b", "日本".encode())
        assert (answer.status, await answer.read()) == (404, b"none")
        answer = await channel.request("GET", "/props")
        assert await answer.read() == b"none"
    assert seen[0].startswith(b"POST /x?a=b HTTP/1.1\r\n")
    assert b"authorization: Bearer secret\r\n" in seen[0]
    assert b"connection: close\r\n" in seen[0]
    assert seen[0].endswith(b"content-length: 6\r\n\r\n\xe6\x97\xa5\xe6\x9c\xac")
    assert seen[1].startswith(b"GET /props HTTP/1.1\r\n")
    assert b"content-length" not in seen[1]


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_is_the_same_wherever_its_bytes_are_cut(size: int, tmp_path: Path) -> None:
    """Head, chunk lengths and chunks may all come in pieces."""
    parts = [b"data: %d\n\n" % number for number in range(200)]
    whole = HEAD + b"".join(map(chunk, parts)) + b"0\r\n\r\n"

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(whole), size):
            writer.write(whole[start : start + size])
            await writer.drain()

    async with server(tmp_path, handler) as channel:
        answer = await channel.request("GET", "/")
        assert b"".join([piece async for piece in answer.iter_body()]) == b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"HTTP/1.1 200", None),
        (b"this is no HTTP\r\n\r\n", None),
        (HEAD + chunk(b"half") + b"4\r\nha", 200),
        (HEAD + chunk(b"half") + b"no length\r\n", 200),
    ],
    ids=["nothing", "half a head", "no HTTP", "half a chunk", "no chunk"],
)
async def test_an_answer_that_is_not_whole_is_broken(sent: bytes, status: int | None, tmp_path: Path) -> None:
    """Whether its head came or not; what came before is there."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    async with server(tmp_path, handler) as channel:
        if status is None:
            with pytest.raises(ConnectionLost):
                await channel.request("GET", "/")
            return
        answer = await channel.request("GET", "/")
        pieces = answer.iter_body()
        assert (await anext(pieces)).startswith(b"half")
        with pytest.raises(ConnectionLost):
            await anext(pieces)


async def test_nobody_listens(tmp_path: Path) -> None:
    """The cause says that there is no socket: the request was not sent."""
    with pytest.raises(ConnectFailed) as caught:
        await client(str(tmp_path / "s.sock")).request("GET", "/")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_a_channel_that_is_closed_drops_what_is_open(tmp_path: Path) -> None:
    """And takes nothing more."""
    gone = asyncio.Event()

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        await writer.drain()
        while not writer.transport.is_closing():
            writer.write(chunk(b"x"))
            await asyncio.sleep(0.001)
        gone.set()

    async with server(tmp_path, handler) as channel:
        answer = await channel.request("GET", "/")
        channel.drop()
        with pytest.raises(ConnectionLost):
            async for _ in answer.iter_body():
                pass
        await asyncio.wait_for(gone.wait(), 10)
        with pytest.raises(ConnectFailed):
            await channel.request("GET", "/")


async def test_who_stops_waiting_for_the_head_drops_the_connection(tmp_path: Path) -> None:
    """The child sees that nobody wants the answer any more."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.transport.is_closing():
            writer.write(b"X-Still: here\r\n")  # to write is how a server learns that nobody reads
            await asyncio.sleep(0.001)
        gone.set()

    async with server(tmp_path, handler) as channel:
        task = asyncio.create_task(channel.request("GET", "/"))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(gone.wait(), 10)


def test_the_servers_own_loop_will_do(tmp_path: Path) -> None:
    """uvloop's transports only look like asyncio's."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"x" * 100_000) + b"0\r\n\r\n")
        await writer.drain()

    async def request() -> bytes:
        async with server(tmp_path, handler) as channel:
            return await (await channel.request("POST", "/", b"{}")).read()

    assert uvloop.run(request()) == b"x" * 100_000


async def test_a_reader_whose_exchange_is_closed_is_woken(tmp_path: Path) -> None:
    """It may be closed by another task, which wants the work behind it to end."""

    async def handler(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + chunk(b"half"))
        await writer.drain()
        await asyncio.sleep(600)

    async with server(tmp_path, handler) as channel:
        answer = await channel.request("GET", "/")
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0.05)
        answer.close()
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(reading, 30)
