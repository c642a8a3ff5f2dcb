"""What answers: llama (embedded), upstream (any OpenAI-compatible server), scripted (tests, replay).

The engines are imported when one is built: the llama engine's child process imports this package too, and needs none
of them, nor the settings.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kodo.server.config import ModelSettings, Settings
    from kodo.server.engines.llama.engine import LlamaEngine
    from kodo.server.lifecycle.ports import Engine

RUNTIME = "run"
"""The folder under ``KODO_HOME`` for the sockets of the engines' processes. It is emptied when a server starts."""


class ModelFiles(Protocol):
    """What is known of a llama model's target: :class:`kodo.server.engines.weights.registry.Registry`."""

    def resolve(self, target: str) -> Path:
        """The GGUF."""

    def projector(self, target: str) -> Path | None:
        """The one that turns images into its tokens, if there is one."""

    def sampling(self, target: str) -> tuple[float | None, float | None]:
        """The temperature and ``top_p`` that its maker recommends, where they are known."""


async def build(name: str, model: ModelSettings, settings: Settings, files: ModelFiles) -> Engine:
    """The engine behind a model name, to be started and stopped. Where neither the client nor the settings say how to
    sample, a local model is sampled as its maker recommends.

    Raises:
        OSError, ValueError, kodo.server.engines.weights.errors.WeightsError: the target cannot be read.
    """
    if model.engine == "scripted":
        from kodo.server.engines.scripted import ScriptedEngine, load_script

        script = load_script(Path(model.target)) if model.target.endswith(".json") else None
        return ScriptedEngine(script, name=name)
    if model.engine == "upstream":
        return _upstream(model)
    from kodo.server.engines.llama.options import LlamaOptions
    from kodo.server.engines.llama.process.memory_fit import fit_memory
    from kodo.server.engines.llama.process.supervisor import Supervisor

    path = files.resolve(model.target)
    fit = fit_memory(path, model.context_window or settings.llama.context)
    options = LlamaOptions(
        name=path.name if "/" in model.target else model.target,
        threads=settings.llama.threads,
        decode_threads=settings.llama.decode_threads,
        parallel=settings.llama.parallel or fit.slots,
        batch=settings.llama.batch,
        context=fit.context,
        projector=files.projector(model.target) if model.projector is None else Path(model.projector),
        kv_cache_dir=settings.home / "cache",
        disk_bytes=settings.cache.disk_bytes,
        minimum_tokens=settings.cache.minimum_tokens,
        runtime_dir=settings.home / RUNTIME,
        end_loops=model.end_loops,
    )
    recommended = files.sampling(model.target)
    temperature, top_p = _first(model.temperature, recommended[0]), _first(model.top_p, recommended[1])
    if temperature is not None:
        options = replace(options, temperature=temperature)
    if top_p is not None:
        options = replace(options, top_p=top_p)
    child = Supervisor(options.child(path))
    child.start_soon()
    try:
        llama = await asyncio.to_thread(_llama)  # while the child loads the model
    except BaseException:
        await child.stop()
        raise
    return llama(path, options, child)


def _first(*values: float | None) -> float | None:
    """The first value that is one."""
    return next((value for value in values if value is not None), None)


def _upstream(model: ModelSettings) -> Engine:
    from kodo.server.config import TargetSettings
    from kodo.server.engines.upstream.engine import UpstreamEngine
    from kodo.server.engines.upstream.target import TargetOptions

    if model.base_url is None and not model.targets:
        raise ValueError("base_url is missing: an upstream model needs its server's URL")
    if model.base_url is not None and model.targets:
        raise ValueError("it has base_url and targets: give one of them")
    if model.targets:
        servers = model.targets
    else:
        servers = (TargetSettings(base_url=model.base_url or "", name="upstream"),)
    options = []
    for number, server in enumerate(servers, 1):
        key = server.api_key or model.api_key
        headers = {**model.headers, **server.headers}
        options.append(
            TargetOptions(
                name=server.name or f"target-{number}",
                base_url=server.base_url,
                model=server.target or model.target,
                api_key=None if key is None else key.get_secret_value(),
                profile=server.profile or model.profile,
                api=model.api,
                headers={name: value.get_secret_value() for name, value in headers.items()},
                query={**model.query, **server.query},
                body={**model.body, **server.body},
                omit=model.omit,
            )
        )
    return UpstreamEngine(options, window=model.context_window, images=model.images, parallel=model.parallel)


def _llama() -> type[LlamaEngine]:
    from kodo.server.engines.llama.engine import LlamaEngine

    return LlamaEngine
