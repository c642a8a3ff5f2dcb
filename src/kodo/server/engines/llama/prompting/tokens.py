"""Token ids of texts, remembered: those of the template's own text, and those of contents, apart by owner.

llama.cpp finds some control tokens also in plain text (gpt-oss' ``<|start|>``, ``<|channel|>`` and ``<|message|>``, and whatever a
model's file calls a user's token). A content that holds such a mark is cut inside of it and tokenised in pieces: the text is
the same, and no control token is in it.

Knows texts and ids; knows nothing of templates or turns.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.tokenize_batcher import TokenizeBatcher

MAX_CACHE_CHARACTERS = 8 * 2**20
_MARK: Final = re.compile(r"<[|｜][^<>\s]+[|｜]>")
"""A control token as templates write them."""


class TokenCache:
    """Token ids of texts, the least recently used dropped first. Contents are kept apart by owner."""

    def __init__(self, client: ChildClient, max_characters: int = MAX_CACHE_CHARACTERS) -> None:
        self._client = client
        self._tokenize = TokenizeBatcher(self._tokenize_plain)
        self._leaking: re.Pattern[str] | None = None
        self._max_characters = max_characters
        self._size = 0
        self._ids: OrderedDict[tuple[str | None, str], TokenIds] = OrderedDict()

    async def protect(self, template: str, further: Iterable[str] = ()) -> None:
        """Find out which of the marks in a chat template, and ``further`` ones, are control tokens also in plain text."""
        marks = sorted({*_MARK.findall(template), *further})
        found = await self._client.tokenize_batch([(mark,) for mark in marks])
        leaking = [re.escape(mark[1:]) for mark, ids in zip(marks, found, strict=True) if len(ids) == 1]
        self._leaking = re.compile(f"(?<=<)(?={'|'.join(leaking)})") if leaking else None

    async def _tokenize_plain(self, texts: Sequence[str]) -> list[TokenIds]:
        cut = self._leaking
        return await self._client.tokenize_batch(
            [(text,) if cut is None else tuple(cut.split(text)) for text in texts]
        )

    async def special(self, text: str) -> TokenIds:
        """Ids of the template's own text, control tokens included."""
        key = (None, text)
        ids = self._ids.get(key)
        if ids is None:
            ids = await self._client.tokenize(text, special=True) if text else ()
            self._put(key, ids)
        else:
            self._ids.move_to_end(key)
        return ids

    async def has_control(self, owner: str, text: str) -> bool:
        """Whether a control token would be recognised in a content."""
        plain = (await self.plain(owner, (text,)))[text]
        return await self._client.tokenize(text, special=True) != plain

    async def plain(self, owner: str, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Ids of contents, none of them a control token; all that are not known yet in one call."""
        result: dict[str, TokenIds] = {"": ()}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            found = self._ids.get((owner, text))
            if found is None and text:
                missing.append(text)
            elif found is not None:
                self._ids.move_to_end((owner, text))
                result[text] = found
        for text, ids in zip(missing, await self._tokenize(missing), strict=True):
            result[text] = ids
            self._put((owner, text), ids)
        return result

    def _put(self, key: tuple[str | None, str], ids: TokenIds) -> None:
        self._ids[key] = ids
        self._size += len(key[1])
        while self._size > self._max_characters and len(self._ids) > 1:
            (_, text), _ = self._ids.popitem(last=False)
            self._size -= len(text)
