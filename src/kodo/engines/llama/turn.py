"""How a turn goes: free text, text under a grammar, or calls, as phases of one answer.

- Free text runs to its end. Where tools are offered, the mark of a call in it begins one.
- A format's text runs under its grammar; what comes out is checked against the schema once more.
- A call's name is forced, or chosen by one constrained step; its arguments run under the tool's own grammar, so that
  they always fit; a cut leaves them incomplete, and the turn ends with ``length``.

Knows phases and events; knows nothing of prompts, slots or HTTP.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from msgspec import Struct

from kodo.engines.llama import reasoning
from kodo.engines.llama.answer import Answer, cut_top
from kodo.engines.llama.dialect import CALL_CLOSE, CALL_MARK, CALL_MIDDLE, CALL_NEXT, CALL_OPEN
from kodo.engines.llama.structured import Grammars, fits
from kodo.engines.llama.template import Ids, TokenCache
from kodo.engines.llama.tools import Offer
from kodo.lifecycle.errors import EngineFailed
from kodo.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    Progress,
    Prompt,
    ReasoningDelta,
    TextDelta,
)

NAME_ROOM = 64
"""Tokens of a tool's name at most."""
_ONE_MORE = f"%llguidance {{}}\nstart: {json.dumps(CALL_NEXT + CALL_MARK)}?"


class Plan(Struct, frozen=True):
    """A prompt in the engine's form, and what its turn may do."""

    ids: Ids
    offers: tuple[Offer, ...] = ()
    """Tools that may be called."""
    calls: tuple[Offer, ...] = ()
    """Not empty: the turn is a call of one of these."""
    more: tuple[Offer, ...] = ()
    """Of which one more call may be made in the same turn, each once: a small model would repeat itself for ever."""
    grammar: str | None = None
    schema: dict[str, Any] | None = None
    """Of the format that text must have."""
    thinks: bool = False
    inside: bool = False
    """The prompt has opened the reasoning already."""

    @property
    def steady(self) -> bool:
        """Whether the answer is free text, which goes on from any of its ids; else it is repeated from its seed."""
        return self.grammar is None and not self.calls


class Turn:
    """One turn of one answer."""

    def __init__(
        self, plan: Plan, prompt: Prompt, answer: Answer, tokens: TokenCache, grammars: Grammars
    ) -> None:
        self._plan = plan
        self._prompt = prompt
        self._answer = answer
        self._tokens = tokens
        self._grammars = grammars
        self._called: set[str] = set()

    async def events(self, *, begun: Sequence[EngineEvent] = ()) -> AsyncGenerator[EngineEvent, None]:
        """The turn's events, the last of them ``Finished``. ``begun``: the free text it goes on from."""
        if self._plan.calls:
            phases = self._calls(self._plan.calls)
        elif self._plan.grammar is not None:
            phases = self._formatted()
        else:
            phases = self._free(begun)
        async for event in phases:
            yield event
        if self._answer.stopped_by == CALL_MARK:
            self._answer.rewind()
            async for event in self._calls(self._plan.offers):
                yield event
        reason = "length" if self._answer.ended == "limit" else "stop"
        yield Finished(reason=reason, usage=self._answer.usage)

    # --- text ---

    async def _free(self, begun: Sequence[EngineEvent]) -> AsyncGenerator[EngineEvent, None]:
        marks = (CALL_MARK,) if self._plan.offers else ()
        splitter = None
        if self._plan.thinks:
            thinking = isinstance(begun[-1], ReasoningDelta) if begun else self._plan.inside
            splitter = reasoning.Splitter(inside=thinking, begun=bool(begun))
            self._answer.reasoning = sum(
                len(event.tokens) for event in begun if isinstance(event, ReasoningDelta)
            )
        before = self._answer.reasoning
        async for event in self._text(stop=(*self._prompt.sampling.stop, *marks)):
            if splitter is None or isinstance(event, Progress):
                yield event
                continue
            for part in splitter.add(event):
                yield part
            self._answer.reasoning = before + splitter.tokens
        if splitter is not None:
            for part in splitter.rest():
                yield part
            self._answer.reasoning = before + splitter.tokens

    async def _formatted(self) -> AsyncGenerator[EngineEvent, None]:
        if self._plan.inside:
            async for event in self._thought():
                yield event
        text: list[str] = []
        async for event in self._text(grammar=self._plan.grammar):
            if isinstance(event, TextDelta):
                text.append(event.text)
            yield event
        self._check("".join(text), self._plan.grammar, self._plan.schema)

    async def _thought(self) -> AsyncGenerator[EngineEvent, None]:
        """The reasoning that the prompt has opened, up to its end mark, which is put in."""
        async for event in self._answer.write(stop=(reasoning.CLOSE,)):
            if isinstance(event, Progress):
                yield event
            else:
                self._answer.reasoning += len(event.tokens)
                yield ReasoningDelta(text=event.text, tokens=event.tokens)
        self._answer.rewind()
        if self._answer.ended != "limit":
            self._answer.force(await self._tokens.special(reasoning.CLOSE + "\n\n"))

    async def _text(
        self, *, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        top = self._prompt.sampling.top_logprobs
        settings = {} if top is None else {"n_probs": max(top, 1)}
        async for event in self._answer.write(grammar=grammar, stop=stop, **settings):
            yield cut_top(event, top) if isinstance(event, TextDelta) and top is not None else event

    def _check(self, text: str, grammar: str | None, schema: dict[str, Any] | None) -> None:
        """The engine lets a model go free where a grammar fails in the middle; nobody must take that for an answer."""
        cut = self._answer.ended == "limit"
        if grammar is not None and not self._grammars.holds(grammar, text):
            raise EngineFailed("The model's answer does not fit its grammar, although it was held to it.")
        if schema is not None and not cut and not fits(text, schema):
            raise EngineFailed("The model's answer does not fit its schema, although it was held to it.")

    # --- calls ---

    async def _calls(self, offers: Sequence[Offer]) -> AsyncGenerator[EngineEvent, None]:
        if self._plan.inside and self._answer.ended is None:
            self._answer.force(await self._tokens.special("\n" + reasoning.CLOSE + "\n\n"))
        left = offers
        while True:
            async for event in self._call(left, "" if left is offers else CALL_NEXT):
                yield event
            left = tuple(offer for offer in self._plan.more if offer.title not in self._called)
            if self._answer.ended == "limit" or not left or not self._prompt.parallel_tool_calls:
                return
            if not await self._one_more():
                return

    async def _call(self, offers: Sequence[Offer], gap: str) -> AsyncGenerator[EngineEvent, None]:
        answer = self._answer
        start = len(answer.ids)
        offer = offers[0]
        known = gap + CALL_OPEN + (offer.title + CALL_MIDDLE if len(offers) == 1 else "")
        if not answer.force(await self._tokens.special(known)):
            return
        if len(offers) > 1:
            name: list[str] = []
            names = " | ".join(json.dumps(f'{one.title}"') for one in offers)
            async for event in answer.write(grammar=f"%llguidance {{}}\nstart: {names}", room=NAME_ROOM):
                if isinstance(event, TextDelta):
                    name.append(event.text)
                else:
                    yield event
            found = [one for one in offers if f'{one.title}"' == "".join(name)]
            if not found:
                answer.ended = "limit"
                return
            offer = found[0]
            if not answer.force(await self._tokens.special(CALL_MIDDLE[1:])):
                return
        self._called.add(offer.title)
        yield CallStart(
            call_id=f"call_{secrets.token_hex(12)}",
            name=offer.name,
            kind=offer.kind,
            namespace=offer.namespace,
            tokens=tuple(answer.ids[start:]),
        )
        arguments: list[str] = []
        stop = () if offer.grammar is not None else (CALL_CLOSE,)
        async for event in answer.write(grammar=offer.grammar, stop=stop):
            if isinstance(event, TextDelta):
                arguments.append(event.text)
                yield CallDelta(text=event.text, tokens=event.tokens)
            else:
                yield event
        self._check("".join(arguments), offer.grammar, offer.schema)
        if answer.ended == "limit":
            return
        answer.rewind()
        close = await self._tokens.special(CALL_CLOSE)
        if answer.force(close):
            yield CallDelta(text="", tokens=close)

    async def _one_more(self) -> bool:
        """One constrained step: another call, or the end of the turn."""
        answer = self._answer
        kept, written, room = len(answer.ids), answer.written, answer.room
        async for event in answer.write(grammar=_ONE_MORE, room=NAME_ROOM):
            if isinstance(event, TextDelta) and event.text:
                break
        else:
            return False
        answer.close()
        del answer.ids[kept:]  # the mark is put in anew, as its own ids
        answer.written, answer.room = written, room
        return True
