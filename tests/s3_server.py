"""A server that speaks S3 (moto's), in a process of its own, for tests; and a front before it that fails as real ones do."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SERVE = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
application = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", 0, application, threaded=True, fd=int(sys.argv[1])).serve_forever()
"""
"""As ``moto.server``, on a socket that is given."""
KEY, SECRET = "AKIAKODOTESTS", "this-is-the-secret-of-the-tests"
_numbers = itertools.count(1)
_running: list[S3Server] = []


class S3Server:
    """The process. What it holds is in its memory."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:  # inherited: nobody else answers there
            self.port = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(listener.fileno())],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(listener.fileno(),),
                env={**os.environ, "MOTO_ALLOW_NONEXISTENT_REGION": "true"},
            )
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            urllib.request.urlopen(self.url, timeout=120).close()
        except OSError as error:
            self.close()
            raise RuntimeError("moto's server did not start") from error

    def new_bucket(self) -> str:
        """The name of an empty bucket."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        made = urllib.request.Request(f"{self.url}/{name}", method="PUT")
        urllib.request.urlopen(made, timeout=60).close()
        return name

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


def shared_s3() -> S3Server:
    """The one of this test process."""
    if not _running:
        _running.append(S3Server())
        atexit.register(_running[0].close)
    return _running[0]


def set_credentials(monkeypatch: Any) -> None:
    """Those of the tests, and nothing else of this machine's."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


Fault = Callable[[bytes, int], "bytes | None"]
"""Of the head of a request and its number: an answer in place of the server's (empty: the connection is reset); None: none."""


def answer(status: str, code: str) -> bytes:
    """An error of S3."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>AWSAccessKeyId={KEY}</Message></Error>".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


class FaultyFront:
    """A proxy before a server, one request a connection: a fault answers in its place, or cuts its answers off."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self.fault: Fault = lambda head, number: None
        self.cut: Callable[[bytes], int | None] = lambda head: None
        """Of the head of a request: after how many bytes of its answer the connection is cut."""
        self.loses: Callable[[bytes], bool] = lambda head: False
        """Whether the server does what a request asks, and its answer is lost."""
        self.heads: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FaultyFront:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        lower = head.lower()
        length = 0
        if b"content-length:" in lower:
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        said = self.fault(head, len(self.heads))
        if said is not None:
            writer.write(said)
            await writer.drain()
            return
        there, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            server.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + body)
            back = await there.read(-1)
        finally:
            server.close()
        if self.loses(head):
            return
        back = back.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        limit = self.cut(head)
        writer.write(back if limit is None else back[: back.index(b"\r\n\r\n") + 4 + limit])
        await writer.drain()


def spool(folder: Path) -> Path:
    """A folder for copies."""
    folder.mkdir(exist_ok=True)
    return folder
