"""A stand-in for Hugging Face's hub on a free port: any repository has the given files. It cuts and resumes like the real one."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

COMMIT = "c" * 40


@dataclass
class StandInHub:
    """What the hub has, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Files whose next download breaks off in the middle."""
    damaged: set[str] = field(default_factory=set)
    """Files that do not have the sha256 that is stated."""
    ranges: list[str] = field(default_factory=list)
    """The Range headers that came."""
    port: int = 0

    @property
    def endpoint(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving_hub() -> Iterator[StandInHub]:
    """Serve for the length of a block."""
    hub = StandInHub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, *, with_body: bool) -> None:
            match = re.fullmatch(rf"/[\w.-]+/[\w.-]+/resolve/(?:main|{COMMIT})/(.+)", self.path)
            name = match[1] if match else ""
            if name not in hub.files:
                self.send_response(404)
                self.send_header("x-error-code", "EntryNotFound")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            data = hub.files[name]
            start = 0
            if asked := self.headers.get("range"):
                hub.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("x-repo-commit", COMMIT)
            stated = "0" * 64 if name in hub.damaged else hashlib.sha256(data).hexdigest()
            self.send_header("etag", f'"{stated}"')
            self.send_header("accept-ranges", "bytes")
            if start:
                self.send_header("content-range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("content-length", str(len(data) - start))
            self.end_headers()
            if not with_body:
                return
            if name in hub.cut:
                hub.cut.discard(name)
                self.wfile.write(data[start : start + (len(data) - start) // 2])
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(data[start:])

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):  # a connection that was cut on purpose
                super().handle()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
