"""One chunk of a Chat Completions stream as a value, in whichever form the server has its fields.

Nearly every chunk fits the types below at once. One that does not is read field by field: a field of a kind that means
nothing is left out, and the rest of the answer stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from kodo.server.engines.upstream.tool_calls import CallPart, FunctionDelta
from kodo.server.wire.foreign_json import NotJson, read_json, read_json_as

_KEEP_ALIVE: Final = re.compile(
    rb"(?is)\s*(?::.*|[\[\"]?(?:ping|keep[-_ ]?alive|heart[-_ ]?beat|null)?[\]\"]?\s*)\Z"
)
"""Data that say nothing, which proxies send as events while the model thinks: none, a comment, or a word."""


class UpstreamDelta(Struct, frozen=True):
    """What a chunk adds to the answer."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | list[Any] | None = None
    reasoning: str | dict[str, Any] | list[Any] | None = None
    reasoning_details: list[Any] | None = None
    tool_calls: list[CallPart] | CallPart | None = None
    function_call: FunctionDelta | None = None


class UpstreamChoice(Struct, frozen=True):
    """An answer's part of a chunk."""

    index: int | None = 0
    delta: UpstreamDelta | None = None
    message: UpstreamDelta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    stop_reason: Any = None
    """vLLM: the stop string or token that ended the answer."""
    matched_stop: Any = None
    """SGLang: the same."""
    usage: Any = None
    """Moonshot has it here."""
    error: Any = None


class UpstreamChunk(Struct, frozen=True):
    """A chunk, or a whole answer where the server does not stream."""

    choices: tuple[UpstreamChoice, ...]
    usage: Any = None
    x_groq: Any = None
    error: Any = None

    @property
    def counts(self) -> Any:
        """The ``usage`` object, wherever it is."""
        if self.usage is not None:
            return self.usage
        for choice in self.choices:
            if choice.usage is not None:
                return choice.usage
        return self.x_groq.get("usage") if isinstance(self.x_groq, dict) else None


_CHUNK: Final = msgspec.json.Decoder(UpstreamChunk)


def only_text(chunk: UpstreamChunk | dict[str, Any]) -> str:
    """The text of a chunk that has nothing else, as most have; else empty."""
    if type(chunk) is not UpstreamChunk or len(chunk.choices) != 1 or chunk.usage or chunk.x_groq:
        return ""
    choice = chunk.choices[0]
    if choice.index or choice.delta is None or choice.finish_reason or choice.logprobs or choice.usage:
        return ""
    return "" if choice.error or choice.stop_reason or choice.matched_stop else text_of_delta(choice.delta)


def text_of_delta(delta: UpstreamDelta) -> str:
    """The text of a delta that has nothing else; else empty."""
    if not isinstance(delta.content, str) or delta.reasoning_content or delta.reasoning or delta.tool_calls:
        return ""
    return "" if delta.reasoning_details or delta.function_call or delta.refusal else delta.content


def decode_together(batch: Sequence[bytes]) -> Sequence[UpstreamChunk | bytes]:
    """Events that arrived together, as chunks where each of them is one and nothing else; otherwise as they came."""
    end = len(batch) - 1 if batch[-1] == b"[DONE]" else len(batch)
    if end < 2:
        return batch
    try:
        chunks = _CHUNK.decode_lines(b"\n".join(batch[:end]))
    except (ValueError, RecursionError):
        return batch
    if len(chunks) != end or any(chunk.error for chunk in chunks):
        return batch
    return [*chunks, *batch[end:]]


def join_texts(chunks: Sequence[UpstreamChunk | bytes]) -> Sequence[UpstreamChunk | bytes | str]:
    """The same with the texts of neighbours joined that have nothing else."""
    joined: list[UpstreamChunk | bytes | str] = []
    texts: list[str] = []
    for chunk in chunks:
        text = "" if isinstance(chunk, bytes) else only_text(chunk)
        if text:
            texts.append(text)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(chunk)
    return joined if not texts else [*joined, "".join(texts)]


def decode_chunks(data: bytes) -> list[UpstreamChunk | dict[str, Any]]:
    """The chunks of an event; several where the server left out the empty line between events.

    An object without choices, or with an error, comes as it is.

    Raises:
        NotJson: it is no object.
    """
    try:
        chunk = read_json_as(_CHUNK, data)
        if not chunk.error:
            return [chunk]
    except NotJson:
        if _KEEP_ALIVE.match(data):
            return []
    try:
        value = read_json(data)
    except NotJson:
        if b"\n" in data:
            return [chunk for line in data.split(b"\n") if line.strip() for chunk in decode_chunks(line)]
        raise
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in values):
        raise NotJson("an event is an object")
    return [_chunk(one) for one in values]


# --- field by field --------------------------------------------------------------------------------------------------


def _chunk(value: dict[str, Any]) -> UpstreamChunk | dict[str, Any]:
    choices = value.get("choices")
    if isinstance(choices, dict):
        choices = [choices] if choices else []
    if value.get("error") or not isinstance(choices, list):
        return value
    return UpstreamChunk(
        choices=tuple(_choice(one) for one in choices if isinstance(one, dict)),
        usage=value.get("usage"),
        x_groq=value.get("x_groq"),
    )


def _choice(value: dict[str, Any]) -> UpstreamChoice:
    reason = value.get("finish_reason")
    if isinstance(reason, dict):
        reason = reason.get("type")
    return UpstreamChoice(
        index=_number(value.get("index")) or 0,
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=reason if isinstance(reason, str) else None,
        logprobs=value.get("logprobs"),
        stop_reason=value.get("stop_reason"),
        matched_stop=value.get("matched_stop"),
        usage=value.get("usage"),
        error=value.get("error"),
    )


def _delta(value: Any) -> UpstreamDelta | None:
    if isinstance(value, str):
        return UpstreamDelta(content=value)
    if not isinstance(value, dict):
        return None
    reasoning = value.get("reasoning_content")
    other = value.get("reasoning")
    details = value.get("reasoning_details")
    calls = value.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    return UpstreamDelta(
        content=_content(value.get("content")),
        refusal=value["refusal"] if isinstance(value.get("refusal"), str) else None,
        reasoning_content=reasoning if isinstance(reasoning, str | list) else None,
        reasoning=other if isinstance(other, str | dict | list) else None,
        reasoning_details=details if isinstance(details, list) else None,
        tool_calls=[_part(one) for one in calls if isinstance(one, dict) and one]
        if isinstance(calls, list)
        else None,
        function_call=_function(value.get("function_call")),
    )


def _content(value: Any) -> str | list[Any] | None:
    """Text or parts. A gateway that parses what it hands on sends a model's JSON as a value; it is text again."""
    if value is None or isinstance(value, str | list):
        return value
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return [value]
    return msgspec.json.encode(value).decode()


def _part(value: dict[str, Any]) -> CallPart:
    id_ = value.get("id")
    return CallPart(
        index=_number(value.get("index")),
        id=id_ if isinstance(id_, str | int) and not isinstance(id_, bool) else None,
        function=_function(value.get("function") or ("name" in value and value)),
        extra_content=value.get("extra_content"),
    )


def _function(value: Any) -> FunctionDelta | None:
    if not isinstance(value, dict):
        return None
    name, arguments = value.get("name"), value.get("arguments")
    if not isinstance(arguments, str | dict | list | None):
        arguments = msgspec.json.encode(arguments).decode()
    return FunctionDelta(name=name if isinstance(name, str) else None, arguments=arguments)


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
