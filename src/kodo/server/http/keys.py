"""Authentication. Keys are 256 random bits, stored as SHA-256 and found by it: timing reveals nothing about a key.

With no key made, a server on a loopback address takes any key or none; once one exists, every ``/v1`` route and socket
needs one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, Unpack

from msgspec import Struct

from kodo.server.http.errors import RateLimited, Unauthorized
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""Pause before work that goes on asks again for its key."""
DEFAULT_PROJECT = "default"
KEY_PREFIX: Final = "sk-kodo-"


class Caller(Struct, frozen=True):
    """The owner of what a request makes, and the key whose limits it is under (None: an open server)."""

    owner: str
    key: KeyRow | None = None

    @property
    def key_id(self) -> str | None:
        """The id of its key."""
        return None if self.key is None else self.key.id


def digest(key: str) -> bytes:
    """The hash of a key, as it is stored."""
    return hashlib.sha256(key.encode()).digest()


class KeyLimits(TypedDict, total=False):
    """The limits and budgets of a key, as :class:`~kodo.server.lifecycle.records.KeyRow` names them; None: the setting's."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    tokens_per_day: int | None
    tokens_per_month: int | None
    usd_per_day: float | None
    usd_per_month: float | None


def new_key(
    *,
    name: str,
    project: str,
    role: Literal["project", "admin"] = "project",
    **limits: Unpack[KeyLimits],
) -> tuple[str, KeyRow]:
    """A new key of 256 random bits, and its row to be stored; the key itself is not in it."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, KeyRow(
        id=f"key_{secrets.token_hex(8)}",
        name=name,
        project=project,
        hash=digest(key),
        hint=f"{key[: len(KEY_PREFIX) + 2]}…{key[-4:]}",
        created_at=time.time(),
        role=role,
        **limits,
    )


@dataclass(frozen=True)
class Secret:
    """A short-lived key: its caller, its expiry (seconds since the epoch) and its session settings."""

    caller: Caller
    expires_at: float
    session: dict[str, Any]


MAX_SECRETS = 1000
"""Short-lived keys that one key may have at a time."""
MAX_SESSION_BYTES = 256 * 2**10
"""Bytes of the session settings that a short-lived key carries."""


class Secrets:
    """Short-lived keys, for clients that must not have the real one. Kept in memory as hashes; a restart revokes them."""

    def __init__(self, now: Callable[[], float], max_per_key: int = MAX_SECRETS) -> None:
        self._now = now
        self._max_per_key = max_per_key
        self._counts: Counter[str | None] = Counter()
        self._sweep_at = 0.0
        self._held: dict[bytes, Secret] = {}

    def add(self, secret: Secret) -> str:
        """Add a key and return it; expired ones are removed.

        Raises:
            RateLimited: the caller's key has too many of them.
        """
        key_id = secret.caller.key_id
        if self._now() >= self._sweep_at or self._counts[key_id] >= self._max_per_key:
            self._remove_expired()
        if self._counts[key_id] >= self._max_per_key:
            raise RateLimited(
                f"The number of client secrets that a key has at a time is limited to {self._max_per_key}.",
                retry_after=60.0,
                headers={},
            )
        value = f"ek_{secrets.token_urlsafe(32)}"
        self._held[digest(value)] = secret
        self._counts[key_id] += 1
        return value

    def _remove_expired(self) -> None:
        now = self._now()
        self._held = {name: held for name, held in self._held.items() if held.expires_at > now}
        self._counts = Counter(held.caller.key_id for held in self._held.values())
        self._sweep_at = now + 10

    def find(self, authorization: str | None) -> Secret | None:
        """Find a key that has not expired. It is looked up by its hash, so timing reveals nothing about it."""
        secret = self._held.get(digest((authorization or "").partition(" ")[2].strip()))
        return secret if secret is not None and secret.expires_at > self._now() else None


class Keys:
    """The stored keys. The store is asked at each request, because another process may create or revoke one.

    What lives longer than a request (a socket, a stream, background work) has its key looked up again, by
    :meth:`check` or :meth:`caller_of`: that is how a revoked key ends at once.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._exist = False
        """Whether there were keys: revoked ones stay, so there always will be."""

    async def exist(self) -> bool:
        """Whether there is any key, revoked ones included."""
        self._exist = self._exist or await self._store.has_keys()
        return self._exist

    async def caller(self, authorization: str | None) -> Caller:
        """Identify the caller of an ``Authorization`` header.

        Raises:
            Unauthorized: keys exist, and the header has none of them.
        """
        if not await self.exist():
            return Caller(owner=DEFAULT_PROJECT)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized(
                "You didn't provide an API key. Send it as: Authorization: Bearer YOUR_KEY.",
                code="missing_api_key",
            )
        found = await self._store.key_by_hash(digest(token.strip()))
        if found is None or found.revoked_at is not None:
            raise Unauthorized("Incorrect API key provided.")
        return Caller(owner=found.project, key=found)

    async def check(self, caller: Caller) -> None:
        """Check that a caller may go on.

        Raises:
            Unauthorized: its key was revoked; or it has none, and a key was made since.
        """
        if caller.key_id is None and await self.exist():
            raise Unauthorized(
                "This server has API keys now; connect again with one.", code="missing_api_key"
            )
        await self.caller_of(caller.owner, caller.key_id)

    async def allows(self, owner: str, key_id: str | None) -> bool:
        """Whether stored work may go on: not where the key that it was accepted from was revoked.

        While the store is away, nobody knows; the work waits and does not fail for it.
        """
        while True:
            try:
                await self.caller_of(owner, key_id)
            except Unauthorized:
                return False
            except StoreFailed as error:
                logger.debug("whether a key is still valid is asked again: %s", error.message)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return True

    async def caller_of(self, owner: str, key_id: str | None) -> Caller:
        """The caller that an owner's stored work was accepted from. ``key_id`` None: there were no keys then.

        Raises:
            Unauthorized: the key was revoked.
        """
        if key_id is None:
            return Caller(owner=owner)
        found = await self._store.key(key_id)
        if found is None or found.revoked_at is not None:
            raise Unauthorized("This API key was revoked.", code="api_key_revoked")
        return Caller(owner=owner, key=found)
