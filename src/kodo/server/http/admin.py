"""What the operator does to a server's data, whether a server runs or not: models, keys, stored state.

The command line's only way to the engines' and the store's files; it does no HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kodo.server.config import DEFAULT_MODEL, Settings
from kodo.server.engines.weights.errors import UnknownModelError, WeightsError
from kodo.server.engines.weights.registry import LocalModel, Progress, Registry
from kodo.server.engines.weights.sources import fetch, parse
from kodo.server.http import retention
from kodo.server.http.keys import digest
from kodo.server.lifecycle.errors import NotFound, StoreFailed
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore, Store
from kodo.server.store.export import lines
from kodo.server.store.sqlite import SqliteStore

T = TypeVar("T")
KEY_PREFIX = "sk-kodo-"

__all__ = [
    "KeyRow",
    "LocalModel",
    "NotFound",
    "StoreFailed",
    "WeightsError",
    "create_key",
    "default_model_missing",
    "export",
    "list_keys",
    "list_models",
    "model_path",
    "prune",
    "pull_model",
    "remove_model",
    "revoke_key",
    "stats",
]

# --- models ----------------------------------------------------------------------------------------------------------


def list_models(home: Path) -> list[LocalModel]:
    """The local models under the data folder `home`, by name. Raises WeightsError."""
    return Registry(home).all()


def model_path(home: Path, name: str) -> Path:
    """Where the GGUF of a local model is. Raises WeightsError."""
    return Registry(home).path(name)


def pull_model(home: Path, source: str | None, name: str | None, progress: Progress) -> LocalModel:
    """Install a model, or find it there and whole; see `kodo.server.engines.weights.sources.parse` for what `source` can be.

    `progress` is called with bytes done and in all. Raises WeightsError or OSError.
    """
    return fetch(Registry(home), parse(source), name, progress)


def default_model_missing(settings: Settings) -> bool:
    """Whether a model of the settings is answered by the default local model, and that is not installed yet."""
    wanted = any(
        model.engine == "llama" and model.target == DEFAULT_MODEL for model in settings.models.values()
    )
    if not wanted:
        return False
    try:
        Registry(settings.home).path(DEFAULT_MODEL)
    except UnknownModelError:
        return True
    return False


def remove_model(home: Path, name: str) -> LocalModel:
    """Delete a local model and return what it was. Raises WeightsError or OSError."""
    return Registry(home).remove(name)


# --- keys ------------------------------------------------------------------------------------------------------------


def create_key(
    home: Path,
    *,
    name: str,
    project: str,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
) -> tuple[str, KeyRow]:
    """A new key, and what is stored of it; a running server takes it at once. Raises StoreFailed.

    The key is 256 random bits. It is returned here once and cannot be had again.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    row = KeyRow(
        id=f"key_{secrets.token_hex(8)}",
        name=name,
        project=project,
        hash=digest(key),
        hint=f"{key[: len(KEY_PREFIX) + 2]}…{key[-4:]}",
        created_at=time.time(),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
    )
    _with_store(home, lambda store: store.put_key(row))
    return key, row


def list_keys(home: Path) -> Sequence[KeyRow]:
    """Every key, oldest first, revoked ones too. Raises StoreFailed."""
    return _with_store(home, lambda store: store.keys())


def revoke_key(home: Path, key_id: str) -> KeyRow:
    """Revoke a key, at once and for ever; one that is revoked stays as it is. Raises NotFound or StoreFailed."""

    async def revoke(store: KeyStore) -> KeyRow:
        found = next((row for row in await store.keys() if row.id == key_id), None)
        if found is None:
            raise NotFound(f"There is no key {key_id!r}; kodo keys list shows their ids.")
        if found.revoked_at is not None:
            return found
        revoked = msgspec.structs.replace(found, revoked_at=time.time())
        await store.put_key(revoked)
        return revoked

    return _with_store(home, revoke)


# --- stored state ----------------------------------------------------------------------------------------------------


def prune(home: Path, days: float, thread_days: float | None = None) -> dict[str, int]:
    """Delete what is older than `kodo.server.http.retention.RetentionPolicy` allows; counts by kind. Raises StoreFailed."""
    policy = retention.RetentionPolicy(days, thread_days)
    return _with_store(home, lambda store: retention.prune(store, time.time(), policy))


def stats(home: Path) -> dict[str, Any]:
    """Rows by table, bytes on disk, schema version. Raises StoreFailed."""
    return _with_store(home, lambda store: store.stats())


def export(home: Path, owner: str | None) -> Iterator[bytes]:
    """Stored state as JSON lines; see `kodo.server.store.export.lines`. Raises StoreFailed."""
    _with_store(home, lambda store: store.keys())  # makes or migrates the database first
    return lines(home, owner)


def _with_store(home: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = SqliteStore(home, exclusive=False)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
