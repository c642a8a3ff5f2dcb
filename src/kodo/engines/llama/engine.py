"""The llama engine: prompts in, events out, over one supervised child.

Puts the parts of this package together; each knows one thing. See docs/engine.md for the whole picture.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from kodo.engines.llama.client import ChildClient, Chunk
from kodo.engines.llama.prompt import turns
from kodo.engines.llama.slots import Slot, Slots
from kodo.engines.llama.supervisor import ChildConfig, Supervisor
from kodo.engines.llama.template import Ids, Template
from kodo.lifecycle.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from kodo.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    ModelCard,
    Prepared,
    Progress,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Usage,
)


@dataclass(frozen=True)
class LlamaOptions:
    """What the engine is told besides the model. Sampling: where the client set none."""

    name: str
    threads: int = 2
    parallel: int = 4
    batch: int = 128
    context: int = 8192
    temperature: float = 0.2
    top_p: float = 0.9


class LlamaStats(Struct, frozen=True):
    """Counters for /metrics."""

    restarts: int
    busy: int
    waiting: int
    parallel: int


class _Plan(Struct, frozen=True):
    """A prompt in the engine's form."""

    ids: Ids


class LlamaEngine:
    """An :class:`~kodo.lifecycle.ports.Engine` over a GGUF file."""

    def __init__(self, model: Path, options: LlamaOptions) -> None:
        self._options = options
        self._model = model
        self._supervisor = Supervisor(
            ChildConfig(
                model=model,
                threads=options.threads,
                parallel=options.parallel,
                batch=options.batch,
                context=options.context,
            )
        )
        self._client = ChildClient(self._supervisor)
        self._template = Template(self._client)
        self._slots = Slots(options.parallel)
        self._window = options.context
        self._generation = 0

    @property
    def stats(self) -> LlamaStats:
        """Counters as they stand."""
        return LlamaStats(
            restarts=self._supervisor.restarts,
            busy=self._slots.busy,
            waiting=self._slots.waiting,
            parallel=self._options.parallel,
        )

    @property
    def restarts(self) -> int:
        """Times the child had to be started again."""
        return self._supervisor.restarts

    @property
    def ready(self) -> bool:
        """Whether the child is up."""
        return self._supervisor.pid is not None

    async def start(self) -> None:
        """Load the model and learn its template."""
        await self._supervisor.start()
        slots = await self._client.slots()
        trained = await self._client.trained_context()
        self._window = min([slot.n_ctx for slot in slots] + ([trained] if trained else []))
        await self._template.learn()

    async def stop(self) -> None:
        """End the child."""
        await self._supervisor.stop()

    async def card(self) -> ModelCard:
        """The model's limits."""
        return ModelCard(
            name=self._options.name,
            engine="llama",
            context_window=self._window,
            max_output_tokens=self._window,
            parallel=self._options.parallel,
            temperature=self._options.temperature,
            top_p=self._options.top_p,
            source=self._model.name,
        )

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Count the prompt and turn it into ids."""
        rendered = await self._template.render(turns(prompt), prompt.cache.owner)
        return Prepared(
            prompt=prompt,
            input_tokens=len(rendered.ids),
            item_tokens=tuple(rendered.by_source.get(source, 0) for source in range(len(prompt.items))),
            payload=_Plan(ids=rendered.ids),
        )

    async def generate(
        self, prepared: Prepared, *, said: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Answer; see the port."""
        plan = prepared.payload
        if not isinstance(plan, _Plan):
            raise InvalidRequest("The prompt was prepared by another engine.")
        before = _spoken(said)
        ids = plan.ids + before
        if len(ids) >= self._window:
            if before:
                yield Finished(reason="length", usage=Usage(input=len(plan.ids), output=len(before)))
                return
            raise ContextLengthExceeded(window=self._window, needed=len(ids) + 1)
        caps = [cap for cap in (limit, prepared.prompt.max_output_tokens) if cap is not None]
        room = min([self._window - len(plan.ids), *caps]) - len(before)
        if room <= 0:
            yield Finished(reason="length", usage=Usage(input=len(plan.ids), output=len(before)))
            return
        cache = prepared.prompt.cache
        async with self._slots.take(cache.owner, cache.key, ids) as slot:
            body = self._body(prepared.prompt, ids, slot, room)
            slot.owner, slot.key, slot.ids = cache.owner, cache.key, ids
            spoken: list[int] = []
            try:
                async with aclosing(self._client.complete(body)) as chunks:
                    async for event in self._events(chunks, plan, len(before), spoken):
                        yield event
            finally:
                slot.ids = (ids + tuple(spoken))[:-1]

    def _body(self, prompt: Prompt, ids: Ids, slot: Slot, room: int) -> dict[str, Any]:
        if self._generation != self._supervisor.generation:
            self._slots.forget()
            self._generation = self._supervisor.generation
        sampling = prompt.sampling
        options = self._options
        return {
            "prompt": ids,
            "id_slot": slot.id,
            "cache_prompt": slot.owner == prompt.cache.owner,
            "n_predict": room,
            "stream": True,
            "return_tokens": True,
            "return_progress": True,
            "temperature": options.temperature if sampling.temperature is None else sampling.temperature,
            "top_p": options.top_p if sampling.top_p is None else sampling.top_p,
            "top_k": 0,
            "min_p": 0.0,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "repeat_last_n": self._window,
            "response_fields": ["content", "tokens", "stop", "tokens_predicted", "stop_type", "timings"],
            **({} if sampling.seed is None else {"seed": sampling.seed % 2**32}),
        }

    async def _events(
        self, chunks: AsyncIterator[Chunk], plan: _Plan, before: int, spoken: list[int]
    ) -> AsyncIterator[EngineEvent]:
        cached = 0
        async for chunk in chunks:
            progress = chunk.prompt_progress
            if progress is not None:
                cached = progress.cache
                yield Progress(total=progress.total, done=progress.processed, cached=cached)
                continue
            if chunk.stop:
                if chunk.timings is not None:
                    cached = chunk.timings.cache_n
                yield Finished(
                    reason="length" if chunk.stop_type == "limit" else "stop",
                    usage=Usage(
                        input=len(plan.ids),
                        cached=min(cached, len(plan.ids)),
                        output=before + chunk.tokens_predicted,
                    ),
                )
                return
            spoken.extend(chunk.tokens)
            yield TextDelta(text=chunk.content, tokens=chunk.tokens)
        raise EngineFailed("The engine's process ended in the middle of an answer.")

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector a text."""
        raise InvalidRequest("This model has no embeddings.", param="model", code="unsupported_value")


def _spoken(said: Sequence[EngineEvent]) -> Ids:
    """The ids of an earlier run's events."""
    return tuple(
        token
        for event in said
        if isinstance(event, TextDelta | ReasoningDelta | CallStart | CallDelta)
        for token in event.tokens
    )
