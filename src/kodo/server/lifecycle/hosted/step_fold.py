"""The pure fold of the steps of hosted tools: log entries -> wire events, output items, and what there is left to do.

Part of :class:`~kodo.server.lifecycle.response_fold.ResponseFold`, which owns the output items and the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from kodo.server.lifecycle.event_log import StepBegan, StepEnded, StepEvent
from kodo.server.lifecycle.output_items import OutputItem, item_id
from kodo.server.lifecycle.ports import CallStart
from kodo.server.wire import events as ev
from kodo.server.wire.hosted_events import HostedEvent
from kodo.server.wire.hosted_items import (
    CodeInterpreterCall,
    FileSearchCall,
    McpCall,
    ToolSearchCall,
    ToolSearchOutput,
    WebSearchCall,
)
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, Item, ShellCall, ShellCallOutput

_CUT: dict[type[Item], str] = {
    FileSearchCall: "incomplete",
    WebSearchCall: "failed",
    CodeInterpreterCall: "incomplete",
    McpCall: "incomplete",
    ShellCall: "incomplete",
    ShellCallOutput: "incomplete",
    ToolSearchCall: "incomplete",
    ToolSearchOutput: "incomplete",
}
"""The status of an item whose response ended before its result; types without a status are left as they are."""


@dataclass
class ModelCall:
    """A call of a hosted tool that the model wrote in the current turn."""

    start: CallStart
    arguments: str
    tokens: tuple[int, ...]


@dataclass
class Step:
    """A step in the log."""

    number: int
    began: StepBegan
    index: int
    """Of its item in the output."""
    turn: int
    """How many turns were over when it began."""
    written: ModelCall | None
    """The model's call; None for one that the tool made itself."""
    events: int = 0
    ended: StepEnded | None = None


class StepFold:
    """Folds the steps of a response."""

    def __init__(self, response_id: str, output: list[OutputItem], number: Callable[[], int]) -> None:
        self._response_id = response_id
        self._output = output
        self._number = number
        self.steps: list[Step] = []
        self.calls: list[ModelCall] = []
        """Those of the current turn, in the order of the model."""
        self.between = True
        """Whether the engine has said nothing since the response began or its last turn ended."""
        self.turns = 0
        """Turns that are over."""
        self.turn_start = len(output)
        """Number of output items that the current turn was, or the next one is, made from."""
        self.sources: dict[str, dict[str, Any]] = {}
        self.usage: dict[str, int] = {}

    @property
    def is_writing(self) -> bool:
        """Whether a call runs that may change something."""
        return any(step.ended is None and step.began.effect == "write" for step in self.steps)

    def said(self) -> None:
        """The engine said something."""
        if self.between:
            self.between = False
            self.calls = []
            self.turn_start = len(self._output)

    def turn_ended(self) -> None:
        """A turn is over."""
        self.between = True
        self.turns += 1

    def feed(self, entry: StepBegan | StepEvent | StepEnded) -> Iterator[ev.StreamEvent]:
        """The events of an entry."""
        if isinstance(entry, StepBegan):
            yield from self._began(entry)
        elif isinstance(entry, StepEvent):
            step = self.steps[entry.step]
            step.events += 1
            yield self._placed(step, entry.event)
        else:
            yield from self._ended(entry)

    def close(self) -> Iterator[ev.StreamEvent]:
        """The end of the steps that have no result when the response ends."""
        for step in self.steps:
            slot = self._output[step.index]
            if not slot.complete:
                status = _CUT.get(type(slot.item))
                if status is not None:
                    slot.item = msgspec.structs.replace(slot.item, status=status)
                slot.shown = ()
                yield self._done(step.index)

    # --- pieces ---

    def _began(self, entry: StepBegan) -> Iterator[ev.StreamEvent]:
        index = len(self._output)
        named = msgspec.structs.replace(entry.item, id=item_id(type(entry.item), self._response_id, index))
        written = None if entry.call is None else self.calls[entry.call]
        tokens = () if written is None else written.tokens
        self._output.append(OutputItem(named, tokens=tokens, complete=False))
        self.steps.append(Step(len(self.steps), entry, index, self.turns, written))
        yield ev.OutputItemAdded(sequence_number=self._number(), output_index=index, item=named)

    def _ended(self, entry: StepEnded) -> Iterator[ev.StreamEvent]:
        step = self.steps[entry.step]
        step.ended = entry
        for event in entry.events:
            yield self._placed(step, event)
        slot = self._output[step.index]
        slot.item = msgspec.structs.replace(entry.item, id=slot.item.id)
        slot.shown = _exchange(step, entry.output)
        self.sources.update(entry.sources)
        for name, count in entry.usage.items():
            self.usage[name] = self.usage.get(name, 0) + count
        yield self._done(step.index)
        for number, item in enumerate(entry.more):
            index = len(self._output)
            named = msgspec.structs.replace(item, id=item_id(type(item), self._response_id, index))
            self._output.append(OutputItem(named, shown=()))
            yield ev.OutputItemAdded(sequence_number=self._number(), output_index=index, item=named)
            for event in entry.more_events[number] if entry.more_events else ():
                yield self._at(index, event)
            yield self._done(index)

    def _placed(self, step: Step, event: HostedEvent) -> ev.StreamEvent:
        return self._at(step.index, event)

    def _at(self, index: int, event: HostedEvent) -> ev.StreamEvent:
        return msgspec.structs.replace(
            event,
            sequence_number=self._number(),
            output_index=index,
            item_id=self._output[index].item.id or "",
        )

    def _done(self, index: int) -> ev.StreamEvent:
        slot = self._output[index]
        slot.complete = True
        return ev.OutputItemDone(sequence_number=self._number(), output_index=index, item=slot.item)


def _exchange(step: Step, output: str | None) -> tuple[Item, ...]:
    """What the model sees of a step in later turns: its call and the output; nothing where it was given none."""
    began, written = step.began, step.written
    if output is None or (written is None and not output):
        return ()
    name = began.name if written is None else written.start.name
    return (
        FunctionCall(call_id=began.call_id, name=name, arguments=began.arguments),
        FunctionCallOutput(call_id=began.call_id, output=output),
    )
