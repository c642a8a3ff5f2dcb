"""From a request to a prompt that fits the window: history, compaction, rendering, counting and truncation.

A history that is too long is truncated (``truncation``) or summarised into one item (``context_management``,
``compact``).
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal, TypeAlias

import msgspec

from kodo.server.config import Settings
from kodo.server.lifecycle import plan
from kodo.server.lifecycle.attachments import attach_files
from kodo.server.lifecycle.call_pairs import check_calls, check_outputs
from kodo.server.lifecycle.compact import Compacted, compact
from kodo.server.lifecycle.context import History, drop_oldest, has_sealed, history, is_passthrough, render
from kodo.server.lifecycle.errors import ContextLengthExceeded, InvalidRequest, rename_param
from kodo.server.lifecycle.hosted.loaded import has_loaded
from kodo.server.lifecycle.hosted.toolset import Toolset
from kodo.server.lifecycle.plan import Backend, CallContext, RequestPlan
from kodo.server.lifecycle.ports import ContextItem, FileReader, Ids, Prepared, Usage, Value
from kodo.server.lifecycle.response_fold import engine_usage
from kodo.server.lifecycle.sealing import Sealer, SealLimits
from kodo.server.lifecycle.store_ports import HistoryStore
from kodo.server.lifecycle.tool_choice import check_choice
from kodo.server.wire.items import Compaction
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import ResponseUsage

MAX_KNOWN = 4096
"""Responses that the pass-through cache remembers."""

_ITEM: Final = re.compile(r"input\[(\d+)\](.*)")
"""The place of an error in an item."""
Summarise: TypeAlias = Callable[[CallContext, CreateResponse], Awaitable[tuple[str, ResponseUsage]]]
"""Runs a request to its end on behalf of a call: the text of the answer, and its usage."""


class BuiltPrompt(Value, frozen=True, kw_only=True):
    """The prompt of a request, ready for the engine."""

    prepared: Prepared
    history: History
    items: tuple[ContextItem, ...] = ()
    """What the response is made from: the history, or what it was compacted into."""
    compaction: Compaction | None = None
    """The item that the history was compacted into, where it was too long."""
    prior_usage: Usage = Usage()
    """Tokens that the compaction took."""
    dropped: int = 0
    """How many of the oldest items were left out to fit the window."""


class PromptBuilder:
    """Builds prompts from requests. One per server."""

    def __init__(
        self,
        *,
        store: HistoryStore,
        ids: Ids,
        sealer: Sealer,
        settings: Settings,
        files: FileReader,
        summarise: Summarise,
    ) -> None:
        self._store = store
        self._ids = ids
        self._sealer = sealer
        self._settings = settings
        self._files = files
        self._summarise = summarise
        self._passthrough: OrderedDict[str, int] = OrderedDict()
        """By response: how many items of its context need no rendering, so that the next turn checks only new items. The
        beginning of a context never changes."""

    async def build(self, plan: RequestPlan, toolset: Toolset) -> BuiltPrompt:
        """The prompt of a new request's first turn: history, compaction, and truncation to the window.

        Raises:
            NotFound, Conflict, InvalidRequest: see :meth:`history`.
            UnpairedCall: a call that the client was to run has no output.
            ContextLengthExceeded: see :meth:`prepare`.
        """
        call, request = plan.call, plan.request
        history = await self.history(call, request)
        if call.paired and plan.generates:
            check_calls(history.items)
        try:
            return await self._build(plan, toolset, history)
        except InvalidRequest as error:
            _name_in_input(error, call, request, history)
            raise

    async def _build(self, plan: RequestPlan, toolset: Toolset, history: History) -> BuiltPrompt:
        call, request, backend = plan.call, plan.request, plan.backend
        passthrough = self._is_passthrough(request, history)
        if not (toolset.is_plain and (passthrough or not has_loaded(history.items))):
            request = await toolset.turn_request(history.items)
        compacted = await self._compact_if_due(call, request, backend, history)
        items = history.items if compacted is None else compacted.items
        prepared, dropped = await self.prepare(call, request, backend, items, passthrough=passthrough)
        if passthrough and request.conversation is None:
            self._remember_passthrough(plan.response_id, len(history.items))
        if compacted is None:
            return BuiltPrompt(prepared=prepared, history=history, items=items, dropped=dropped)
        return BuiltPrompt(
            prepared=prepared,
            history=history,
            items=items,
            compaction=compacted.item,
            prior_usage=engine_usage(compacted.usage),
            dropped=dropped,
        )

    async def history(self, call: CallContext, request: CreateResponse | CompactRequest) -> History:
        """What a request stands on, with its own input.

        Raises:
            NotFound, Conflict, InvalidRequest: what it names is not there or cannot be stood on; or there is nothing; or an
                output answers no call.
        """
        result = await history(
            self._store,
            self._ids,
            call.owner,
            request.input,
            previous=request.previous_response_id,
            conversation=request.conversation if isinstance(request, CreateResponse) else None,
            local=call.local,
        )
        if not result.items and not request.instructions:
            raise InvalidRequest(
                "One of input, previous_response_id, conversation or instructions must be provided.",
                param="input",
                code="missing_required_parameter",
            )
        if call.paired:
            check_outputs(result.items)
        return result

    async def prepare(
        self,
        call: CallContext,
        request: CreateResponse,
        backend: Backend,
        history: tuple[ContextItem, ...],
        *,
        passthrough: bool = False,
        quotes: tuple[str, ...] = (),
    ) -> tuple[Prepared, int]:
        """The prompt, counted and inside the window; and how many items were left out for that. ``passthrough``: the items
        are known to be shown as they are; ``quotes``: see :class:`~kodo.server.lifecycle.ports.Prompt`.

        Raises:
            ContextLengthExceeded: it does not fit, and ``truncation`` is not ``auto``.
            InvalidRequest: the tool choice names a tool that is not offered.
        """
        card = backend.card
        items = history if passthrough else await self._render(call.owner, backend, history)
        prompt = plan.prompt(call, request, backend, items, quotes)
        check_choice(prompt.tools, prompt.tool_choice)
        prepared = await backend.engine.prepare(prompt)
        room = min(request.max_output_tokens or card.max_output_tokens // 4, card.context_window // 4)
        dropped = 0
        while prepared.input_tokens >= card.context_window:
            if request.truncation != "auto":
                raise ContextLengthExceeded(window=card.context_window, needed=prepared.input_tokens + 1)
            excess = prepared.input_tokens - (card.context_window - room)
            remaining, count = drop_oldest(prepared.prompt.items, prepared.item_tokens, excess)
            if count == 0:
                raise ContextLengthExceeded(window=card.context_window, needed=prepared.input_tokens + 1)
            dropped += count
            prepared = await backend.engine.prepare(msgspec.structs.replace(prompt, items=remaining))
        return prepared, dropped

    async def count(
        self,
        call: CallContext,
        request: CreateResponse,
        backend: Backend,
        toolset: Toolset,
    ) -> int:
        """Input tokens of a request, by the engine's own tokenizer. Raises what :meth:`history` does."""
        history = await self.history(call, request)
        try:
            items = await self._render(call.owner, backend, history.items)
            request = await toolset.turn_request(history.items)
            prompt = plan.prompt(call, request, backend, items)
            check_choice(prompt.tools, prompt.tool_choice)
            return (await backend.engine.prepare(prompt)).input_tokens
        except InvalidRequest as error:
            _name_in_input(error, call, request, history)
            raise

    async def compact(
        self,
        call: CallContext,
        request: CreateResponse,
        backend: Backend,
        items: tuple[ContextItem, ...],
        budget: int,
    ) -> Compacted:
        """Items as one, with the newest ``budget`` tokens of them kept as they are."""
        seen = await self._render(call.owner, backend, items)
        prepared = await backend.engine.prepare(plan.prompt(call, request, backend, seen))
        return await compact(
            seen,
            prepared.item_tokens,
            item_id=self._ids.new("cmp"),
            model=backend.name,
            budget=budget,
            owner=call.owner,
            sealer=self._sealer,
            summarise=partial(self._summarise, call),
        )

    # --- inside ---

    def _is_passthrough(self, request: CreateResponse, history: History) -> bool:
        """Whether a history needs no rendering."""
        return is_passthrough(history.items, self._passthrough.get(request.previous_response_id or "", 0))

    def _remember_passthrough(self, response_id: str, count: int) -> None:
        """Remember that the first ``count`` items of a response's context need no rendering."""
        self._passthrough[response_id] = count
        if len(self._passthrough) > MAX_KNOWN:
            self._passthrough.popitem(last=False)

    async def _compact_if_due(
        self,
        call: CallContext,
        request: CreateResponse,
        backend: Backend,
        history: History,
    ) -> Compacted | None:
        """The context as one item: where the request asks for nothing else, or once it is over the threshold of
        ``context_management``.

        Raises:
            InvalidRequest: it asks for that, and there is no context.
        """
        window = backend.card.context_window
        if request.compacts:
            if not history.items:
                raise nothing_to_compact()
            return await self.compact(call, request, backend, history.items, window // 4)
        if not request.context_management:
            return None
        threshold = request.context_management[0].compact_threshold or window * 3 // 4
        items = await self._render(call.owner, backend, history.items)
        prepared = await backend.engine.prepare(plan.prompt(call, request, backend, items))
        if prepared.input_tokens <= threshold:
            return None
        budget = min(threshold, window) // 2
        return await self.compact(call, request, backend, history.items, budget)

    async def _render(
        self, owner: str, backend: Backend, items: tuple[ContextItem, ...]
    ) -> tuple[ContextItem, ...]:
        images: Literal["see", "note", "refuse"] = "see" if backend.card.images else self._settings.images
        limit = self._settings.limits.body_bytes
        card = backend.card
        items = await attach_files(
            items, owner=owner, files=self._files, limit=limit, images=card.images, binary=card.files
        )
        limits = SealLimits(self._settings.limits.sealed_items, self._settings.limits.opened_bytes)
        work = partial(
            render,
            items,
            owner=owner,
            sealer=self._sealer,
            images=images,
            files=card.files,
            limits=limits,
        )
        return await asyncio.to_thread(work) if has_sealed(items) else work()


def nothing_to_compact() -> InvalidRequest:
    """The error for a compaction without a context."""
    return InvalidRequest("There is nothing to compact: send input or previous_response_id.", param="input")


def _name_in_input(
    error: InvalidRequest, call: CallContext, request: CreateResponse, history: History
) -> None:
    """Errors count the items of the whole history; a client counts those of its own input, and knows the others by the field
    that brought them."""
    found = _ITEM.match(error.param or "")
    if found is not None and history.before and call.paired:
        own = int(found[1]) - len(history.before)
        stood_on = "conversation" if request.conversation is not None else "previous_response_id"
        rename_param(error, stood_on if own < 0 else f"input[{own}]{found[2]}")
