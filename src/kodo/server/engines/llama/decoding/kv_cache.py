"""Saved slots: the engine's state of a prompt, on disk, for the same owner and cache key, past a restart.

One state for each owner and key: ``<name>.kv`` is what the engine wrote, ``<name>.meta`` says which ids it holds and until
when. The name is an HMAC over owner, key, model and settings, with a secret of this folder: no client can name, or guess,
the state of another. A file without its meta is not whole, and is removed. Old states go when they expire, the least recently
used ones when the quota is reached.

Knows files and ids; knows nothing of HTTP or slots.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from kodo.server.engines.llama.decoding.slots import common_prefix_length
from kodo.server.engines.llama.prompting.content import TokenIds

KEY_FILE = "secret"
MIN_COVERED_SHARE = 0.9
"""A saved state that covers this share of a prompt is left as it is."""
_FINGERPRINT_BYTES = 2**20


class EntryMeta(Struct, frozen=True):
    """What a saved state holds. ``expires`` in seconds since the epoch."""

    ids: TokenIds
    expires: float


_META = msgspec.msgpack.Decoder(EntryMeta)


class DiskKVCache:
    """The saved states of one model with one set of settings.

    ``folder`` is created by the constructor, readable by this user only.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        max_bytes: int,
        min_tokens: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._min_tokens = min_tokens
        self._now = now
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secret = _secret(folder / KEY_FILE) + identity.encode()
        self._meta: dict[str, EntryMeta | None] = {}
        self.prune()

    def entry_name(self, owner: str, key: str) -> str:
        """The name of an owner's state under a key."""
        identity_bytes = msgspec.msgpack.encode((owner, key))
        return hmac.new(self._secret, identity_bytes, hashlib.sha256).hexdigest()[:40]

    def find(self, name: str, ids: TokenIds) -> TokenIds:
        """The ids of a saved state that begins as ``ids`` do, for long enough to be worth reading; else none."""
        meta = self._read(name)
        if meta is None or meta.expires < self._now():
            return ()
        if common_prefix_length(meta.ids, ids) < min(self._min_tokens, len(ids) - 1):
            return ()
        with suppress(OSError):
            os.utime(self._state(name))
        return meta.ids

    def should_save(self, name: str, ids: TokenIds) -> bool:
        """Whether a state of these ids should be saved: it is long enough, and not there already."""
        if self._max_bytes <= 0 or len(ids) < self._min_tokens:
            return False
        meta = self._read(name)
        if meta is None or meta.expires < self._now():
            return True
        return common_prefix_length(meta.ids, ids) < MIN_COVERED_SHARE * len(ids)

    def begin_save(self, name: str) -> str:
        """Before the engine writes: the old state no longer counts. Returns the file for the engine."""
        self._meta[name] = None
        (self.folder / f"{name}.meta").unlink(missing_ok=True)
        return f"{name}.kv"

    def commit_save(self, name: str, ids: TokenIds, seconds: float) -> bool:
        """The engine has written: from here on the state counts, if the quota allows. Returns whether it does."""
        meta = EntryMeta(ids=ids, expires=self._now() + seconds)
        new = self.folder / f"{name}.new"
        new.write_bytes(msgspec.msgpack.encode(meta))
        new.replace(self.folder / f"{name}.meta")
        self._meta[name] = meta
        self.prune()
        return self._state(name).exists()

    def remove(self, name: str) -> None:
        """Remove a state."""
        self._meta[name] = None
        (self.folder / f"{name}.meta").unlink(missing_ok=True)
        self._state(name).unlink(missing_ok=True)

    def prune(self) -> None:
        """Remove what is expired, not whole, or over the quota, least recently used first."""
        states: list[tuple[float, int, str]] = []
        for state in self.folder.glob("*.kv"):
            meta = self._read(state.stem)
            if meta is None or meta.expires < self._now():
                self.remove(state.stem)
                continue
            found = state.stat()
            states.append((found.st_mtime, found.st_size, state.stem))
        total = sum(size for _, size, _ in states)
        for _, size, name in sorted(states):
            if total <= self._max_bytes:
                break
            self.remove(name)
            total -= size

    def _state(self, name: str) -> Path:
        return self.folder / f"{name}.kv"

    def _read(self, name: str) -> EntryMeta | None:
        if name not in self._meta:
            try:
                self._meta[name] = _META.decode((self.folder / f"{name}.meta").read_bytes())
            except (OSError, ValueError):  # not there, or damaged: no text is such an error too
                self._meta[name] = None
        return self._meta[name]


def model_fingerprint(model: Path) -> str:
    """What tells one model file from another: its size, and a hash of its beginning and end."""
    size = model.stat().st_size
    digest = hashlib.sha256()
    with model.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read())
    return f"{size}:{digest.hexdigest()}"


def _secret(path: Path) -> bytes:
    """The folder's secret, made the first time."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        new = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        new.replace(path)
        return path.read_bytes()
