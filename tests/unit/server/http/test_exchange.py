"""How an answer goes out: whole in one write, a stream at once, anything odd as uvicorn does it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from kodo.server.http.exchange import Exchange

JSON = (b"content-type", b"application/json")


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        """See ``asyncio.Transport``."""
        self.writes.append(bytes(data))

    def close(self) -> None:
        """See ``asyncio.Transport``."""
        self.closed = True

    def resume_reading(self) -> None:
        """See ``asyncio.Transport``."""


def exchange(wire: Wire, *, method: str = "POST", keep_alive: bool = True) -> Exchange:
    """A request that was just received."""
    logger = logging.getLogger("test")
    return Exchange(
        scope={"method": method, "type": "http"},  # type: ignore[typeddict-item]  # all that is read here
        transport=wire,
        flow=FlowControl(wire),
        logger=logger,
        access_logger=logger,
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Any:
    """ASGI's head of an answer."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = False) -> Any:
    """ASGI's part of a body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_a_whole_answer_is_one_write(keep_alive: bool) -> None:
    """Head and body together; a connection that is not kept says so and is closed."""
    wire = Wire()
    request = exchange(wire, keep_alive=keep_alive)
    await request.send(start(JSON, (b"content-length", b"2")))
    assert wire.writes == []
    await request.send(part(b"{}"))
    close = b"" if keep_alive else b"connection: close\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
    assert wire.writes == [head + close + b"\r\n{}"]
    assert request.response_complete
    assert wire.closed is not keep_alive


async def test_the_head_of_a_stream_goes_out_at_once() -> None:
    """Its client sees that it is answered before the first event is there."""
    wire = Wire()
    request = exchange(wire)
    await request.send(start((b"content-type", b"text/event-stream")))
    assert wire.writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    await request.send(part(b"data: 1\n\n", more=True))
    assert wire.writes[1] == b"9\r\ndata: 1\n\n\r\n"


async def test_a_body_of_known_length_may_come_in_parts() -> None:
    """The head goes out with the first of them, and nothing twice."""
    wire = Wire()
    request = exchange(wire)
    await request.send(start((b"content-length", b"4")))
    await request.send(part(b"ab", more=True))
    await request.send(part(b"cd"))
    assert b"".join(wire.writes) == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd"


async def test_the_answer_to_a_head_request_has_no_body() -> None:
    """The length is that of the body that a GET would have."""
    wire = Wire()
    request = exchange(wire, method="HEAD")
    await request.send(start((b"content-length", b"2")))
    await request.send(part(b"{}"))
    assert b"".join(wire.writes) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("header", [(b"x-a", b"1\r\nx-b: 2"), (b"x a", b"1"), (b"content-length", b"3")])
async def test_a_wrong_answer_is_refused_as_before(header: tuple[bytes, bytes]) -> None:
    """A line break in a header, a name that is none, a length that is not the body's."""
    request = exchange(Wire())
    headers = [header] if header[0] == b"content-length" else [header, (b"content-length", b"2")]
    await request.send(start(*headers))
    with pytest.raises(RuntimeError):
        await request.send(part(b"{}"))


async def test_an_error_takes_the_place_of_a_head_that_still_waits() -> None:
    """The application failed between its head and its body: nothing was sent, so a 500 can be."""
    wire = Wire()
    request = exchange(wire)

    async def application(_: Any, __: Any, send: Any) -> None:
        await send(start((b"content-length", b"2")))
        raise RuntimeError("a defect")

    await request.run_asgi(application)
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"200" not in wire.writes[0]
