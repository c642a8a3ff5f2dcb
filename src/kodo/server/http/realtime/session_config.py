"""The configuration and the conversation of a realtime session. Knows no socket and no engine.

Source: the types of openai-python 3.54 (``RealtimeSessionCreateRequest``, ``ConversationItem``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire import decode
from kodo.server.wire.decode import BadBody
from kodo.server.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    InputFile,
    InputImage,
    Item,
    Message,
    Part,
    StrictWire,
    text_of,
)
from kodo.server.wire.request import REFUSED, CreateResponse, Metadata

_TEXT_ONLY = "this server supports text only"
_UNSUPPORTED = {
    "audio": _TEXT_ONLY,
    "prompt": REFUSED["prompt"],
    "tracing": "its traces belong to the hosted service; this server's settings say where it sends its own",
    "input_audio_format": _TEXT_ONLY,
    "output_audio_format": _TEXT_ONLY,
    "turn_detection": _TEXT_ONLY,
    "voice": _TEXT_ONLY,
}
"""What is refused, with why."""
MaxTokens = Annotated[int, Meta(ge=1, le=2**31)] | Literal["inf"]


class RetentionRatio(StrictWire, frozen=True, kw_only=True):
    """How much of a conversation that is too long a truncation keeps. This server drops no more than it must, so that it is
    echoed, and does what ``auto`` does."""

    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: None = None
    """A lower limit than the model's window is refused: it would not be kept."""


class SessionConfig(StrictWire, frozen=True, kw_only=True):
    """The configuration of a session. ``tools`` and ``tool_choice`` are checked when a response is created."""

    type: Literal["realtime"] = "realtime"
    model: str
    output_modalities: tuple[Literal["text"], ...] = ("text",)
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: Any = "auto"
    max_output_tokens: MaxTokens | None = "inf"
    parallel_tool_calls: bool = True
    reasoning: dict[str, Any] | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    include: tuple[Literal["item.input_audio_transcription.logprobs"], ...] | None = None


class ResponseOptions(StrictWire, frozen=True, kw_only=True):
    """What a ``response.create`` event overrides of the session's configuration."""

    conversation: Literal["auto", "none"] = "auto"
    input: tuple[dict[str, Any], ...] | None = None
    instructions: str | None = None
    metadata: Metadata | None = None
    output_modalities: tuple[Literal["text"], ...] = ("text",)
    tools: tuple[dict[str, Any], ...] | None = None
    tool_choice: Any = None
    max_output_tokens: MaxTokens | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None


def parse_settings(raw: Any, kind: type[Struct], path: str) -> Any:
    """Check a configuration sent by a client; what is not supported is rejected by name. Raises :class:`BadBody`."""
    if not isinstance(raw, Mapping):
        raise BadBody(f"'{path}' must be an object.", path, "invalid_type")
    for name, why in _UNSUPPORTED.items():
        if raw.get(name) is not None:
            raise BadBody(
                f"'{path}.{name}' is not supported: {why}.",
                f"{path}.{name}",
                "unsupported_parameter",
            )
    fields = {name: value for name, value in raw.items() if value is not None and name not in _UNSUPPORTED}
    modalities = fields.get("output_modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise BadBody(
            "Audio is not supported: this server supports text only.",
            f"{path}.output_modalities",
            "unsupported_modality",
        )
    return decode.convert(fields, kind, path)


def update_config(config: SessionConfig, raw: Any) -> SessionConfig:
    """Return the configuration with a client's changes. The model cannot change. Raises :class:`BadBody`."""
    if not isinstance(raw, Mapping):
        raise BadBody("'session' must be an object.", "session", "invalid_type")
    merged: SessionConfig = parse_settings({**msgspec.to_builtins(config), **raw}, SessionConfig, "session")
    if merged.model != config.model:
        raise BadBody("The model of a session cannot be changed.", "session.model", "invalid_value")
    return merged


def to_response_request(config: SessionConfig, options: ResponseOptions) -> CreateResponse:
    """Build the lifecycle's request for a response, without its input. Raises :class:`BadBody`."""
    max_output_tokens = (
        options.max_output_tokens if options.max_output_tokens is not None else config.max_output_tokens
    )
    tools = list(config.tools if options.tools is None else options.tools)
    raw: dict[str, Any] = {
        "model": config.model,
        "store": False,
        "stream": True,
        "instructions": (options.instructions if options.instructions is not None else config.instructions)
        or None,
        "max_output_tokens": None if max_output_tokens == "inf" else max_output_tokens,
        "tool_choice": config.tool_choice if options.tool_choice is None else options.tool_choice,
        "parallel_tool_calls": config.parallel_tool_calls
        if options.parallel_tool_calls is None
        else options.parallel_tool_calls,
        "reasoning": config.reasoning if options.reasoning is None else options.reasoning,
        "truncation": "disabled" if config.truncation == "disabled" else "auto",
        "metadata": options.metadata,
    }
    if tools:
        raw["tools"] = tools
    return decode.create_response(raw)


# --- items -----------------------------------------------------------------------------------------------------------


def parse_item(raw: Any, path: str, item_id: str) -> Item:
    """Check an item sent by a client. Raises :class:`BadBody`."""
    if not isinstance(raw, Mapping):
        raise BadBody(f"'{path}' must be an object.", path, "invalid_type")
    fields = {name: value for name, value in raw.items() if name != "object"}
    for index, part in enumerate(fields.get("content") or ()):
        if isinstance(part, Mapping) and part.get("type") in ("input_audio", "output_audio", "audio"):
            where = f"{path}.content[{index}].type"
            raise BadBody(
                "Audio is not supported: this server supports text only.", where, "unsupported_modality"
            )
    if fields.get("role") == "assistant":
        fields["content"] = [_as_output(part) for part in fields.get("content") or ()]
    item = decode.item({**fields, "id": fields.get("id") or item_id}, path)
    if isinstance(item, Message):
        for index, part in enumerate(item.content):
            if isinstance(part, InputFile):
                where = f"{path}.content[{index}].type"
                raise BadBody("The Realtime API has no content of type 'input_file'.", where, "invalid_value")
    if not isinstance(item, Message | FunctionCall | FunctionCallOutput):
        raise BadBody(
            f"Items of type '{fields.get('type')}' are not supported.", f"{path}.type", "invalid_value"
        )
    return item


def _as_output(part: Any) -> Any:
    return (
        {**part, "type": "output_text"} if isinstance(part, Mapping) and part.get("type") == "text" else part
    )


def wire_item(item: Item, status: str | None = None) -> dict[str, Any]:
    """Return an item in the Realtime API's form."""
    base: dict[str, Any] = {"id": item.id, "object": "realtime.item"}
    match item:
        case Message():
            kind = "output_text" if item.role == "assistant" else "input_text"
            content = [_wire_part(part, kind) for part in item.content]
            state = status or item.status
            return {**base, "type": "message", "role": _role(item), "status": state, "content": content}
        case FunctionCall():
            called = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            return {**base, "type": "function_call", "status": status or item.status, **called}
        case FunctionCallOutput():
            output = item.output if isinstance(item.output, str) else text_of(item.output)
            return {**base, "type": "function_call_output", "call_id": item.call_id, "output": output}
    raise InvalidRequest(f"An item of type {type(item).__name__} cannot be used in the Realtime API.")


def _wire_part(part: Part, kind: str) -> dict[str, Any]:
    if isinstance(part, InputImage):
        shown: dict[str, Any] = msgspec.to_builtins(part)
        return {name: value for name, value in shown.items() if value is not None}
    return {"type": kind, "text": text_of((part,))}


def _role(item: Message) -> str:
    return "system" if item.role == "developer" else item.role


class RealtimeConversation:
    """The items of a session, in order."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._items: dict[str, ContextItem] = {}
        self._sizes: dict[str, int] = {}
        self._calls: Counter[str] = Counter()
        self._bytes = 0
        self._max_items = max_items
        self._max_bytes = max_bytes

    @property
    def context(self) -> tuple[ContextItem, ...]:
        """Return all items, oldest first."""
        return tuple(self._items.values())

    def last(self) -> str | None:
        """Return the id of the newest item."""
        return next(reversed(self._items), None)

    def add(self, context: ContextItem, after: str | None = None, *, answer: bool = False) -> str | None:
        """Insert an item after another (``root``: at the beginning; None: at the end); return the id of the item before
        it. ``answer``: it is the model's own, which is taken also where the conversation is full.

        Raises:
            Conflict: its id is taken.
            NotFound: no item has the id ``after``.
            InvalidRequest: it is the output of an unknown call, or the conversation is full.
        """
        item = context.item
        item_id = item.id or ""
        if item_id in self._items:
            raise Conflict(f"An item with id '{item_id}' already exists.", param="item.id")
        if isinstance(item, FunctionCallOutput) and item.call_id not in self._calls:
            raise InvalidRequest(f"No call has the call_id '{item.call_id}'.", param="item.call_id")
        size = len(msgspec.json.encode(item))
        if not answer:
            self.check_room(size, "item")
        if after is not None and after != "root" and after not in self._items:
            raise NotFound(
                f"Item with id '{after}' not found.", param="previous_item_id", code="item_not_found"
            )
        previous = self.last() if after is None else None if after == "root" else after
        if previous == self.last():
            self._items[item_id] = context
        else:
            order = list(self._items.items())
            index = 0 if previous is None else list(self._items).index(previous) + 1
            self._items = dict([*order[:index], (item_id, context), *order[index:]])
        self._sizes[item_id] = size
        self._bytes += size
        if isinstance(item, FunctionCall):
            self._calls[item.call_id] += 1
        return previous

    def check_room(self, size: int = 1, param: str | None = None) -> None:
        """Check that there is room for another item, of so many bytes.

        Raises:
            InvalidRequest: the conversation is full; answers may have filled it above its limits.
        """
        if len(self._items) >= self._max_items or self._bytes + size > self._max_bytes:
            raise InvalidRequest(
                f"A conversation has at most {self._max_items} items with {self._max_bytes} bytes together; "
                "delete some of them.",
                param=param,
                code="conversation_full",
            )

    def get(self, item_id: str, param: str = "item_id") -> Item:
        """Return an item. Raises ``NotFound``; ``param`` is the field that named it."""
        if item_id not in self._items:
            raise NotFound(f"Item with id '{item_id}' not found.", param=param, code="item_not_found")
        return self._items[item_id].item

    def remove(self, item_id: str) -> None:
        """Remove an item. Raises ``NotFound``."""
        item = self.get(item_id)
        del self._items[item_id]
        self._bytes -= self._sizes.pop(item_id)
        if isinstance(item, FunctionCall):
            self._calls[item.call_id] -= 1
            self._calls += Counter()  # without those that are not there any more
