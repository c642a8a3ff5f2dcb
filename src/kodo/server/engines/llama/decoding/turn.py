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

from kodo.server.engines.llama.decoding.answer import Answer, cut_top
from kodo.server.engines.llama.prompting import reasoning
from kodo.server.engines.llama.prompting.content import Ids
from kodo.server.engines.llama.prompting.template import TokenCache
from kodo.server.engines.llama.prompting.tool_call_format import OWN, Frame, full_name
from kodo.server.engines.llama.tools.call_dedup import Repeats
from kodo.server.engines.llama.tools.structured import Grammars, fits
from kodo.server.engines.llama.tools.tool_ranking import unsaid
from kodo.server.engines.llama.tools.tools import Offer
from kodo.server.lifecycle.errors import EngineFailed
from kodo.server.lifecycle.ports import (
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
MAX_CALLS = 16
"""Calls in one turn at most."""


class Plan(Struct, frozen=True):
    """A prompt in the engine's form, and what its turn may do."""

    ids: Ids
    offers: tuple[Offer, ...] = ()
    """Tools that may be called."""
    calls: tuple[Offer, ...] = ()
    """Not empty: the turn is a call of one of these."""
    more: tuple[Offer, ...] = ()
    """Of which further calls may be made in the same turn."""
    frame: Frame = OWN
    """How calls are written."""
    question: str | None = None
    """Not None: a further call of the same tool must take up something in it that no earlier one did."""
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
        self._frame = plan.frame
        self._repeats = Repeats(plan.question)
        self._thinking = plan.inside

    async def events(self, *, begun: Sequence[EngineEvent] = ()) -> AsyncGenerator[EngineEvent, None]:
        """The turn's events, the last of them ``Finished``. ``begun``: the free text it goes on from."""
        phases: AsyncGenerator[EngineEvent, None]
        if self._plan.calls:
            phases = self._calls(self._plan.calls)
        elif self._plan.grammar is not None:
            phases = self._formatted()
        else:
            phases = self._free(begun)
        async for event in phases:
            yield event
        if self._plan.offers and self._answer.stopped_by == self._frame.mark:
            self._answer.rewind()
            async for event in self._calls(self._plan.offers):
                yield event
        reason = "length" if self._answer.ended == "limit" else "stop"
        yield Finished(reason=reason, usage=self._answer.usage)

    # --- text ---

    def _free(self, begun: Sequence[EngineEvent]) -> AsyncGenerator[EngineEvent, None]:
        marks = (self._frame.mark,) if self._plan.offers else ()
        opening = marks if self._frame.opening else ()
        marks = () if self._frame.opening else marks
        text = self._text(stop=(*self._prompt.sampling.stop, *marks), opening=opening)
        return self._divided(text, begun) if self._plan.thinks else text

    async def _divided(
        self, text: AsyncGenerator[Progress | TextDelta, None], begun: Sequence[EngineEvent]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Text in which reasoning stands between its marks."""
        thinking = isinstance(begun[-1], ReasoningDelta) if begun else self._plan.inside
        splitter = reasoning.Splitter(inside=thinking, begun=bool(begun))
        before = sum(len(event.tokens) for event in begun if isinstance(event, ReasoningDelta))
        self._answer.reasoning = before
        async for event in text:
            if isinstance(event, Progress):
                yield event
                continue
            for part in splitter.add(event):
                yield part
            self._answer.reasoning = before + splitter.tokens
        for part in splitter.rest():
            yield part
        self._answer.reasoning = before + splitter.tokens
        self._thinking = splitter.inside

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
        async for event in self._answer.write(stop=(reasoning.CLOSE,), preserved_tokens=[reasoning.CLOSE]):
            if isinstance(event, Progress):
                yield event
            else:
                self._answer.reasoning += len(event.tokens)
                yield ReasoningDelta(text=event.text, tokens=event.tokens)
        self._answer.rewind()
        if self._answer.ended != "limit":
            self._answer.force(await self._tokens.special(reasoning.CLOSE + "\n\n"))

    def _text(
        self, *, grammar: str | None = None, stop: Sequence[str] = (), opening: Sequence[str] = ()
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        top = self._prompt.sampling.top_logprobs
        settings: dict[str, Any] = {} if top is None else {"n_probs": max(top, 1)}
        thinking = (reasoning.OPEN, reasoning.CLOSE) if self._plan.thinks else ()
        if grammar is None:  # marks that are control tokens would not be in the text otherwise
            settings["preserved_tokens"] = [*stop, *opening, *thinking]
        text = self._answer.write(grammar=grammar, stop=stop, opening=opening, **settings)
        return text if top is None else _cut(text, top)

    def _check(self, text: str, grammar: str | None, schema: dict[str, Any] | None) -> None:
        """The engine lets a model go free where a grammar fails in the middle; nobody must take that for an answer."""
        cut = self._answer.ended == "limit"
        if grammar is not None and not self._grammars.holds(grammar, text):
            raise EngineFailed("The model's answer does not fit its grammar, although it was held to it.")
        if schema is not None and not cut and not fits(text, schema):
            raise EngineFailed("The model's answer does not fit its schema, although it was held to it.")

    # --- calls ---

    async def _calls(self, offers: Sequence[Offer]) -> AsyncGenerator[EngineEvent, None]:
        frame, answer = self._frame, self._answer
        begun = len(answer.ids)
        if self._thinking:  # a call is not made in mid-thought
            answer.force(await self._tokens.special(f"\n{reasoning.CLOSE}\n\n"))
        first = True
        while True:
            before = answer.position
            start = frame.open if first else frame.more or ""
            async for event in self._call(offers, start, begun, first=first):
                yield event
            if self._repeats.refused:
                answer.back(before)
                break
            if answer.ended == "limit":
                return
            offers = [offer for offer in self._plan.more if self._worth(offer)]
            first, begun = False, len(answer.ids)
            again = self._prompt.parallel_tool_calls and len(self._repeats.made) < MAX_CALLS
            if frame.more is None or not offers or not again or not await self._one_more():
                break
        last = await self._tokens.special(frame.last)
        if last and answer.force(last):
            yield CallDelta(text="", tokens=last)

    async def _call(
        self, offers: Sequence[Offer], start: str, begun: int, *, first: bool
    ) -> AsyncGenerator[EngineEvent, None]:
        """One call. A further one of the same tool is told when it is whole, and not at all if it says nothing new."""
        held: list[EngineEvent] = []
        again = False
        arguments: list[str] = []
        title = ""
        async for event in self._written(offers, start, begun):
            if isinstance(event, CallStart):
                title = full_name(event.name, event.namespace)
                again = not first and bool(self._repeats.of(title))
            elif isinstance(event, CallDelta):
                arguments.append(event.text)
            if again:
                held.append(event)
            else:
                yield event
        if title and self._repeats.add(title, "".join(arguments)):
            for event in held:
                yield event

    async def _written(
        self, offers: Sequence[Offer], start: str, begun: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """One call as it is written; ``begun`` is where its ids begin."""
        answer, frame = self._answer, self._frame
        offer = offers[0]
        if not answer.force(await self._tokens.special(start)):
            return
        if len(offers) > 1:
            name: list[str] = []
            close = (
                "" if frame.middle[:1] in "<[" else frame.middle[:1]
            )  # a mark is no text: the model just ends
            names = " | ".join(json.dumps(one.title + close) for one in offers)
            async for event in answer.write(grammar=f"%llguidance {{}}\nstart: {names}", room=NAME_ROOM):
                if isinstance(event, TextDelta):
                    name.append(event.text)
                else:
                    yield event
            found = [one for one in offers if one.title + close == "".join(name)]
            if not found:
                answer.ended = "limit"
                return
            offer, middle = found[0], frame.middle.removeprefix(close)
        else:
            middle, owner = frame.middle, self._prompt.cache.owner
            if not answer.force((await self._tokens.plain(owner, (offer.title,)))[offer.title]):
                return
        if not answer.force(await self._tokens.special(middle)):
            return
        call = CallStart(
            call_id=f"call_{secrets.token_hex(12)}",
            name=offer.name,
            kind=offer.kind,
            namespace=offer.namespace,
            tokens=tuple(answer.ids[begun:]),
        )
        yield call
        arguments: list[str] = []
        stop = () if offer.grammar is not None else (frame.end,)
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
        end = await self._tokens.special(frame.ending(call.call_id))
        if answer.force(end):
            yield CallDelta(text="", tokens=end)

    def _worth(self, offer: Offer) -> bool:
        """Whether a further call of this tool could say anything new: a small model is not asked in vain."""
        said, question = self._repeats.of(offer.title), self._plan.question
        return question is None or not said or unsaid(question, offer, said)

    async def _one_more(self) -> bool:
        """One step: another call, or the end of the turn. Constrained to these two, where a grammar can say them."""
        answer, frame = self._answer, self._frame
        more = frame.more or ""
        before = answer.position
        if frame.marked:
            drawn: list[int] = []
            async for event in answer.write(room=1):
                if isinstance(event, TextDelta):
                    drawn.extend(event.tokens)
            answer.back(before)
            return drawn[:1] == [*(await self._tokens.special(more))[:1]]
        other = f" | {json.dumps(frame.last)}" if frame.last else ""
        grammar = f"%llguidance {{}}\nstart: ({json.dumps(more)}{other}){'' if other else '?'}"
        async for event in answer.write(grammar=grammar, room=NAME_ROOM):
            if isinstance(event, TextDelta) and event.text:
                answer.close()
                answer.back(before)  # what was drawn is put in anew, as its own ids
                return more.startswith(event.text)
        return False


async def _cut(
    text: AsyncGenerator[Progress | TextDelta, None], top: int
) -> AsyncGenerator[Progress | TextDelta, None]:
    """Text with at most ``top`` alternatives at each position."""
    async for event in text:
        yield cut_top(event, top) if isinstance(event, TextDelta) else event
