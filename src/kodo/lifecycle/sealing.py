"""Opaque values that only this server can read back: ``encrypted_content`` of compactions and reasoning.

AES-256-GCM (NIST SP 800-38D) with a key kept in the home folder; the owner is bound in, so that one project's value
is refused for another. A value that was changed in any bit does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "kodo1."
_NONCE = 12


class Sealer:
    """Seals and opens. ``key``: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def at(cls, path: Path) -> Sealer:
        """The sealer whose key is in a file (mode 0600), which is made where it is missing."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_bytes())
        with os.fdopen(handle, "wb") as file:
            key = AESGCM.generate_key(bit_length=256)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    def seal(self, owner: str, data: bytes) -> str:
        """Compressed, encrypted and authenticated, as URL-safe text."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, zlib.compress(data), owner.encode())
        return _PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, owner: str, text: str) -> bytes | None:
        """What was sealed, or None: not ours, somebody else's, or tampered with."""
        if not text.startswith(_PREFIX):
            return None
        try:
            raw = base64.b64decode(text[len(_PREFIX) :], altchars=b"-_", validate=True)
            return zlib.decompress(self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], owner.encode()))
        except (InvalidTag, binascii.Error, ValueError, zlib.error):
            return None
