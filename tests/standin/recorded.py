"""A server that sends recorded bytes: what public reports show, whatever it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recorded:
    """Where it listens, and the bodies it was sent."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def frames(*chunks: dict[str, Any] | str, done: bool = True) -> bytes:
    """Chunks as server-sent events; text as it is."""
    text = "".join(one if isinstance(one, str) else f"data: {json.dumps(one)}\n\n" for one in chunks)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


@contextlib.asynccontextmanager
async def recorded(
    *bodies: bytes,
    status: int = 200,
    headers: Sequence[str] = (),
    content_type: str = "text/event-stream",
    pieces: int | None = None,
    refusals: Sequence[tuple[int, bytes]] = (),
) -> AsyncIterator[Recorded]:
    """Answer each POST with the next body (the last one again and again) in ``pieces`` bytes at a time; GETs with 404.

    ``refusals``: statuses and bodies for the first POSTs.
    """
    made = Recorded()
    left = [*refusals, *((status, body) for body in bodies)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                size = next(
                    (int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")),
                    0,
                )
                sent = await reader.readexactly(size)
                if lines[0].startswith("GET"):
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    continue
                made.paths.append(lines[0].split()[1])
                made.bodies.append(json.loads(sent))
                code, body = left.pop(0) if len(left) > 1 else left[0]
                extra = "".join(f"{header}\r\n" for header in headers)
                writer.write(
                    f"HTTP/1.1 {code} X\r\ncontent-type: {content_type}\r\n{extra}connection: close\r\n\r\n".encode()
                )
                for at in range(0, len(body), pieces or len(body) or 1):
                    writer.write(body[at : at + (pieces or len(body))])
                    await writer.drain()
                    if pieces:
                        await asyncio.sleep(0)
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield made
    finally:
        server.close()
