"""Translates the lifecycle's events of one response to the Realtime API's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kodo.server.http.realtime.session_config import wire_item
from kodo.server.wire import events as ev
from kodo.server.wire.items import FunctionCall, Message, Reasoning
from kodo.server.wire.response import Response, ResponseUsage


def wire_usage(usage: ResponseUsage | None) -> dict[str, Any] | None:
    """Return the usage in the Realtime API's form."""
    if usage is None:
        return None
    cached = usage.input_tokens_details.cached_tokens
    return {
        "total_tokens": usage.total_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_token_details": {
            "cached_tokens": cached,
            "text_tokens": usage.input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": usage.output_tokens, "audio_tokens": 0},
    }


def wire_response(response: Response, conversation_id: str | None) -> dict[str, Any]:
    """Return a response in the Realtime API's form."""
    status = "in_progress" if response.status == "queued" else response.status
    details: dict[str, Any] | None = None if status == "in_progress" else {"type": status}
    if details is not None and response.incomplete_details is not None:
        details["reason"] = response.incomplete_details.reason
    if details is not None and status == "cancelled":
        details["reason"] = "client_cancelled"
    if details is not None and response.error is not None:
        details["error"] = {
            "type": "server_error",
            "code": response.error.code,
            "message": response.error.message,
        }
    return {
        "object": "realtime.response",
        "id": response.id,
        "conversation_id": conversation_id,
        "status": status,
        "status_details": details,
        "output": [wire_item(item) for item in response.output if not isinstance(item, Reasoning)],
        "output_modalities": ["text"],
        "max_output_tokens": response.max_output_tokens or "inf",
        "metadata": response.metadata or None,
        "usage": wire_usage(response.usage),
    }


class RealtimeEventTranslator:
    """Translates the events of one response. With ``conversation_id`` None the response is out of band: its items do
    not join the conversation.
    """

    def __init__(self, response_id: str, conversation_id: str | None, last: str | None) -> None:
        self._response_id = response_id
        self._conversation_id = conversation_id
        self._last = last
        self._calls: dict[str, FunctionCall] = {}

    def translate(self, event: ev.StreamEvent) -> Iterator[dict[str, Any]]:
        """Return the Realtime events of an event; none for reasoning, which the Realtime API does not have."""
        match event:
            case ev.ResponseCreated():
                yield {
                    "type": "response.created",
                    "response": wire_response(event.response, self._conversation_id),
                }
            case ev.OutputItemAdded() | ev.OutputItemDone():
                yield from self._item(event)
            case ev.ContentPartAdded() | ev.ContentPartDone():
                text = getattr(event.part, "text", "")
                kind = "added" if isinstance(event, ev.ContentPartAdded) else "done"
                part = {"type": "text", "text": text}
                yield {
                    "type": f"response.content_part.{kind}",
                    "part": part,
                    **self._location(event),
                    "content_index": 0,
                }
            case ev.OutputTextDelta():
                yield {
                    "type": "response.output_text.delta",
                    "delta": event.delta,
                    **self._location(event),
                    "content_index": 0,
                }
            case ev.OutputTextDone():
                yield {
                    "type": "response.output_text.done",
                    "text": event.text,
                    **self._location(event),
                    "content_index": 0,
                }
            case ev.FunctionCallArgumentsDelta():
                call = self._calls[event.item_id]
                kind = "response.function_call_arguments.delta"
                yield {"type": kind, "delta": event.delta, "call_id": call.call_id, **self._location(event)}
            case ev.FunctionCallArgumentsDone():
                call = self._calls[event.item_id]
                done = {"call_id": call.call_id, "name": call.name, "arguments": event.arguments}
                yield {"type": "response.function_call_arguments.done", **done, **self._location(event)}
            case ev.ResponseCompleted() | ev.ResponseIncomplete() | ev.ResponseFailed():
                yield {
                    "type": "response.done",
                    "response": wire_response(event.response, self._conversation_id),
                }

    def _location(self, event: Any) -> dict[str, Any]:
        return {
            "response_id": self._response_id,
            "item_id": event.item_id,
            "output_index": event.output_index,
        }

    def _item(self, event: ev.OutputItemAdded | ev.OutputItemDone) -> Iterator[dict[str, Any]]:
        item = event.item
        if not isinstance(item, Message | FunctionCall):
            return
        kind = "added" if isinstance(event, ev.OutputItemAdded) else "done"
        if isinstance(item, FunctionCall):
            self._calls[item.id or ""] = item
        translated = wire_item(item, "in_progress" if kind == "added" else None)
        options = {"response_id": self._response_id, "output_index": event.output_index, "item": translated}
        joined = {"type": f"conversation.item.{kind}", "item": translated, "previous_item_id": self._last}
        if kind == "added":
            yield {"type": "response.output_item.added", **options}
            if self._conversation_id is not None:
                yield joined
        else:
            yield {"type": "response.output_item.done", **options}
            if self._conversation_id is not None:
                yield joined
                self._last = item.id
