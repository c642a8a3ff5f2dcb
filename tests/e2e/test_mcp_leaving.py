"""``kodo mcp`` and a client that goes away while a review runs the project's code: nothing is left of either."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from tests.e2e.test_mcp_hostile import HELLO, KODO, call

PATIENCE = 120
BEFORE = "def pause(seconds):\n    return seconds\n"
AFTER = "import time\n\n\ndef pause(seconds):\n    time.sleep(600)\n    return seconds + 1\n"


def repository(folder: Path) -> Path:
    """A repository whose uncommitted change is a function that takes ten minutes."""
    folder.mkdir()
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    (folder / "clock.py").write_text(BEFORE)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    (folder / "clock.py").write_text(AFTER)
    return folder


def sandboxed(server: psutil.Process) -> list[psutil.Process]:
    """The processes below a server that run code of the project."""
    found = []
    for process in server.children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue  # it has ended meanwhile
        if any("worker" in word for word in command):
            found.append(process)
    return found


@pytest.mark.parametrize("leaves", ["its own end", "both ends"])
def test_a_client_that_leaves_in_a_review_leaves_nothing(tmp_path: Path, leaves: str) -> None:
    """The server ends soon, with status 0, every process below it too, and its temporary folders are gone."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = subprocess.Popen(
        [KODO, "mcp", "--folder", str(repository(tmp_path / "repository"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KODO_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary)},
    )
    assert server.stdin is not None and server.stdout is not None and server.stderr is not None
    process = psutil.Process(server.pid)
    server.stdin.write(HELLO + call(1, "review"))
    server.stdin.flush()
    deadline = time.monotonic() + PATIENCE
    while not sandboxed(process):
        assert server.poll() is None, server.stderr.read().decode()
        assert time.monotonic() < deadline, "the review does not run the change"
        time.sleep(0.5)  # to look for them takes a while itself
    time.sleep(1)  # until the change's own function runs, below the sandbox's first process
    below = process.children(recursive=True)
    assert below
    assert list(temporary.iterdir())
    left = time.monotonic()
    server.stdin.close()
    if leaves == "both ends":
        server.stdout.close()
    assert server.wait(PATIENCE) == 0, server.stderr.read().decode()
    took = time.monotonic() - left
    _, alive = psutil.wait_procs(below, timeout=10)
    assert alive == []
    assert list(temporary.iterdir()) == []
    assert took < 60, f"it took {took:.1f} s"
    assert b"Traceback" not in server.stderr.read()
