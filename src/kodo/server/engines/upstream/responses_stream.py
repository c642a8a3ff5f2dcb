"""The events of a Responses server as events of the engine.

Deltas are read where they come; an item that comes whole only (``response.output_item.done``, or with the end of the
response) is read from there. Items come out one after the other: the events of one that begins while a call is open wait until
that call is done. Reasoning keeps the server's id and its encrypted content, which go back to it in the next turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from secrets import token_hex
from typing import Any, Final

import msgspec

from kodo.server.engines.upstream.chat_request import ToolLabel
from kodo.server.engines.upstream.error_translation import failed_in_answer, not_an_answer
from kodo.server.engines.upstream.masking import NOTHING_HIDDEN, HiddenValues
from kodo.server.engines.upstream.names import MAX_CALL_ID, short_call_id
from kodo.server.engines.upstream.profile import Profile
from kodo.server.engines.upstream.responses_request import label_key
from kodo.server.engines.upstream.unknown_tools import UNKNOWN_CALLS, UnknownCall, as_fields
from kodo.server.engines.upstream.usage import read_usage
from kodo.server.lifecycle.errors import EngineFailed
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    ProviderFields,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from kodo.server.wire.foreign_json import NotJson, read_json
from kodo.server.wire.items import Logprob

_TEXT: Final = {"response.output_text.delta", "response.refusal.delta"}
_REASONING: Final = {"response.reasoning_summary_text.delta", "response.reasoning_text.delta", "response.reasoning.delta"}  # fmt: skip
_ARGUMENTS: Final = {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}
_TERMINAL: Final = {"response.completed", "response.incomplete", "response.failed"}
_WHOLE: Final = {"local_shell_call": ("local_shell", "action"), "shell_call": ("shell", "action"), "apply_patch_call": ("apply_patch", "operation")}  # fmt: skip
_CALLS: Final = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}


class ResponsesStream:
    """The state of one stream."""

    def __init__(
        self,
        labels: dict[str, ToolLabel],
        profile: Profile,
        origin: str,
        secrets: HiddenValues = NOTHING_HIDDEN,
        used_ids: Collection[str] = (),
    ) -> None:
        """``labels``: the offered tools; ``secrets``: what no message may show; ``used_ids``: of the calls before this
        answer."""
        self._labels = labels
        self._profile = profile
        self._origin = origin
        self._secrets = secrets
        self._open: str | None = None
        """The kind of the item that is being written: text, reasoning or call."""
        self._length = 0
        """Characters of the open item so far."""
        self._parts = 0
        self._skipping = False
        self._used_ids = set(used_ids)
        self._server_id: str | None = None
        """The server's id of the open call, where it was handed out under another one."""
        self._calls = 0
        self._call_fields: dict[str, Any] = {}
        """What the server wants back with the newest call that was handed out."""
        self._unknown: list[UnknownCall] = []
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._items = 0
        """Items that were handed out."""
        self._said_text = False
        self._current: Any = None
        """The index of the item whose events are read now."""
        self._later: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
        """Events of the items behind it, by their index."""
        self.done = False
        """Whether the last event was seen."""

    @property
    def unopened_thoughts(self) -> bool | None:
        """Such a server tells thoughts from text."""
        return None

    @property
    def ended(self) -> bool:
        """Whether the server said why the answer ended: all of it is here."""
        return self._reason is not None

    @property
    def unknown_calls(self) -> list[UnknownCall]:
        """Calls of tools that were not offered, and nothing else called."""
        return [] if self._calls else self._unknown

    def decode(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Each of the events is read by itself."""
        return batch

    def feed(self, data: bytes) -> list[EngineEvent]:
        """The events that one event of the server stands for.

        Raises:
            EngineFailed, InvalidRequest: it is an error, or no event of a response.
        """
        if data.strip() == b"[DONE]":
            self.done = True
            return []
        try:
            event = read_json(data)
        except NotJson as error:
            raise not_an_answer(data, self._secrets) from error
        if not isinstance(event, dict):
            raise not_an_answer(data, self._secrets)
        if event.get("object") == "response":  # the server does not stream
            return [*self._whole(event)]
        return [*self._in_turn(str(event.get("type", "")), event)]

    def finish(self, estimate: int, cap: int | None) -> list[EngineEvent]:
        """The end. ``estimate``: tokens of the prompt, where the server does not count.

        Raises:
            EngineFailed: the stream ended in the middle of the answer.
        """
        if self._reason is None:
            raise EngineFailed("The model's server ended in the middle of the answer.")
        events: list[EngineEvent] = []
        if self._unknown and self._calls:
            fields = {**self._call_fields, UNKNOWN_CALLS: as_fields(self._unknown, self._labels)}
            events.append(ProviderFields(state=ProviderState(origin=self._origin, fields=fields)))
        return [*events, Finished(reason=self._reason, usage=self._usage or Usage(input=estimate))]

    # --- inside ---

    def _in_turn(self, kind: str, event: dict[str, Any]) -> Iterator[EngineEvent]:
        """Read the events of one item after those of the other."""
        index = event.get("output_index")
        if index is None or kind in _TERMINAL:
            if kind in _TERMINAL:
                yield from self._read_later()
            yield from self._read(kind, event)
            return
        if self._current is None or self._open != "call":
            self._current = index
        if index != self._current:
            self._later.setdefault(index, []).append((kind, event))
            return
        yield from self._read(kind, event)
        if kind == "response.output_item.done":
            self._current = None
            yield from self._read_later(until_open=True)

    def _read_later(self, *, until_open: bool = False) -> Iterator[EngineEvent]:
        """Read the events that wait. ``until_open``: up to an item that is not done."""
        while self._later:
            index = next(iter(self._later))
            waiting = self._later.pop(index)
            for kind, event in waiting:
                yield from self._read(kind, event)
            if until_open and waiting[-1][0] != "response.output_item.done":
                self._current = index
                return
        self._current = None

    def _read(self, kind: str, event: dict[str, Any]) -> Iterator[EngineEvent]:
        if kind in _TEXT:
            yield from self._delta("text", event)
        elif kind in _REASONING:
            yield from self._delta("reasoning", event)
        elif kind in _ARGUMENTS:
            if self._open == "call" and not self._skipping:
                yield from self._delta("call", event)
        elif kind == "response.reasoning_summary_part.added":
            if self._open == "reasoning" and self._length and self._parts:
                yield ReasoningDelta(text="\n\n")
            self._parts += 1
        elif kind == "response.output_item.added":
            yield from self._begin(event.get("item") or {})
        elif kind == "response.output_item.done":
            yield from self._finish_item(event.get("item") or {})
        elif kind in _TERMINAL:
            yield from self._read_end(kind, event)
        elif kind == "response.output_text.done" and not self._said_text:
            yield from self._delta("text", {"delta": event.get("text")})
        elif kind == "error" or "error" in event:
            raise failed_in_answer(event, self._profile, self._secrets)

    def _read_end(self, kind: str, event: dict[str, Any]) -> Iterator[EngineEvent]:
        response = event.get("response") or {}
        if not self._items:  # nothing was told before
            for item in response.get("output") or ():
                yield from self._finish_item(item)
        self._end(kind, response if response.get("error") else {**response, "error": event.get("error")})

    def _whole(self, response: dict[str, Any]) -> Iterator[EngineEvent]:
        for item in response.get("output") or ():
            yield from self._finish_item(item)
        self._end(f"response.{response.get('status', 'completed')}", response)

    def _delta(self, kind: str, event: dict[str, Any]) -> Iterator[EngineEvent]:
        text = event.get("delta")
        if not isinstance(text, str) or not text:
            return
        self._open = kind
        self._items = self._items or 1
        self._length += len(text)
        if kind == "text":
            self._said_text = True
            yield TextDelta(text=text, logprobs=_logprobs(event.get("logprobs")))
        else:
            yield ReasoningDelta(text=text) if kind == "reasoning" else CallDelta(text=text)

    def _begin(self, item: dict[str, Any]) -> Iterator[EngineEvent]:
        self._length = self._parts = 0
        self._skipping = False
        kind = item.get("type")
        if kind in _CALLS:
            yield from self._begin_call(item, _CALLS[kind][0])
        else:
            self._open = {"message": "text", "reasoning": "reasoning"}.get(str(kind))

    def _begin_call(self, item: dict[str, Any], kind: str) -> Iterator[EngineEvent]:
        self._open = "call"
        name = str(item.get("name") or kind)
        namespace = item.get("namespace") if isinstance(item.get("namespace"), str) else None
        label = self._labels.get(label_key(name, namespace))
        if label is None:
            self._skipping = True
            return
        self._calls += 1
        id_ = str(item.get("call_id") or item.get("id") or f"call_{self._calls}")
        given = id_ if len(id_) <= MAX_CALL_ID else short_call_id(id_, MAX_CALL_ID)
        if given in self._used_ids:
            given = f"call_{token_hex(12)}"
        self._used_ids.add(given)
        self._server_id = id_ if given != id_ else None
        yield CallStart(call_id=given, name=label.name, kind=label.kind, namespace=label.namespace)

    def _finish_item(self, item: dict[str, Any]) -> Iterator[EngineEvent]:
        kind = str(item.get("type"))
        self._items += 1
        if kind == "message" and (self._open != "text" or not self._length):
            for part in item.get("content") or ():
                text = part.get("text") or part.get("refusal") or ""
                self._said_text = True
                yield TextDelta(text=text, logprobs=_logprobs(part.get("logprobs")))
        elif kind == "reasoning":
            yield from self._finish_reasoning(item)
        elif kind in _CALLS:
            yield from self._finish_call(item, *_CALLS[kind])
        elif kind in _WHOLE:
            call, field = _WHOLE[kind]
            yield from self._begin_call({**item, "name": call}, call)
            if not self._skipping:
                yield CallDelta(text=msgspec.json.encode(item.get(field) or {}).decode())
        self._open, self._length, self._parts, self._skipping = None, 0, 0, False

    def _finish_call(self, item: dict[str, Any], kind: str, field: str) -> Iterator[EngineEvent]:
        if self._open != "call":
            yield from self._begin_call(item, kind)
        text = str(item.get(field) or ("{}" if field == "arguments" else ""))
        if self._skipping:
            self._unknown.append(UnknownCall(name=str(item.get("name")), arguments=text))
            return
        if not self._length and text:
            yield CallDelta(text=text)
        self._call_fields = {} if self._server_id is None else {"id": self._server_id}
        if self._call_fields:
            yield ProviderFields(state=ProviderState(origin=self._origin, fields=self._call_fields))

    def _finish_reasoning(self, item: dict[str, Any]) -> Iterator[EngineEvent]:
        if not (self._open == "reasoning" and self._length):
            parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
            yield ReasoningDelta(text="\n\n".join(str(part.get("text", "")) for part in parts))
        fields = {name: item[name] for name in ("id", "encrypted_content") if isinstance(item.get(name), str)}
        yield ProviderFields(state=ProviderState(origin=self._origin, fields=fields))

    def _end(self, kind: str, response: dict[str, Any]) -> None:
        self._usage = read_usage(response.get("usage")) or self._usage
        self.done = True
        if kind == "response.failed":
            raise failed_in_answer({"error": response.get("error") or {}}, self._profile, self._secrets)
        if kind == "response.incomplete":
            reason = str((response.get("incomplete_details") or {}).get("reason") or "max_output_tokens")
            self._reason = "length" if reason in ("max_output_tokens", "max_tokens") else "content_filter"
        else:
            self._reason = "stop"


def _logprobs(value: Any) -> tuple[Logprob, ...]:
    if not value:
        return ()
    try:
        return msgspec.convert(value, tuple[Logprob, ...])
    except msgspec.ValidationError:
        return ()  # without the tokens' bytes, for example
