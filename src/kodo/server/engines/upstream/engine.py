"""The upstream engine: asks one of the servers behind a model's name, streamed, and says what it says.

Token counts before the answer are the server's own where it has a tokenizer to ask, else estimates (four characters a
token); those in ``Finished`` are the server's own where it reports them. A partial answer cannot be continued there:
``card().continues`` is False. Another server is asked only while nothing of the answer was handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from kodo.server.engines.upstream.chat_request import UpstreamRequest
from kodo.server.engines.upstream.pool import Pool
from kodo.server.engines.upstream.target import Target, TargetAnswer, TargetOptions
from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, ServiceError
from kodo.server.lifecycle.ports import (
    EngineEvent,
    Finished,
    ModelCard,
    Prepared,
    Prompt,
    Routed,
    TargetStats,
)

CHARACTERS_PER_TOKEN: Final = 4
DEFAULT_WINDOW: Final = 128_000
TARGET_KEY: Final = "kodo.target"
"""Metadata key: the name of the server that answered, where there are several."""
FAILOVERS_KEY: Final = "kodo.failovers"
"""Metadata key: the servers that failed before, with why."""


class UpstreamEngine:
    """An :class:`~kodo.server.lifecycle.ports.Engine` over one server or more."""

    def __init__(
        self,
        targets: Sequence[TargetOptions],
        *,
        window: int | None = None,
        images: bool | None = None,
        parallel: int | None = None,
    ) -> None:
        """``window``, ``images``: None asks the server.

        Raises:
            ValueError: no target is given, two have a name, or a URL or profile is wrong.
        """
        if not targets or len({target.name for target in targets}) != len(targets):
            raise ValueError("an upstream model needs at least one target, each with a name of its own")
        origin = f"{targets[0].model}@{targets[0].base_url.rstrip('/')}"
        self._pool = Pool([Target(options, origin) for options in targets])
        self._first = self._pool.targets[0]
        self._window = window
        self._images = images
        self._parallel = parallel or 16 * len(targets)
        self._stopped = False

    @property
    def restarts(self) -> int:
        """Never: the servers are somebody else's."""
        return 0

    @property
    def ready(self) -> bool:
        """Whether a server works, as far as is known: those that failed are asked until they do."""
        return not self._stopped and self._pool.ready

    async def start(self) -> None:
        """Ask the servers what they are. One that is not there yet may be when it is asked for an answer."""
        await asyncio.gather(*(target.identify() for target in self._pool.targets))

    async def stop(self) -> None:
        """Close the connections."""
        self._stopped = True
        await self._pool.close()
        for target in self._pool.targets:
            await target.close()

    async def card(self) -> ModelCard:
        """The limits of the settings, else what the server says, else usual ones."""
        known = [target.identity for target in self._pool.targets if target.identity.reached]
        windows = [identity.window for identity in known if identity.window is not None]
        window = self._window or min(windows, default=DEFAULT_WINDOW)
        sees = [identity.images for identity in known if identity.images is not None]
        images = self._images if self._images is not None else all(sees) and self._first.profile.images
        return ModelCard(
            name=self._first.options.model,
            engine="upstream",
            context_window=window,
            max_output_tokens=window,
            parallel=self._parallel,
            images=images,
            files=self._first.profile.files or self._first.options.api == "responses",
            reasoning=True,
            continues=False,
            source=self._first.host,
        )

    async def prepare(self, prompt: Prompt) -> Prepared:
        """Translate the prompt, and count its tokens or estimate them."""
        target = self._first
        if target.options.profile == "auto" and not target.identity.reached:
            await target.identify()
        request = target.request(prompt)
        items = tuple(_estimate(context.item) for context in prompt.items)
        tools = _estimate(request.body["tools"]) if "tools" in request.body else 0
        head = -(-len(prompt.instructions or "") // CHARACTERS_PER_TOKEN)
        total = head + tools + sum(items)
        counted = await target.count(request)
        if counted is not None and total:
            items = tuple(tokens * counted // total for tokens in items)
            total = counted
        return Prepared(
            prompt=prompt,
            input_tokens=total,
            item_tokens=items,
            unenforced=request.unenforced,
            payload=(target, request),
        )

    async def generate(
        self, prepared: Prepared, *, events_so_far: Sequence[EngineEvent] = (), limit: int | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Generate an answer; see the port. A partial answer cannot be continued."""
        if events_so_far:
            raise EngineFailed("This model's server cannot continue an interrupted answer.")
        caps = [cap for cap in (limit, prepared.prompt.max_output_tokens) if cap is not None]
        cap = min(caps) if caps else None
        several = len(self._pool.targets) > 1
        affinity = _affinity(prepared.prompt) if several else b""
        failures: dict[str, ServiceError] = {}
        while True:
            target = self._pool.choose(affinity, failures)
            if target is None:
                raise _last(list(failures.values()))
            begun = False
            answer: TargetAnswer | None = None
            target.in_flight += 1
            try:
                request = self._request(target, prepared)
                answer = target.answer(prepared.prompt, request, cap=cap, estimate=prepared.input_tokens)
                while (batch := await answer.next_batch()) is not None:
                    if not begun:
                        begun = True
                        if several:
                            yield Routed(metadata=_metadata(target, failures))
                    if isinstance(batch[-1], Finished):
                        self._pool.succeeded(target)  # the reader need not come back after it
                    for event in batch:
                        yield event
            except ServiceError as error:
                if not self._pool.failed(target, error) or begun:
                    raise
                failures[target.name] = error
                continue
            finally:
                target.in_flight -= 1
                if answer is not None:
                    answer.close()
            return

    async def embed(self, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """The server's embeddings; the next server is asked where one fails."""
        failures: dict[str, ServiceError] = {}
        while (target := self._pool.choose(b"", failures)) is not None:
            try:
                answer = await target.embed(texts)
            except ServiceError as error:
                if not self._pool.failed(target, error):
                    raise
                failures[target.name] = error
                continue
            self._pool.succeeded(target)
            return answer
        raise _last(list(failures.values()))

    def target_stats(self) -> Sequence[TargetStats]:
        """See :class:`~kodo.server.lifecycle.ports.HasTargets`."""
        return self._pool.collect()

    @staticmethod
    def _request(target: Target, prepared: Prepared) -> UpstreamRequest:
        made_for: Target
        request: UpstreamRequest
        made_for, request = prepared.payload
        same = made_for.profile is target.profile and made_for.options.model == target.options.model
        alike = same and (made_for.options.body, made_for.options.omit, made_for.options.api) == (
            target.options.body,
            target.options.omit,
            target.options.api,
        )
        return request if alike else target.request(prepared.prompt)


def _affinity(prompt: Prompt) -> bytes:
    """What turns of one chain have in common: the cache key, else the instructions and the first item."""
    if prompt.cache.key is not None:
        return prompt.cache.key.encode()
    first = b"".join(
        msgspec.json.encode(msgspec.structs.replace(context.item, id="")) for context in prompt.items[:1]
    )
    return (prompt.instructions or "").encode() + first


def _metadata(target: Target, failures: dict[str, ServiceError]) -> dict[str, str]:
    metadata = {TARGET_KEY: target.name}
    if failures:
        why = "; ".join(f"{name}: {error.message}" for name, error in failures.items())
        metadata[FAILOVERS_KEY] = why[:512]
    return metadata


def _last(errors: Sequence[ServiceError]) -> ServiceError:
    """The error for a request that no server took: the one that a retry helps first."""
    if not errors:
        return EngineUnavailable("The model's server cannot be reached.")
    return min(errors, key=lambda error: getattr(error, "retry_after", float("inf")))


def _estimate(value: object) -> int:
    return -(-len(msgspec.json.encode(value)) // CHARACTERS_PER_TOKEN)
