"""The model's chat template as token ids, so that no content can forge a control token.

A template is rendered with an unguessable placeholder for every content. The text between the placeholders is the
template's own and may hold control tokens; contents are tokenised apart, as plain text, and put in between. Most
templates are *concatenative*: what stands between two turns depends on their two roles only. That is learnt once by
probing, and a chain of a thousand turns then costs no rendering at all; other templates are rendered anew each time.

Knows roles and contents; knows nothing of items, instructions or tools.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from msgspec import Struct

from kodo.engines.llama.client import ChildClient
from kodo.lifecycle.errors import InvalidRequest

TurnRole: TypeAlias = Literal["system", "user", "assistant"]
Ids: TypeAlias = tuple[int, ...]
Content: TypeAlias = str | Ids
"""Words, or the very ids that the engine generated them as."""

START = ""
ANSWER = "answer"
"""The edges of a prompt, as roles of the table."""
CACHE_CHARACTERS = 8 * 2**20


class Turn(Struct, frozen=True):
    """One message for the template: its role, and its contents, which follow each other without a gap.

    ``sources`` names for each content the item of the prompt it is from, or -1.
    """

    role: TurnRole
    contents: tuple[Content, ...]
    sources: tuple[int, ...]


class Rendered(Struct, frozen=True):
    """A prompt as ids, and how many of them each source takes together with the template's marks before it."""

    ids: Ids
    by_source: dict[int, int]


class _Abilities(Struct, frozen=True):
    """What the template can render."""

    system: bool
    late_system: bool
    repeated: bool
    """Two turns of the same role one after the other."""


class TokenCache:
    """Token ids of texts, the least recently used dropped first. Contents are kept apart by owner."""

    def __init__(self, client: ChildClient, limit: int = CACHE_CHARACTERS) -> None:
        self._client = client
        self._limit = limit
        self._size = 0
        self._ids: OrderedDict[tuple[str | None, str], Ids] = OrderedDict()

    async def special(self, text: str) -> Ids:
        """Ids of the template's own text, control tokens included."""
        key = (None, text)
        found = self._ids.get(key)
        if found is None:
            found = await self._client.tokenize(text, special=True) if text else ()
            self._put(key, found)
        else:
            self._ids.move_to_end(key)
        return found

    async def plain(self, owner: str, texts: Iterable[str]) -> dict[str, Ids]:
        """Ids of contents, none of them a control token; all that are not known yet in one call."""
        result: dict[str, Ids] = {"": ()}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            found = self._ids.get((owner, text))
            if found is None and text:
                missing.append(text)
            elif found is not None:
                self._ids.move_to_end((owner, text))
                result[text] = found
        for text, ids in zip(missing, await self._client.tokenize_each(missing), strict=True):
            result[text] = ids
            self._put((owner, text), ids)
        return result

    def _put(self, key: tuple[str | None, str], ids: Ids) -> None:
        self._ids[key] = ids
        self._size += len(key[1])
        while self._size > self._limit and len(self._ids) > 1:
            (_, text), _ = self._ids.popitem(last=False)
            self._size -= len(text)


class Template:
    """A model's chat template. :meth:`learn` first."""

    def __init__(self, client: ChildClient) -> None:
        self._client = client
        self._tokens = TokenCache(client)
        self._between: dict[tuple[str, str], str] = {}
        self._concatenative = True
        self._abilities = _Abilities(system=True, late_system=True, repeated=True)

    @property
    def tokens(self) -> TokenCache:
        """The cache of token ids."""
        return self._tokens

    @property
    def answer_mark(self) -> str:
        """What the template puts between a user's turn and the answer."""
        return self._between.get(("user", ANSWER), "")

    async def learn(self) -> None:
        """Probe the template: what stands between which roles, and what it refuses."""
        self._between.clear()
        self._concatenative = True
        await self._probe("user", "assistant", "user", "assistant", "user")
        system = await self._probe("system", "user", "assistant", "user")
        await self._probe("system")
        await self._probe("assistant", "user")
        await self._probe("user", "assistant", "assistant", "user", "assistant", "assistant", "user")
        self._abilities = _Abilities(
            system=system,
            late_system=system
            and await self._probe("user", "system", "user", "assistant", "system", "user", "system"),
            repeated=await self._probe("user", "user", "assistant", "user", "user"),
        )
        again = self._between.get(("assistant", "assistant"))
        opened, asked = self._between.get(("user", "assistant")), self._between.get(("user", ANSWER))
        if again is not None and opened is not None and asked is not None and asked.startswith(opened):
            self._between["assistant", ANSWER] = again + asked[len(opened) :]

    async def render(self, turns: Sequence[Turn], owner: str) -> Rendered:
        """A prompt that ends where the model's answer begins.

        Raises:
            InvalidRequest: the template cannot render this order of roles.
        """
        turns = self._bend(turns)
        between = await self._marks([turn.role for turn in turns])
        plain = await self._tokens.plain(
            owner, (content for turn in turns for content in turn.contents if isinstance(content, str))
        )
        ids: list[int] = []
        by_source: dict[int, int] = {}
        source = -1
        for index, mark in enumerate(between):
            mark_ids = await self._tokens.special(mark)
            overlap = _overlap(ids, mark_ids) if index else 0
            ids.extend(mark_ids[overlap:])
            if index == len(turns):
                break
            fresh = len(mark_ids) - overlap
            turn = turns[index]
            for content, source in zip(turn.contents, turn.sources, strict=True):
                content_ids = plain[content] if isinstance(content, str) else content
                ids.extend(content_ids)
                by_source[source] = by_source.get(source, 0) + len(content_ids) + fresh
                fresh = 0
        return Rendered(ids=tuple(ids), by_source=by_source)

    # --- roles ---

    def _bend(self, turns: Sequence[Turn]) -> list[Turn]:
        """Turns as this template can render them: what it has no place for joins a neighbour."""
        able = self._abilities
        bent: list[Turn] = []
        for given in turns:
            turn = given
            late = turn.role == "system" and any(one.role != "system" for one in bent)
            if turn.role == "system" and (not able.system or (late and not able.late_system)):
                turn = Turn(role="user", contents=turn.contents, sources=turn.sources)
            joined = bent and bent[-1].role == turn.role
            if joined and (turn.role == "system" or not able.repeated):
                last = bent.pop()
                gap: tuple[Content, ...] = ("\n\n",)
                turn = Turn(
                    role=turn.role,
                    contents=last.contents + gap + turn.contents,
                    sources=(*last.sources, turn.sources[0] if turn.sources else -1, *turn.sources),
                )
            bent.append(turn)
        return bent

    # --- marks ---

    async def _marks(self, roles: Sequence[str]) -> list[str]:
        """The template's text before the first content, between contents, and behind the last."""
        if self._concatenative:
            edges = [START, *roles, ANSWER]
            known = [self._between.get(pair) for pair in pairwise(edges)]
            if all(mark is not None for mark in known):
                return [mark for mark in known if mark is not None]
        return await self._ask(roles)

    async def _ask(self, roles: Sequence[str]) -> list[str]:
        nonce = secrets.token_hex(16)
        messages = [{"role": role, "content": f"{nonce}x{index}x"} for index, role in enumerate(roles)]
        text = await self._client.render({"messages": messages})
        pieces = re.split(rf"{nonce}x(\d+)x", text)
        if pieces[1::2] != [str(index) for index in range(len(roles))]:
            raise InvalidRequest("This model's chat template cannot render these messages.", param="input")
        return pieces[::2]

    async def _probe(self, *roles: str) -> bool:
        """Learn from one sequence of roles; whether the template renders it."""
        try:
            marks = await self._ask(roles)
        except InvalidRequest:
            return False
        edges = [START, *roles, ANSWER]
        for pair, mark in zip(pairwise(edges), marks, strict=True):
            if self._between.setdefault(pair, mark) != mark:
                self._concatenative = False
        return True


def _overlap(ids: list[int], mark: Ids) -> int:
    """How many ids at the start of ``mark`` a generated answer already ends with (its end token)."""
    for size in range(min(len(ids), len(mark)), 0, -1):
        if tuple(ids[-size:]) == mark[:size]:
            return size
    return 0
