"""Short texts of requests that come at once are tokenised in one call.

While one call is under way, those who ask meanwhile wait and share the next: a call to the engine costs more than a short
text in it, on cores that the model is using. Eight requests in a row make two calls. A long text has a call of its own, so
that nobody waits for it; and where a shared call fails, each gets its own, so that a text fails only whoever sent it.

Knows texts and futures; knows nothing of what calls them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from kodo.server.engines.llama.prompting.content import Ids

SHORT = 4096
"""Characters up to which a request's texts share a call: about a millisecond of the tokenizer's time."""
MOST = 16 * SHORT
"""Characters of a shared call."""

Tokenize: TypeAlias = Callable[[Sequence[str]], Awaitable[list[Ids]]]
_Asked: TypeAlias = tuple[Sequence[str], "asyncio.Future[list[Ids]]"]


class Joint:
    """``tokenize`` for many callers at once; raises what it raises."""

    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._asked: list[_Asked] = []
        self._calling: asyncio.Task[None] | None = None

    async def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of texts, in their order."""
        if not texts:
            return []
        if sum(map(len, texts)) > SHORT:
            return await self._tokenize(texts)
        answer: asyncio.Future[list[Ids]] = asyncio.get_running_loop().create_future()
        self._asked.append((texts, answer))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call())
        return await answer

    async def _call(self) -> None:
        try:
            while self._asked:
                await self._share(self._next())
        finally:
            self._calling = None

    def _next(self) -> list[_Asked]:
        """Who shares the next call."""
        count = characters = 0
        for texts, _ in self._asked:
            characters += sum(map(len, texts))
            if count and characters > MOST:
                break
            count += 1
        asked, self._asked = self._asked[:count], self._asked[count:]
        return asked

    async def _share(self, asked: Sequence[_Asked]) -> None:
        try:
            found = await self._tokenize([text for texts, _ in asked for text in texts])
        except Exception as error:  # noqa: BLE001 - raised again where its text was asked for
            if len(asked) > 1:
                for one in asked:
                    await self._share([one])
            elif not asked[0][1].done():
                asked[0][1].set_exception(error)
            return
        start = 0
        for texts, answer in asked:
            end = start + len(texts)
            if not answer.done():  # else its caller was cancelled
                answer.set_result(found[start:end])
            start = end
