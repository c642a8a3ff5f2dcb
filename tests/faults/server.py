"""A Responses API that goes wrong on request: HTTP/1.1 over raw sockets, so that every kind of failure is real.

    with FaultServer(lambda call: Reset() if call.attempt == 0 else None) as server:
        client = OpenAI(base_url=server.base_url, api_key="k", max_retries=0)

The plan is asked once a call and says which fault the call meets, or None for a good answer. The server notes
every call and which answers were delivered whole, which is what a client may be charged for. A request that it
does not know is answered 404 and remembered; leaving the `with` block then fails, so that a test cannot pass
by accident. It runs in a thread of its own and binds a free port of 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.faults import answers
from tests.faults.batches import BatchStore
from tests.faults.faults import Cut, FailEvent, Fault, Refuse, Reset, Stall, StallStream, WrongBody


@dataclass(frozen=True)
class Call:
    """One request to create a response, as the plan sees it."""

    body: dict[str, Any]
    headers: dict[str, str]
    """Names in lower case."""
    attempt: int
    """How often the same input text has been asked before; 0 for the first time."""

    @property
    def text(self) -> str:
        """The input text, by which a test tells its prompts apart."""
        return answers.input_text(self.body)

    @property
    def streamed(self) -> bool:
        """Whether events are asked for."""
        return self.body.get("stream") is True


@dataclass
class Record:
    """What happened so far. Written by the server's thread only; read it after the calls are over."""

    calls: list[Call] = field(default_factory=list)
    delivered: list[Call] = field(default_factory=list)
    """Calls whose good answer was made whole and handed to the connection."""
    unexpected: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def tokens_delivered(self) -> tuple[int, int]:
        """(input, output) tokens of all answers that were delivered: what a client may be charged for."""
        usages = [answers.usage_of(call.text) for call in self.delivered]
        return sum(u["input_tokens"] for u in usages), sum(u["output_tokens"] for u in usages)


def no_faults(call: Call) -> Fault | None:
    """The plan under which everything is answered well."""
    return None


class FaultServer:
    """See the module. `seconds` is how long a good answer takes, `slots` how many are made at once (0: no limit)."""

    def __init__(
        self, plan: Callable[[Call], Fault | None] = no_faults, *, seconds: float = 0.0, slots: int = 0
    ) -> None:
        self.record = Record()
        self.batches = BatchStore()
        self.port = 0
        self._plan = plan
        self._seconds = seconds
        self._slots = asyncio.Semaphore(slots) if slots else None
        self._seen: Counter[str] = Counter()
        self._made: set[str | None] = {None}  # ids that a call may go on from; None: it goes on from nothing
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """The base URL for a client, up to /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if exc_type is None and self.record.unexpected:
            raise AssertionError(f"requests the fault server does not know: {self.record.unexpected}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**26, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone; what it got is in the record
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._connections.discard(task)
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read and answer one request; False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "transfer-encoding" in headers:
            raise AssertionError("a chunked request body: the fault server wants a content-length")
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if (method, target) == ("POST", "/v1/responses"):
            return await self._create(writer, json.loads(raw), headers)
        answer = self.batches.answer(method, target, headers, raw)
        if answer is None:
            self.record.unexpected.append(f"{method} {target}")
            answer = (
                404,
                json.dumps(
                    answers.error_body("no such route", kind="invalid_request_error", code=None)
                ).encode(),
            )
        return await _send(writer, *answer)

    async def _create(
        self, writer: asyncio.StreamWriter, body: dict[str, Any], headers: dict[str, str]
    ) -> bool:
        text = answers.input_text(body)
        call = Call(body, headers, self._seen[text])
        self._seen[text] += 1
        self.record.calls.append(call)
        self.record.in_flight += 1
        self.record.most_in_flight = max(self.record.most_in_flight, self.record.in_flight)
        number = len(self.record.calls)
        fault = self._plan(call)
        if fault is None and body.get("previous_response_id") not in self._made:
            fault = Refuse(404, "previous_response_not_found", kind="invalid_request_error")
        self._made.add(f"resp_{number}")
        try:
            return await self._answer(writer, call, fault, number)
        finally:
            self.record.in_flight -= 1

    async def _answer(
        self, writer: asyncio.StreamWriter, call: Call, fault: Fault | None, number: int
    ) -> bool:
        """Meet one call with one fault; a function of one `match`, a case for each kind."""
        match fault:
            case None:
                return await self._good(writer, call, number)
            case Refuse(status, code, extra, kind, message):
                content = json.dumps(answers.error_body(message, kind=kind, code=code)).encode()
                return await _send(writer, status, content, extra=extra)
            case Reset():
                return _reset(writer)
            case Stall(seconds):
                await asyncio.sleep(seconds)
                return False
            case Cut(events, reset) if call.streamed:
                await _begin_stream(writer)
                for event in list(answers.events(call.body, number))[:events]:
                    await _chunk(writer, answers.frame(event))
                if reset:
                    return _reset(writer)
                await _chunk(writer, b"")
                return True
            case Cut(_, reset):
                content = json.dumps(answers.response(call.body, number)).encode()
                writer.write(_head(200, len(content)) + content[: len(content) // 2])
                await writer.drain()
                return _reset(writer) if reset else False
            case StallStream(events, seconds):
                if call.streamed:
                    await _begin_stream(writer)
                    for event in list(answers.events(call.body, number))[:events]:
                        await _chunk(writer, answers.frame(event))
                await asyncio.sleep(seconds)
                return False
            case WrongBody(content, content_type):
                return await _send(writer, 200, content, content_type=content_type)
            case FailEvent(code):
                failed = {
                    **answers.response(call.body, number, status="failed"),
                    "error": {"code": code, "message": "failed by plan"},
                }
                if not call.streamed:
                    return await _send(writer, 200, json.dumps(failed).encode())
                await _begin_stream(writer)
                for event in list(answers.events(call.body, number))[:5]:
                    await _chunk(writer, answers.frame(event))
                last = {"type": "response.failed", "sequence_number": 5, "response": failed}
                await _chunk(writer, answers.frame(last))
                await _chunk(writer, b"")
                return True

    async def _good(self, writer: asyncio.StreamWriter, call: Call, number: int) -> bool:
        if self._slots is not None:
            async with self._slots:
                await asyncio.sleep(self._seconds)
        elif self._seconds:
            await asyncio.sleep(self._seconds)
        if not call.streamed:
            self.record.delivered.append(call)  # before the last byte, so that the client cannot be faster
            return await _send(writer, 200, json.dumps(answers.response(call.body, number)).encode())
        await _begin_stream(writer)
        *events, last = answers.events(call.body, number)
        for event in events:
            await _chunk(writer, answers.frame(event))
        self.record.delivered.append(call)
        await _chunk(writer, answers.frame(last))
        await _chunk(writer, b"")
        return True


def _head(
    status: int, length: int, content_type: str = "application/json", extra: tuple[tuple[str, str], ...] = ()
) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"content-type: {content_type}", "x-request-id: req_fault"]
    lines += [f"content-length: {length}"] if length >= 0 else ["transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in extra]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _send(
    writer: asyncio.StreamWriter,
    status: int,
    content: bytes,
    *,
    content_type: str = "application/json",
    extra: tuple[tuple[str, str], ...] = (),
) -> bool:
    writer.write(_head(status, len(content), content_type, extra) + content)
    await writer.drain()
    return True


async def _begin_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(_head(200, -1, "text/event-stream"))
    await writer.drain()


async def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    """One chunk of a chunked body; an empty one ends it."""
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Close with RST: SO_LINGER of zero drops what is unsent and resets the peer."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
