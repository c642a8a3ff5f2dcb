"""A server of an earlier version of kodo, out of this repository's history, for a database that it shares with this version."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.serving import MODEL

ROOT = Path(__file__).parents[2]
MIGRATIONS = "src/kodo/server/store/postgres/migrations"


def git(*arguments: str) -> bytes:
    """What git prints."""
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True).stdout


def commit_before_the_last_migration() -> str | None:
    """The newest commit whose migrations are today's without the last; None: this clone does not go back so far."""
    wanted = _migrations_at("HEAD")[:-1]
    for commit in git("log", "--format=%H", "--", MIGRATIONS).decode().split():
        parents = git("log", "-1", "--format=%P", commit).decode().split()
        for found in (commit, *parents):
            if _migrations_at(found) == wanted:
                return found
    return None


def _migrations_at(commit: str) -> list[tuple[str, str]]:
    """The names and blobs of a commit's migrations, in order."""
    try:
        listed = git("ls-tree", commit, f"{MIGRATIONS}/").decode().splitlines()
    except subprocess.CalledProcessError:  # beyond the end of a shallow clone
        return []
    rows = [line.partition("\t") for line in listed]
    return sorted((name, fields.split()[2]) for fields, _, name in rows if name.endswith(".sql"))


@dataclass(frozen=True)
class OlderVersion:
    """An earlier version of the package."""

    name: str
    source: Path
    """The folder to import it from."""
    is_real: bool
    """A commit of the past, which works on its own schema too; a stand-in only takes a database that is ahead of it."""


def older_version(folder: Path) -> OlderVersion:
    """The version before the last migration; where the clone does not have it, this version with one migration less, which says so."""
    commit = commit_before_the_last_migration()
    if commit is None:
        shutil.copytree(ROOT / "src", folder / "src")
        last = sorted((folder / MIGRATIONS).glob("*.sql"))[-1]
        last.unlink()
        name = f"this version without {last.name}, for the clone does not go back to a commit before it"
        return OlderVersion(name, folder / "src", is_real=False)
    with tarfile.open(fileobj=BytesIO(git("archive", commit, "src"))) as archive:
        archive.extractall(folder, filter="data")
    name = git("log", "-1", "--format=%h %s", commit).decode().strip()
    return OlderVersion(name, folder / "src", is_real=True)


@dataclass
class OlderServer:
    """A server as a command of its own, imported from a folder; with the methods of ``Killable``."""

    process: subprocess.Popen[bytes]
    url: str

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start(source: Path, home: Path, script: Path, more: dict[str, Any]) -> OlderServer:
    """Start a server from a folder of sources, and wait until it takes requests."""
    home.mkdir(exist_ok=True)
    note = home / "server.json"
    note.unlink(missing_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in more.items()]
    table = f'[models."{MODEL}"]\nengine = "scripted"\ntarget = {json.dumps(str(script))}\n'
    (home / "config.toml").write_text(
        "port = 0\nheartbeat_seconds = 0.2\nshutdown_seconds = 2\n" + "\n".join(lines) + "\n\n" + table
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KODO_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "kodo", "serve", "--no-fetch"],
        env={**kept, "KODO_HOME": str(home), "PYTHONPATH": str(source)},
        cwd=home,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not note.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"the older server ended with {process.returncode}, or did not start")
        time.sleep(0.05)
    return OlderServer(process, json.loads(note.read_text())["url"])
