"""Floods of one client against ``kodo serve``, and what a bystander and the server's memory notice of them.

Bounded, on loopback only, some seconds each: ``make abuse``. The server is a process of its own with a scripted engine;
the bystander is another one that asks ``GET /v1/models`` again and again. A row: what one client sent, how long it went on,
the bystander's longest wait, the server's memory before and at its highest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
from websockets.asyncio.client import ClientConnection, connect

from kodo.server.http.keys import new_key
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.store.choice import choose_store

MODEL = "codex-mini-latest"
KODO = str(Path(sys.executable).with_name("kodo"))
POST = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n"
MAX_WAIT = 0.5
"""Seconds that a bystander may wait on two idle cores."""


@dataclass(frozen=True)
class Server:
    """A server under attack."""

    url: str
    home: Path
    process: psutil.Process
    key: str = "none"
    """A valid API key, where there are keys."""

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    @property
    def megabytes(self) -> float:
        """Its resident memory."""
        return float(self.process.memory_info().rss) / 1e6


@contextlib.contextmanager
def serving(descriptors: int | None = None, keys: int = 0) -> Iterator[Server]:
    """A fresh server; ``descriptors`` limits its open files, ``keys`` is the number of its API keys."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = asyncio.run(make_keys(home, keys)) if keys else "none"
        (home / "config.toml").write_text(f'[models."{MODEL}"]\nengine = "scripted"\ntarget = ""\n')
        limit = f"ulimit -n {descriptors}; " if descriptors else ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KODO_")}
        running = subprocess.Popen(
            ["/bin/sh", "-c", f"{limit}exec {KODO} serve --port 0"],
            env={**kept, "KODO_HOME": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            note = home / "server.json"
            deadline = time.monotonic() + 60
            while not note.exists():
                if time.monotonic() > deadline or running.poll() is not None:
                    raise RuntimeError("kodo serve did not start")
                time.sleep(0.02)
            yield Server(json.loads(note.read_text())["url"], home, psutil.Process(running.pid), key)
        finally:
            running.kill()
            running.wait()


async def make_keys(home: Path, number: int) -> str:
    """Store so many API keys; return the last one."""
    store = choose_store(home, None, role="tool")
    await store.open()
    made = [new_key(name="", project="default") for _ in range(number)]
    await asyncio.gather(*(store.put_key(row) for _, row in made))
    await store.close()
    return made[-1][0]


async def connection(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection("127.0.0.1", server.port)


def socket(server: Server) -> connect:
    """A WebSocket that sends no pings itself."""
    url = f"ws{server.url.removeprefix('http')}/v1/responses"
    return connect(url, max_size=None, ping_interval=None)


async def write_all(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    """Write the same bytes so many times, or until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        for _ in range(times):
            writer.write(data)
            await writer.drain()


# --- floods ----------------------------------------------------------------------------------------------------------


async def sealed_items(server: Server) -> None:
    """1,100 sealed items of 9 MB when opened."""
    part = {"type": "input_text", "text": "a" * 9_000_000}
    data = {"items": [{"type": "message", "role": "user", "content": [part]}], "notes": {}}
    text = Sealer.at(server.home / "seal.key").seal("default", json.dumps(data).encode())
    body = {"model": MODEL, "input": [{"type": "compaction", "encrypted_content": text}] * 1100}
    async with httpx2.AsyncClient(timeout=60) as http:
        for path in ("/v1/responses", "/v1/responses/input_tokens"):
            await http.post(f"{server.url}{path}", json=body)


async def one_key(server: Server) -> None:
    """One JSON key of 16 MB, five times."""
    body = b'{"' + b"k" * (16 * 2**20 - 100) + b'": 1}'
    async with httpx2.AsyncClient(timeout=60) as http:
        for _ in range(5):
            headers = {"content-type": "application/json"}
            await http.post(f"{server.url}/v1/responses", content=body, headers=headers)


async def pings(server: Server) -> None:
    """Pings for 5 s, on one socket after the other."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        async with socket(server) as ws:
            with contextlib.suppress(Exception):  # the server closes the connection: that is the point
                for _ in range(20):
                    ws.transport.write((b"\x89\x80" + bytes(4)) * 10_000)
                    await ws.recv()


async def refused_frames(server: Server) -> None:
    """Frames that are refused, for 5 s."""
    end = time.monotonic() + 5
    async with socket(server) as ws:
        reading = asyncio.create_task(_read(ws))
        while time.monotonic() < end:
            ws.transport.write((b"\x81\x82" + bytes(4) + b"{}") * 1000)
            await asyncio.sleep(0.05)
        reading.cancel()


async def large_frames(server: Server) -> None:
    """40 frames of 15 MB."""
    async with socket(server) as ws:
        reading = asyncio.create_task(_read(ws))
        with contextlib.suppress(Exception):  # the server may close the connection
            for _ in range(40):
                await ws.send(b"x" * 15_000_000)
        reading.cancel()


async def _read(ws: ClientConnection) -> None:
    with contextlib.suppress(Exception):  # until the connection ends, however it does
        async for _ in ws:
            pass


async def endless_headers(server: Server) -> None:
    """100 MB of headers, on as many connections as it takes."""
    for _ in range(50):
        _, writer = await connection(server)
        await write_all(writer, b"x: " + b"y" * 65_533, 32)
        writer.close()


async def half_requests(server: Server) -> None:
    """400 half-open requests for 5 s, with 256 descriptors."""
    held = [await connection(server) for _ in range(400)]
    for number, (_, writer) in enumerate(held):
        with contextlib.suppress(ConnectionError):
            writer.write([b"", GET, POST + b"content-length: 9\r\n\r\n{"][number % 3])
    await asyncio.sleep(5)
    for _, writer in held:
        writer.close()


async def half_bodies(server: Server) -> None:
    """40 bodies of 16 MB less their end, for 5 s."""
    head = POST + b"content-length: %d\r\n\r\n" % (16 * 2**20)
    held = [await connection(server) for _ in range(40)]
    await asyncio.gather(*(write_all(writer, head + b" " * (15 * 2**20), 1) for _, writer in held))
    await asyncio.sleep(5)
    for _, writer in held:
        writer.close()


async def bombs(server: Server) -> None:
    """20 bodies that become 1 GB when they are decompressed."""
    bomb = gzip.compress(b" " * 1_000_000_000, 1)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    async with httpx2.AsyncClient(timeout=60) as http:
        for _ in range(20):
            await http.post(f"{server.url}/v1/responses", content=bomb, headers=headers)


async def background(server: Server) -> None:
    """Background responses, for 8 s."""
    end = time.monotonic() + 8
    async with httpx2.AsyncClient(timeout=60) as http:
        while time.monotonic() < end:
            body = {"model": MODEL, "input": "x", "background": True}
            if (await http.post(f"{server.url}/v1/responses", json=body)).status_code != 200:
                return


async def secrets(server: Server) -> None:
    """10 client secrets with 15 MB of instructions, then small ones for 5 s."""
    async with httpx2.AsyncClient(timeout=60) as http:
        url = f"{server.url}/v1/realtime/client_secrets"
        for _ in range(10):
            await http.post(url, json={"session": {"type": "realtime", "instructions": "x" * 15_000_000}})
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if (await http.post(url, json={})).status_code != 200:
                return


async def fragments(server: Server) -> None:
    """20 sockets, each with 12 MB of a message that does not end, for 3 s."""
    frame = b"\x01\xff" + struct.pack("!Q", 12 * 2**20) + bytes(4) + b"x" * (12 * 2**20)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            ws = await stack.enter_async_context(socket(server))
            ws.transport.write(frame)
        await asyncio.sleep(3)


async def uploads(server: Server) -> None:
    """Uploads of 8 GB, with empty and with 4 MB parts, for 5 s."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
        body = {"bytes": 8 * 2**30, "filename": "f", "mime_type": "text/plain", "purpose": "user_data"}
        end = time.monotonic() + 5
        while time.monotonic() < end:
            made = await http.post("/v1/uploads", json=body)
            if made.status_code != 200:
                return
            for data in (b"", b"x" * 2**22):
                await http.post(f"/v1/uploads/{made.json()['id']}/parts", files={"data": ("f", data)})


async def forms(server: Server) -> None:
    """20 forms of the dashboard with 50 MB in chunks that do not say so."""
    head = b"POST /ui/preferences HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    head += b"content-type: application/x-www-form-urlencoded\r\n\r\n"
    piece = b"&a=b" * 2**14
    held = [await connection(server) for _ in range(20)]
    for _, writer in held:
        writer.write(head)
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    await asyncio.gather(*(write_all(writer, chunk, 800) for _, writer in held))
    for _, writer in held:
        writer.close()


async def wrong_keys(server: Server) -> None:
    """Wrong keys for 5 s, on 4 connections, where there are 10,000 keys."""
    end = time.monotonic() + 5

    async def guess() -> None:
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as http:
            while time.monotonic() < end:
                await http.get("/v1/models", headers={"authorization": "Bearer sk-kodo-wrong"})

    await asyncio.gather(*(guess() for _ in range(4)))


FLOODS: tuple[Callable[[Server], Awaitable[None]], ...] = (
    sealed_items,
    one_key,
    pings,
    refused_frames,
    large_frames,
    fragments,
    endless_headers,
    half_requests,
    half_bodies,
    bombs,
    background,
    secrets,
    uploads,
    forms,
    wrong_keys,
)


# --- the bystander, and the table ------------------------------------------------------------------------------------


def bystander(url: str, key: str) -> None:
    """Ask until stdin ends; print the longest wait in seconds."""
    request = urllib.request.Request(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"})
    os.set_blocking(0, False)
    longest, opener = 0.0, urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while _open_stdin():
        began = time.monotonic()
        with opener.open(request, timeout=60) as answer:
            answer.read()
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    sys.stdout.write(f"{longest}\n")


def _open_stdin() -> bool:
    try:
        return bool(os.read(0, 1))
    except BlockingIOError:
        return True


async def _attack(flood: Callable[[Server], Awaitable[None]], server: Server) -> float:
    """Run a flood; the highest memory meanwhile, in MB."""
    highest = server.megabytes
    running = asyncio.ensure_future(flood(server))
    while not running.done():
        await asyncio.wait((running,), timeout=0.05)
        highest = max(highest, server.megabytes)
    running.result()
    return highest


def measure(flood: Callable[[Server], Awaitable[None]]) -> tuple[float, float, float, float]:
    """Seconds, the bystander's longest wait, memory before and at its highest."""
    with serving(256 if flood is half_requests else None, 10_000 if flood is wrong_keys else 0) as server:
        watching = subprocess.Popen(
            [sys.executable, __file__, "--bystander", server.url, server.key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.5)
        before, began = server.megabytes, time.monotonic()
        highest = asyncio.run(_attack(flood, server))
        seconds = time.monotonic() - began
        waited, _ = watching.communicate()
        return seconds, float(waited or "inf"), before, highest


def main() -> int:
    """Run the floods and print the table; 1 where a bystander waited too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bystander", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="floods to run; all by default")
    arguments = parser.parse_args()
    if arguments.bystander:
        bystander(*arguments.bystander)
        return 0
    load = os.getloadavg()[0]
    sys.stdout.write(f"load {load:.1f} on {os.cpu_count()} cores\n\n")
    sys.stdout.write(
        "| what one client sent | seconds | bystander's longest wait, s | memory, MB |\n|---|---|---|---|\n"
    )
    late = False
    for flood in FLOODS:
        if arguments.names and flood.__name__ not in arguments.names:
            continue
        seconds, waited, before, highest = measure(flood)
        what = (flood.__doc__ or "").strip().removesuffix(".")
        sys.stdout.write(f"| {what} | {seconds:.1f} | {waited:.2f} | {before:.0f} -> {highest:.0f} |\n")
        sys.stdout.flush()
        late |= waited > MAX_WAIT
    return int(late)


if __name__ == "__main__":
    raise SystemExit(main())
