"""What a connection may cost before anybody is known, and what all of them may cost together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as net
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, Served, script, served, settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kodo.server.config import LimitSettings
from kodo.server.http.websocket_connection import CONTROL_FRAMES

pytestmark = pytest.mark.usefixtures("fast_sweeps")
GET = b"GET /health HTTP/1.1\r\nhost: localhost\r\n"
POST = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture
def fast_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines are looked at often."""
    monkeypatch.setattr("kodo.server.http.connection_pool.SWEEP_SECONDS", 0.02)


@contextlib.asynccontextmanager
async def limited(tmp_path: Path, **limits: Any) -> AsyncIterator[Served]:
    """A server with these limits."""
    async with served(settings(tmp_path / "home", limits=LimitSettings(**limits))) as server:
        yield server


async def opened(server: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection("127.0.0.1", port_of(server))


def port_of(server: Served) -> int:
    """The port that a server listens on."""
    return int(server.url.rpartition(":")[2])


async def answer(server: Served, *parts: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes, and read to the end: status and body of the answer; 0 where there was none."""
    reader, writer = await opened(server)
    try:
        for part in parts:
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        return await rest(reader)
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Status and body of what is still to be read."""
    data = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while chunk := await reader.read(65536):
                data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


def code(body: dict[str, Any]) -> str:
    """The code in the envelope of an error."""
    return str(body["error"]["code"])


@contextlib.asynccontextmanager
async def socket(server: Served) -> AsyncIterator[ClientConnection]:
    """An open WebSocket that offers compression and answers no ping by itself."""
    url = f"ws{server.url.removeprefix('http')}/v1/responses"
    async with connect(url, max_size=None, ping_interval=None) as connection:
        yield connection


# --- before anybody is known -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        GET + b"x: " + b"y" * 70_000,
        GET + b"".join(b"x-%d: y\r\n" % n for n in range(300)) + b"\r\n",
        b"GET /" + b"y" * 70_000,
        GET + b"x: y\r\n" * 20_000,
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20_000,
    ],
    ids=["one", "one without end", "many", "URL", "many without end", "trailers"],
)
async def test_headers_are_bounded(tmp_path: Path, head: bytes) -> None:
    """In size and number, whether they end or not: 431 in the envelope, and the connection is closed."""
    async with limited(tmp_path) as server:
        status, body = await answer(server, head)
        assert (status, code(body)) == (431, "headers_too_large")
        assert (await answer(server, GET + b"x: " + b"y" * 60_000 + b"\r\nconnection: close\r\n\r\n"))[
            0
        ] == 200


async def test_headers_without_end_cost_no_memory(tmp_path: Path) -> None:
    """100 MB are not read: the connection is closed after the limit."""
    async with limited(tmp_path) as server:
        _, writer = await opened(server)
        writer.write(GET + b"x: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * 2**20:
                writer.write(b"y" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()
        assert sent < 20 * 2**20


async def test_what_makes_no_progress_is_ended(tmp_path: Path) -> None:
    """Silent connections, half headers and half bodies: each after its time, those that began to ask with a 408."""
    async with limited(tmp_path, header_seconds=0.3, body_seconds=0.3, idle_seconds=0.3) as server:
        half_body = POST + b"content-length: 100\r\n\r\n{"
        silent, head, body = await asyncio.gather(
            answer(server), answer(server, GET), answer(server, half_body)
        )
        assert silent == (0, {})
        assert (head[0], code(head[1])) == (408, "request_timeout")
        assert (body[0], code(body[1])) == (408, "request_timeout")
        reader, writer = await opened(server)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"}")
        began = time.monotonic()
        assert await reader.read() == b""
        assert time.monotonic() - began < 30  # unless set, it is a minute
        writer.close()


async def test_large_bodies_follow_each_other_on_a_connection(tmp_path: Path) -> None:
    """What is counted of a body is counted anew for the next one."""
    async with limited(tmp_path) as server, server.http() as http:
        for size in (3_000_000, 200_000, 3_000_000):
            body = {"model": MODEL, "input": "x", "metadata": {"a": "y" * size}}
            assert (await http.post("/v1/responses", json=body)).status_code == 400


async def test_a_slow_body_that_makes_progress_is_read(tmp_path: Path) -> None:
    """The time is for the next bytes, not for the whole body."""
    body = json.dumps({"model": MODEL, "input": "hello"}).encode()
    async with limited(tmp_path, body_seconds=2) as server:
        reader, writer = await opened(server)
        writer.write(POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
        began = time.monotonic()
        for at in range(len(body)):
            writer.write(body[at : at + 1])
            await asyncio.sleep(0.06)
        assert time.monotonic() - began > 2
        assert (await rest(reader))[0] == 200
        writer.close()


async def test_half_open_requests_keep_nobody_out(tmp_path: Path) -> None:
    """Where the number of connections is reached, the one that waits longest makes room."""
    async with limited(tmp_path, connections=20) as server:
        held = [await opened(server) for _ in range(60)]
        for number, (_, writer) in enumerate(held):
            writer.write([b"", GET, POST + b"content-length: 9\r\n\r\n{"][number % 3])
        await asyncio.sleep(0.1)
        async with server.http() as http:
            for _ in range(3):
                assert (await http.get("/v1/models")).status_code == 200
        for _, writer in held:
            writer.close()


async def test_requests_that_run_are_not_closed_for_others(tmp_path: Path) -> None:
    """At the limit the next connection is refused with 503, and what runs goes on."""
    steps = [{"type": "delay", "seconds": 5}, {"type": "text", "text": "late"}]
    slow = script(tmp_path, {"match": "", "steps": steps})
    limits = LimitSettings(connections=2)
    async with served(settings(tmp_path / "home", slow, limits=limits)) as server:
        body = json.dumps({"model": MODEL, "input": "hello"}).encode()
        ask = POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        running = [asyncio.create_task(answer(server, ask)) for _ in range(2)]
        while len(server.state.service.runs(None)) < 2:
            await asyncio.sleep(0.01)
        status, refused = await answer(server)
        assert (status, code(refused)) == (503, "too_many_connections")
        assert [status for status, _ in await asyncio.gather(*running)] == [200, 200]


async def test_the_bodies_of_all_requests_are_bounded_together(tmp_path: Path) -> None:
    """Half bodies beyond the limit are a 503 that says when to come again; small requests go on; all is given back."""
    half = POST + b"content-length: 8000000\r\n\r\n" + b" " * 4_000_000
    async with limited(tmp_path, held_body_bytes=20 * 2**20, body_seconds=4) as server:
        waiting = [asyncio.create_task(answer(server, half)) for _ in range(10)]
        while sum(one.done() for one in waiting) < 5:
            await asyncio.sleep(0.01)
        assert server.state.body_memory.held <= 20 * 2**20
        assert (await server.sdk().responses.create(model=MODEL, input="small")).status == "completed"
        statuses = [status for status, _ in await asyncio.gather(*waiting)]
        assert statuses.count(503) >= 5
        async with asyncio.timeout(60):
            while server.state.body_memory.held:
                await asyncio.sleep(0.01)


async def test_a_reader_that_stopped_is_ended(tmp_path: Path) -> None:
    """An answer that nobody reads is given up after its time."""
    async with limited(tmp_path, write_seconds=0.3) as server:
        file = await server.sdk().files.create(file=("f", bytes(16 * 2**20)), purpose="user_data")
        bare = net.socket()
        bare.setsockopt(net.SOL_SOCKET, net.SO_RCVBUF, 4096)
        bare.setblocking(False)
        await asyncio.get_running_loop().sock_connect(bare, ("127.0.0.1", port_of(server)))
        _, writer = await asyncio.open_connection(sock=bare)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
        writer.write(GET.replace(b"/health", f"/v1/files/{file.id}/content".encode()) + b"\r\n")
        pool = server.pool
        async with asyncio.timeout(20):
            while not any(connection.unwritten for connection in pool._open):
                await asyncio.sleep(0.01)
            while any(connection.unwritten for connection in pool._open):
                await asyncio.sleep(0.02)
        writer.close()


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", GET + b"content-length: x\r\n\r\n", b"\x16\x03\x01\x02\x00"],
    ids=["words", "length", "TLS"],
)
async def test_what_is_no_http_gets_the_envelope(tmp_path: Path, request_bytes: bytes, caplog: Any) -> None:
    """400 with a code, and nothing in the log at the level of warnings."""
    async with limited(tmp_path) as server:
        status, body = await answer(server, request_bytes)
        assert (status, code(body)) == (400, "invalid_http")
    names = ("uvicorn", "kodo")
    assert not [record for record in caplog.records if record.name.startswith(names) and record.levelno > 20]


# --- WebSockets ------------------------------------------------------------------------------------------------------


async def longest_wait(server: Served, until: asyncio.Task[Any]) -> float:
    """The longest time that ``GET /v1/models`` takes until a task has ended."""
    longest = 0.0
    async with server.http() as http:
        while not until.done():
            began = time.monotonic()
            assert (await http.get("/v1/models")).status_code == 200
            longest = max(longest, time.monotonic() - began)
    return longest


async def test_control_frames_have_a_rate(tmp_path: Path) -> None:
    """Pings beyond it end the connection, and what they ask for is not kept."""
    async with limited(tmp_path) as server, socket(server) as connection:
        ping = b"\x89\x80" + bytes(4)
        for _ in range(CONTROL_FRAMES // 2):
            connection.transport.write(ping)
        connection.transport.write(ping * 100_000)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(10):
                await connection.recv()
        assert connection.close_code in (1008, 1006)
        async with asyncio.timeout(10):
            while len(server.pool):
                await asyncio.sleep(0.01)


async def test_compression_is_not_offered(tmp_path: Path) -> None:
    """A frame of a few kB could become one of 16 MB."""
    async with limited(tmp_path) as server, socket(server) as connection:
        assert connection.response is not None
        assert "sec-websocket-extensions" not in connection.response.headers


async def test_refused_frames_let_others_have_their_turn(tmp_path: Path) -> None:
    """Frames that wait are taken one by one, with a turn of the event loop between."""
    async with limited(tmp_path) as server, socket(server) as connection:

        async def flood() -> None:
            for _ in range(20):
                connection.transport.write((b"\x81\x82" + bytes(4) + b"{}") * 500)
                await asyncio.sleep(0)

            for _ in range(20 * 500):
                await connection.recv()

        flooding = asyncio.create_task(flood())
        assert await longest_wait(server, flooding) < 1
        flooding.result()


async def test_a_message_in_many_pieces_arrives_whole(tmp_path: Path) -> None:
    """Slices and fragments are put together as they were sent."""
    long = "ab" * 50_000
    frame = json.dumps({"type": "response.create", "model": MODEL, "input": "hello", "instructions": long})
    async with limited(tmp_path) as server, socket(server) as connection:
        await connection.send([frame[start : start + 7_001] for start in range(0, len(frame), 7_001)])
        async with asyncio.timeout(20):
            while (event := json.loads(await connection.recv()))["type"] != "response.completed":
                pass
        assert event["response"]["instructions"] == long
        for _ in range(3):
            await connection.send(json.dumps({"type": "nonsense"}))
            assert json.loads(await connection.recv())["type"] == "error"


async def test_unfinished_messages_are_bounded_together(tmp_path: Path) -> None:
    """Fragments that are held for a message without end count as bodies; beyond the limit the socket is closed."""
    async with limited(tmp_path, held_body_bytes=4 * 2**20) as server:
        async with socket(server) as connection:
            begun = b"\x01\xff" + struct.pack("!Q", 2**20) + bytes(4) + b"x" * 2**20
            more = b"\x00\xff" + struct.pack("!Q", 2**20) + bytes(4) + b"x" * 2**20
            connection.transport.write(begun + more * 9)
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(10):
                    await connection.recv()
            assert server.state.body_memory.held <= 4 * 2**20
        assert server.state.body_memory.held == 0


async def test_a_refused_handshake_is_no_error_of_the_server(tmp_path: Path, caplog: Any) -> None:
    """It was logged as one each time."""
    async with limited(tmp_path) as server:
        head = b"GET /v1/responses HTTP/1.1\r\nhost: evil.example\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        key = b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
        status, body = await answer(server, head + key)
        assert (status, code(body)) == (403, "host_not_allowed")
    assert not [
        record for record in caplog.records if record.name.startswith("uvicorn") and record.levelno > 20
    ]


async def test_a_large_body_is_not_held_against_the_next_request(tmp_path: Path) -> None:
    """On a kept connection, a request whose head comes apart from its body is answered after one with a large body."""
    body = json.dumps({"model": MODEL, "input": "x" * 100_000, "store": False}).encode()
    async with limited(tmp_path) as server:
        reader, writer = await opened(server)
        statuses = []
        for sent in (body, b'{"model": "none", "input": "x"}'):
            writer.write(POST + b"content-length: %d\r\n\r\n" % len(sent))
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(head.split()[1]))
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split()[1]))
        writer.close()
    assert statuses == [200, 404]


@pytest.mark.parametrize("path", [b"/health", b"/v1/responses"])
async def test_a_client_that_sends_nothing_more_is_answered(tmp_path: Path, path: bytes) -> None:
    """``shutdown(SHUT_WR)`` behind the request: the answer comes, also where it takes a while, and the connection ends."""
    steps = [{"type": "delay", "seconds": 0.2}, {"type": "text", "text": "late"}]
    slow = script(tmp_path, {"match": "", "steps": steps})
    async with served(settings(tmp_path / "home", slow)) as server:
        reader, writer = await opened(server)
        body = json.dumps({"model": MODEL, "input": "x"}).encode()
        method = b"GET" if path == b"/health" else b"POST"
        head = b"%s %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % (method, path)
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        writer.write_eof()
        async with asyncio.timeout(20):
            data = await reader.read()
        status = [line for line in data.split(b"\r\n") if line.startswith(b"HTTP/1.1")][-1]
        assert status == b"HTTP/1.1 200 OK"
        writer.close()


async def test_a_client_that_is_gone_is_not_taken_for_one_that_waits(tmp_path: Path) -> None:
    """Its work is cancelled soon after, as if the server had been told."""
    slow = script(tmp_path, {"match": "", "steps": [{"type": "delay", "seconds": 600}]})
    async with served(settings(tmp_path / "home", slow)) as server:
        reader, writer = await opened(server)
        body = json.dumps({"model": MODEL, "input": "x"}).encode()
        writer.write(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
        running = server.state.service._runs
        async with asyncio.timeout(20):
            while not running:
                await asyncio.sleep(0.02)
        writer.close()
        async with asyncio.timeout(20):
            while running:
                await asyncio.sleep(0.02)
        del reader


@pytest.mark.parametrize("rest_of_head", [b"HTTP/1.0\r\nhost: localhost\r\n\r\n", b"HTTP/1.1\r\nhost: "])
async def test_what_cannot_be_answered_is_closed(tmp_path: Path, rest_of_head: bytes) -> None:
    """Half a request, and HTTP/1.0, which has no interim answers: nothing is kept open."""
    async with limited(tmp_path, header_seconds=600) as server:
        reader, writer = await opened(server)
        writer.write(b"GET /health " + rest_of_head)
        writer.write_eof()
        async with asyncio.timeout(20):
            await reader.read()
        writer.close()
