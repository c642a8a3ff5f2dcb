"""What answers: llama (embedded), upstream (any OpenAI-compatible server), scripted (tests, replay).

The engines are imported when one is built: the llama engine's child process imports this package too, and needs none
of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kodo.config import ModelSettings, Settings

if TYPE_CHECKING:
    from kodo.lifecycle.ports import Engine


def build(name: str, model: ModelSettings, settings: Settings, weights: Callable[[str], Path]) -> Engine:
    """The engine behind a model name, not started. ``weights`` finds the GGUF of a llama model's target.

    Raises:
        OSError, ValueError, kodo.engines.weights.errors.WeightsError: the target cannot be read.
    """
    if model.engine == "scripted":
        from kodo.engines.scripted import ScriptedEngine, load_script

        script = load_script(Path(model.target)) if model.target.endswith(".json") else None
        return ScriptedEngine(script, name=name)
    from kodo.engines.llama.engine import LlamaEngine, LlamaOptions

    options = LlamaOptions(
        name=name,
        threads=settings.llama.threads,
        parallel=settings.llama.parallel,
        batch=settings.llama.batch,
        context=model.context_window or settings.llama.context,
        **{
            field: value
            for field, value in (("temperature", model.temperature), ("top_p", model.top_p))
            if value is not None
        },
        saves=settings.home / "cache",
        disk_bytes=settings.cache.disk_bytes,
        minimum_tokens=settings.cache.minimum_tokens,
    )
    return LlamaEngine(weights(model.target), options)
