"""The chunks of a Chat Completions stream as events, in whichever form the server has them.

Accepts content as text or parts, reasoning under three names or in the text, deltas and usage that are null, ends that
have other names or are missing before ``[DONE]``, and a whole answer where a stream was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.chat_request import ToolLabel
from kodo.server.engines.upstream.masking import NOTHING_HIDDEN, HiddenValues
from kodo.server.engines.upstream.profile import Profile
from kodo.server.engines.upstream.refusal import failed_in_answer
from kodo.server.engines.upstream.text_channels import ChannelSegment, TextChannels
from kodo.server.engines.upstream.tool_calls import CallPart, FunctionDelta, ToolCalls
from kodo.server.engines.upstream.unknown_tools import UnknownCall
from kodo.server.engines.upstream.usage import read_usage
from kodo.server.lifecycle.errors import EngineFailed
from kodo.server.lifecycle.ports import (
    EngineEvent,
    Finished,
    ProviderFields,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from kodo.server.wire.foreign_json import NotJson, read_json_as
from kodo.server.wire.items import Logprob, TopLogprob

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN: Final = 4
"""What an answer is counted as where its server reports no usage."""
_LENGTH: Final = {
    "length",
    "max_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "model_length",
    "token_limit",
}
_FILTERED: Final = {"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal", "sensitive"}  # fmt: skip
_STOPPED: Final = {"stop", "tool_calls", "tool_use", "function_call", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "completed", "complete", "done", "finished", "null", ""}  # fmt: skip
_FAILED: Final = {
    "error",
    "network_error",
    "insufficient_system_resource",
    "abort",
    "malformed_function_call",
}


class _Delta(Struct, frozen=True):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | list[Any] | None = None
    reasoning: str | dict[str, Any] | list[Any] | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[CallPart] | CallPart | None = None
    function_call: FunctionDelta | None = None

    @property
    def only_text(self) -> str:
        """The text, where that is all that it has, as in nearly every delta; else empty."""
        if not isinstance(self.content, str) or self.reasoning_content or self.reasoning or self.tool_calls:
            return ""
        return "" if self.reasoning_details or self.function_call or self.refusal else self.content


class _TopLogprob(Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Logprob(_TopLogprob, frozen=True):
    top_logprobs: tuple[_TopLogprob, ...] | None = None


class _Logprobs(Struct, frozen=True):
    content: tuple[_Logprob, ...] | None = None


class _Choice(Struct, frozen=True):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    stop_reason: Any = None
    """vLLM: the stop string or token that ended the answer."""
    matched_stop: Any = None
    """SGLang: the same."""


class _Chunk(Struct, frozen=True):
    choices: tuple[_Choice, ...] | None = None
    usage: Any = None
    error: Any = None
    timings: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None

    @property
    def failure(self) -> dict[str, Any] | None:
        """The error that stands in place of an answer, in OpenAI's form or (vLLM, FastAPI, proxies) without its envelope."""
        if self.error:
            return {"error": self.error}
        if self.choices is None and (self.object == "error" or self.message or self.detail):
            return (
                {"message": self.message, "detail": self.detail} if self.detail else {"message": self.message}
            )
        return None


_CHUNK = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """The state of one stream."""

    def __init__(
        self,
        labels: dict[str, ToolLabel],
        profile: Profile,
        origin: str,
        secrets: HiddenValues = NOTHING_HIDDEN,
        used_ids: Collection[str] = (),
        stops: Collection[str] = (),
    ) -> None:
        """``labels``: what the offered functions stand for; ``secrets``: what no message may show; ``used_ids``: of the
        calls before this answer; ``stops``: the stop strings that the client set."""
        self._stops = stops
        self._profile = profile
        self._origin = origin
        self._secrets = secrets
        self._calls = ToolCalls(labels, origin, profile.echo, used_ids)
        self._channels = TextChannels()
        self._reasoning_open = False
        self._details: list[dict[str, Any]] = []
        self._waiting: list[EngineEvent] = []
        self._unknown_parts: set[str] = set()
        self._reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None
        self._characters = 0
        self._logprobs: tuple[Logprob, ...] = ()
        self.done = False
        """Whether ``[DONE]`` was seen."""

    @property
    def unknown_calls(self) -> list[UnknownCall]:
        """Calls of tools that were not offered, and nothing else called."""
        return [] if self._calls.count else self._calls.unknown

    def feed(self, data: bytes) -> list[EngineEvent]:
        """The events that one event of the server stands for.

        Raises:
            EngineFailed, InvalidRequest: it is an error, or no chunk of an answer.
        """
        if data[:1] != b"{" and data.strip() == b"[DONE]":
            self.done = True
            return []
        events: list[EngineEvent] = []
        for chunk in _decode(data):
            if (chunk.error or chunk.choices is None) and (failure := chunk.failure) is not None:
                raise failed_in_answer(failure, self._profile, self._secrets)
            if chunk.usage is not None:
                self._usage = read_usage(chunk.usage) or self._usage
            for choice in chunk.choices or ():
                if not choice.index:  # one answer was asked for
                    events += self._read_choice(choice)
        return events

    def finish(self, estimate: int, cap: int | None) -> list[EngineEvent]:
        """The last events. ``estimate``: tokens of the prompt, where the server does not count; ``cap``: of the output.

        Raises:
            EngineFailed: the stream ended in the middle of the answer.
        """
        reason = self._end(cap)
        events = [*self._segments(self._channels.flush())]
        events.extend(self._leave_reasoning())
        if self._details:  # sent behind the reasoning, or without any
            fields = {"reasoning_details": self._details}
            if not self._calls.attach(fields) and self._characters:
                events.append(ProviderFields(state=ProviderState(origin=self._origin, fields=fields)))
        events.extend(self._calls.close(cut=reason == "length"))
        events.extend(self._calls.keep_unknown())
        events.extend(self._waiting)
        self._waiting = []
        output = -(-self._characters // CHARACTERS_PER_TOKEN)
        usage = self._usage or Usage(input=estimate, output=output)
        stop_sequence = self._stop_sequence if reason == "stop" else None
        events.append(Finished(reason=reason, usage=usage, stop_sequence=stop_sequence))
        return events

    # --- inside ---

    @property
    def _is_plain(self) -> bool:
        """Whether a text is the answer's as it is: nothing is open, and no marks are looked for."""
        return (
            self._channels.is_plain
            and not self._reasoning_open
            and not self._calls.open
            and not self._logprobs
        )

    def _read_choice(self, choice: _Choice) -> list[EngineEvent]:
        self._reason = choice.finish_reason or self._reason
        for stopped_by in (choice.stop_reason, choice.matched_stop):
            if isinstance(stopped_by, str) and stopped_by in self._stops:
                self._stop_sequence = stopped_by
        delta = choice.delta or choice.message
        if delta is None:
            return []
        if choice.logprobs is not None:
            self._logprobs += _read_logprobs(choice.logprobs)
        if self._is_plain and (text := delta.only_text):
            self._characters += len(text)
            return [TextDelta(text=text)]
        return list(self._read(delta))

    def _end(self, cap: int | None) -> str:
        if self._reason is None:
            if not self.done and self._usage is None:
                raise EngineFailed("The model's server ended in the middle of the answer.")
            full = cap is not None and self._usage is not None and self._usage.output >= cap
            return "length" if full else "stop"
        reason = self._reason.strip().lower().replace("-", "_")
        if reason in _LENGTH:
            return "length"
        if reason in _FILTERED:
            return "content_filter"
        if reason in _FAILED:
            raise EngineFailed(f"The model's server ended the answer with '{reason}'.")
        if reason not in _STOPPED:
            logger.info("unknown finish reason %r is taken as a stop", self._reason[:64])
        return "stop"

    def _read(self, delta: _Delta) -> Iterator[EngineEvent]:
        if delta.reasoning_details:
            self._merge_details(delta.reasoning_details)
        reasoning = _text(delta.reasoning_content) or _text(delta.reasoning)
        if reasoning:
            yield from self._reasoning(reasoning)
        if delta.content:
            if isinstance(delta.content, str):
                yield from self._segments(self._channels.feed(delta.content))
            else:
                for part in delta.content:
                    yield from self._part(part)
        if delta.refusal:
            yield from self._text(delta.refusal)
        if delta.tool_calls:
            yield from self._segments(self._channels.flush())
            yield from self._leave_reasoning()
            parts = delta.tool_calls if isinstance(delta.tool_calls, list) else [delta.tool_calls]
            for part in parts:
                if part.function is not None:
                    self._count_arguments(part.function)
                yield from self._calls.feed(part)
        if delta.function_call is not None:
            yield from self._leave_reasoning()
            self._count_arguments(delta.function_call)
            yield from self._calls.feed(CallPart(function=delta.function_call))

    def _part(self, part: Any) -> Iterator[EngineEvent]:
        """A part of content that is a list: text, or Magistral's thinking."""
        if isinstance(part, str):
            yield from self._segments(self._channels.feed(part))
        elif isinstance(part, dict):
            if part.get("type") in ("thinking", "reasoning"):
                yield from self._reasoning(
                    _text(part.get("thinking") or part.get("text") or part.get("content"))
                )
            elif isinstance(part.get("text"), str):
                yield from self._segments(self._channels.feed(part["text"]))
            else:
                self._note_unknown_part(str(part.get("type"))[:64])

    def _note_unknown_part(self, kind: str) -> None:
        """A part that no text can be made of (an image, audio) is left out of the answer; the log says so once a stream."""
        if kind not in self._unknown_parts:
            self._unknown_parts.add(kind)
            logger.warning("a part %r of the model's answer is left out: it is not text", kind)

    def _segments(self, segments: list[ChannelSegment]) -> Iterator[EngineEvent]:
        for segment in segments:
            if segment.kind == "text":
                yield from self._text(segment.text)
            elif segment.kind == "reasoning":
                yield from self._reasoning(segment.text)
            elif segment.kind == "call":
                yield from self._leave_reasoning()
                yield from self._calls.begin(segment.text)
            else:
                self._characters += len(segment.text)
                yield from self._calls.extend(segment.text)

    def _text(self, text: str) -> Iterator[EngineEvent]:
        self._characters += len(text)
        yield from self._leave_reasoning()
        logprobs, self._logprobs = self._logprobs, ()
        yield from self._outside_calls(TextDelta(text=text, logprobs=logprobs))

    def _reasoning(self, text: str) -> Iterator[EngineEvent]:
        if not text:
            return
        self._characters += len(text)
        events = list(self._outside_calls(ReasoningDelta(text=text)))
        self._reasoning_open = self._reasoning_open or any(
            isinstance(event, ReasoningDelta) for event in events
        )
        yield from events

    def _outside_calls(self, event: TextDelta | ReasoningDelta) -> Iterator[EngineEvent]:
        """An event that closes the calls before it; it waits while one of them is not whole."""
        if self._calls.open:
            if not event.text.strip():
                return
            yield from self._calls.settle()
            if self._calls.open:
                self._waiting.append(event)
                return
        yield event

    def _leave_reasoning(self) -> Iterator[EngineEvent]:
        """Close the reasoning: with it goes whose it is."""
        if self._reasoning_open:
            self._reasoning_open = False
            details, self._details = self._details, []
            fields: dict[str, Any] = {"reasoning_details": details} if details else {}
            yield ProviderFields(state=ProviderState(origin=self._origin, fields=fields))

    def _merge_details(self, details: list[Any]) -> None:
        """OpenRouter streams ``reasoning_details`` in pieces; texts of one index are joined."""
        if "reasoning_details" not in self._profile.echo:
            return
        for detail in details:
            if not isinstance(detail, dict):
                continue
            last = self._details[-1] if self._details else None
            if last is None or (last.get("type"), last.get("index")) != (
                detail.get("type"),
                detail.get("index"),
            ):
                self._details.append(dict(detail))
                continue
            for name, value in detail.items():
                joined = name in ("text", "summary", "data") and isinstance(last.get(name), str)
                if value is not None:
                    last[name] = last[name] + value if joined else value

    def _count_arguments(self, function: FunctionDelta) -> None:
        if isinstance(function.arguments, str):
            self._characters += len(function.arguments)


def _decode(data: bytes) -> list[_Chunk]:
    """The chunks of an event; one a line where the server left out the line between events."""
    try:
        return [read_json_as(_CHUNK, data)]
    except NotJson as error:
        if b"\n" in data:
            return [chunk for line in data.split(b"\n") if line.strip() for chunk in _decode(line)]
        raise EngineFailed("The model's server sent something that is not an answer.") from error


def _text(value: Any) -> str:
    """The text of a string, of parts, or of an object with a text in it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(part) for part in value)
    if isinstance(value, dict):
        return _text(value.get("text") or value.get("content") or value.get("thinking") or "")
    return ""


def _read_logprobs(value: Any) -> tuple[Logprob, ...]:
    try:
        given = msgspec.convert(value, _Logprobs)
    except msgspec.ValidationError:
        return ()  # another form, such as that of the legacy API

    def top(one: _TopLogprob) -> TopLogprob:
        return TopLogprob(token=one.token, logprob=one.logprob, bytes=_bytes(one))

    return tuple(
        Logprob(
            token=one.token,
            logprob=one.logprob,
            bytes=_bytes(one),
            top_logprobs=tuple(top(other) for other in one.top_logprobs or ()),
        )
        for one in given.content or ()
    )


def _bytes(one: _TopLogprob) -> tuple[int, ...]:
    return one.bytes if one.bytes is not None else tuple(one.token.encode())
