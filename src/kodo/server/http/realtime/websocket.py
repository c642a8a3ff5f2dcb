"""The life of a realtime session: takes client events, sends server events, and runs one response of the conversation
at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from kodo.server.http.errors import Unauthorized, internal_error, translate
from kodo.server.http.keys import Caller
from kodo.server.http.limits import Ticket
from kodo.server.http.realtime.event_translation import RealtimeEventTranslator
from kodo.server.http.realtime.fields import check_fields, named_in, required
from kodo.server.http.realtime.session_config import (
    RealtimeConversation,
    ResponseOptions,
    SessionConfig,
    parse_item,
    parse_settings,
    to_response_request,
    update_config,
    wire_item,
)
from kodo.server.http.sockets import end_unauthorized, frames, send
from kodo.server.http.state import State
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.run import Run
from kodo.server.wire.decode import BadBody, convert, json_object
from kodo.server.wire.items import Message, Reasoning

logger = logging.getLogger(__name__)

MAX_ACTIVE = 16
"""Responses that a session may have at once; at most one of them joins the conversation."""


class RealtimeSession:
    """A connection to the Realtime API, from its acceptance to its end."""

    def __init__(self, socket: WebSocket, state: State, caller: Caller, config: SessionConfig) -> None:
        self._socket = socket
        self._state = state
        self._caller = caller
        self._config = config
        self._id = state.ids.new("sess")
        self._conversation_id = state.ids.new("conv")
        limits = state.settings.limits
        self._conversation = RealtimeConversation(limits.session_items, limits.session_bytes)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._current: str | None = None
        self._handlers: dict[str, tuple[Callable[[dict[str, Any]], Awaitable[None]], tuple[str, ...]]] = {
            "session.update": (self._update, ("session",)),
            "conversation.item.create": (self._create_item, ("item", "previous_item_id")),
            "conversation.item.retrieve": (self._retrieve_item, ("item_id",)),
            "conversation.item.delete": (self._delete_item, ("item_id",)),
            "conversation.item.truncate": (
                self._truncate_item,
                ("item_id", "content_index", "audio_end_ms"),
            ),
            "response.create": (self._respond, ("response",)),
            "response.cancel": (self._cancel, ("response_id",)),
        }
        """What each event of the client does, and its fields beside ``type`` and ``event_id``."""

    async def serve(self) -> None:
        """Send ``session.created``, then handle events until the client disconnects.

        Raises:
            Unauthorized: the key was revoked.
        """
        await self._send("session.created", session=self._session_fields())
        async for data in frames(self._socket):
            await self._state.keys.check(self._caller)
            await self._handle_event(data)

    async def refuse(self, error: ServiceError) -> None:
        """Send the error that the session ends with."""
        await self.send_error(error, None)

    async def close(self) -> None:
        """Cancel the responses that are still running."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def expire(self) -> None:
        """Send the error that ends a session at its time limit."""
        minutes = self._state.settings.connection_seconds / 60
        await self.send_error(
            InvalidRequest(f"The session reached its limit of {minutes:g} minutes.", code="session_expired"),
            None,
        )

    async def send_error(self, error: ServiceError | BadBody, event_id: str | None) -> None:
        """Send an error as an event; the session continues."""
        body = translate(error)[1].error
        translated = {"type": body.type, "code": body.code, "message": body.message, "param": body.param}
        await self._send("error", error={**translated, "event_id": event_id})

    async def _send(self, kind: str, **fields: Any) -> None:
        event_id = self._state.ids.new("event")
        await send(self._socket, {"type": kind, "event_id": event_id, **fields})

    def _session_fields(self) -> dict[str, Any]:
        return {"id": self._id, "object": "realtime.session", **msgspec.to_builtins(self._config)}

    async def _handle_event(self, data: bytes) -> None:
        event_id = None
        try:
            event = json_object(data)
            event_id = event.pop("event_id", None)
            what = str(required(event, "type"))
            handler, fields = self._handlers.get(what, (None, ()))
            if handler is None:
                audio = "audio" in what
                raise BadBody(
                    f"'{what}' is not supported: this server supports text only."
                    if audio
                    else f"Unknown event '{what}'.",
                    "type",
                    "unsupported_modality" if audio else "invalid_value",
                )
            check_fields(event, fields)
            await handler(event)
        except (ServiceError, BadBody) as error:
            await self.send_error(error, event_id if isinstance(event_id, str) else None)

    # --- session and conversation ---

    async def _update(self, event: dict[str, Any]) -> None:
        config = update_config(self._config, required(event, "session"))
        with named_in("session"):  # it refuses tools and choices that no response could be made with
            to_response_request(config, ResponseOptions())
        self._config = config
        await self._send("session.updated", session=self._session_fields())

    async def _create_item(self, event: dict[str, Any]) -> None:
        item = parse_item(required(event, "item"), "item", self._state.ids.new("item"))
        after = convert(event.get("previous_item_id"), str | None, "previous_item_id")
        previous = self._conversation.add(ContextItem(item=item), after)
        translated = wire_item(item)
        await self._send("conversation.item.added", item=translated, previous_item_id=previous)
        await self._send("conversation.item.done", item=translated, previous_item_id=previous)

    async def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self._conversation.get(convert(required(event, "item_id"), str, "item_id"))
        await self._send("conversation.item.retrieved", item=wire_item(item))

    async def _delete_item(self, event: dict[str, Any]) -> None:
        item_id = convert(required(event, "item_id"), str, "item_id")
        self._conversation.remove(item_id)
        await self._send("conversation.item.deleted", item_id=item_id)

    async def _truncate_item(self, event: dict[str, Any]) -> None:
        """Acknowledge a truncation. It would cut audio that was not played; a text item has none, so nothing changes."""
        item_id = convert(required(event, "item_id"), str, "item_id")
        item = self._conversation.get(item_id)
        index = convert(required(event, "content_index"), int, "content_index")
        end = convert(required(event, "audio_end_ms"), int, "audio_end_ms")
        if not isinstance(item, Message) or item.role != "assistant":
            raise InvalidRequest("Only an assistant's message can be truncated.", param="item_id")
        if index != 0 or end != 0:
            raise InvalidRequest(
                "The item has no audio: content_index and audio_end_ms can only be 0.", param="audio_end_ms"
            )
        await self._send("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=0)

    # --- responses ---

    async def _respond(self, event: dict[str, Any]) -> None:
        options: ResponseOptions = parse_settings(event.get("response") or {}, ResponseOptions, "response")
        in_band = options.conversation == "auto"
        if in_band and self._current is not None:
            raise Conflict(
                f"Response '{self._current}' is still in progress.",
                code="conversation_already_has_active_response",
            )
        if in_band:
            self._conversation.check_room()
        if len(self._tasks) >= MAX_ACTIVE:
            raise Conflict(f"At most {MAX_ACTIVE} responses at once.", code="too_many_active_responses")
        context = self._conversation.context if options.input is None else self._resolve_items(options.input)
        context_id = "session"
        with named_in("response"):
            created = to_response_request(self._config, options)
        created = msgspec.structs.replace(created, previous_response_id=context_id)
        ticket = await self._state.limits.admit(self._caller)
        with ticket.starting():
            call = CallContext(
                owner=self._caller.owner,
                key_id=self._caller.key_id,
                streamed=True,
                local={context_id: context},
                paired=False,  # a user may speak before a tool has answered
            )
            with named_in("response"):
                run = await self._state.service.create(call, created)
        self._runs[run.id] = run
        if in_band:
            self._current = run.id
        last = self._conversation.last() if in_band else None
        translator = RealtimeEventTranslator(run.id, self._conversation_id if in_band else None, last)
        self._tasks[run.id] = asyncio.create_task(
            self._send_response(run, translator, ticket, ticket.headers, in_band=in_band)
        )

    def _resolve_items(self, items: tuple[dict[str, Any], ...]) -> tuple[ContextItem, ...]:
        resolved = []
        for index, raw in enumerate(items):
            path = f"response.input[{index}]"
            if raw.get("type") == "item_reference":
                item = self._conversation.get(str(raw.get("id")), f"{path}.id")
            else:
                item = parse_item(raw, path, self._state.ids.new("item"))
            resolved.append(ContextItem(item=item))
        return tuple(resolved)

    async def _send_response(
        self,
        run: Run,
        translator: RealtimeEventTranslator,
        ticket: Ticket,
        limits: dict[str, str],
        *,
        in_band: bool,
    ) -> None:
        try:
            async for batch in run.events():
                await self._state.keys.check(self._caller)
                for event in batch:
                    for translated in translator.translate(event):
                        if translated["type"] == "response.done":
                            self._finish(run, in_band)
                        await self._send(translated.pop("type"), **translated)
            await self._send("rate_limits.updated", rate_limits=_limits(limits))
        except Unauthorized as error:
            await end_unauthorized(self._socket, self, error)
        except Exception:
            logger.exception("a response of a realtime session broke")
            await self._send("error", error=msgspec.to_builtins(internal_error().error))
        finally:
            try:
                await ticket.finish(self._state.service, run)
            finally:
                self._finish(run, in_band)
                self._runs.pop(run.id, None)
                self._tasks.pop(run.id, None)

    def _finish(self, run: Run, in_band: bool) -> None:
        """Add the answer to the conversation before its last event is sent."""
        if not in_band or self._current != run.id:
            return
        self._current = None
        for row in run.output_rows() if run.response.status not in ("queued", "in_progress") else ():
            if not isinstance(row.context.item, Reasoning):
                self._conversation.add(row.context, answer=True)

    async def _cancel(self, event: dict[str, Any]) -> None:
        response_id = convert(event.get("response_id"), str | None, "response_id") or self._current
        run = self._runs.get(response_id or "")
        if run is None:
            raise InvalidRequest("There is no active response to cancel.", code="response_cancel_not_active")
        await self._state.service.stop(run)


def _limits(headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the key's rate limits; an empty list if it has none."""
    return [
        {
            "name": name,
            "limit": int(headers[f"x-ratelimit-limit-{name}"]),
            "remaining": int(headers[f"x-ratelimit-remaining-{name}"]),
            "reset_seconds": float(headers[f"x-ratelimit-reset-{name}"].rstrip("s")),
        }
        for name in ("requests", "tokens")
        if f"x-ratelimit-limit-{name}" in headers
    ]
