"""Opaque values that only this server can read back: ``encrypted_content`` of compactions and reasoning.

AES-SIV (RFC 5297) with a key kept in the home folder: authenticated, and deterministic, so that folding a log again
gives the same bytes. The owner is bound in: one project's value is refused for another, and a value that was changed
in any bit does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from kodo.server.lifecycle.errors import StoreFailed

_PREFIX = "kodo1."
KEY_BYTES = 64
WRITING_SECONDS = 1.0
"""How long a short file is taken for one that another process is just writing."""


class SealedTooLarge(Exception):
    """A sealed value is larger than there is room for."""


@dataclass(frozen=True)
class SealLimits:
    """What one request may have opened: a number of values, and bytes of all of them together."""

    items: int = 1000
    bytes: int = 16 * 2**20


class Opener:
    """Opens the sealed values of one request, within its limits."""

    def __init__(self, sealer: Sealer, owner: str, limits: SealLimits) -> None:
        self._sealer = sealer
        self._owner = owner
        self._items = limits.items
        self._bytes = limits.bytes

    def open(self, text: str) -> bytes | None:
        """See :meth:`Sealer.open`.

        Raises:
            SealedTooLarge: the request has too many values, or they are too large together.
        """
        if self._items <= 0:
            raise SealedTooLarge
        self._items -= 1
        try:
            data = self._sealer.open(self._owner, text, max_bytes=self._bytes)
        except SealedTooLarge:
            self._items = 0  # the next one costs nothing
            raise
        self._bytes -= len(data or b"")
        return data


class Sealer:
    """Seals and opens. ``key``: 64 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    @classmethod
    def at(cls, path: Path) -> Sealer:
        """The sealer whose key is in a file (mode 0600), which is made where it is missing.

        Raises:
            StoreFailed: the file cannot be read or made, or holds no whole key.
        """
        try:
            key = _read_key(path) if path.exists() else _make_key(path)
        except OSError as error:
            raise StoreFailed(f"KODO_HOME/{path.name} cannot be used: {error.strerror}.") from error
        return cls.of(key, f"KODO_HOME/{path.name}")

    @classmethod
    def of(cls, key: bytes, place: str) -> Sealer:
        """The sealer with a key that was read from a place. Raises ``StoreFailed``: it is no whole key."""
        if len(key) != KEY_BYTES:
            raise StoreFailed(
                f"{place} is damaged: it has {len(key)} bytes instead of {KEY_BYTES}. Restore it from "
                "a backup, or delete it: a new one is made, and encrypted_content sealed before does not open any more."
            )
        return cls(key)

    def seal(self, owner: str, data: bytes) -> str:
        """Compressed, encrypted and authenticated, as URL-safe text."""
        sealed = self._cipher.encrypt(zlib.compress(data), [owner.encode()])
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    def open(self, owner: str, text: str, *, max_bytes: int | None = None) -> bytes | None:
        """The sealed data. None: made by another server or for another owner, or tampered with.

        Raises:
            SealedTooLarge: the data has more than ``max_bytes``.
        """
        if not text.startswith(_PREFIX):
            return None
        try:
            raw = base64.b64decode(text[len(_PREFIX) :], altchars=b"-_", validate=True)
            decoder = zlib.decompressobj()
            compressed = self._cipher.decrypt(raw, [owner.encode()])
            data = decoder.decompress(compressed, 0 if max_bytes is None else max_bytes + 1)
        except (InvalidTag, binascii.Error, ValueError, zlib.error):
            return None
        if max_bytes is not None and len(data) > max_bytes:
            raise SealedTooLarge
        return data if decoder.eof else None


def new_key() -> bytes:
    """A key that nobody has."""
    return AESSIV.generate_key(bit_length=8 * KEY_BYTES)


def _make_key(path: Path) -> bytes:
    """Make a key: written beside its place and moved there whole, so that a crash leaves no half of one."""
    key = new_key()
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_key(part, key, os.O_TRUNC)
        _move(part, path, key)
    except FileExistsError:
        return _read_key(path)
    finally:
        part.unlink(missing_ok=True)
    return key


def _move(part: Path, path: Path, key: bytes) -> None:
    """Give the key its place. Raises ``FileExistsError``: another process has made one, which a rename would replace."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # SMB and some of FUSE have no hard links
        _write_key(path, key, os.O_EXCL)


def _write_key(path: Path, key: bytes, flag: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flag, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # a full disk, most likely
        path.unlink(missing_ok=True)
        raise


def _read_key(path: Path) -> bytes:
    """The key; one that is not whole may be just being written by another process."""
    deadline = time.monotonic() + WRITING_SECONDS
    while len(key := path.read_bytes()) < KEY_BYTES and time.monotonic() < deadline:
        time.sleep(0.02)
    return key
