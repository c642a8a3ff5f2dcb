"""Embeddings: the mean of the model's last hidden states, from a child of their own.

A llama.cpp context that pools does not generate, so there are two; the second one is started by the first request that
needs it. Vectors have length 1. A chat model's vectors are of modest quality; they are real, and the same every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.process.supervisor import ChildConfig, Supervisor
from kodo.server.lifecycle.errors import InvalidRequest

WINDOW = 2048
"""Tokens a text: a text is pooled in one batch, so this is also the batch's size."""
MAX_TEXTS = 2048


class Embedder:
    """Embeds texts; nothing runs before the first are asked for."""

    def __init__(
        self, model: Path, threads: int, runtime_dir: Path | None = None, *, window: int = WINDOW
    ) -> None:
        self._window = window
        self._config = ChildConfig(
            model=model,
            threads=threads,
            parallel=1,
            batch=window,
            context=window,
            embedding=True,
            runtime_dir=runtime_dir,
        )
        self._supervisor: Supervisor | None = None
        self._starting = asyncio.Lock()

    async def stop(self) -> None:
        """End the child, if there is one."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            await supervisor.stop()

    async def embed(self, texts: Sequence[str]) -> tuple[list[tuple[float, ...]], int]:
        """One vector a text, and the tokens read.

        Raises:
            InvalidRequest: a text is empty, or longer than the window, or there are too many.
            EngineUnavailable, EngineFailed: the child cannot be started, or ended.
        """
        if len(texts) > MAX_TEXTS:
            raise InvalidRequest(f"A request may have {MAX_TEXTS} texts.", param="input")
        client = await self._client()
        for index, text in enumerate(texts):
            tokens = len(await client.tokenize(text, special=False))
            if not 0 < tokens < self._window:
                raise InvalidRequest(
                    f"A text must have 1 to {self._window - 1} tokens; this one has {tokens}.",
                    param=f"input[{index}]",
                )
        return await client.embed(texts)

    async def _client(self) -> ChildClient:
        async with self._starting:
            if self._supervisor is None:
                supervisor = Supervisor(self._config)
                await supervisor.start()
                self._supervisor = supervisor
        return ChildClient(self._supervisor)
