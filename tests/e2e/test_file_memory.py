"""Files and batches of the installed server do not pass through its memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import psutil
from tests.e2e.conftest import Server
from tests.e2e.test_batch_crash import config, finished

Serve = Callable[..., Server]
MEGABYTES = 160


class Peak:
    """The most memory a process had, in MB over what it had before."""

    def __init__(self, process: int) -> None:
        self._process = psutil.Process(process)
        self._before = self._process.memory_info().rss
        self.megabytes = 0.0

    def look(self) -> None:
        now = (self._process.memory_info().rss - self._before) / 2**20
        self.megabytes = max(self.megabytes, now)


@contextmanager
def watched(process: int) -> Iterator[Peak]:
    """Look at a process's memory all the time."""
    peak, over = Peak(process), threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            peak.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def form() -> Iterator[bytes]:
    """A form with a large file, made as it is sent."""
    yield b'--xx\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    yield b'--xx\r\ncontent-disposition: form-data; name="file"; filename="large"\r\n\r\n'
    for _ in range(MEGABYTES):
        yield b"x" * 2**20
    yield b"\r\n--xx--\r\n"


def test_a_large_file_comes_and_goes_through_little_memory(serve: Serve, tmp_path: Path) -> None:
    """Up and down again, the server grows by a fraction of the file."""
    server = serve(config=config(tmp_path / "home"))
    kind = {"content-type": "multipart/form-data; boundary=xx"}
    with httpx2.Client(base_url=server.url, timeout=120) as http, watched(server.process.pid) as peak:
        file = http.post("/v1/files", content=form(), headers=kind).json()
        assert file["bytes"] == MEGABYTES * 2**20
        with http.stream("GET", f"/v1/files/{file['id']}/content") as answer:
            assert sum(len(piece) for piece in answer.iter_bytes()) == MEGABYTES * 2**20
    assert peak.megabytes < MEGABYTES / 4


def test_a_large_batch_is_worked_through_in_little_memory(serve: Serve, tmp_path: Path) -> None:
    """The input is read as it is needed: requests in hand, not the file, are in memory."""
    server = serve(config=config(tmp_path / "home"))
    sdk: openai.OpenAI = server.sdk()
    source = tmp_path / "in.jsonl"
    body = {
        "model": "codex-mini-latest",
        "input": "x" * 160_000,
    }  # more than the window holds: refused at once
    count = MEGABYTES * 2**20 // 160_000
    with source.open("w") as lines:
        for number in range(count):
            row = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/responses", "body": body}
            lines.write(json.dumps(row) + "\n")
    file = sdk.files.create(file=source, purpose="batch")
    with watched(server.process.pid) as peak:
        batch = sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
        done = finished(sdk, batch.id)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": count, "completed": 0, "failed": count}
    assert peak.megabytes < MEGABYTES / 2
