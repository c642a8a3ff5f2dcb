"""The chunks of a Chat Completions stream as events, in whichever form the server has them.

Accepts content as text or parts, reasoning under three names or in the text, calls as fields or in the text, deltas and
usage that are null, ends that have other names or are missing before ``[DONE]``, and a whole answer where a stream was
asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.chat_chunk import (
    UpstreamChoice,
    UpstreamChunk,
    UpstreamDelta,
    decode_chunks,
    decode_together,
    join_texts,
    only_text,
    text_of_delta,
)
from kodo.server.engines.upstream.chat_request import ToolLabel
from kodo.server.engines.upstream.error_translation import failed_in_answer, not_an_answer
from kodo.server.engines.upstream.finish_reasons import read_finish_reason
from kodo.server.engines.upstream.masking import NOTHING_HIDDEN, HiddenValues, mask
from kodo.server.engines.upstream.message_channels import ChannelSegment, MessageFormat
from kodo.server.engines.upstream.profile import Profile
from kodo.server.engines.upstream.refusal import says_error
from kodo.server.engines.upstream.text_calls import TextCalls
from kodo.server.engines.upstream.text_channels import TextChannels
from kodo.server.engines.upstream.tool_calls import CallPart, FunctionDelta, ToolCalls
from kodo.server.engines.upstream.unknown_tools import UnknownCall
from kodo.server.engines.upstream.usage import merge_usage, read_usage
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
from kodo.server.wire.foreign_json import NotJson
from kodo.server.wire.items import Logprob, TopLogprob

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN: Final = 4
"""What an answer is counted as where its server reports no usage."""
_CLOSE: Final = "</think>"
"""In a text of its own, it closes thoughts that no mark opened: they were taken for text, and will not be next time."""
_TEXT_FIELDS: Final = ("text", "content", "thinking", "summary")


class _TopLogprob(Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Logprob(_TopLogprob, frozen=True):
    top_logprobs: tuple[_TopLogprob, ...] | None = None


class _Logprobs(Struct, frozen=True):
    content: tuple[_Logprob, ...] | None = None


class ChatStream:
    """The state of one stream."""

    def __init__(
        self,
        labels: dict[str, ToolLabel],
        profile: Profile,
        origin: str,
        secrets: HiddenValues = NOTHING_HIDDEN,
        used_ids: Collection[str] = (),
        *,
        stops: Collection[str] = (),
        text_calls: TextCalls | None = None,
        expects_thoughts: bool = False,
        envelope: MessageFormat | None = None,
        whole: bool = False,
    ) -> None:
        """``labels``: what the offered functions stand for; ``secrets``: what no message may show; ``used_ids``: of the
        calls before this answer; ``stops``: the stop strings that the client set; ``text_calls``: finds calls in the text,
        where tools are offered; ``expects_thoughts``: the text is expected to begin with thoughts that no mark opens;
        ``envelope``: what the model may write around its answer; ``whole``: nobody reads the answer before its end."""
        self._stops = stops
        self._text_calls = text_calls
        self._expects_thoughts = expects_thoughts
        self._profile = profile
        self._origin = origin
        self._secrets = secrets
        self._calls = ToolCalls(labels, origin, profile.echo, used_ids)
        self._channels = TextChannels(waits=expects_thoughts or whole, envelope=envelope)
        self._whole = whole
        self._texts: list[str] = []
        """Of an answer that nobody reads before its end: the texts that came one behind the other, not looked at yet."""
        self._closed_in_text = False
        self._reasoning_open = False
        self._details: list[dict[str, Any]] = []
        self._waiting: list[EngineEvent] = []
        self._unknown_parts: set[str] = set()
        self._begun = False
        """Whether the server said anything of an answer."""
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

    @property
    def ended(self) -> bool:
        """Whether the server said why the answer ended: all of it is here."""
        return self._reason is not None

    @property
    def unopened_thoughts(self) -> bool | None:
        """Whether the text began with thoughts that no mark had opened. None: it does not show."""
        if self._channels.unopened or self._closed_in_text:
            return True
        return False if self._characters and self._reason == "stop" else None

    def decode(self, batch: Sequence[bytes]) -> Sequence[UpstreamChunk | bytes | str]:
        """The events that arrived together, as chunks where they are; texts that nobody reads yet are joined."""
        if len(batch) < 2:
            return batch
        chunks = decode_together(batch)
        return join_texts(chunks) if self._whole else chunks

    def feed(self, data: UpstreamChunk | bytes | str) -> list[EngineEvent]:
        """The events that one event of the server stands for; a ``str`` is the text of several.

        Raises:
            EngineFailed, InvalidRequest: it is an error, or no chunk of an answer.
        """
        if isinstance(data, UpstreamChunk):
            return self._feed([data])
        if isinstance(data, str):
            self._begun = True
            self._texts.append(data)
            return []
        if data[:1] != b"{" and data.strip() == b"[DONE]":
            self.done = True
            return []
        try:
            chunks = decode_chunks(data)
        except NotJson as error:
            raise not_an_answer(data, self._secrets) from error
        return self._feed(chunks)

    def _feed(self, chunks: Sequence[UpstreamChunk | dict[str, Any]]) -> list[EngineEvent]:
        if self._whole and len(chunks) == 1 and (text := only_text(chunks[0])):
            self._begun = True
            self._texts.append(text)
            return []
        events: list[EngineEvent] = self._take_texts()
        for chunk in chunks:
            if not isinstance(chunk, UpstreamChunk):
                if says_error(chunk):
                    raise failed_in_answer(chunk, self._profile, self._secrets)
                self._note_counts(chunk.get("usage"))
                continue
            self._note_counts(chunk.counts)
            for choice in chunk.choices:
                if choice.error:
                    raise failed_in_answer({"error": choice.error}, self._profile, self._secrets)
                if not choice.index:  # one answer was asked for
                    events += self._read_choice(choice)
        return events

    def finish(self, estimate: int, cap: int | None) -> list[EngineEvent]:
        """The last events. ``estimate``: tokens of the prompt, where the server does not count; ``cap``: of the output.

        Raises:
            EngineFailed: the stream ended in the middle of the answer.
        """
        events = self._take_texts()
        reason = self._end(cap)
        cut = self._expects_thoughts and reason == "length"
        events.extend(self._segments(self._channels.flush(cut_in_thought=cut)))
        events.extend(self._finish_text(complete=reason == "stop"))
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

    def _read_choice(self, choice: UpstreamChoice) -> list[EngineEvent]:
        self._begun = True
        self._reason = choice.finish_reason or self._reason
        for stopped_by in (choice.stop_reason, choice.matched_stop):
            if isinstance(stopped_by, str) and stopped_by in self._stops:
                self._stop_sequence = stopped_by
        delta = choice.delta or choice.message
        if delta is None or (choice.delta is None and self._has_text):
            return []  # some servers end with the whole message once more
        if choice.logprobs is not None:
            self._logprobs += _read_logprobs(choice.logprobs)
        if self._is_plain and (text := text_of_delta(delta)) and self._hands_on(text):
            self._characters += len(text)
            return [TextDelta(text=text)]
        return list(self._read(delta))

    @property
    def _has_text(self) -> bool:
        """Whether the answer has a text so far, handed on or held back."""
        return bool(self._characters) or self._channels.holds

    def _take_texts(self) -> list[EngineEvent]:
        """What the texts that were not looked at stand for."""
        if not self._texts:
            return []
        text, self._texts = "".join(self._texts), []
        return list(self._read(UpstreamDelta(content=text)))

    def _hands_on(self, text: str) -> bool:
        """Whether a text of a plain answer has nothing in it that is looked for."""
        return _CLOSE not in text and (self._text_calls is None or self._text_calls.hands_on(text))

    def _note_counts(self, usage: Any) -> None:
        if usage is not None and (counts := read_usage(usage)) is not None:
            self._usage = merge_usage(self._usage, counts)

    def _end(self, cap: int | None) -> str:
        if not self._begun:
            raise EngineFailed("The model's server sent no answer.")
        full = cap is not None and self._usage is not None and self._usage.output >= cap
        if self._reason is None:
            if not self.done and self._usage is None:
                raise EngineFailed("The model's server ended in the middle of the answer.")
            return "length" if full else "stop"
        reason = self._reason.strip()
        ending = read_finish_reason(reason)
        said = self._has_text or self._calls.count or self._calls.unknown or self._calls.open
        if ending == "failed" or (not said and (ending == "unknown" or reason == "tool_calls")):
            raise EngineFailed(f"The model's server ended the answer with '{mask(reason, self._secrets)}'.")
        if ending == "unknown":
            logger.info("unknown finish reason %r is taken as a stop", reason[:64])
            ending = "stop"
        if ending == "stop" and full and self._calls.cut:
            return "length"  # vLLM names the call as the reason, though the limit ended it
        return ending

    def _read(self, delta: UpstreamDelta) -> Iterator[EngineEvent]:
        if delta.reasoning_details:
            self._merge_details(delta.reasoning_details)
        reasoning = _text(delta.reasoning_content) or _text(delta.reasoning) or _text(delta.reasoning_details)
        if reasoning:
            yield from self._segments(self._channels.stop_waiting())
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
            yield from self._let_text_go()
            self._text_calls = None  # this server has a parser
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
                yield from self._let_text_go()
                yield from self._leave_reasoning()
                yield from self._calls.begin(segment.text)
            else:
                self._characters += len(segment.text)
                yield from self._calls.extend(segment.text)

    def _text(self, text: str) -> Iterator[EngineEvent]:
        self._characters += len(text)
        self._closed_in_text = self._closed_in_text or text.strip() == _CLOSE
        yield from self._say(text if self._text_calls is None else self._text_calls.feed(text))

    def _let_text_go(self) -> Iterator[EngineEvent]:
        """Something else than text follows: what was held back of the text is text."""
        if self._text_calls is not None:
            yield from self._say(self._text_calls.let_go())

    def _finish_text(self, *, complete: bool) -> Iterator[EngineEvent]:
        """The rest of the text, or the calls that it is."""
        if self._text_calls is None:
            return
        text, calls = self._text_calls.finish(complete=complete)
        yield from self._say(text)
        for call in calls:
            yield from self._leave_reasoning()
            yield from self._calls.begin(call.name)
            yield from self._calls.extend(call.arguments)

    def _say(self, text: str) -> Iterator[EngineEvent]:
        if not text:
            return
        yield from self._leave_reasoning()
        logprobs, self._logprobs = self._logprobs, ()
        yield from self._outside_calls(TextDelta(text=text, logprobs=logprobs))

    def _reasoning(self, text: str) -> Iterator[EngineEvent]:
        if not text:
            return
        yield from self._let_text_go()
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


def _text(value: Any) -> str:
    """The text of a string, of parts, or of an object with a text in it."""
    if not value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(part) for part in value)
    if isinstance(value, dict):
        return _text(next((value[name] for name in _TEXT_FIELDS if value.get(name)), ""))
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
