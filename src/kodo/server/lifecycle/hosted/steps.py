"""The loop over hosted tools: what runs between two turns of the model, and the prompt of the next turn.

Every step goes through the response's log (:mod:`kodo.server.lifecycle.event_log`): ``StepBegan`` is on disk before a call
runs, ``StepEnded`` holds its result together with its last events. What a restart has to do follows from the log alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from kodo.server.config import ToolSettings
from kodo.server.lifecycle import event_log, genai, tracing
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import Done, HostedCall, HostedTool, ToolContext
from kodo.server.lifecycle.hosted.quotes import answer_quotes, last_question
from kodo.server.lifecycle.hosted.step_fold import Step
from kodo.server.lifecycle.hosted.toolset import Toolset
from kodo.server.lifecycle.ports import ContextItem, Prepared
from kodo.server.lifecycle.run import Run
from kodo.server.wire.hosted_tools import HostedToolEntry, type_of
from kodo.server.wire.request import CreateResponse

logger = logging.getLogger(__name__)

INTERRUPTED: Final = "The server stopped while this call ran. It may or may not have taken effect; check before you call it again."
"""What the model reads of a call with effects that a crash cut off."""


ANSWER_TOKENS: Final = 1024
"""Tokens of the window that the outputs of calls leave to the answer, at most a quarter of it."""
MAX_CUTS: Final = 6
"""How often an output is made shorter before nothing of it is left."""


class StepObserver(Protocol):
    """Receives measurements of calls: the server's metrics."""

    def tool_called(self, kind: str, outcome: str, seconds: float) -> None:
        """A call of a hosted tool is over: ``done``, ``failed``, ``timeout`` or ``interrupted``."""


@dataclass
class ToolLoop:
    """The hosted tools of a response that runs."""

    run: Run
    toolset: Toolset
    history: tuple[ContextItem, ...]
    """What the tools see: all that came before the response, and its own input."""
    base: tuple[ContextItem, ...]
    """What the prompt begins with: the history, or what it was compacted into."""
    prepare: Callable[[CreateResponse, tuple[ContextItem, ...], tuple[str, ...]], Awaitable[Prepared]]
    """The prompt of a turn, counted and inside the window, with the quotes that may answer it."""
    count: Callable[[str], Awaitable[int]]
    """Tokens of a text, as an output of a call."""
    window: int
    """Tokens of prompt and answer together."""
    limits: ToolSettings
    observer: StepObserver
    quotes: bool = False
    """Whether the model is one that answers in quotes of what tools found."""
    ends_repeats: bool = False
    """Whether the model has to answer where it repeats a call that gave the same before: a small one repeats it without end."""
    used: int = 0
    """Tokens of the last turn's prompt and answer, which the outputs of its calls come behind."""

    # --- what a turn begins with ---

    async def open(self) -> bool:
        """Make the calls that tools make before the first turn; whether there were any."""
        if self.run.steps.turns or not self.run.steps.between:
            return False
        begun = {step.began.call_id for step in self.run.steps.steps}
        for number, call in self.toolset.openings(self.history):
            if call.call_id not in begun:
                self._begin(None, call, number)
        if not self.run.steps.steps:
            return False
        await self._run_open_steps()
        return True

    async def next_prompt(self) -> Prepared:
        """The prompt of the turn that comes next, or that a crash interrupted.

        Raises:
            ContextLengthExceeded: what the tools gave does not fit the window.
        """
        steps = self.run.steps
        turn = steps.turns
        may_call = self.calls_left() > 0 and turn < self.limits.max_turns and not self._repeated()
        request = await self.toolset.turn_request(self._seen(), first=turn == 0, may_call=may_call)
        if request.max_output_tokens is not None:
            used = sum(
                entry.usage.output for entry in self.run.entries if isinstance(entry, event_log.TurnEnded)
            )
            left = max(1, request.max_output_tokens - used)
            request = msgspec.structs.replace(request, max_output_tokens=left)
        return await self.prepare(
            request, (*self.base, *self.run.produced()), self._quotes(request.max_output_tokens)
        )

    def is_hosted(self, name: str) -> bool:
        """Whether a function that the model calls is a tool of this server's."""
        return self.toolset.owner(name) is not None

    # --- what runs between two turns ---

    async def run_calls(self) -> bool:
        """Run the calls of the turn that is over; whether the model is to have another turn."""
        steps = self.run.steps
        if not self.toolset.offered:  # after a restart
            await self.toolset.turn_request(self._seen())
        begun = {step.began.call for step in steps.steps[self._first_of_turn() :]}
        for number, call in enumerate(steps.calls):
            if number in begun:
                continue
            owner = self.toolset.owner(call.start.name)
            if owner is None:
                raise RuntimeError(f"{call.start.name} is no tool of this server's")
            hosted = HostedCall(
                call_id=call.start.call_id,
                name=owner.name,
                arguments=call.arguments,
                entry=self._entry(owner.entry),
            )
            self._begin(number, hosted, owner.entry)
        await self._run_open_steps()
        ended = [step.ended for step in steps.steps[self._first_of_turn() :]]
        if event_log.called_client(self.run.entries):
            return False
        return all(end is not None and end.output is not None for end in ended)

    # --- inside ---

    def _quotes(self, tokens: int | None) -> tuple[str, ...]:
        """The quotes that may answer the question behind the calls of the turn that is over."""
        steps = self.run.steps
        if not self.quotes or not steps.turns:
            return ()
        found = [step.ended for step in steps.steps[self._first_of_turn() :] if step.ended]
        sources = {mark: source for end in found for mark, source in end.sources.items()}
        return answer_quotes(last_question(self._seen()), sources, tokens) if sources else ()

    def _seen(self) -> tuple[ContextItem, ...]:
        return (*self.history, *self.run.produced())

    def calls_left(self) -> int:
        """How many calls the model may still make in this response."""
        most = self.toolset.request.max_tool_calls
        made = sum(step.began.call is not None for step in self.run.steps.steps)
        return self.limits.max_calls - made if most is None else min(most, self.limits.max_calls) - made

    def _repeated(self) -> bool:
        """Whether each call of the turn that is over was made before, with the same result."""
        if not self.ends_repeats:
            return False
        first = self._first_of_turn()
        said = [
            (step.began.name, step.began.arguments, step.ended and step.ended.output)
            for step in self.run.steps.steps
        ]
        return first < len(said) and all(call in said[:first] for call in said[first:])

    def _first_of_turn(self) -> int:
        """The number of the first step that belongs to the turn that is over."""
        steps = self.run.steps
        return next((step.number for step in steps.steps if step.turn == steps.turns), len(steps.steps))

    def _entry(self, number: int) -> HostedToolEntry:
        entry = self.toolset.request.tools[number]
        if not isinstance(entry, HostedToolEntry):
            raise TypeError(f"tools[{number}] is the client's")
        return entry

    def _begin(self, number: int | None, call: HostedCall, entry: int) -> None:
        """Write down that a call is about to run."""
        announced = self._tool(call.entry).announce(call, self.toolset.context_of(self._seen()))
        self.run.emit(
            event_log.StepBegan(
                call=number,
                call_id=call.call_id,
                name=call.name,
                arguments=call.arguments,
                entry=entry,
                effect=announced.effect,
                item=announced.item,
            )
        )

    def _tool(self, entry: HostedToolEntry) -> HostedTool:
        return self.toolset.tools[type_of(entry)]

    async def _run_open_steps(self) -> None:
        """Run every step that has begun and has no result, several at the same time."""
        waiting = [step for step in self.run.steps.steps if step.ended is None]
        if not waiting:
            return
        await self.run.save()
        context = self.toolset.context_of(self._seen())
        room = max(0, self.window - self.used - min(ANSWER_TOKENS, self.window // 4)) // len(waiting)
        free = asyncio.Semaphore(self.limits.max_parallel)

        places: dict[int, int] = {}
        tools = [self._tool(self._entry(step.began.entry)) for step in waiting]
        for index, step in enumerate(waiting):
            places[step.number] = sum(tool is tools[index] for tool in tools[:index])

        async def run(step: Step) -> None:
            async with free:
                await self._run_step(step, context, room, places[step.number])

        async with asyncio.TaskGroup() as group:
            for step in waiting:
                group.create_task(run(step))
        await self.run.save()

    async def _run_step(self, step: Step, context: ToolContext, room: int, place: int) -> None:
        """Run a step to its result, of whose output the model is given at most ``room`` tokens."""
        began = step.began
        entry = self._entry(began.entry)
        tool = self._tool(entry)
        item = self.run.output_item(step.index)
        call = HostedCall(
            call_id=began.call_id,
            name=began.name,
            arguments=began.arguments,
            entry=entry,
            opening=began.call is None,
            item_id=item.id or "",
            place=place,
            announced=item,
        )
        started = asyncio.get_running_loop().time()
        outcome = "done"
        try:
            if began.effect == "write" and step.number in self.run.interrupted_steps:
                outcome, done = "interrupted", tool.failed(call, item, INTERRUPTED)
            else:
                async with asyncio.timeout(self.limits.call_seconds):
                    done = await self._result(tool, call, step, context)
        except TimeoutError:
            outcome = "timeout"
            done = tool.failed(call, item, f"It took longer than {self.limits.call_seconds:g} seconds.")
        except ServiceError as error:
            outcome, done = "failed", tool.failed(call, item, error.message)
        except Exception:  # a tool's bug must not end the response: the model is told that the call failed
            logger.exception("a call of %s failed unexpectedly", type_of(entry))
            outcome, done = "failed", tool.failed(call, item, "The tool had an internal error.")
        seconds = asyncio.get_running_loop().time() - started
        self.observer.tool_called(type_of(entry), outcome, seconds)
        ended = time.time()
        tracing.record(
            f"{genai.EXECUTE_TOOL} {began.name}",
            ended - seconds,
            ended,
            {
                genai.OPERATION: genai.EXECUTE_TOOL,
                genai.TOOL_NAME: began.name,
                genai.TOOL_TYPE: type_of(entry),
                genai.TOOL_CALL_ID: began.call_id,
                genai.OUTCOME: outcome,
            },
        )
        try:
            await self._end(step, done, context.max_output_chars, room)
        except ValueError:
            logger.exception("the result of a call of %s cannot be stored", type_of(entry))
            done = tool.failed(call, item, "The tool's result is not valid text.")
            await self._end(step, done, context.max_output_chars, room)

    async def _result(self, tool: HostedTool, call: HostedCall, step: Step, context: ToolContext) -> Done:
        """Run a call to its end. Events that an interrupted run of it has sent already are not sent again."""
        sent = step.events
        async with aclosing(tool.run(call, context)) as updates:  # type: ignore[type-var]  # every implementation is a generator
            async for update in updates:
                if isinstance(update, Done):
                    return update
                if sent > 0:
                    sent -= 1
                    continue
                self._emit(event_log.StepEvent(step=step.number, event=update))
        raise RuntimeError("a hosted tool ended without a result")

    async def _fitted(self, output: str | None, chars: int, room: int) -> str | None:
        """An output that fits into ``chars`` characters and ``room`` tokens; what is cut is said."""
        if not output:
            return output
        whole, output = output, output[:chars]
        for _ in range(MAX_CUTS):
            if len(output.encode()) <= room:
                break  # a token is a byte or more
            tokens = await self.count(output)
            if tokens <= room:
                break
            output = output[: len(output) * room // tokens * 9 // 10]
        else:
            output = ""
        return output if output == whole else f"{output}\n[The rest was cut: it was too long.]"

    def _emit(self, entry: event_log.StepEvent | event_log.StepEnded) -> None:
        """Write down what a tool gave. Raises ``ValueError`` where it cannot be stored: a tool's text with half characters."""
        event_log.encode(entry)
        self.run.emit(entry)

    async def _end(self, step: Step, done: Done, chars: int, room: int) -> None:
        self._emit(
            event_log.StepEnded(
                step=step.number,
                item=done.item,
                output=await self._fitted(done.output, chars, room),
                events=done.events,
                more=done.more,
                more_events=done.more_events,
                sources=done.sources,
                usage=done.usage,
            )
        )
