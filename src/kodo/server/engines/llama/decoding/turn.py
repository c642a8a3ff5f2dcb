"""How a turn goes: free text, text under a grammar, or calls, as phases of one answer.

- Free text runs to its end. Where tools are offered, the mark of a call in it begins one.
- A format's text runs under its grammar; what comes out is checked against the schema once more.
- A call's name is forced, or chosen by one constrained step; its arguments run under the tool's own grammar, so that
  they always fit; a cut leaves them incomplete, and the turn ends with ``length``.

Knows phases and events; knows nothing of prompts, slots or HTTP.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kodo.server.engines.llama.decoding.answer import Answer, limit_top_logprobs
from kodo.server.engines.llama.decoding.channel_splitter import ChannelSplitter
from kodo.server.engines.llama.decoding.landing import Landing
from kodo.server.engines.llama.decoding.loops import LoopFollower
from kodo.server.engines.llama.decoding.reasoning_splitter import ReasoningSplitter
from kodo.server.engines.llama.prompting import reasoning
from kodo.server.engines.llama.prompting.content import TokenIds
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.engines.llama.prompting.tool_call_format import HERMES, ToolCallFormat, qualified_name
from kodo.server.engines.llama.tools.call_dedup import CallDedup
from kodo.server.engines.llama.tools.structured import Grammar, Grammars, matches_schema
from kodo.server.engines.llama.tools.tool_ranking import has_unused_words
from kodo.server.engines.llama.tools.tools import OfferedTool
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

logger = logging.getLogger(__name__)

MAX_NAME_TOKENS = 64
"""Tokens of a tool's name at most."""
MIN_CALL_TOKENS = 64
"""Tokens that a call's arguments may take even where the server's own cap is used up."""
MAX_ATTEMPTS = 3
"""Times that a text is begun whose first piece does not fit its grammar."""
MAX_CALLS = 16
"""Calls in one turn at most."""


class TurnPlan(Struct, frozen=True):
    """A prompt in the engine's form, and what its turn may do."""

    ids: TokenIds
    tools: tuple[OfferedTool, ...] = ()
    """Tools that may be called."""
    required_tools: tuple[OfferedTool, ...] = ()
    """Not empty: the turn is a call of one of these."""
    further_tools: tuple[OfferedTool, ...] = ()
    """Of which further calls may be made in the same turn."""
    call_format: ToolCallFormat = HERMES
    """How calls are written."""
    question: str | None = None
    """Not None: a further call of the same tool must take up something in it that no earlier one did."""
    images: Mapping[int, bytes] = {}
    """The images of the prompt, by the first of the ids that stand for them."""
    grammar: Grammar | None = None
    schema: dict[str, Any] | None = None
    """Of the format that text must have."""
    notice_loops: bool = False
    """End a text, or a string of a constrained one, that goes round in a loop."""
    reasons: bool = False
    starts_in_reasoning: bool = False
    """The prompt has opened the reasoning already."""
    channels: bool = False
    """Reasoning stands in a channel, not between tags."""
    reasoning_tokens: int | None = None
    """Tokens after which the reasoning is ended; None: the model ends it."""

    @property
    def reasoning_closing(self) -> str:
        """What ends the reasoning, where the model does not."""
        return reasoning.CHANNEL_CLOSING if self.channels else reasoning.TAGS_CLOSING

    @property
    def closing_before_call(self) -> str:
        """What ends the reasoning where a call follows it."""
        return reasoning.CHANNEL_CALL_CLOSING if self.channels else reasoning.TAGS_CLOSING

    @property
    def is_resumable(self) -> bool:
        """Whether the answer is free text, which can continue from any of its ids; otherwise it is repeated from its seed."""
        return self.grammar is None and not self.required_tools


class TurnDecoder:
    """One turn of one answer."""

    def __init__(
        self, plan: TurnPlan, prompt: Prompt, answer: Answer, tokens: TokenCache, grammars: Grammars
    ) -> None:
        self._plan = plan
        self._prompt = prompt
        self._answer = answer
        self._tokens = tokens
        self._grammars = grammars
        self._call_format = plan.call_format
        self._dedup = CallDedup(plan.question)
        self._thinking = plan.starts_in_reasoning

    async def events(self, *, begun: Sequence[EngineEvent] = ()) -> AsyncGenerator[EngineEvent, None]:
        """The turn's events, the last of them ``Finished``. ``begun``: the events of the free text that it continues."""
        phases: AsyncGenerator[EngineEvent, None]
        if self._plan.required_tools:
            phases = self._write_calls(self._plan.required_tools)
        elif self._plan.grammar is not None:
            phases = self._constrained_text()
        else:
            phases = self._free_text(begun)
        async for event in phases:
            yield event
        begun_form = self._call_format.begun_by(self._answer.stopped_by) if self._plan.tools else None
        if begun_form is not None:
            self._call_format = begun_form
            self._answer.drop_stop_string()
            async for event in self._write_calls(self._plan.tools):
                yield event
        reason = "length" if self._answer.ended == "limit" else "stop"
        stopped_by = self._answer.stopped_by
        stop_sequence = stopped_by if stopped_by in self._prompt.sampling.stop else None
        yield Finished(reason=reason, usage=self._answer.usage, stop_sequence=stop_sequence)

    # --- text ---

    def _free_text(self, begun: Sequence[EngineEvent]) -> AsyncGenerator[EngineEvent, None]:
        opening = self._call_format.opening_marks if self._plan.tools else ()
        text = self._text(stop=self._free_stops(), opening=opening)
        if self._plan.notice_loops:
            text = self._without_loops(text, begun)
        return self._split_reasoning(text, begun) if self._plan.reasons else text

    async def _without_loops(
        self,
        text: AsyncGenerator[Progress | TextDelta, None],
        begun: Sequence[EngineEvent],
        *,
        closes: bool = True,
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        """Text up to where it has gone round in a loop a few times; with ``closes``, what it leaves open is closed."""
        follower = LoopFollower(
            "".join(event.text for event in begun if isinstance(event, TextDelta | ReasoningDelta))
        )
        async for event in text:
            yield event
            if isinstance(event, Progress) or not follower.add(event.text):
                continue
            await text.aclose()
            self._answer.ended = "eos"
            if closes and (closing := follower.closing):
                ids = (await self._tokens.plain(self._prompt.cache.owner, (closing,)))[closing]
                if len(ids) <= self._answer.tokens_left and self._answer.append(ids):
                    yield TextDelta(text=closing, tokens=ids)
            return

    def _free_stops(self) -> tuple[str, ...]:
        """The strings that end free text: the client's, and the mark that begins a call."""
        marks = self._call_format.stop_marks if self._plan.tools else ()
        return (*self._prompt.sampling.stop, *marks)

    async def _split_reasoning(
        self, text: AsyncGenerator[Progress | TextDelta, None], begun: Sequence[EngineEvent]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Text in which reasoning stands between its marks; it is ended where it takes more than its budget."""
        thinking = isinstance(begun[-1], ReasoningDelta) if begun else self._plan.starts_in_reasoning
        kind = ChannelSplitter if self._plan.channels else ReasoningSplitter
        splitter = kind(inside=thinking, begun=bool(begun))
        before = sum(len(event.tokens) for event in begun if isinstance(event, ReasoningDelta))
        self._answer.reasoning = before
        budget = self._plan.reasoning_tokens

        def exhausted() -> bool:
            return budget is not None and splitter.inside and before + splitter.tokens >= budget

        if not exhausted():
            async for event in text:
                if isinstance(event, Progress):
                    yield event
                    continue
                for part in splitter.add(event):
                    yield part
                self._answer.reasoning = before + splitter.tokens
                if exhausted():
                    await text.aclose()
                    self._answer.interrupt()
                    break
        over = exhausted()
        for part in splitter.flush():
            yield part
        self._answer.reasoning = before + splitter.tokens
        self._thinking = splitter.inside
        if over:
            async for answered in self._answer_after_budget():
                yield answered

    async def _answer_after_budget(self) -> AsyncGenerator[EngineEvent, None]:
        """End the reasoning in the model's place, and let it answer."""
        closing = await self._tokens.special(self._plan.reasoning_closing)
        if not self._answer.append(closing):
            return
        yield TextDelta(text="", tokens=closing)
        self._thinking = False
        async for event in self._text(stop=self._free_stops()):
            yield event

    async def _constrained_text(self) -> AsyncGenerator[EngineEvent, None]:
        if self._plan.starts_in_reasoning:
            async for event in self._opened_reasoning():
                yield event
        text: list[str] = []
        if self._plan.grammar is None:
            return
        async for event in self._landed(self._plan.grammar, reserve=0, text=True):
            if isinstance(event, TextDelta):
                text.append(event.text)
            yield event
        self._verify("".join(text), self._plan.grammar, self._plan.schema)

    async def _landed(
        self, grammar: Grammar, *, reserve: int, text: bool = False
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        """Text under a grammar, brought to its end inside the budget; ``reserve`` tokens are left where there is room.

        The budget is what the client's cap leaves, and the server's own cap where the client set none.
        """
        answer, owner = self._answer, self._prompt.cache.owner

        async def count(ending: str) -> int:
            return len((await self._tokens.plain(owner, (ending,)))[ending])

        landing = Landing(
            self._grammars.matcher(grammar),
            grammar.shortest_values,
            count,
            notice_loops=self._plan.notice_loops,
        )
        beyond = answer.tokens_left - self._budget()
        if not await landing.fits(answer.tokens_left - beyond):
            beyond = 0
        if await landing.fits(answer.tokens_left - beyond - reserve):
            beyond += reserve
        hopeless = not await landing.fits(answer.tokens_left - beyond)

        async def admits(delta: TextDelta) -> bool:
            return hopeless or await landing.admits(delta.text, answer.tokens_left - beyond)

        for _ in range(MAX_ATTEMPTS):
            cap = answer.tokens_left - (0 if hopeless else beyond)
            begun = False
            async for event in self._text(
                grammar=grammar.text, max_tokens=cap, admits=admits, quiet=not text
            ):
                begun |= isinstance(event, TextDelta)
                yield event
            if landing.is_broken:
                logger.warning("the engine lost the grammar of an answer")
            if begun or not landing.is_broken:
                break
        if hopeless and answer.ended == "refused":  # pieces of a character that the limit cuts
            answer.ended = "limit"
        if hopeless or answer.ended not in ("refused", "limit"):
            return
        ending = (landing.ending or b"").decode()
        ids = (await self._tokens.plain(owner, (ending,)))[ending]
        if landing.ending is None or not answer.append(ids):
            answer.ended = "limit"
            return
        answer.ended = "eos"
        if ending:
            yield TextDelta(text=ending, tokens=ids)

    def _budget(self) -> int:
        """Tokens for what is written under a grammar now."""
        soft, left = self._prompt.soft_output_tokens, self._answer.tokens_left
        if soft is None or self._prompt.max_output_tokens is not None:
            return left
        said = self._answer.written - self._answer.reasoning
        return min(left, max(soft - said, MIN_CALL_TOKENS))

    async def _opened_reasoning(self) -> AsyncGenerator[EngineEvent, None]:
        """The reasoning that the prompt has opened, up to its end mark, which is put in."""
        async for event in self._answer.write(
            stop=(reasoning.CLOSE_TAG,),
            preserved_tokens=[reasoning.CLOSE_TAG],
            max_tokens=self._plan.reasoning_tokens,
        ):
            if isinstance(event, Progress):
                yield event
            else:
                self._answer.reasoning += len(event.tokens)
                yield ReasoningDelta(text=event.text, tokens=event.tokens)
        self._answer.drop_stop_string()
        self._answer.append(await self._tokens.special(reasoning.CLOSE_TAG + "\n\n"))

    def _text(
        self,
        *,
        grammar: str | None = None,
        opening: Sequence[str] = (),
        stop: Sequence[str] = (),
        quiet: bool = False,
        **options: Any,
    ) -> AsyncGenerator[Progress | TextDelta, None]:
        """Text as it is written; ``quiet``: without log probabilities. ``options`` are those of :meth:`Answer.write`."""
        top = None if quiet else self._prompt.sampling.top_logprobs
        settings: dict[str, Any] = {} if top is None else {"n_probs": max(top, 1)}
        tags = reasoning.CHANNEL_MARKS if self._plan.channels else (reasoning.OPEN_TAG, reasoning.CLOSE_TAG)
        thinking = tags if self._plan.reasons else ()
        if grammar is None:  # marks that are control tokens would not be in the text otherwise
            settings["preserved_tokens"] = [*stop, *opening, *thinking]
        text = self._answer.write(grammar=grammar, stop=stop, opening=opening, **settings, **options)
        return text if top is None else _limit_top_logprobs(text, top)

    def _verify(self, text: str, grammar: Grammar | None, schema: dict[str, Any] | None) -> None:
        """Check the text once more: where a grammar fails in the middle, the engine continues without it and reports no error."""
        cut = self._answer.ended == "limit"
        if grammar is not None and not self._grammars.accepts_prefix(grammar, text):
            raise EngineFailed("The model's answer does not fit its grammar, although it was held to it.")
        if schema is None or cut or matches_schema(text, schema):
            return
        if grammar is not None and grammar.unenforced:
            logger.info(
                "a call does not fit keywords that are not enforced: %s", ", ".join(grammar.unenforced)
            )
        else:
            raise EngineFailed("The model's answer does not fit its schema, although it was held to it.")

    # --- calls ---

    async def _write_calls(self, offers: Sequence[OfferedTool]) -> AsyncGenerator[EngineEvent, None]:
        call_format, answer = self._call_format, self._answer
        begun = len(answer.ids)
        if self._thinking:  # a call is not made in mid-thought
            answer.append(await self._tokens.special(self._plan.closing_before_call))
        first = True
        while True:
            before = answer.position
            start = call_format.prefix if first else call_format.next_call or ""
            async for event in self._write_call(offers, start, begun, first=first):
                yield event
            if self._dedup.last_refused:
                answer.roll_back(before)
                break
            if answer.ended == "limit":
                return
            offers = [offer for offer in self._plan.further_tools if self._may_add_new(offer)]
            first, begun = False, len(answer.ids)
            again = self._prompt.parallel_tool_calls and len(self._dedup.calls) < MAX_CALLS
            if call_format.next_call is None or not offers or not again or not await self._wants_another():
                break
        last = await self._tokens.special(call_format.closing)
        if last and len(last) <= answer.tokens_left and answer.append(last):
            yield CallDelta(text="", tokens=last)

    async def _write_call(
        self, offers: Sequence[OfferedTool], start: str, begun: int, *, first: bool
    ) -> AsyncGenerator[EngineEvent, None]:
        """One call. A further one of the same tool is told when it is whole, and not at all if it says nothing new."""
        held: list[EngineEvent] = []
        again = False
        arguments: list[str] = []
        title = ""
        async for event in self._stream_call(offers, start, begun):
            if isinstance(event, CallStart):
                title = qualified_name(event.name, event.namespace)
                again = not first and bool(self._dedup.arguments_of(title))
            elif isinstance(event, CallDelta):
                arguments.append(event.text)
            if again:
                held.append(event)
            else:
                yield event
        if title and self._dedup.add(title, "".join(arguments)):
            for event in held:
                yield event

    async def _stream_call(
        self, offers: Sequence[OfferedTool], start: str, begun: int
    ) -> AsyncGenerator[EngineEvent, None]:
        """One call as it is written; ``begun`` is where its ids begin."""
        answer, call_format = self._answer, self._call_format
        offer = offers[0]
        if not answer.append(await self._tokens.special(start)):
            return
        if len(offers) > 1:
            name: list[str] = []
            close = (
                "" if call_format.separator[:1] in "<[" else call_format.separator[:1]
            )  # a mark is no text: the model just ends
            names = [one.qualified_name + close for one in offers]
            grammar = f"%llguidance {{}}\nstart: {' | '.join(map(json.dumps, names))}"

            async def admits(delta: TextDelta) -> bool:
                """Whether it is still a name: what ends a grammar need not end the answer (gpt-oss' ``<|end|>``)."""
                begun = "".join(name) + delta.text
                return any(one.startswith(begun) for one in names)

            async for event in answer.write(grammar=grammar, max_tokens=MAX_NAME_TOKENS, admits=admits):
                if isinstance(event, TextDelta):
                    name.append(event.text)
                else:
                    yield event
            found = [one for one in offers if one.qualified_name + close == "".join(name)]
            if not found:
                answer.ended = "limit"
                return
            offer, middle = found[0], call_format.separator.removeprefix(close)
        else:
            middle, owner = call_format.separator, self._prompt.cache.owner
            if not answer.append(
                (await self._tokens.plain(owner, (offer.qualified_name,)))[offer.qualified_name]
            ):
                return
        if not answer.append(await self._tokens.special(middle)):
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
        end = await self._tokens.special(call_format.suffix_of(call.call_id))
        closing = await self._tokens.special(call_format.closing)
        if offer.grammar is None:
            written = self._free_input()
        else:
            written = self._landed(offer.grammar, reserve=len(end) + len(closing))
        async for event in written:
            if isinstance(event, TextDelta):
                arguments.append(event.text)
                yield CallDelta(text=event.text, tokens=event.tokens)
            else:
                yield event
        self._verify("".join(arguments), offer.grammar, offer.schema)
        if answer.ended == "limit":
            return
        answer.drop_stop_string()
        if len(end) <= answer.tokens_left and answer.append(end):
            yield CallDelta(text="", tokens=end)

    async def _free_input(self) -> AsyncGenerator[Progress | TextDelta, None]:
        """A call's input without a grammar. The server's own cap ends it behind a line, or an eighth later anywhere."""
        text = self._answer.write(stop=(self._call_format.suffix,))
        if self._plan.notice_loops:
            text = self._without_loops(text, (), closes=False)
        cap, written = self._budget(), 0
        async for event in text:
            yield event
            if isinstance(event, Progress) or self._prompt.soft_output_tokens is None:
                continue
            written += len(event.tokens)
            if written >= cap and (event.text.endswith("\n") or written >= cap + cap // 8):
                await text.aclose()
                self._answer.interrupt()
                return

    def _may_add_new(self, offer: OfferedTool) -> bool:
        """Whether a further call of this tool could say anything new: a small model is not asked in vain."""
        earlier, question = self._dedup.arguments_of(offer.qualified_name), self._plan.question
        return question is None or not earlier or has_unused_words(question, offer, earlier)

    async def _wants_another(self) -> bool:
        """One step: another call, or the end of the turn. Constrained to these two, where a grammar can say them."""
        answer, call_format = self._answer, self._call_format
        more = call_format.next_call or ""
        before = answer.position
        if call_format.control_separated:
            drawn: list[int] = []
            async for event in answer.write(max_tokens=1):
                if isinstance(event, TextDelta):
                    drawn.extend(event.tokens)
            answer.roll_back(before)
            return drawn[:1] == [*(await self._tokens.special(more))[:1]]
        other = f" | {json.dumps(call_format.closing)}" if call_format.closing else ""
        grammar = f"%llguidance {{}}\nstart: ({json.dumps(more)}{other}){'' if other else '?'}"
        async for event in answer.write(grammar=grammar, max_tokens=MAX_NAME_TOKENS):
            if isinstance(event, TextDelta) and event.text:
                answer.close()
                answer.roll_back(before)  # what was drawn is put in anew, as its own ids
                return more.startswith(event.text)
        return False


async def _limit_top_logprobs(
    text: AsyncGenerator[Progress | TextDelta, None], top: int
) -> AsyncGenerator[Progress | TextDelta, None]:
    """Text with at most ``top`` alternatives at each position."""
    async for event in text:
        yield limit_top_logprobs(event, top) if isinstance(event, TextDelta) else event
