"""Token ids of texts, remembered: those of the template's own text, and those of contents, apart by owner.

Knows texts and ids; knows nothing of templates or turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.tokenize_batcher import TokenizeBatcher

MAX_CACHE_CHARACTERS = 8 * 2**20


class TokenCache:
    """Token ids of texts, the least recently used dropped first. Contents are kept apart by owner."""

    def __init__(self, client: ChildClient, max_characters: int = MAX_CACHE_CHARACTERS) -> None:
        self._client = client
        self._tokenize = TokenizeBatcher(client.tokenize_batch)
        self._max_characters = max_characters
        self._size = 0
        self._ids: OrderedDict[tuple[str | None, str], TokenIds] = OrderedDict()

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
