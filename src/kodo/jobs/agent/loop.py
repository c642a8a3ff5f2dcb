"""The loop: ask the model, run the tools it calls, give it the results, until it answers without a call.

The whole history is sent each time (``store: false``), so it works with any Responses API and needs nothing of the
server between two steps. Each call's worst case is reserved from the budget before it is sent (``kodo.client``). What a
tool says is data: it goes to the model as a tool's output and never into the instructions.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from kodo.client.answer import Answer
from kodo.client.errors import StreamCutError
from kodo.client.session import Session
from kodo.jobs.agent.approval import Approve, deny_writes
from kodo.jobs.agent.journal import Entry, Journal, JournalError
from kodo.jobs.agent.tool import Tool, ToolError

Judge = Callable[[], str | None]
"""Looks at what the model calls done; None accepts it, a text goes to the model as the user's next message."""
Stop = Literal["finished", "steps", "time", "loop", "incomplete"]
"""Why a run ended: an answer without a call; a limit; the same call with the same result again and again; an answer that
was cut at its limit of tokens."""
Item = dict[str, Any]
TRIES = 3
"""Requests for one answer where the stream breaks in the middle."""
CUT = "\n[… {} characters left out …]\n"
ELIDED = "[an older result, left out; call the tool again if you need it]"


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What one run may use.

    Attributes:
        steps: answers of the model.
        seconds: wall time over all processes of a run; looked at before each step.
        output_tokens: of one answer.
        result_characters: of one tool's result; a longer one loses its middle.
        history_characters: of all results in one request; the oldest are left out first.
        repeats: the same call with the same result this many times in a row ends the run.
    """

    steps: int = 40
    seconds: float = 1800.0
    output_tokens: int = 4096
    result_characters: int = 12_000
    history_characters: int = 120_000
    repeats: int = 3

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"limits.{name} must be above 0")


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How a run ended. ``cost`` is in US dollars, ``asked`` counts the answers, ``calls`` the tool calls, ``refused`` those not approved."""

    text: str
    stop: Stop
    asked: int
    calls: int
    refused: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Observer:
    """What a run tells while it works: pieces of text as they are written, calls before they run, results after."""

    on_text: Callable[[str], None] = lambda _: None
    on_call: Callable[[str, str], None] = lambda _name, _arguments: None
    on_result: Callable[[str, str], None] = lambda _name, _output: None


@dataclass
class Agent:
    """A model with tools.

    Attributes:
        session: the way to a Responses API, with its budget and retries.
        tools: what the model may call; names are unique.
        instructions: who the model is to be.
        approve: asked before each call of a tool that writes.
        model: default: the session's.
    """

    session: Session
    tools: Sequence[Tool]
    instructions: str = "You solve the task with the tools. When it is done, answer without calling a tool."
    limits: AgentLimits = field(default_factory=AgentLimits)
    approve: Approve = deny_writes
    observer: Observer = field(default_factory=Observer)
    model: str | None = None

    def __post_init__(self) -> None:
        names = [tool.name for tool in self.tools]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"tools: {', '.join(sorted(twice))} is there more than once")

    def run(self, task: str, journal: Journal | None = None, judge: Judge = lambda: None) -> AgentResult:
        """Work on a task until it is done or a limit is reached.

        Args:
            task: the first message of the user.
            journal: an open journal; with entries of an earlier process, the run continues after them.
            judge: asked where the model is done; what it finds wrong is the next message.

        Raises:
            KodoError: a call failed or does not fit the budget; what was done is in the journal.
            JournalError: the journal is of another task.
        """
        journal = journal if journal is not None else Journal()
        begin = journal.begin({"task": task, "run": uuid.uuid4().hex, "model": self.model})
        if begin.get("task") != task:
            raise JournalError("the journal is of another task")
        return _Run(self, journal, str(begin["run"]), task).work(judge)


class _Run:
    """One run: the history, folded from the journal, and what is added to it."""

    def __init__(self, agent: Agent, journal: Journal, run: str, task: str) -> None:
        self.agent, self.journal, self.key = agent, journal, run
        self.tools = {tool.name: tool for tool in agent.tools}
        self.history: list[Item] = [_message(task)]
        self.asked = self.calls = self.refused = self.input_tokens = self.output_tokens = 0
        self.cost = Decimal(0)
        self.spent_seconds = 0.0
        self.text, self.status = "", "completed"
        self.open_calls: list[Item] = []
        self.recent: list[tuple[str, str, str]] = []
        self.begun: set[str] = set()
        for entry in list(journal.entries):
            self._fold(entry)

    def _fold(self, entry: Entry) -> None:
        match entry["kind"]:
            case "answer":
                self._take_answer(entry)
            case "call":
                self.begun.add(entry["call_id"])
            case "result":
                self._take_result(entry)
            case "feedback":
                self.history.append(_message(entry["text"]))

    def _take_answer(self, entry: Entry) -> None:
        self.asked += 1
        self.input_tokens += entry["input_tokens"]
        self.output_tokens += entry["output_tokens"]
        self.cost += Decimal(entry["cost"])
        self.spent_seconds += entry["seconds"]
        self.text, self.status = entry["text"], entry["status"]
        self.history += entry["items"]
        self.open_calls = [item for item in entry["items"] if item.get("type") == "function_call"]

    def _take_result(self, entry: Entry) -> None:
        self.calls += 1
        self.refused += bool(entry.get("refused"))
        self.spent_seconds += entry["seconds"]
        call = next(item for item in self.open_calls if item["call_id"] == entry["call_id"])
        self.open_calls.remove(call)
        self.recent.append((call["name"], call["arguments"], entry["output"]))
        output = {"type": "function_call_output", "call_id": entry["call_id"], "output": entry["output"]}
        self.history.append(output)

    def work(self, judge: Judge) -> AgentResult:
        """Alternate between the model and the tools."""
        limits = self.agent.limits
        while True:
            for call in list(self.open_calls):
                self._do(call)
            if self._is_done():
                if self.status != "completed":
                    return self._end("incomplete")
                objection = judge()
                if objection is None:
                    return self._end("finished")
                self.journal.write("feedback", text=objection)
                self.history.append(_message(objection))
            if self._repeats():
                return self._end("loop")
            if self.asked >= limits.steps:
                return self._end("steps")
            if self.spent_seconds >= limits.seconds:
                return self._end("time")
            self._ask()

    def _is_done(self) -> bool:
        """Whether the last thing said is an answer of the model without a call."""
        last = self.history[-1]
        return last.get("type") != "function_call_output" and last.get("role") != "user"

    def _repeats(self) -> bool:
        last = self.recent[-self.agent.limits.repeats :]
        return len(last) == self.agent.limits.repeats and len(set(last)) == 1

    def _end(self, stop: Stop) -> AgentResult:
        if not any(self.journal.of_kind("end")):
            self.journal.write("end", stop=stop)
        return AgentResult(
            self.text,
            stop,
            self.asked,
            self.calls,
            self.refused,
            self.input_tokens,
            self.output_tokens,
            self.cost,
        )

    def _ask(self) -> None:
        """One answer of the model, in the journal when this returns."""
        step = self.asked + 1
        self.journal.write("ask", step=step)
        started = time.monotonic()
        answer = self._answer(step)
        entry = {
            "step": step,
            "response_id": answer.response_id,
            "status": answer.status,
            "text": answer.text,
            "items": _items(answer),
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
            "cost": str(answer.cost.usd or 0),
            "seconds": round(time.monotonic() - started, 3),
        }
        self.journal.write("answer", **entry)
        self._take_answer(self.journal.entries[-1])

    def _answer(self, step: int) -> Answer:
        """The answer of one step; a stream that breaks in the middle is asked for again."""
        for _ in range(TRIES - 1):
            try:
                return self._stream(step)
            except StreamCutError:
                continue
        return self._stream(step)

    def _stream(self, step: int) -> Answer:
        agent = self.agent
        stream = agent.session.stream(
            _within(self.history, agent.limits.history_characters),
            instructions=agent.instructions,
            model=agent.model,
            tools=[tool.declaration for tool in agent.tools],
            max_output_tokens=agent.limits.output_tokens,
            store=False,
            include=["reasoning.encrypted_content"],
            prompt_cache_key=self.key,
            idempotency_key=f"{self.key}-{step}",
        )
        with stream:
            for piece in stream:
                agent.observer.on_text(piece)
            return stream.answer

    def _do(self, call: Item) -> None:
        """Run one call, or say why not; the result is in the journal when this returns."""
        name, call_id = str(call["name"]), str(call["call_id"])
        tool = self.tools.get(name)
        again = call_id in self.begun
        if not again:
            self.journal.write("call", call_id=call_id, name=name, arguments=call["arguments"])
            self.agent.observer.on_call(name, call["arguments"])
        started = time.monotonic()
        refused = False
        if tool is None:
            output = f"error: there is no tool {name!r}; the tools are {', '.join(sorted(self.tools))}"
        elif again and tool.effect == "write" and not tool.repeatable:
            output = (
                "error: the process ended while this call ran; look at the present state before you repeat it"
            )
        else:
            output, refused = self._output(tool, call["arguments"])
        output = _shorten(output, self.agent.limits.result_characters)
        seconds = round(time.monotonic() - started, 3)
        self.journal.write("result", call_id=call_id, output=output, refused=refused, seconds=seconds)
        self._take_result(self.journal.entries[-1])
        self.agent.observer.on_result(name, output)

    def _output(self, tool: Tool, text: str) -> tuple[str, bool]:
        """The result of a call, or an error for the model; and whether the call was not approved."""
        try:
            arguments = json.loads(text or "{}")
        except ValueError as error:
            return f"error: the arguments are not JSON: {error}", False
        if not isinstance(arguments, dict):
            return "error: the arguments are not an object", False
        if tool.effect == "write" and not self.agent.approve(tool, arguments):
            return f"error: this call of {tool.name} was not approved", True
        try:
            return tool.run(arguments), False
        except ToolError as error:
            return f"error: {error}", False
        except Exception as error:  # noqa: BLE001 - a tool is the user's code: what it raises is for the model to see
            return f"error: {tool.name} raised {type(error).__name__}: {error}", False


def _message(text: str) -> Item:
    return {"type": "message", "role": "user", "content": text}


def _items(answer: Answer) -> list[Item]:
    """The output items of an answer, as they are sent back in the next request."""
    return [item.model_dump(mode="json", exclude_none=True) for item in answer.raw.output]


def _shorten(text: str, limit: int) -> str:
    """The text, or its head and tail where it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return text[:head] + CUT.format(len(text) - limit) + text[len(text) - (limit - head) :]


def _within(history: Sequence[Item], limit: int) -> list[Mapping[str, Any]]:
    """The history with the oldest tool results left out until the rest has at most ``limit`` characters.

    Depends on the history alone, so that a resumed run sends the same request again.
    """
    sent: list[Mapping[str, Any]] = []
    room = limit
    for item in reversed(history):
        room -= len(item["output"]) if item.get("type") == "function_call_output" else 0
        left_out = room < 0 and item.get("type") == "function_call_output"
        sent.append({**item, "output": ELIDED} if left_out else item)
    return sent[::-1]
