"""What the operator does to a server's data while no server need run: models.

The command line's only way to the engines' and the store's files; it does no HTTP.
"""

from __future__ import annotations

from pathlib import Path

from kodo.engines.weights.errors import WeightsError
from kodo.engines.weights.registry import LocalModel, Progress, Registry
from kodo.engines.weights.sources import fetch, parse

__all__ = ["LocalModel", "WeightsError", "list_models", "model_path", "pull_model", "remove_model"]


def list_models(home: Path) -> list[LocalModel]:
    """The local models under the data folder `home`, by name. Raises WeightsError."""
    return Registry(home).all()


def model_path(home: Path, name: str) -> Path:
    """Where the GGUF of a local model is. Raises WeightsError."""
    return Registry(home).path(name)


def pull_model(home: Path, source: str | None, name: str | None, progress: Progress) -> LocalModel:
    """Install a model, or find it there and whole; see `kodo.engines.weights.sources.parse` for what `source` can be.

    `progress` is called with bytes done and in all. Raises WeightsError or OSError.
    """
    return fetch(Registry(home), parse(source), name, progress)


def remove_model(home: Path, name: str) -> LocalModel:
    """Delete a local model and return what it was. Raises WeightsError or OSError."""
    return Registry(home).remove(name)
