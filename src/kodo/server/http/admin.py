"""Administration of a server's data, whether the server runs or not: models, keys, stored objects.

The command line reaches the files of engines and store only through this module. It does no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

import msgspec

from kodo.server.config import DEFAULT_CONTEXT, DEFAULT_MODEL, InvalidSettings, Settings, load
from kodo.server.engines.llama.process.memory_fit import available_memory
from kodo.server.engines.weights import catalogue
from kodo.server.engines.weights.catalogue import USES, CatalogueEntry
from kodo.server.engines.weights.embedder import EMBEDDER
from kodo.server.engines.weights.errors import UnknownModelError, WeightsError
from kodo.server.engines.weights.registry import LocalModel, Progress, Registry
from kodo.server.engines.weights.sources import fetch, parse
from kodo.server.http import reserve, retention
from kodo.server.http.backends import KEYS_MARK
from kodo.server.http.budgets import check_budgets
from kodo.server.http.keys import KeyLimits, new_key
from kodo.server.lifecycle.errors import InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore, Store
from kodo.server.store.blobs.choice import PlaceReport, copy_place, inspect_place
from kodo.server.store.blobs.copying import BlobDigest
from kodo.server.store.choice import choose_store, copy_store, inspect_database, open_snapshot
from kodo.server.store.copying import TableDigest
from kodo.server.store.database_report import DatabaseReport
from kodo.server.store.export import lines

T = TypeVar("T")
CONFIGURED = "configured"
"""In place of an address: the store that the settings name."""

__all__ = [
    "USES",
    "CatalogueEntry",
    "ClusterReport",
    "InvalidRequest",
    "KeyRow",
    "LocalModel",
    "NotFound",
    "PlaceReport",
    "StoreFailed",
    "WeightsError",
    "available_memory",
    "catalogue_entries",
    "copy",
    "copy_files",
    "create_key",
    "default_model_missing",
    "export",
    "find_in_catalogue",
    "inspect_cluster",
    "inspect_files",
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
    """Return the local models under the data folder ``home``, by name. Raises ``WeightsError``."""
    return Registry(home).all()


def model_path(home: Path, name: str) -> Path:
    """Return the path of a local model's GGUF file. Raises ``WeightsError``."""
    return Registry(home).path(name)


def catalogue_entries() -> Sequence[CatalogueEntry]:
    """Every model of the catalogue, in order of preference."""
    return catalogue.entries()


def find_in_catalogue(word: str, context: int = DEFAULT_CONTEXT) -> CatalogueEntry | None:
    """The catalogue's model of that name, or the best for that use that fits this machine with ``context`` tokens a slot.

    None: the catalogue does not know the word. Raises WeightsError where none for that use fits.
    """
    return catalogue.choose(word, available_memory(), context)


def pull_model(home: Path, source: str | None, name: str | None, progress: Progress) -> LocalModel:
    """Install a model, or find it there and whole.

    `source` is a name or a use of the catalogue, ``embedder``, or what `kodo.server.engines.weights.sources.parse` takes. `progress` is
    called with bytes done and in all. Raises WeightsError or OSError.
    """
    if source in ("embedder", EMBEDDER.name):
        return fetch(Registry(home), EMBEDDER, name, progress)
    entry = None if source is None else find_in_catalogue(source)
    if entry is None:
        names = [*USES, *(known.name for known in catalogue.entries())]
        return fetch(Registry(home), parse(source, names), name, progress)
    return fetch(Registry(home), entry.source, name or entry.name, progress)


def default_model_missing(settings: Settings) -> bool:
    """Return whether a model of the settings uses the default local model, and that is not installed yet."""
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
    """Delete a local model, and return its manifest. Raises ``WeightsError`` or ``OSError``."""
    return Registry(home).remove(name)


# --- keys ------------------------------------------------------------------------------------------------------------


def create_key(
    home: Path,
    *,
    name: str,
    project: str,
    role: Literal["project", "admin"] = "project",
    **limits: Unpack[KeyLimits],
) -> tuple[str, KeyRow]:
    """Create a key; return it with its stored row. A running server accepts it immediately.

    The key has 256 random bits. It is returned here once and is not stored.

    Raises:
        StoreFailed: the store cannot be written, or the settings cannot be read.
        InvalidRequest: it has a budget in dollars, and no model of the settings has a price.
    """
    key, row = new_key(name=name, project=project, role=role, **limits)
    check_budgets(row, _settings())
    _with_store(home, lambda store: store.put_key(row))
    (home / KEYS_MARK).touch(0o600)
    return key, row


def list_keys(home: Path) -> Sequence[KeyRow]:
    """Return every key, oldest first, including revoked ones. Raises ``StoreFailed``."""
    return _with_store(home, lambda store: store.keys())


def revoke_key(home: Path, key_id: str) -> KeyRow:
    """Revoke a key immediately and permanently; a revoked key stays revoked. Raises ``NotFound`` or ``StoreFailed``."""

    async def revoke(store: KeyStore) -> KeyRow:
        key = await store.key(key_id)
        if key is None:
            raise NotFound(f"No key has the id {key_id!r}; `kodo keys list` shows the ids.")
        if key.revoked_at is not None:
            return key
        revoked = msgspec.structs.replace(key, revoked_at=time.time())
        await store.put_key(revoked)
        return revoked

    return _with_store(home, revoke)


# --- stored state ----------------------------------------------------------------------------------------------------


def prune(home: Path, days: float, thread_days: float | None = None) -> dict[str, int]:
    """Delete what is older than :class:`kodo.server.http.retention.RetentionPolicy` allows; return the counts by kind.
    Raises ``StoreFailed``.
    """
    policy = retention.RetentionPolicy(days, thread_days)

    def work() -> dict[str, int]:
        return _with_store(home, lambda store: retention.prune(store, time.time(), policy))

    try:
        return work()
    except StoreFailed:
        if not reserve.release(home):
            raise
        return work()  # on a full disk: deleting needs room too
    finally:
        reserve.keep(home)


def stats(home: Path) -> dict[str, Any]:
    """Return the rows by table, the bytes on disk and the schema version. Raises ``StoreFailed``."""
    return _with_store(home, lambda store: store.stats())


def copy(home: Path, source: str, destination: str) -> dict[str, TableDigest]:
    """Copy a store to another, empty one. Each is the address of a database, a folder with ``kodo.db``, or ``configured``:
    what the settings name. Raises ``StoreFailed``.
    """

    def place(word: str) -> tuple[Path, str | None]:
        if word.startswith(("postgresql://", "postgres://")):
            return home, word
        return (home, _database()) if word == CONFIGURED else (Path(word), None)

    return copy_store(place(source), place(destination))


def copy_files(source: str, destination: str) -> dict[str, BlobDigest]:
    """Copy all files and ``seal.key`` to another, empty place. Each is a folder, ``s3://bucket/prefix``, or ``configured``: what the
    settings name. Raises ``StoreFailed``.
    """
    words = [None if word == CONFIGURED else word for word in (source, destination)]
    return asyncio.run(copy_place(words[0], words[1], _settings()))


class ClusterReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers of a database share."""

    database: DatabaseReport
    place: PlaceReport
    """Where files are."""


def inspect_cluster() -> ClusterReport | None:
    """What the settings' database and shared folder are like; None: they name no database, and there is one server.

    Raises:
        StoreFailed: one of them cannot be reached, or the packages for it are not installed.
    """
    settings = _settings()
    if settings.database_url is None:
        return None
    return ClusterReport(
        database=inspect_database(settings.database_url),
        place=asyncio.run(inspect_place(settings)),
    )


def inspect_files() -> PlaceReport | None:
    """What the place of files is like that the settings name; None: they name none, and files are in the home folder.

    Raises:
        StoreFailed: the settings cannot be read, the folder is not there, or the packages for it are not installed.
    """
    settings = _settings()
    if settings.files is None and settings.shared_folder is None:
        return None
    return asyncio.run(inspect_place(settings))


def export(home: Path, owner: str | None) -> Iterator[bytes]:
    """Yield stored objects as JSON lines; see :func:`kodo.server.store.export.lines`. Raises ``StoreFailed``."""
    _with_store(home, lambda store: store.has_keys())  # makes or migrates the database first
    with open_snapshot(home, _database()) as connection:
        yield from lines(connection, owner)


def _database() -> str | None:
    """The database that the settings name. Raises ``StoreFailed``: they cannot be read."""
    return _settings().database_url


def _settings() -> Settings:
    """The settings. Raises ``StoreFailed``: they cannot be read."""
    try:
        return load()
    except InvalidSettings as error:
        raise StoreFailed(str(error)) from None


def _with_store(home: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = choose_store(home, _database(), role="tool")
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
