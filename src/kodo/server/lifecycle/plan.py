"""What is decided about a request before anything is looked up: its class, its prompt, its initial Response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec
from msgspec import UNSET, field
from msgspec.structs import replace

from kodo.server.config import ModelSettings
from kodo.server.lifecycle.admission import Admission, Priority
from kodo.server.lifecycle.ports import (
    CachePolicy,
    ContextItem,
    Engine,
    ModelCard,
    Prompt,
    Sampling,
    Value,
    is_small,
)
from kodo.server.wire.hosted_tools import HostedChoice
from kodo.server.wire.items import Compaction
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import (
    ConversationRef,
    PromptCacheOptions,
    ReasoningConfig,
    Response,
    TextConfig,
)
from kodo.server.wire.tools import Tool, echoed

SMALL_MODEL_CAP, MODEL_CAP = 256, 2048
"""The server's own cap on the answers of a small model, and of any other."""
TRUNCATED = "kodo.truncated_items"
"""Metadata key that says how many of the oldest items ``truncation: auto`` left out."""

MIN_OUTPUT = "kodo.min_output_tokens"
"""Metadata key that says how many tokens the shortest valid answer takes, where ``max_output_tokens`` is below it."""


@dataclass(frozen=True)
class Backend:
    """A model name: its engine, the queue in front of it, its settings."""

    name: str
    engine: Engine
    admission: Admission
    settings: ModelSettings
    card: ModelCard

    @cached_property
    def own_cap(self) -> int:
        """The server's own cap on an answer, in tokens."""
        default = SMALL_MODEL_CAP if self.is_small else MODEL_CAP
        return self.settings.default_output_tokens or default

    @cached_property
    def always_capped(self) -> bool:
        """Whether the server's own cap also holds for an answer that nobody else waits for."""
        rule = self.settings.default_cap
        return rule == "always" or (rule == "auto" and self.is_small)

    @cached_property
    def ends_loops(self) -> bool:
        """Whether a loop of the model's is ended."""
        return self.is_small if self.settings.end_loops is None else self.settings.end_loops

    @cached_property
    def is_small(self) -> bool:
        """Whether the model is known to be small."""
        return is_small(self.card.parameters)


class CallContext(Value, frozen=True, kw_only=True):
    """How a request came in, besides its body."""

    owner: str
    key_id: str | None = None
    """The key that it was accepted from; None: the server had none."""
    priority: Priority = Priority.INTERACTIVE
    streamed: bool = False
    """Whether a client reads the events; only then are heartbeats emitted."""
    sampling: Sampling = Sampling()
    """What sibling APIs can ask for and the Responses API cannot: seed, stop, logit bias."""
    paired: bool = True
    """Whether each call in the history needs its output, and the reverse; not where the caller keeps a history that may
    have lost one of them."""
    generate: bool = True
    """False: only read the prompt into the cache."""
    local: Mapping[str, tuple[ContextItem, ...]] = field(default_factory=dict)
    """Responses that only the caller's connection remembers."""


class RequestPlan(Value, frozen=True, kw_only=True):
    """A request, how it came in, and what was decided about it. ``call`` carries the seed that is used."""

    response_id: str
    call: CallContext
    request: CreateResponse
    backend: Backend
    priority: Priority

    @classmethod
    def of(
        cls, response_id: str, call: CallContext, request: CreateResponse, backend: Backend
    ) -> RequestPlan:
        """Plan a new request.

        For an engine that can continue, the seed is drawn from the random end of the response's id where the client set none. It
        is stored with the request, so that an interrupted answer can be drawn again as it was. ``flex`` and ``background`` lower the priority of the
        call.
        """
        if call.sampling.seed is None and backend.card.continues:
            seed = int(response_id.rpartition("_")[2][-8:], 16)
            call = replace(call, sampling=replace(call.sampling, seed=seed))
        requested = Priority.FLEX if request.service_tier == "flex" else Priority.INTERACTIVE
        priority = max(call.priority, Priority.BACKGROUND if request.background else requested)
        return cls(response_id=response_id, call=call, request=request, backend=backend, priority=priority)

    @property
    def background(self) -> bool:
        """Whether the response runs without a client."""
        return bool(self.request.background)

    @property
    def store(self) -> bool:
        """Whether the response is stored; the default is yes."""
        return self.request.store is not False

    @property
    def stored_at_end(self) -> bool:
        """Whether one transaction stores the response, at its end.

        A client that waits for the whole answer learns nothing before, not even the id. A response with a parent is
        stored when it starts, so that a parent that is deleted meanwhile keeps the context; so is one that has a loop over
        tools of this server, whose calls are stored before they run.
        """
        foreground = not (self.call.streamed or self.background)
        return foreground and self.store and self.request.previous_response_id is None

    @property
    def generates(self) -> bool:
        """Whether an answer is generated; False only compacts the context, or reads the prompt into the cache."""
        options = self.request.prompt_cache_options
        prewarm = isinstance(options, PromptCacheOptions) and options.prewarm is True
        return self.call.generate and not (prewarm or self.request.compacts)

    @property
    def soft_limit(self) -> int | None:
        """The server's own cap, in tokens; None: the client set a cap of its own."""
        if self.request.max_output_tokens is not None:
            return None
        return self.backend.own_cap

    def initial_response(
        self,
        now: float,
        *,
        compaction: Compaction | None = None,
        dropped: int = 0,
        min_output_tokens: int | None = None,
    ) -> Response:
        """The Response as it begins.

        Args:
            now: seconds since the epoch.
            compaction: the item that the history was compacted into; the first item of the output.
            dropped: how many of the oldest items ``truncation: auto`` left out; noted in the metadata.
            min_output_tokens: tokens of the shortest valid answer; noted where the client's cap is below it.
        """
        response = initial_response(
            self.response_id,
            self.request,
            self.backend.card,
            now,
            background=self.background,
            store=self.store,
        )
        notes = {TRUNCATED: str(dropped)} if dropped else {}
        cap = self.request.max_output_tokens
        if cap is not None and min_output_tokens is not None and min_output_tokens > cap:
            notes[MIN_OUTPUT] = str(min_output_tokens)
        if notes:
            metadata = {**response.metadata, **notes}
            response = replace(response, metadata=metadata)
        if compaction is not None:
            response = replace(response, output=(compaction,))
        return response


def cache(call: CallContext, request: CreateResponse) -> CachePolicy:
    """How long the prompt's state is to be kept, and under which key."""
    seconds = 0
    if request.prompt_cache_retention == "24h":
        seconds = 24 * 3600
    options = request.prompt_cache_options
    if isinstance(options, PromptCacheOptions):
        seconds = max(seconds, {"30m": 1800, "12h": 12 * 3600}[options.ttl])
    return CachePolicy(owner=call.owner, key=request.prompt_cache_key, seconds=seconds)


def prompt(
    call: CallContext,
    request: CreateResponse,
    backend: Backend,
    items: tuple[ContextItem, ...],
    quotes: tuple[str, ...] = (),
) -> Prompt:
    """What the engine is asked. ``quotes``: see :class:`~kodo.server.lifecycle.ports.Prompt`."""
    text = request.text or TextConfig()
    sampling = replace(
        call.sampling,
        temperature=request.temperature if request.temperature is not None else backend.settings.temperature,
        top_p=request.top_p if request.top_p is not None else backend.settings.top_p,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        top_logprobs=(request.top_logprobs or 0) if request.wants_logprobs else None,
    )
    return Prompt(
        instructions=request.instructions,
        items=items,
        tools=tuple(tool for tool in request.tools if isinstance(tool, Tool)),
        tool_choice="auto"
        if request.tool_choice is None or isinstance(request.tool_choice, HostedChoice)
        else request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls is not False,
        format=text.format,
        reasoning_effort=request.reasoning.effort if request.reasoning else None,
        reasoning_summary=_summary(request.reasoning),
        verbosity=None if isinstance(text.verbosity, msgspec.UnsetType) else text.verbosity,
        sampling=sampling,
        max_output_tokens=request.max_output_tokens,
        soft_output_tokens=backend.own_cap
        if request.max_output_tokens is None and backend.always_capped
        else None,
        cache=cache(call, request),
        whole=not (call.streamed or request.background),
        quotes=quotes,
    )


def _summary(reasoning: ReasoningConfig | None) -> str | None:
    """How reasoning is to be summarised, also under the parameter's first name."""
    if reasoning is None:
        return None
    first = reasoning.generate_summary
    return reasoning.summary or (None if isinstance(first, msgspec.UnsetType) else first)


def initial_response(
    response_id: str, request: CreateResponse, card: ModelCard, now: float, *, background: bool, store: bool
) -> Response:
    """The Response as it begins: what was asked, and the defaults for what was not."""

    def number(value: float | None, default: float) -> float:
        return default if value is None else value

    return Response(
        id=response_id,
        created_at=int(now),
        status="queued" if background else "in_progress",
        model=request.model,
        previous_response_id=request.previous_response_id,
        conversation=None if request.conversation is None else ConversationRef(id=request.conversation),
        instructions=request.instructions,
        tools=tuple(echoed(tool) for tool in request.tools),
        tool_choice=request.tool_choice if request.tool_choice is not None else "auto",
        truncation=request.truncation or "disabled",
        parallel_tool_calls=request.parallel_tool_calls is not False,
        text=request.text or TextConfig(),
        temperature=number(request.temperature, card.temperature),
        top_p=number(request.top_p, card.top_p),
        presence_penalty=number(request.presence_penalty, 0.0),
        frequency_penalty=number(request.frequency_penalty, 0.0),
        top_logprobs=request.top_logprobs or 0,
        reasoning=request.reasoning,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        store=store,
        background=background,
        service_tier="flex" if request.service_tier == "flex" else "default",
        metadata=dict(request.metadata or {}),
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_retention=request.prompt_cache_retention,
        prompt_cache_options=request.prompt_cache_options or UNSET,
        user=request.user,
    )
