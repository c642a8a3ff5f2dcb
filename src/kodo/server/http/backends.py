"""Opens the store and loads the models. Apart from ``admin``, no other module imports those packages.

Separate from :mod:`kodo.server.http.app`: a model takes about a second to load and the rest of the server a fifth of one
to import, and this way the two happen at the same time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from kodo.server.config import ModelSettings, Settings
from kodo.server.engines import RUNTIME, build
from kodo.server.engines.text_embedder import EngineEmbedder, local_embedder
from kodo.server.engines.weights.embedder import EMBEDDER
from kodo.server.engines.weights.errors import WeightsError
from kodo.server.engines.weights.registry import Registry
from kodo.server.http import reserve
from kodo.server.lifecycle.admission import Admission
from kodo.server.lifecycle.blobs import SharedPlace
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import Engine, ModelCard
from kodo.server.lifecycle.retrieval.ports import TextEmbedder
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store.blobs.choice import open_place
from kodo.server.store.choice import choose_store
from kodo.server.tools import open_tools

KEYS_MARK = "keys-exist"
"""A file in the home folder that says that API keys were made for it."""

__all__ = [
    "KEYS_MARK",
    "Resources",
    "WeightsError",
    "has_keys",
    "open_embedder",
    "open_resources",
    "open_tools",
]


@dataclass(frozen=True)
class Resources:
    """The open store, the place of what is not in it, and the models.

    Awaiting ``models`` raises:
        ServiceError, WeightsError: an engine did not start; the message says why.
    """

    store: Store
    place: SharedPlace
    models: Awaitable[dict[str, Backend]]
    """By name."""


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open the store and start to load the models; close all of them on the way out.

    Raises:
        StoreFailed: the store or the place of files does not open, or another server has it. No engine is started then.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        place = await open_place(settings)
        store = choose_store(
            settings.home,
            settings.database_url,
            role=settings.role,
            lease_seconds=settings.lease_seconds,
            folder=place.id,
        )
        await store.open()
        stack.push_async_callback(store.close)
        shutil.rmtree(settings.home / RUNTIME, ignore_errors=True)  # what a killed server left
        reserve.keep(settings.home)
        models = asyncio.create_task(_models(settings, stack))
        try:
            yield Resources(store, place, models)
        finally:
            models.cancel()
            await asyncio.gather(models, return_exceptions=True)  # its error was raised where it was awaited


async def open_embedder(
    settings: Settings, models: Mapping[str, Backend], stack: AsyncExitStack
) -> TextEmbedder | None:
    """What makes the vectors of vector stores; None: nothing does, and they are searched by words.

    Raises:
        ServiceError: the settings name a model that is not there.
    """
    name = settings.tools.file_search.embedder
    if name is not None:
        if name not in models:
            raise ServiceError(f"Setting tools.file_search.embedder: no model is called '{name}'.")
        return EngineEmbedder(models[name].engine, f"{name}:{models[name].settings.target}")
    try:
        path = Registry(settings.home).path(EMBEDDER.name)
    except WeightsError:
        return None
    engine = local_embedder(path, settings.llama.threads, settings.home / RUNTIME)
    stack.push_async_callback(engine.stop)
    return EngineEmbedder(engine, EMBEDDER.name, latin_only=True)


async def has_keys(settings: Settings) -> bool:
    """Whether the store has any API key, revoked ones included. Raises ``StoreFailed``."""
    store = choose_store(settings.home, settings.database_url, role="tool")
    await store.open()
    try:
        return await store.has_keys()
    finally:
        await store.close()


async def _models(settings: Settings, stack: AsyncExitStack) -> dict[str, Backend]:
    """Start an engine for each model, one where several names stand for the same; and a queue for each engine.

    A local model also answers to its own name.
    """
    engines: list[tuple[ModelSettings, Engine, Admission]] = []
    names: dict[str, ModelSettings] = dict(settings.models)
    for model in settings.models.values():
        if model.engine == "llama" and "/" not in model.target:
            names.setdefault(model.target, model)
    backends: dict[str, Backend] = {}
    for name, model in names.items():
        known = next((entry for entry in engines if entry[0] == model), None)
        if known is None:
            registry = Registry(settings.home)
            started = await _built(name, model, settings, registry)
            stack.push_async_callback(started.stop)
            await started.start()
            card = await started.card()
            known = model, started, Admission(card.parallel, settings.limits.queue)
            engines.append(known)
        _, engine, admission = known
        card = _with_sampling(await engine.card(), model)
        backends[name] = Backend(name=name, engine=engine, admission=admission, settings=model, card=card)
    return backends


async def _built(name: str, model: ModelSettings, settings: Settings, registry: Registry) -> Engine:
    """The engine of a model, which is not started yet.

    Raises:
        ServiceError: its settings are wrong, or a file that they name cannot be read; the message names the model.
        WeightsError: its weights cannot be had.
    """
    try:
        return await build(name, model, settings, registry)
    except OSError as error:
        raise ServiceError(
            f'Setting models."{name}": {error.filename} cannot be read: {error.strerror}'
        ) from error
    except ValueError as error:
        raise ServiceError(f'Setting models."{name}": {error}') from error


def _with_sampling(card: ModelCard, model: ModelSettings) -> ModelCard:
    """A card with the settings' sampling in the place of the model's own: responses show what holds."""
    given = {"temperature": model.temperature, "top_p": model.top_p}
    return msgspec.structs.replace(
        card, **{name: value for name, value in given.items() if value is not None}
    )
