"""The model's chat template as token ids, so that no content can forge a control token.

A template is rendered with an unguessable placeholder for every content. The text between the placeholders is the
template's own and may hold control tokens; contents are tokenised apart, as plain text, and put in between. Most
templates are *concatenative*: what stands between two turns depends on their two roles only. That is learnt once by
probing, and a chain of a thousand turns then costs no rendering at all; other templates are rendered anew each time.

Knows roles and contents. Tools are :mod:`kodo.server.engines.llama.prompting.template_tools`'s, and
:mod:`~kodo.server.engines.llama.prompting.channel_tools`' for gpt-oss.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.channel_tools import ChannelTools
from kodo.server.engines.llama.prompting.content import (
    Content,
    Segment,
    TemplateText,
    TemplateTurn,
    TokenIds,
    ToolSpec,
)
from kodo.server.engines.llama.prompting.reasoning import CHANNEL
from kodo.server.engines.llama.prompting.template_tools import TemplateTools
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.engines.llama.prompting.tool_call_format import ToolCallFormat
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt

PROMPT_START = ""
ANSWER_START = "answer"
"""The edges of a prompt, as roles of the table."""


class RenderedPrompt(Struct, frozen=True):
    """A prompt as ids, and how many of them each source takes together with the template's marks before it."""

    ids: TokenIds
    by_source: dict[int, int]
    suffix: str = ""
    """The template's text behind the last content: where the answer begins."""


class _Capabilities(Struct, frozen=True):
    """What the template can render."""

    system: bool
    late_system: bool
    repeated_roles: bool
    """Two turns of the same role one after the other."""


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
        self._template_tools = TemplateTools(client, self._settings)
        self.call_format: ToolCallFormat | None = None
        """How this template writes calls; None if it does not know tools, or is one of channels."""
        self._channel_tools = ChannelTools(client, self._settings)
        self.knows_channel_tools = False
        """Whether it writes tools and calls as gpt-oss' does."""
        self._known_separators: dict[tuple[str, str], str] = {}
        self._concatenative = True
        self._capabilities = _Capabilities(system=True, late_system=True, repeated_roles=True)

    @property
    def tokens(self) -> TokenCache:
        """The cache of token ids."""
        return self._tokens

    async def learn(self) -> None:
        """Probe the template: what stands between which roles, and what it refuses."""
        self._known_separators.clear()
        self._concatenative = True
        await self._probe("user", "assistant", "user", "assistant", "user")
        system = await self._probe("system", "user", "assistant", "user")
        await self._probe("system")
        await self._probe("assistant", "user")
        await self._probe("user", "assistant", "assistant", "user", "assistant", "assistant", "user")
        self._capabilities = _Capabilities(
            system=system,
            late_system=system
            and await self._probe("user", "system", "user", "assistant", "system", "user", "system"),
            repeated_roles=await self._probe("user", "user", "assistant", "user", "user"),
        )
        again = self._known_separators.get(("assistant", "assistant"))
        opened, asked = (
            self._known_separators.get(("user", "assistant")),
            self._known_separators.get(("user", ANSWER_START)),
        )
        if again is not None and opened is not None and asked is not None and asked.startswith(opened):
            self._known_separators["assistant", ANSWER_START] = again + asked[len(opened) :]
        ended = self._known_separators.get(("assistant", "user"))
        self.call_format = (
            await self._template_tools.detect_format(opened or asked or "", ended)
            if ended is not None
            else None
        )
        if CHANNEL in (ended or "") or CHANNEL in (opened or ""):
            self.knows_channel_tools = await self._channel_tools.works()

    async def render(
        self, turns: Sequence[TemplateTurn], owner: str, tools: Sequence[ToolSpec] = ()
    ) -> RenderedPrompt:
        """A prompt that ends where the model's answer begins. Calls, their outputs and ``tools`` need a ``call_format``.

        Raises:
            InvalidRequest: the template cannot render this order of roles.
        """
        turns = self._adapt(turns)
        if self.call_format is not None and (
            tools or any(turn.has_calls or turn.role == "tool" for turn in turns)
        ):
            segments = await self._template_tools.segments(turns, tools, self.call_format)
        else:
            marks = await self._separators([turn.role for turn in turns])
            segments = [
                Segment(mark, turn.contents, turn.sources)
                for mark, turn in zip(marks[:-1], turns, strict=True)
            ]
            segments.append(Segment(marks[-1], (), ()))
        return await self._assemble(segments, owner)

    async def render_channels(self, prompt: Prompt, tools: Sequence[ToolSpec]) -> RenderedPrompt:
        """The same for a template of channels, which has a place of its own for calls, outputs and tools.

        Raises:
            InvalidRequest: the template cannot render these items.
        """
        segments = await self._channel_tools.segments(prompt, tools)
        return await self._assemble(segments, prompt.cache.owner)

    async def _assemble(self, segments: Sequence[Segment], owner: str) -> RenderedPrompt:
        """Segments as ids: control tokens count in the template's own text only."""
        plain = await self._tokens.plain(
            owner,
            (content for segment in segments for content in segment.contents if isinstance(content, str)),
        )
        ids: list[int] = []
        by_source: dict[int, int] = {}
        generated = False
        for segment in segments:
            mark_ids = await self._tokens.special(segment.prefix)
            overlap = _overlap_length(ids, mark_ids) if generated else 0
            ids.extend(mark_ids[overlap:])
            fresh = len(mark_ids) - overlap
            for content, source in zip(segment.contents, segment.sources, strict=True):
                content_ids = await self._ids(content, plain)
                ids.extend(content_ids)
                by_source[source] = by_source.get(source, 0) + len(content_ids) + fresh
                fresh, generated = 0, isinstance(content, tuple)
        return RenderedPrompt(ids=tuple(ids), by_source=by_source, suffix=segments[-1].prefix)

    async def _ids(self, content: Content, plain: dict[str, TokenIds]) -> TokenIds:
        if isinstance(content, TemplateText):
            return await self._tokens.special(content.text)
        return plain[content] if isinstance(content, str) else content

    # --- roles ---

    def _adapt(self, turns: Sequence[TemplateTurn]) -> list[TemplateTurn]:
        """Turns as this template can render them: what it has no place for joins a neighbour."""
        can = self._capabilities
        adapted: list[TemplateTurn] = []
        for given in turns:
            turn = given
            late = turn.role == "system" and any(one.role != "system" for one in adapted)
            if turn.role == "system" and (not can.system or (late and not can.late_system)):
                turn = msgspec.structs.replace(turn, role="user")
            joined = adapted and adapted[-1].role == turn.role != "tool"
            if joined and (turn.role == "system" or not can.repeated_roles):
                last = adapted.pop()
                gap: tuple[Content, ...] = ("\n\n",)
                turn = TemplateTurn(
                    role=turn.role,
                    has_calls=last.has_calls or turn.has_calls,
                    call_id=last.call_id or turn.call_id,
                    contents=last.contents + gap + turn.contents,
                    sources=(*last.sources, turn.sources[0] if turn.sources else -1, *turn.sources),
                )
            adapted.append(turn)
        return adapted

    # --- marks ---

    async def _separators(self, roles: Sequence[str]) -> list[str]:
        """The template's text before the first content, between contents, and behind the last."""
        if self._concatenative:
            edges = [PROMPT_START, *roles, ANSWER_START]
            known = [self._known_separators.get(pair) for pair in pairwise(edges)]
            if all(mark is not None for mark in known):
                return [mark for mark in known if mark is not None]
        return await self._render_separators(roles)

    async def _render_separators(self, roles: Sequence[str]) -> list[str]:
        nonce = secrets.token_hex(16)
        messages = [{"role": role, "content": f"{nonce}x{index}x"} for index, role in enumerate(roles)]
        text = await self._client.render({"messages": messages, **self._settings})
        segments = re.split(rf"{nonce}x(\d+)x", text)
        if segments[1::2] != [str(index) for index in range(len(roles))]:
            raise InvalidRequest("This model's chat template cannot render these messages.", param="input")
        return segments[::2]

    async def _probe(self, *roles: str) -> bool:
        """Learn from one sequence of roles; whether the template renders it."""
        try:
            marks = await self._render_separators(roles)
        except InvalidRequest:
            return False
        edges = [PROMPT_START, *roles, ANSWER_START]
        for pair, mark in zip(pairwise(edges), marks, strict=True):
            if self._known_separators.setdefault(pair, mark) != mark:
                self._concatenative = False
        return True


def _overlap_length(ids: list[int], mark: TokenIds) -> int:
    """How many ids at the start of ``mark`` a generated answer already ends with (its end token)."""
    for size in range(min(len(ids), len(mark)), 0, -1):
        if tuple(ids[-size:]) == mark[:size]:
            return size
    return 0
