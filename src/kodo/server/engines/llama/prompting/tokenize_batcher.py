"""Short texts of concurrent requests are tokenised in one call.

While one call is under way, those who ask meanwhile wait and share the next: a call to the engine costs more than a short
text in it, on cores that the model is using. Eight requests in a row make two calls. A long text has a call of its own, so
that no other request waits for it. Where a shared call fails, each request gets its own call, so that a bad text fails only
its own request.

Knows texts and futures; knows nothing of what calls them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from kodo.server.engines.llama.prompting.content import TokenIds

MAX_SHARED_CHARACTERS = 4096
"""Characters up to which a request's texts share a call: about a millisecond of the tokenizer's time."""
MAX_BATCH_CHARACTERS = 16 * MAX_SHARED_CHARACTERS
"""Characters of a shared call."""

Tokenize: TypeAlias = Callable[[Sequence[str]], Awaitable[list[TokenIds]]]
_Pending: TypeAlias = tuple[Sequence[str], "asyncio.Future[list[TokenIds]]"]


class TokenizeBatcher:
    """``tokenize`` for concurrent callers; raises what ``tokenize`` raises."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._pending: list[_Pending] = []
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of texts, in their order."""
        if not texts:
            return []
        if sum(map(len, texts)) > MAX_SHARED_CHARACTERS:
            return await self._tokenize(texts)
        answer: asyncio.Future[list[TokenIds]] = asyncio.get_running_loop().create_future()
        self._pending.append((texts, answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._pending:
                await self._tokenize_batch(self._next_batch())
        finally:
            self._runner = None

    def _next_batch(self) -> list[_Pending]:
        """Who shares the next call."""
        count = characters = 0
        for texts, _ in self._pending:
            characters += sum(map(len, texts))
            if count and characters > MAX_BATCH_CHARACTERS:
                break
            count += 1
        batch, self._pending = self._pending[:count], self._pending[count:]
        return batch

    async def _tokenize_batch(self, batch: Sequence[_Pending]) -> None:
        try:
            token_lists = await self._tokenize([text for texts, _ in batch for text in texts])
        except Exception as error:  # noqa: BLE001 - raised again where its text was asked for
            if len(batch) > 1:
                for one in batch:
                    await self._tokenize_batch([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        start = 0
        for texts, answer in batch:
            end = start + len(texts)
            if not answer.done():  # else its caller was cancelled
                answer.set_result(token_lists[start:end])
            start = end
