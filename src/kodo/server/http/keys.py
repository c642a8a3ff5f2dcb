"""Authentication. Keys are 256 random bits, stored as SHA-256, compared in constant time.

With no key made, a server on a loopback address takes any key or none; once one exists, every ``/v1`` route and socket
needs one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kodo.server.http.errors import Unauthorized
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore

DEFAULT_PROJECT = "default"


@dataclass(frozen=True)
class Caller:
    """The owner of what a request makes, and the key whose limits it is under (None: an open server)."""

    owner: str
    key: KeyRow | None = None


def digest(key: str) -> bytes:
    """The hash of a key, as it is stored."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True)
class Secret:
    """A short-lived key: its caller, its expiry (seconds since the epoch) and its session settings."""

    caller: Caller
    expires_at: float
    session: dict[str, Any]


class Secrets:
    """Short-lived keys, for clients that must not have the real one. Kept in memory as hashes; a restart revokes them."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[bytes, Secret] = {}

    def add(self, secret: Secret) -> str:
        """Add a key and return it; expired ones are removed."""
        self._held = {name: held for name, held in self._held.items() if held.expires_at > self._now()}
        value = f"ek_{secrets.token_urlsafe(32)}"
        self._held[digest(value)] = secret
        return value

    def find(self, authorization: str | None) -> Secret | None:
        """Find a key that has not expired. It is looked up by its hash, so timing reveals nothing about it."""
        secret = self._held.get(digest((authorization or "").partition(" ")[2].strip()))
        return secret if secret is not None and secret.expires_at > self._now() else None


class Keys:
    """The stored keys. They are read at each request, because another process may create or revoke one."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def caller(self, authorization: str | None) -> Caller:
        """Identify the caller of an ``Authorization`` header.

        Raises:
            Unauthorized: keys exist, and the header has none of them.
        """
        keys = await self._store.keys()
        if not keys:
            return Caller(owner=DEFAULT_PROJECT)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized(
                "You didn't provide an API key. Send it as: Authorization: Bearer YOUR_KEY.",
                code="missing_api_key",
            )
        found = _find(keys, digest(token.strip()))
        if found is None:
            raise Unauthorized("Incorrect API key provided.")
        return Caller(owner=found.project, key=found)


def _find(keys: Sequence[KeyRow], wanted: bytes) -> KeyRow | None:
    found = None
    for key in keys:  # every key is compared, in constant time each
        if hmac.compare_digest(key.hash, wanted) and key.revoked_at is None:
            found = key
    return found
