"""An engine, or the local embedding model alone, as the embedder of vector stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kodo.server.engines.llama.decoding.embedding import Embedder

WINDOW = 512
"""Tokens that the local embedding model was trained for."""


class Embeds(Protocol):
    """The part of an engine that makes vectors."""

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector a text, and the tokens read."""


class EngineEmbedder:
    """See :class:`~kodo.server.lifecycle.retrieval.ports.TextEmbedder`."""

    def __init__(self, engine: Embeds, identity: str, *, latin_only: bool = False) -> None:
        self._engine = engine
        self.identity = identity
        self._latin_only = latin_only

    def reads(self, text: str) -> bool:
        """See the port. ``latin_only``: a text most of whose letters are Latin."""
        letters = [letter for letter in text if letter.isalpha()]
        return not self._latin_only or 2 * sum(letter < "\u0250" for letter in letters) >= len(letters)

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """See the port."""
        vectors, _ = await self._engine.embed(texts)
        return vectors


def local_embedder(path: Path, threads: int, runtime_dir: Path) -> Embedder:
    """The embedding model in a child of its own, which the first text starts."""
    from kodo.server.engines.llama.decoding.embedding import Embedder

    return Embedder(path, threads, runtime_dir, window=WINDOW)
