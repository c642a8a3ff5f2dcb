"""``kodo mcp`` and a client that sends what no client should: it answers what it can, and ends when it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

KODO = str(Path(sys.executable).with_name("kodo"))
MEGABYTE = 2**20
TIMEOUT = 240


def message(method: str, number: object = None, **params: Any) -> bytes:
    """A line: a request, or (without a number) a notification."""
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(body if number is None else {**body, "id": number}).encode() + b"\n"


def call(number: object, tool: str, **arguments: Any) -> bytes:
    """A call of a tool."""
    return message("tools/call", number, name=tool, arguments=arguments)


HELLO = message(
    "initialize",
    0,
    protocolVersion="2025-06-18",
    capabilities={},
    clientInfo={"name": "test", "version": "1"},
) + message("notifications/initialized")


@pytest.fixture
def server(tmp_path: Path) -> subprocess.Popen[bytes]:
    """A server on an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return subprocess.Popen(
        [KODO, "mcp", "--folder", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KODO_HOME": str(tmp_path / "home")},
    )


def ask(
    server: subprocess.Popen[bytes], lines: bytes, numbers: Iterable[int]
) -> dict[object, dict[str, Any]]:
    """Send lines and wait for the answers with these numbers; then close the client's side, which ends the server."""
    stdin, stdout = server.stdin, server.stdout
    assert stdin is not None
    assert stdout is not None
    threading.Thread(target=lambda: (stdin.write(lines), stdin.flush()), daemon=True).start()
    missing, found = set(numbers), {}
    while missing:
        line = json.loads(stdout.readline())
        if "id" in line:
            found[line["id"]] = line
            missing.discard(line["id"])
    stdin.close()
    assert server.wait(TIMEOUT) == 0
    return found


def test_lines_that_are_no_messages_are_passed_over(server: subprocess.Popen[bytes]) -> None:
    """Text, bytes, JSON of another form and nesting without end: the next calls are answered."""
    junk = [
        b"hello",
        b"\xff\xfe\x00",
        b"",
        b"null",
        b"[1, 2]",
        b"{}",
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"jsonrpc": "2.0", "id": ' + b"9" * 100_000 + b', "method": "ping"}',
        b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "usage", "arguments": {"since": '
        + b"[" * 50_000
        + b"]" * 50_000
        + b"}}}",
    ]
    lines = HELLO + b"\n".join(junk) + b"\n" + call(1, "none") + call(2, "usage", since="x" * 500_000)
    found = ask(server, lines + call(3, "usage"), [1, 2, 3])
    assert found[3]["result"]["content"][0]["text"] == "[]"
    assert "error" in found[1] or found[1]["result"]["isError"]
    assert found[2]["result"]["isError"]
    assert len(json.dumps(found[2])) < 10_000


def test_a_message_without_end_takes_no_memory(server: subprocess.Popen[bytes]) -> None:
    """Beyond a limit the server ends, and says why in one line."""
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stderr is not None
    server.stdin.write(HELLO)
    server.stdin.flush()
    server.stdout.readline()
    before = highest = psutil.Process(server.pid).memory_info().rss
    try:
        for _ in range(200):
            server.stdin.write(b"x" * MEGABYTE)
            highest = max(highest, psutil.Process(server.pid).memory_info().rss)
    except (BrokenPipeError, psutil.NoSuchProcess):
        pass
    assert server.wait(TIMEOUT) == 2
    assert highest - before < 40 * MEGABYTE
    assert server.stderr.read().count(b"\n") == 1


def test_many_calls_at_once_are_answered(server: subprocess.Popen[bytes]) -> None:
    """Each once, whatever their order."""
    numbers = range(1, 301)
    ask(server, HELLO + b"".join(call(number, "usage") for number in numbers), numbers)


def test_a_client_that_leaves_in_a_call_ends_the_server(server: subprocess.Popen[bytes]) -> None:
    """Nothing is left running."""
    server.communicate(HELLO + call(1, "review", run=False), timeout=TIMEOUT)
    assert server.returncode == 0
    assert not psutil.pid_exists(server.pid)
