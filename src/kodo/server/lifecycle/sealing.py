"""Opaque values that only this server can read back: ``encrypted_content`` of compactions and reasoning.

AES-SIV (RFC 5297) with a key kept in the home folder: authenticated, and deterministic, so that folding a log again
gives the same bytes. The owner is bound in: one project's value is refused for another, and a value that was changed
in any bit does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_PREFIX = "kodo1."


class Sealer:
    """Seals and opens. ``key``: 64 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    @classmethod
    def at(cls, path: Path) -> Sealer:
        """The sealer whose key is in a file (mode 0600), which is made where it is missing."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(handle, "wb") as file:
            key = AESSIV.generate_key(bit_length=512)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    def seal(self, owner: str, data: bytes) -> str:
        """Compressed, encrypted and authenticated, as URL-safe text."""
        sealed = self._cipher.encrypt(zlib.compress(data), [owner.encode()])
        return _PREFIX + base64.urlsafe_b64encode(sealed).decode()

    def open(self, owner: str, text: str) -> bytes | None:
        """The sealed data, or None if it was made by another server or for another owner, or tampered with."""
        if not text.startswith(_PREFIX):
            return None
        try:
            raw = base64.b64decode(text[len(_PREFIX) :], altchars=b"-_", validate=True)
            return zlib.decompress(self._cipher.decrypt(raw, [owner.encode()]))
        except (InvalidTag, binascii.Error, ValueError, zlib.error):
            return None
