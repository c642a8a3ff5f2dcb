"""A TCP proxy between a server and its database, which can stall (nothing passes, nobody hears of it) and drop."""

from __future__ import annotations

import contextlib
import socket
import threading


class FaultyProxy:
    """Listens on loopback and passes everything to a port there. Threads of this process; :meth:`close` ends them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Connections stay, and new ones are taken; no byte passes until :meth:`resume`."""
        self._flows.clear()

    def drop(self) -> None:
        """Every connection is reset, and so is every new one until :meth:`resume`."""
        self._refuses = True
        with self._lock:
            found, self._open = self._open, set()
        for one in found:
            _reset(one)

    def resume(self) -> None:
        """Let everything pass; what was stalled arrives late."""
        self._refuses = False
        self._flows.set()

    def close(self) -> None:
        """End it."""
        self._listener.close()
        self.drop()
        self._flows.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            if self._refuses:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
