"""The pure fold: log entries -> wire events -> the final Response.

It reads no clock and draws no random numbers: item ids are derived from the response's id, times come from the entries.
A response that is not streamed is the same fold with its events unused.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kodo.server.lifecycle.actions import WHOLE_CALLS, parse_action
from kodo.server.lifecycle.event_log import Began, Ended, Entry, Queued, Restarted
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
from kodo.server.wire.items import (
    ID_PREFIXES,
    ApplyPatchCall,
    CustomToolCall,
    FunctionCall,
    Item,
    ItemStatus,
    LocalShellCall,
    Logprob,
    Message,
    OutputText,
    Reasoning,
    ShellCall,
    SummaryText,
)
from kodo.server.wire.response import (
    IncompleteDetails,
    InputTokensDetails,
    OutputTokensDetails,
    Response,
    ResponseError,
    ResponseUsage,
)

_TERMINAL: dict[str, type[ev.ResponseCompleted] | type[ev.ResponseIncomplete] | type[ev.ResponseFailed]] = {
    "completed": ev.ResponseCompleted,
    "incomplete": ev.ResponseIncomplete,
    "cancelled": ev.ResponseIncomplete,
    "failed": ev.ResponseFailed,
}
_ITEM_TYPES: dict[str, type[Item]] = {
    "message": Message,
    "reasoning": Reasoning,
    "function": FunctionCall,
    "custom": CustomToolCall,
    "local_shell": LocalShellCall,
    "shell": ShellCall,
    "apply_patch": ApplyPatchCall,
}
"""The type of item by the kind of what the engine writes."""


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


@dataclass
class _Open:
    """The item that is being written."""

    id: str
    index: int
    kind: str
    call: CallStart | None = None
    text: list[str] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    provider: ProviderState | None = None

    def item(self, status: ItemStatus, *, blank: bool = False) -> Item:
        """The item as it stands; ``blank``: as it is announced."""
        text = "" if blank else "".join(self.text)
        call = self.call
        if call is None:
            if self.kind == "reasoning":
                return Reasoning(id=self.id, summary=() if blank else (SummaryText(text=text),))
            parts = () if blank else (OutputText(text=text, logprobs=tuple(self.logprobs)),)
            return Message(id=self.id, status=status, role="assistant", content=parts)
        namespace = msgspec.UNSET if call.namespace is None else call.namespace
        if self.kind == "function":
            return FunctionCall(
                id=self.id,
                call_id=call.call_id,
                name=call.name,
                arguments=text,
                status=status,
                namespace=namespace,
            )
        if self.kind == "custom":
            return CustomToolCall(
                id=self.id,
                call_id=call.call_id,
                name=call.name,
                input=text,
                status=status,
                namespace=namespace,
            )
        arguments, whole = parse_action(self.kind, text)
        status = status if whole else "incomplete"
        if self.kind == "local_shell":
            return LocalShellCall(id=self.id, call_id=call.call_id, action=arguments, status=status)
        if self.kind == "shell":
            return ShellCall(id=self.id, call_id=call.call_id, action=arguments, status=status)
        if status == "incomplete":  # the contract has no such status for patches
            status = "in_progress"
        return ApplyPatchCall(id=self.id, call_id=call.call_id, operation=arguments, status=status)


class ResponseFold:
    """Folds a log. ``response`` is always the Response as it stands; ``tokens`` the engine's ids for each output item;
    ``providers`` what its server wants back with it.

    ``seal`` adds ``encrypted_content`` to reasoning, where the client asked for it; it must be a pure function.
    """

    def __init__(
        self,
        initial_response: Response,
        seal: Callable[[Reasoning, ProviderState | None], Reasoning] | None = None,
    ) -> None:
        self.response = initial_response
        self._seal = seal
        self.tokens: list[tuple[int, ...]] = []
        self._done: list[Item] = list(initial_response.output)
        self.tokens.extend(() for _ in self._done)
        self.providers: list[ProviderState | None] = [None for _ in self._done]
        self._open: _Open | None = None
        self._sequence = 0

    def start(self) -> list[ev.StreamEvent]:
        """The first events: ``response.created``, and the items that the initial response begins with."""
        begun = msgspec.structs.replace(self.response, output=())
        events: list[ev.StreamEvent] = [ev.ResponseCreated(sequence_number=self._next(), response=begun)]
        for index, item in enumerate(self._done):
            events.append(ev.OutputItemAdded(sequence_number=self._next(), output_index=index, item=item))
            events.append(ev.OutputItemDone(sequence_number=self._next(), output_index=index, item=item))
        return events

    def feed(self, entry: Entry) -> list[ev.StreamEvent]:
        """The events that an entry stands for (none for token ids without text)."""
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
                return list(self._close("incomplete"))
            case ProviderFields():
                if self._open is not None:
                    self._open.provider = entry.state
                return []
            case Routed():
                metadata = {**self.response.metadata, **entry.metadata}
                self.response = msgspec.structs.replace(self.response, metadata=metadata)
                return []

    # --- pieces ---

    def _next(self) -> int:
        number = self._sequence
        self._sequence += 1
        return number

    def _began(self) -> ev.StreamEvent:
        if self.response.status == "queued":
            status = RESPONSE_STATUS.transition(self.response.status, "in_progress")
            self.response = msgspec.structs.replace(self.response, status=status)
        return ev.ResponseInProgress(sequence_number=self._next(), response=self.response)

    def _begin(self, kind: str, call: CallStart | None = None) -> Generator[ev.StreamEvent, None, _Open]:
        yield from self._close("completed")
        index = len(self._done)
        item_id = f"{ID_PREFIXES[_ITEM_TYPES[kind]]}_{self.response.id.rpartition('_')[2]}{index:02x}"
        self._open = now = _Open(id=item_id, index=index, kind=kind, call=call)
        if kind in WHOLE_CALLS:
            return now
        yield ev.OutputItemAdded(
            sequence_number=self._next(), output_index=index, item=now.item("in_progress", blank=True)
        )
        if kind == "message":
            yield ev.ContentPartAdded(
                sequence_number=self._next(),
                output_index=index,
                item_id=item_id,
                content_index=0,
                part=OutputText(text=""),
            )
        elif kind == "reasoning":
            yield ev.ReasoningSummaryPartAdded(
                sequence_number=self._next(),
                output_index=index,
                item_id=item_id,
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
        now.text.append(entry.text)
        where: dict[str, Any] = {"output_index": now.index, "item_id": now.id, "delta": entry.text}
        if isinstance(entry, TextDelta):
            yield ev.OutputTextDelta(
                sequence_number=self._next(), content_index=0, logprobs=entry.logprobs, **where
            )
        else:
            yield ev.ReasoningSummaryTextDelta(sequence_number=self._next(), summary_index=0, **where)

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
        if now.kind in WHOLE_CALLS:
            return
        kind = ev.FunctionCallArgumentsDelta if now.kind == "function" else ev.CustomToolCallInputDelta
        yield kind(sequence_number=self._next(), output_index=now.index, item_id=now.id, delta=entry.text)

    def _close(self, status: ItemStatus) -> Iterator[ev.StreamEvent]:
        now = self._open
        if now is None:
            return
        self._open = None
        text, item = "".join(now.text), now.item(status)
        if self._seal is not None and isinstance(item, Reasoning):
            item = self._seal(item, now.provider)
        where: dict[str, Any] = {"output_index": now.index, "item_id": now.id}
        if now.kind == "message":
            part = OutputText(text=text, logprobs=tuple(now.logprobs))
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
        self._done.append(item)
        self.tokens.append(tuple(now.tokens))
        self.providers.append(now.provider)
        yield ev.OutputItemDone(sequence_number=self._next(), output_index=now.index, item=item)

    def _ended(self, entry: Ended) -> Iterator[ev.StreamEvent]:
        if self._open is not None:
            self._open.tokens.extend(entry.tokens)
        yield from self._close("completed" if entry.status == "completed" else "incomplete")
        self.response = msgspec.structs.replace(
            self.response,
            status=RESPONSE_STATUS.transition(self.response.status, entry.status),
            completed_at=int(entry.at) if entry.status == "completed" else None,
            output=tuple(self._done),
            usage=None if entry.usage is None else wire_usage(entry.usage),
            incomplete_details=None if entry.reason is None else IncompleteDetails(reason=entry.reason),
            error=None if entry.error is None else ResponseError(code=entry.error[0], message=entry.error[1]),
        )
        yield _TERMINAL[entry.status](sequence_number=self._next(), response=self.response)
