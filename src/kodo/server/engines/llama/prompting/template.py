"""The model's chat template as token ids, so that no content can forge a control token.

A template is rendered with an unguessable placeholder for every content. The text between the placeholders is the
template's own and may hold control tokens; contents are tokenised apart, as plain text, and put in between. Most
templates are *concatenative*: what stands between two turns depends on their two roles only. That is learnt once by
probing, and a chain of a thousand turns then costs no rendering at all; other templates are rendered anew each time.

Knows roles and contents; knows nothing of items or instructions. Tools are :mod:`kodo.server.engines.llama.prompting.template_tools`'s.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import Content, Ids, Mark, Piece, Shown, Turn
from kodo.server.engines.llama.prompting.template_tools import Native
from kodo.server.engines.llama.prompting.tokenize_batcher import Joint
from kodo.server.engines.llama.prompting.tool_call_format import Frame
from kodo.server.lifecycle.errors import InvalidRequest

START = ""
ANSWER = "answer"
"""The edges of a prompt, as roles of the table."""
CACHE_CHARACTERS = 8 * 2**20


class Rendered(Struct, frozen=True):
    """A prompt as ids, and how many of them each source takes together with the template's marks before it."""

    ids: Ids
    by_source: dict[int, int]
    mark: str = ""
    """The template's text behind the last content: where the answer begins."""


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
        self._tokenize = Joint(client.tokenize_each)
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
        for text, ids in zip(missing, await self._tokenize(missing), strict=True):
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
    """A model's chat template. :meth:`learn` first. ``variables`` are the template's own, set by kodo."""

    def __init__(
        self,
        client: ChildClient,
        *,
        tokens: TokenCache | None = None,
        variables: dict[str, Any] | None = None,
    ) -> None:
        self._client = client
        self._settings = {"chat_template_kwargs": variables} if variables else {}
        self._tokens = tokens or TokenCache(client)
        self._native = Native(client, self._settings)
        self.frame: Frame | None = None
        """How this template writes calls; None: it does not know tools."""
        self._between: dict[tuple[str, str], str] = {}
        self._concatenative = True
        self._abilities = _Abilities(system=True, late_system=True, repeated=True)

    @property
    def tokens(self) -> TokenCache:
        """The cache of token ids."""
        return self._tokens

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
        ended = self._between.get(("assistant", "user"))
        self.frame = await self._native.frame(opened or asked or "", ended) if ended is not None else None

    async def render(self, turns: Sequence[Turn], owner: str, tools: Sequence[Shown] = ()) -> Rendered:
        """A prompt that ends where the model's answer begins. Calls, their outputs and ``tools`` need a ``frame``.

        Raises:
            InvalidRequest: the template cannot render this order of roles.
        """
        turns = self._bend(turns)
        if self.frame is not None and (tools or any(turn.calls or turn.role == "tool" for turn in turns)):
            pieces = await self._native.layout(turns, tools, self.frame)
        else:
            marks = await self._marks([turn.role for turn in turns])
            pieces = [
                Piece(mark, turn.contents, turn.sources) for mark, turn in zip(marks[:-1], turns, strict=True)
            ]
            pieces.append(Piece(marks[-1], (), ()))
        plain = await self._tokens.plain(
            owner, (content for piece in pieces for content in piece.contents if isinstance(content, str))
        )
        ids: list[int] = []
        by_source: dict[int, int] = {}
        generated = False
        for piece in pieces:
            mark_ids = await self._tokens.special(piece.mark)
            overlap = _overlap(ids, mark_ids) if generated else 0
            ids.extend(mark_ids[overlap:])
            fresh = len(mark_ids) - overlap
            for content, source in zip(piece.contents, piece.sources, strict=True):
                content_ids = await self._ids(content, plain)
                ids.extend(content_ids)
                by_source[source] = by_source.get(source, 0) + len(content_ids) + fresh
                fresh, generated = 0, isinstance(content, tuple)
        return Rendered(ids=tuple(ids), by_source=by_source, mark=pieces[-1].mark)

    async def _ids(self, content: Content, plain: dict[str, Ids]) -> Ids:
        if isinstance(content, Mark):
            return await self._tokens.special(content.text)
        return plain[content] if isinstance(content, str) else content

    # --- roles ---

    def _bend(self, turns: Sequence[Turn]) -> list[Turn]:
        """Turns as this template can render them: what it has no place for joins a neighbour."""
        able = self._abilities
        bent: list[Turn] = []
        for given in turns:
            turn = given
            late = turn.role == "system" and any(one.role != "system" for one in bent)
            if turn.role == "system" and (not able.system or (late and not able.late_system)):
                turn = msgspec.structs.replace(turn, role="user")
            joined = bent and bent[-1].role == turn.role != "tool"
            if joined and (turn.role == "system" or not able.repeated):
                last = bent.pop()
                gap: tuple[Content, ...] = ("\n\n",)
                turn = Turn(
                    role=turn.role,
                    calls=last.calls or turn.calls,
                    call_id=last.call_id or turn.call_id,
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
        text = await self._client.render({"messages": messages, **self._settings})
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
