"""The targets of the escape probes: a file, a folder, sockets, a process and a descriptor of the host.

All made for one probing and removed after it. Two escapes can only be seen from this side (a datagram
that arrived, a process that died), so :meth:`Decoys.touched` reports them.
"""

import os
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from kodo.sandbox.model import ResourceLimits

TOKEN = "kodo-decoys-9f1c"  # noqa: S105 - a marker to look for, not a secret


class Decoys:
    """A context manager that sets up the decoys and removes them."""

    def __enter__(self) -> "Decoys":
        """Create the files, sockets and the process."""
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kodo-decoys-")))
        folder.chmod(0o755)
        self.folder = folder
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "module.py").write_text("x = 1\n", encoding="utf-8")
        (self.project / "owner-only.txt").write_text("x", encoding="utf-8")
        (self.project / "owner-only.txt").chmod(0o600)
        self.file = folder / "secret.txt"
        self.file.write_text(TOKEN, encoding="utf-8")
        self._tcp = self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._udp = self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._unix = self._listen_in(folder, "decoy.sock")
        (folder / "decoy.sock").chmod(0o777)
        self._abstract = self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{folder.name}")
        self._process = self._stack.enter_context(
            subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()", TOKEN], stdin=subprocess.PIPE)
        )
        self._stack.callback(self._process.kill)
        self.fd = os.open(self.file, os.O_RDONLY)
        self._stack.callback(os.close, self.fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove all decoys."""
        self._stack.close()

    def _listen(self, family: int, kind: int, address: tuple[str, int] | str) -> socket.socket:
        listener = self._stack.enter_context(socket.socket(family, kind))
        listener.bind(address)
        listener.setblocking(False)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        return listener

    def _listen_in(self, folder: Path, name: str) -> socket.socket:
        """A unix socket in a folder whose path may be longer than the 107 bytes of a socket's address."""
        at = os.open(folder, os.O_PATH)
        try:
            return self._listen(socket.AF_UNIX, socket.SOCK_STREAM, f"/proc/self/fd/{at}/{name}")
        finally:
            os.close(at)

    def describe(self, limits: ResourceLimits) -> dict[str, object]:
        """Where everything is, for ``inside/probes.py``."""
        return {
            "token": TOKEN,
            "file": str(self.file),
            "folder": str(self.folder),
            "project": str(self.project),
            "tcp": self._tcp.getsockname()[1],
            "udp": self._udp.getsockname()[1],
            "unix": "decoy.sock",
            "abstract": self.folder.name,
            "pid": self._process.pid,
            "uid": os.getuid(),
            "processes": limits.processes,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
        }

    def touched(self) -> set[str]:
        """The attempts that succeeded as seen from here."""
        out: set[str] = set()
        try:
            self._udp.recv(64)
            out.add("udp_send")
        except BlockingIOError:
            pass
        if self._process.poll() is not None:
            out.add("signal_host")
        if sorted(path.name for path in self.folder.iterdir()) != ["decoy.sock", "project", "secret.txt"]:
            out.add("write_host")
        if self.file.read_text(encoding="utf-8") != TOKEN:
            out.add("write_host")
        if sorted(path.name for path in self.project.iterdir()) != ["module.py", "owner-only.txt"]:
            out.add("write_project")
        return out
