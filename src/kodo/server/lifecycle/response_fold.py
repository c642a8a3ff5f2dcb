"""The pure fold: log entries -> wire events -> the final Response.

It reads no clock and draws no random numbers: item ids are derived from the response's id, times come from the entries.
A response that is not streamed is the same fold with its events unused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.actions import WHOLE_CALLS
from kodo.server.lifecycle.event_log import (
    HOSTED_CALL,
    Began,
    Ended,
    Entry,
    Queued,
    Restarted,
    Said,
    StepBegan,
    StepEnded,
    StepEvent,
    TurnEnded,
)
from kodo.server.lifecycle.hosted.citations import MarkerFilter
from kodo.server.lifecycle.hosted.step_fold import ModelCall, StepFold
from kodo.server.lifecycle.output_items import ITEM_TYPES, OpenItem, OutputItem, item_id
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    ProviderFields,
    ProviderState,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
)
from kodo.server.lifecycle.status import RESPONSE_STATUS
from kodo.server.wire import events as ev
from kodo.server.wire.items import ItemStatus, Logprob, OutputText, Reasoning, SummaryText
from kodo.server.wire.response import (
    IncompleteDetails,
    InputTokensDetails,
    OutputTokensDetails,
    Response,
    ResponseError,
    ResponseUsage,
    ToolUsage,
    WebSearchUsage,
)

_TERMINAL: dict[str, type[ev.ResponseCompleted] | type[ev.ResponseIncomplete] | type[ev.ResponseFailed]] = {
    "completed": ev.ResponseCompleted,
    "incomplete": ev.ResponseIncomplete,
    "cancelled": ev.ResponseIncomplete,
    "failed": ev.ResponseFailed,
}


def wire_usage(usage: Usage) -> ResponseUsage:
    """The engine's count in the contract's form."""
    return ResponseUsage(
        input_tokens=usage.input,
        input_tokens_details=InputTokensDetails(
            cached_tokens=usage.cached, cache_write_tokens=usage.cache_write
        ),
        output_tokens=usage.output,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=usage.reasoning),
        total_tokens=usage.input + usage.output,
    )


def engine_usage(usage: ResponseUsage) -> Usage:
    """The contract's count in the engine's form."""
    return Usage(
        input=usage.input_tokens,
        cached=usage.input_tokens_details.cached_tokens,
        cache_write=usage.input_tokens_details.cache_write_tokens,
        output=usage.output_tokens,
        reasoning=usage.output_tokens_details.reasoning_tokens,
    )


class ResponseFold:
    """Folds a log. ``response`` is always the Response as it stands; ``output`` its items, with the engine's ids for each
    and what its server wants back with it; ``steps`` what the tools of this server did.

    ``seal`` adds ``encrypted_content`` to reasoning, where the client asked for it; it must be a pure function.
    """

    def __init__(
        self,
        initial_response: Response,
        seal: Callable[[Reasoning, ProviderState | None], Reasoning] | None = None,
    ) -> None:
        self.response = initial_response
        self._seal = seal
        self._next: Final = itertools.count().__next__
        """The next sequence number. No method of this object: the steps have it too, and a circle would leave every fold to
        Python's garbage collections."""
        self.output = [OutputItem(item) for item in initial_response.output]
        self.steps = StepFold(initial_response.id, self.output, self._next)
        self._open: OpenItem | None = None
        self._markers: MarkerFilter | None = None

    def start(self) -> list[ev.StreamEvent]:
        """The first events: ``response.created``, and the items that the initial response begins with."""
        begun = msgspec.structs.replace(self.response, output=())
        events: list[ev.StreamEvent] = [ev.ResponseCreated(sequence_number=self._next(), response=begun)]
        for index, item in enumerate(slot.item for slot in self.output):
            events.append(ev.OutputItemAdded(sequence_number=self._next(), output_index=index, item=item))
            events.append(ev.OutputItemDone(sequence_number=self._next(), output_index=index, item=item))
        return events

    def feed(self, entry: Entry) -> list[ev.StreamEvent]:
        """The events that an entry stands for (none for token ids without text)."""
        if isinstance(entry, Said):
            self.steps.said()
        match entry:
            case TextDelta():
                return list(self._text("message", entry))
            case Began():
                return [self._began()]
            case CallDelta():
                return list(self._arguments(entry))
            case CallStart():
                return list(self._call(entry))
            case ReasoningDelta():
                return list(self._text("reasoning", entry))
            case Ended():
                return list(self._ended(entry))
            case Queued():
                return [ev.ResponseQueued(sequence_number=self._next(), response=self.response)]
            case Restarted():
                self.steps.calls = []
                return list(self._close("incomplete"))
            case TurnEnded():
                return list(self._turn_ended(entry))
            case StepBegan() | StepEvent() | StepEnded():
                return list(self.steps.feed(entry))
            case ProviderFields():
                if self._open is not None:
                    self._open.provider = entry.state
                return []
            case Routed():
                metadata = {**self.response.metadata, **entry.metadata}
                self.response = msgspec.structs.replace(self.response, metadata=metadata)
                return []

    # --- pieces ---

    def _began(self) -> ev.StreamEvent:
        if self.response.status == "queued":
            status = RESPONSE_STATUS.transition(self.response.status, "in_progress")
            self.response = msgspec.structs.replace(self.response, status=status)
        return ev.ResponseInProgress(sequence_number=self._next(), response=self.response)

    def _begin(self, kind: str, call: CallStart | None = None) -> Generator[ev.StreamEvent, None, OpenItem]:
        yield from self._close("completed")
        index = len(self.output)
        if kind == HOSTED_CALL:
            self._open = now = OpenItem(id="", index=index, kind=kind, call=call)
            return now
        name = item_id(ITEM_TYPES[kind], self.response.id, index)
        self._open = now = OpenItem(id=name, index=index, kind=kind, call=call)
        self._markers = MarkerFilter(self.steps.sources) if kind == "message" and self.steps.sources else None
        if kind in WHOLE_CALLS:
            return now
        yield ev.OutputItemAdded(
            sequence_number=self._next(), output_index=index, item=now.item("in_progress", blank=True)
        )
        if kind == "message":
            yield ev.ContentPartAdded(
                sequence_number=self._next(),
                output_index=index,
                item_id=name,
                content_index=0,
                part=OutputText(text=""),
            )
        elif kind == "reasoning":
            yield ev.ReasoningSummaryPartAdded(
                sequence_number=self._next(),
                output_index=index,
                item_id=name,
                summary_index=0,
                part=SummaryText(text=""),
            )
        return now

    def _text(self, kind: str, entry: TextDelta | ReasoningDelta) -> Iterator[ev.StreamEvent]:
        now = self._open
        if now is None or now.kind != kind:
            now = yield from self._begin(kind)
        now.tokens.extend(entry.tokens)
        if isinstance(entry, TextDelta):
            now.logprobs.extend(entry.logprobs)
        if not entry.text:
            return
        if isinstance(entry, TextDelta):
            logprobs = entry.logprobs
            for piece in (entry.text,) if self._markers is None else self._markers.feed(entry.text):
                if isinstance(piece, str):
                    yield from self._message_text(now, piece, logprobs)
                    logprobs = ()
                else:
                    yield self._citation(now, piece)
            return
        now.text.append(entry.text)
        yield ev.ReasoningSummaryTextDelta(
            sequence_number=self._next(),
            summary_index=0,
            output_index=now.index,
            item_id=now.id,
            delta=entry.text,
        )

    def _message_text(
        self, now: OpenItem, text: str, logprobs: tuple[Logprob, ...]
    ) -> Iterator[ev.StreamEvent]:
        if not text:
            return
        now.text.append(text)
        yield ev.OutputTextDelta(
            sequence_number=self._next(),
            output_index=now.index,
            item_id=now.id,
            content_index=0,
            delta=text,
            logprobs=logprobs,
        )

    def _citation(self, now: OpenItem, annotation: dict[str, Any]) -> ev.StreamEvent:
        now.annotations.append(annotation)
        return ev.OutputTextAnnotationAdded(
            sequence_number=self._next(),
            output_index=now.index,
            item_id=now.id,
            content_index=0,
            annotation_index=len(now.annotations) - 1,
            annotation=annotation,
        )

    def _call(self, entry: CallStart) -> Iterator[ev.StreamEvent]:
        now = yield from self._begin(entry.kind, entry)
        now.tokens.extend(entry.tokens)

    def _arguments(self, entry: CallDelta) -> Iterator[ev.StreamEvent]:
        now = self._open
        if now is None or now.call is None:
            raise ValueError("the engine sent arguments outside a call")
        now.tokens.extend(entry.tokens)
        if not entry.text:
            return
        now.text.append(entry.text)
        if now.kind in WHOLE_CALLS or now.kind == HOSTED_CALL:
            return
        kind = ev.FunctionCallArgumentsDelta if now.kind == "function" else ev.CustomToolCallInputDelta
        yield kind(sequence_number=self._next(), output_index=now.index, item_id=now.id, delta=entry.text)

    def _close(self, status: ItemStatus) -> Iterator[ev.StreamEvent]:
        now = self._open
        if now is None:
            return
        self._open = None
        if now.kind == HOSTED_CALL:
            if now.call is not None:
                self.steps.calls.append(ModelCall(now.call, "".join(now.text), tuple(now.tokens)))
            return
        if self._markers is not None and now.kind == "message":
            yield from self._message_text(now, self._markers.end(), ())
            text = "".join(now.text)
            for citation in (*self._markers.unmarked(text), *self._markers.named(text)):
                yield self._citation(now, citation)
        text, item = "".join(now.text), now.item(status)
        if self._seal is not None and isinstance(item, Reasoning):
            item = self._seal(item, now.provider)
        where: dict[str, Any] = {"output_index": now.index, "item_id": now.id}
        if now.kind == "message":
            part = now.part
            yield ev.OutputTextDone(
                sequence_number=self._next(), content_index=0, text=text, logprobs=part.logprobs, **where
            )
            yield ev.ContentPartDone(sequence_number=self._next(), content_index=0, part=part, **where)
        elif now.kind == "reasoning":
            yield ev.ReasoningSummaryTextDone(
                sequence_number=self._next(), summary_index=0, text=text, **where
            )
            yield ev.ReasoningSummaryPartDone(
                sequence_number=self._next(), summary_index=0, part=SummaryText(text=text), **where
            )
        elif now.kind == "function" and now.call is not None:
            yield ev.FunctionCallArgumentsDone(
                sequence_number=self._next(), name=now.call.name, arguments=text, **where
            )
        elif now.kind == "custom":
            yield ev.CustomToolCallInputDone(sequence_number=self._next(), input=text, **where)
        else:
            yield ev.OutputItemAdded(sequence_number=self._next(), output_index=now.index, item=item)
        self.output.append(OutputItem(item, tokens=tuple(now.tokens), provider=now.provider))
        yield ev.OutputItemDone(sequence_number=self._next(), output_index=now.index, item=item)

    def _turn_ended(self, entry: TurnEnded) -> Iterator[ev.StreamEvent]:
        if self._open is not None:
            self._open.tokens.extend(entry.tokens)
        yield from self._close("completed")
        self.steps.turn_ended()

    def _ended(self, entry: Ended) -> Iterator[ev.StreamEvent]:
        if self._open is not None:
            self._open.tokens.extend(entry.tokens)
        yield from self._close("completed" if entry.status == "completed" else "incomplete")
        yield from self.steps.close()
        searches = self.steps.usage.get("web_search")
        self.response = msgspec.structs.replace(
            self.response,
            status=RESPONSE_STATUS.transition(self.response.status, entry.status),
            completed_at=int(entry.at) if entry.status == "completed" else None,
            output=tuple(slot.item for slot in self.output),
            usage=None if entry.usage is None else wire_usage(entry.usage),
            incomplete_details=None if entry.reason is None else IncompleteDetails(reason=entry.reason),
            error=None if entry.error is None else ResponseError(code=entry.error[0], message=entry.error[1]),
            tool_usage=msgspec.UNSET
            if searches is None
            else ToolUsage(web_search=WebSearchUsage(num_requests=searches)),
        )
        yield _TERMINAL[entry.status](sequence_number=self._next(), response=self.response)
