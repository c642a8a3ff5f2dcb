"""The life of one realtime session: client events in, server events out, one response of the conversation at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from kodo.server.http.errors import translate
from kodo.server.http.keys import Caller
from kodo.server.http.limits import Ticket
from kodo.server.http.realtime.event_translation import Translator
from kodo.server.http.realtime.session_config import (
    Config,
    Conversation,
    ResponseConfig,
    checked,
    item_of,
    request,
    updated,
    wire_item,
)
from kodo.server.http.sockets import frames, send
from kodo.server.http.state import State
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.run import Run
from kodo.server.wire.decode import BadBody, convert, json_object
from kodo.server.wire.items import Message, Reasoning


class RealtimeSession:
    """One connection to the Realtime API, from its acceptance to its end."""

    def __init__(self, socket: WebSocket, state: State, caller: Caller, config: Config) -> None:
        self._socket = socket
        self._state = state
        self._who = caller
        self._config = config
        self._id = state.service.ids.new("sess")
        self._conversation_id = state.service.ids.new("conv")
        self._conversation = Conversation()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._current: str | None = None
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def serve(self) -> None:
        """Say who we are, then take events until the client goes."""
        await self._send("session.created", session=self._shown())
        async for data in frames(self._socket):
            await self._take(data)

    async def close(self) -> None:
        """Stop what still runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def expire(self) -> None:
        """The error that ends a session."""
        minutes = self._state.settings.connection_seconds / 60
        await self.refuse(
            InvalidRequest(f"A session lasts at most {minutes:g} minutes.", code="session_expired"), None
        )

    async def refuse(self, error: ServiceError | BadBody, event_id: str | None) -> None:
        """An error as an event; the session goes on."""
        body = translate(error)[1].error
        shown = {"type": body.type, "code": body.code, "message": body.message, "param": body.param}
        await self._send("error", error={**shown, "event_id": event_id})

    async def _send(self, kind: str, **fields: Any) -> None:
        event_id = self._state.service.ids.new("event")
        await send(self._socket, {"type": kind, "event_id": event_id, **fields})

    def _shown(self) -> dict[str, Any]:
        return {"id": self._id, "object": "realtime.session", **msgspec.to_builtins(self._config)}

    async def _take(self, data: bytes) -> None:
        event_id = None
        try:
            event = json_object(data)
            event_id = event.pop("event_id", None)
            handler = self._handlers.get(str(event.get("type")))
            if handler is None:
                what = str(event.get("type"))
                audio = "audio" in what
                raise BadBody(
                    f"'{what}' is not supported: this server speaks text."
                    if audio
                    else f"Unknown event '{what}'.",
                    "type",
                    "unsupported_modality" if audio else "invalid_value",
                )
            await handler(event)
        except (ServiceError, BadBody) as error:
            await self.refuse(error, event_id if isinstance(event_id, str) else None)

    # --- session and conversation ---

    async def _update(self, event: dict[str, Any]) -> None:
        config = updated(self._config, event.get("session"))
        request(config, ResponseConfig())  # refuses tools and choices that no response could be made with
        self._config = config
        await self._send("session.updated", session=self._shown())

    async def _create_item(self, event: dict[str, Any]) -> None:
        item = item_of(event.get("item"), "item", self._state.service.ids.new("item"))
        after = convert(event.get("previous_item_id"), str | None, "previous_item_id")
        previous = self._conversation.add(ContextItem(item=item), after)
        shown = wire_item(item)
        await self._send("conversation.item.added", item=shown, previous_item_id=previous)
        await self._send("conversation.item.done", item=shown, previous_item_id=previous)

    async def _retrieve_item(self, event: dict[str, Any]) -> None:
        item = self._conversation.get(convert(event.get("item_id"), str, "item_id"))
        await self._send("conversation.item.retrieved", item=wire_item(item))

    async def _delete_item(self, event: dict[str, Any]) -> None:
        item_id = convert(event.get("item_id"), str, "item_id")
        self._conversation.remove(item_id)
        await self._send("conversation.item.deleted", item_id=item_id)

    async def _truncate_item(self, event: dict[str, Any]) -> None:
        """Truncation cuts the audio that was not played; a text has none, so there is nothing that could be cut."""
        item_id = convert(event.get("item_id"), str, "item_id")
        item = self._conversation.get(item_id)
        index = convert(event.get("content_index"), int, "content_index")
        end = convert(event.get("audio_end_ms"), int, "audio_end_ms")
        if not isinstance(item, Message) or item.role != "assistant":
            raise InvalidRequest("Only an assistant's message can be truncated.", param="item_id")
        if index != 0 or end != 0:
            raise InvalidRequest(
                "The item has no audio: content_index and audio_end_ms can only be 0.", param="audio_end_ms"
            )
        await self._send("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=0)

    # --- responses ---

    async def _respond(self, event: dict[str, Any]) -> None:
        own: ResponseConfig = checked(event.get("response") or {}, ResponseConfig, "response")
        in_band = own.conversation == "auto"
        if in_band and self._current is not None:
            raise Conflict(
                f"Response '{self._current}' is still in progress.",
                code="conversation_already_has_active_response",
            )
        context = self._conversation.context if own.input is None else self._given(own.input)
        place = "session"
        created = msgspec.structs.replace(request(self._config, own), previous_response_id=place)
        ticket = self._state.limits.admit(self._who)
        with ticket.starting():
            call = CallContext(owner=self._who.owner, streamed=True, local={place: context})
            run = await self._state.service.create(call, created)
        self._runs[run.id] = run
        if in_band:
            self._current = run.id
        last = self._conversation.last() if in_band else None
        translator = Translator(run.id, self._conversation_id if in_band else None, last)
        self._tasks[run.id] = asyncio.create_task(
            self._speak(run, translator, ticket, ticket.headers, in_band=in_band)
        )

    def _given(self, items: tuple[dict[str, Any], ...]) -> tuple[ContextItem, ...]:
        found = []
        for index, raw in enumerate(items):
            if raw.get("type") == "item_reference":
                found.append(ContextItem(item=self._conversation.get(str(raw.get("id")))))
            else:
                path = f"response.input[{index}]"
                found.append(ContextItem(item=item_of(raw, path, self._state.service.ids.new("item"))))
        return tuple(found)

    async def _speak(
        self, run: Run, translator: Translator, ticket: Ticket, limits: dict[str, str], *, in_band: bool
    ) -> None:
        try:
            async for batch in run.events():
                for event in batch:
                    for shown in translator.of(event):
                        if shown["type"] == "response.done":
                            self._finish(run, in_band)
                        await self._send(shown.pop("type"), **shown)
            usage = run.response.usage
            ticket.charge(usage.total_tokens if usage is not None else 0)
            await self._send("rate_limits.updated", rate_limits=_limits(limits))
        finally:
            await self._state.service.stop(run)
            self._finish(run, in_band)
            self._runs.pop(run.id, None)
            self._tasks.pop(run.id, None)
            ticket.close()

    def _finish(self, run: Run, in_band: bool) -> None:
        """The answer joins the conversation, before anybody hears that it is done."""
        if not in_band or self._current != run.id:
            return
        self._current = None
        for row in run.output_rows() if run.response.status not in ("queued", "in_progress") else ():
            if not isinstance(row.context.item, Reasoning):
                self._conversation.add(row.context)

    async def _cancel(self, event: dict[str, Any]) -> None:
        response_id = convert(event.get("response_id"), str | None, "response_id") or self._current
        run = self._runs.get(response_id or "")
        if run is None:
            raise InvalidRequest("There is no active response to cancel.", code="response_cancel_not_active")
        await self._state.service.stop(run)


def _limits(headers: dict[str, str]) -> list[dict[str, Any]]:
    """The key's limits; none where it has none."""
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
