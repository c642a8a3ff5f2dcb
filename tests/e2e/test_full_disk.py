"""`kodo store prune` gets out of a disk that is really full, and says so where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.paths import REPOSITORY

from kodo.server.http import admin, reserve
from kodo.server.lifecycle.errors import StoreFailed


def prune_on_a_full_disk(folder: Path, *options: str) -> dict[str, Any]:
    """What ``full_disk.py`` reports: it mounts a small disk in namespaces of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.full_disk", str(folder), *options],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if not name.startswith("KODO_")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_pruning_frees_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the room that is kept for it, which is there again afterwards; without it, the message says what is wrong."""
    freed = prune_on_a_full_disk(tmp_path)
    if "refused" in freed:  # no namespaces for this user: a disk that is full until the reserve is given up
        simulate(tmp_path, monkeypatch)
        return
    assert (freed["code"], freed["left"], freed["reserve"]) == (0, 0, True), freed
    stuck = prune_on_a_full_disk(tmp_path, "--without-reserve")
    assert stuck["code"] == 2
    assert stuck["said"] == "kodo: The server's disk is full.\n"


def simulate(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a store that fails as on a full disk as long as the reserve takes its room."""
    admin.stats(home)
    reserve.keep(home)
    real = admin.retention.prune

    async def prune(*arguments: Any) -> dict[str, int]:
        if (home / reserve.NAME).exists():
            raise StoreFailed("The server's disk is full.")
        return await real(*arguments)

    monkeypatch.setattr(admin.retention, "prune", prune)
    assert admin.prune(home, 1)["responses"] == 0
    assert (home / reserve.NAME).exists()
