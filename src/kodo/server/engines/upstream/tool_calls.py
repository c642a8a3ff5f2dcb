"""Calls out of the deltas of a stream, in the many ways that servers number them.

Servers leave out ``index``, or say 0 for every call, or make a new id for every delta, or let the deltas of several
calls take turns. A call begins with an id that is new, an index that is new, or a name behind a call that is whole.
Calls come out one after the other: the later ones wait while an earlier one is not whole JSON.

Arguments begin with a placeholder that the real ones follow, or are sent once more at the end, or are JSON inside of a
JSON string: what is handed out is one object.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.chat_request import ToolLabel
from kodo.server.engines.upstream.names import MAX_CALL_ID, nearest_name, short_call_id
from kodo.server.engines.upstream.unknown_tools import UNKNOWN_CALLS, UnknownCall, as_fields
from kodo.server.lifecycle.ports import CallDelta, CallStart, EngineEvent, ProviderFields, ProviderState
from kodo.server.wire.foreign_json import NotJson, read_json


class FunctionDelta(Struct, frozen=True):
    """A part of a call's function."""

    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class CallPart(Struct, frozen=True):
    """A part of a call, as in ``delta.tool_calls``."""

    index: int | None = None
    id: str | int | None = None
    function: FunctionDelta | None = None
    extra_content: Any = None


_PLACEHOLDERS: Final = ("", "{}", "[]", "null", '""')
"""Arguments that say that there are none, or none yet."""


@dataclass
class _Call:
    index: int | None
    ids: set[str]
    id: str = ""
    name: str = ""
    text: str = ""
    sent: int = 0
    label: ToolLabel | None = None
    started: bool = False
    closed: bool = False
    repeats: bool = False
    """Whether the arguments were whole, and are sent once more."""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether the arguments so far may turn out to be something else."""
        text = self.text.lstrip()
        return text.startswith('"') or text.rstrip() in _PLACEHOLDERS

    def add(self, more: str) -> None:
        """Take more of the arguments. An object ends them: what follows it is the same once more."""
        if self.text.strip() in _PLACEHOLDERS and more.strip():
            self.text = ""
        if not self.repeats and more.lstrip().startswith("{") and self.text.rstrip().endswith("}"):
            self.repeats = self.whole
        if not self.repeats:
            self.text += more

    def tidy(self) -> None:
        """Bring the arguments into their form: they are all here."""
        if self.text.strip() in _PLACEHOLDERS:
            self.text = "{}"  # clients parse them
        elif self.held:
            try:
                inner = read_json(self.text)
                if isinstance(inner, str) and isinstance(read_json(inner), dict):
                    self.text = inner
            except NotJson:
                return  # no JSON inside: they stay as the model wrote them

    @property
    def whole(self) -> bool:
        """Whether its arguments are complete JSON."""
        if not self.text or self.text.rstrip()[-1:] not in ("}", "]", '"', "l"):
            return False
        try:
            read_json(self.text)
        except NotJson:
            return False
        return True


class ToolCalls:
    """The calls of one answer."""

    def __init__(
        self,
        labels: Mapping[str, ToolLabel],
        origin: str,
        echo: Sequence[str] = (),
        used_ids: Collection[str] = (),
    ) -> None:
        """``labels``: what the function names stand for; ``origin`` and ``echo``: see the profile; ``used_ids``: of the
        calls before this answer, because some servers count from 0 in each and clients take an id for one call."""
        self._labels = labels
        self._origin = origin
        self._echo = echo
        self._calls: list[_Call] = []
        self._head = 0
        self._used_ids = set(used_ids)
        self.unknown: list[UnknownCall] = []
        """Calls of tools that were not offered; no event stands for them."""

    @property
    def open(self) -> bool:
        """Whether a call is not closed yet."""
        return self._head < len(self._calls)

    @property
    def cut(self) -> bool:
        """Whether the last call is not whole."""
        return self.open and not self._calls[-1].whole

    @property
    def count(self) -> int:
        """Calls that were handed out."""
        return sum(call.started for call in self._calls)

    def feed(self, part: CallPart) -> Iterator[EngineEvent]:
        """The events that a part stands for."""
        call = self._find(part)
        if part.id is not None and str(part.id):
            call.ids.add(str(part.id))
            call.id = call.id or str(part.id)
        if "extra_content" in self._echo and part.extra_content is not None:
            call.fields["extra_content"] = part.extra_content
        function = part.function
        if function is not None:
            if function.name and function.name != call.name and not call.started:
                call.name += function.name
            if not call.closed:
                call.add(_arguments(function.arguments))
        yield from self._advance()

    def begin(self, name: str) -> Iterator[EngineEvent]:
        """A call that was found in the text begins."""
        self._calls.append(_Call(index=None, ids=set(), name=name))
        yield from self._advance()

    def extend(self, text: str) -> Iterator[EngineEvent]:
        """More arguments of the newest call."""
        self._calls[-1].text += text
        yield from self._advance()

    def attach(self, fields: dict[str, Any]) -> bool:
        """Add fields to the call that is open, for the server wants them back with it. False: there is none."""
        if not self.open:
            return False
        self._calls[self._head].fields.update(fields)
        return True

    def settle(self) -> Iterator[EngineEvent]:
        """Close the calls that are whole, for something else follows them."""
        while self.open and self._calls[self._head].whole:
            yield from self._write(self._calls[self._head])
            yield from self._close(self._calls[self._head], cut=False)

    def close(self, *, cut: bool) -> Iterator[EngineEvent]:
        """Close all calls. ``cut``: the answer ended at a limit, and the last one may not be whole."""
        while self.open:
            call = self._calls[self._head]
            last = self._head == len(self._calls) - 1
            yield from self._write(call)
            yield from self._close(call, cut=cut and last)

    def keep_unknown(self) -> Iterator[EngineEvent]:
        """Put the calls of unknown tools with the last call that was handed out, if there is one."""
        started = [call for call in self._calls if call.started]
        if self.unknown and started:
            fields = {**started[-1].fields, UNKNOWN_CALLS: as_fields(self.unknown, self._labels)}
            yield ProviderFields(state=ProviderState(origin=self._origin, fields=fields))

    # --- inside ---

    def _find(self, part: CallPart) -> _Call:
        name = part.function.name if part.function is not None else None
        id_ = "" if part.id is None else str(part.id)
        for call in reversed(self._calls):
            if id_ and id_ in call.ids and part.index in (None, call.index):
                return call
        same = next((call for call in reversed(self._calls) if call.index == part.index), None)
        if part.index is None:
            same = self._calls[-1] if self._calls else None
        if same is not None and not self._begins_another(same, id_, name):
            return same
        call = _Call(index=part.index, ids=set())
        self._calls.append(call)
        return call

    @staticmethod
    def _begins_another(call: _Call, id_: str, name: str | None) -> bool:
        """Whether a part with this id and name is the beginning of another call than the one it is numbered as."""
        if not name:
            return False  # some servers make up an id for each part
        if not call.name:
            return False
        if id_ and call.ids:
            return not call.text or call.whole
        return call.whole or (not call.text and name != call.name)

    def _advance(self) -> Iterator[EngineEvent]:
        while self.open:
            call = self._calls[self._head]
            if not call.name:
                return
            yield from self._write(call)
            if self._head == len(self._calls) - 1 or not call.whole:
                return
            yield from self._close(call, cut=False)

    def _write(self, call: _Call) -> Iterator[EngineEvent]:
        if not call.started:
            title = nearest_name(call.name, self._labels)
            if title is None:
                return
            call.label = self._labels[title]
            call.started = True
            yield self._start(call, call.label)
        if call.label is not None and call.label.kind != "custom" and not call.held:
            yield from self._send(call)

    @staticmethod
    def _send(call: _Call) -> Iterator[EngineEvent]:
        text, call.sent = call.text[call.sent :], len(call.text)
        if text:
            yield CallDelta(text=text)

    def _start(self, call: _Call, label: ToolLabel) -> CallStart:
        id_ = call.id
        if not 0 < len(id_) <= MAX_CALL_ID or id_ in self._used_ids:
            if id_:
                call.fields["id"] = id_
            taken = not id_ or id_ in self._used_ids
            id_ = f"call_{secrets.token_hex(12)}" if taken else short_call_id(id_, MAX_CALL_ID)
        self._used_ids.add(id_)
        return CallStart(call_id=id_, name=label.name, kind=label.kind, namespace=label.namespace)

    def _close(self, call: _Call, *, cut: bool) -> Iterator[EngineEvent]:
        call.closed = True
        self._head += 1
        if call.label is None:
            if call.name or call.text:
                self.unknown.append(
                    UnknownCall(name=call.name, arguments=call.text or "{}", fields=call.fields)
                )
            return
        if not (cut and call.held):
            call.tidy()
        if call.label.kind == "custom":
            yield CallDelta(text=_custom_input(call.text))
        else:
            yield from self._send(call)
        if call.fields:
            yield ProviderFields(state=ProviderState(origin=self._origin, fields=call.fields))


def _arguments(value: str | dict[str, Any] | list[Any] | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _custom_input(text: str) -> str:
    """The text that a tool without a schema is called with; models have other names for ``input``, too."""
    try:
        value = read_json(text or "{}")
    except NotJson:
        return text  # cut short: what there is
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return text
    if "input" not in value and len(value) == 1:
        (value["input"],) = value.values()
    given = value.get("input", "")
    return given if isinstance(given, str) else text
