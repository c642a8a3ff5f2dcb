"""Calls to the tokenizer that several requests share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.tokenize_batcher import (
    MAX_BATCH_CHARACTERS,
    MAX_SHARED_CHARACTERS,
    TokenizeBatcher,
)
from kodo.server.lifecycle.errors import EngineFailed


class Tokenizer:
    """Counts characters, a call at a time; each waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.go = asyncio.Event()

    async def __call__(self, texts: Sequence[str]) -> list[TokenIds]:
        self.calls.append(list(texts))
        await self.go.wait()
        if "bad" in texts:
            raise EngineFailed("It fell over.")
        return [(len(text),) for text in texts]


async def _turn_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_ask_during_a_call_share_the_next() -> None:
    """Each gets the ids of its own texts."""
    tokenizer = Tokenizer()
    batcher = TokenizeBatcher(tokenizer)
    first = asyncio.create_task(batcher(["a"]))
    await _turn_of_the_loop()
    others = [asyncio.create_task(batcher(texts)) for texts in (["bb", "ccc"], ["dddd"], [])]
    await _turn_of_the_loop()
    tokenizer.go.set()
    assert await first == [(1,)]
    assert [await one for one in others] == [[(2,), (3,)], [(4,)], []]
    assert tokenizer.calls == [["a"], ["bb", "ccc", "dddd"]]
    assert await batcher(["e"]) == [(1,)]


async def test_a_long_text_keeps_nobody_waiting() -> None:
    """It has a call of its own; and what shares one has an end, too."""
    tokenizer = Tokenizer()
    batcher = TokenizeBatcher(tokenizer)
    long = "x" * (MAX_SHARED_CHARACTERS + 1)
    tasks = [asyncio.create_task(batcher([text])) for text in (long, *["y" * MAX_SHARED_CHARACTERS] * 20)]
    await _turn_of_the_loop()
    tokenizer.go.set()
    assert [await task for task in tasks] == [
        [(MAX_SHARED_CHARACTERS + 1,)],
        *[[(MAX_SHARED_CHARACTERS,)]] * 20,
    ]
    assert tokenizer.calls[0] == [long]
    sizes = [sum(map(len, call)) for call in tokenizer.calls[1:]]
    assert max(sizes) <= MAX_BATCH_CHARACTERS
    assert len(sizes) < 20


async def test_a_text_fails_only_whoever_sent_it() -> None:
    """The others' texts are tokenised all the same."""
    tokenizer = Tokenizer()
    tokenizer.go.set()
    batcher = TokenizeBatcher(tokenizer)
    found = await asyncio.gather(
        *(batcher([text]) for text in ("a", "bb", "bad", "dddd")), return_exceptions=True
    )
    assert isinstance(found[2], EngineFailed)
    assert [found[0], found[1], found[3]] == [[(1,)], [(2,)], [(4,)]]


async def test_who_goes_away_leaves_the_call_to_the_others() -> None:
    """Also the one who began it."""
    tokenizer = Tokenizer()
    batcher = TokenizeBatcher(tokenizer)
    tasks = [asyncio.create_task(batcher([text])) for text in ("a", "bb", "ccc")]
    await _turn_of_the_loop()
    tasks[0].cancel()
    tasks[1].cancel()
    await _turn_of_the_loop()
    tokenizer.go.set()
    assert await tasks[2] == [(3,)]
