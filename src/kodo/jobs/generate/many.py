"""``generate_batch``: many prompts in parallel, answers in order, as many in flight as the server accepts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from kodo.client import request_plan
from kodo.client.answer import Answer
from kodo.client.async_session import AsyncSession
from kodo.client.errors import KodoError
from kodo.client.request_plan import CallOptions, Input
from kodo.client.session import Session
from kodo.client.throttle import Throttle

ASSUMED_OUTPUT_TOKENS = 256
"""What a call without ``max_output_tokens`` counts against a limit of tokens a minute until its usage is known."""


class BatchResults(list[Answer | KodoError], Coroutine[Any, Any, "BatchResults"]):
    """A list of results that may also be awaited, so that ``await generate_batch(prompts)`` and
    ``asyncio.run(generate_batch(prompts))`` work as they do with a coroutine function.

    Made where an event loop runs, it is empty until it is awaited, which then runs the calls; made elsewhere, it is
    complete.
    """

    def __init__(self, work: Coroutine[Any, Any, list[Answer | KodoError]] | None = None) -> None:
        super().__init__()
        self._work = work
        self._running: Coroutine[Any, Any, BatchResults] | None = None

    def __await__(self) -> Generator[Any, Any, Self]:
        return self._run().__await__()

    async def _run(self) -> Self:
        if self._work is not None:
            work, self._work = self._work, None
            self[:] = await work
        return self

    def send(self, value: Any, /) -> Any:
        """Run to the next pause, as a coroutine does; for ``asyncio.run``."""
        return self._step(lambda running: running.send(value))

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None, /) -> Any:
        """Raise an exception where the calls pause."""
        return self._step(lambda running: running.throw(kind if value is None else value))

    def _step(self, step: Callable[[Coroutine[Any, Any, BatchResults]], Any]) -> Any:
        self._running = self._running or self._run()
        try:
            return step(self._running)
        except BaseException:  # it ended: by StopIteration where it came to its end
            self._running = None
            raise

    def close(self) -> None:
        """End without running further."""
        for one in (self._running, self._work):
            if one is not None:
                one.close()


def generate_batch(
    prompts: Sequence[Input],
    *,
    max_concurrency: int = 64,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    session: Session | None = None,
    **options: Unpack[CallOptions],
) -> BatchResults:
    """One answer a prompt, in the order of the prompts; where a call failed, its error stands in its place.

    A failure never stops the others. Calls are retried as the session does; how many are in flight adapts to rate
    limits and to whether more of them finish more (``kodo.client.throttle``). All prompts and answers are in memory:
    for files of many thousands there is ``kodo batch run``.

    Args:
        prompts: prompts, or lists of input items.
        max_concurrency: most calls in flight.
        requests_per_minute, tokens_per_minute: kept over every 60 seconds; None means unlimited.
        session: the session to use; default: a new one for this call.
        options: for every call.

    Returns:
        The results. Where an event loop runs they come with ``await``, as from ``kodo.aio.generate_batch``.
    """

    async def run() -> list[Answer | KodoError]:
        made = AsyncSession() if session is None else await asyncio.to_thread(AsyncSession.sharing, session)
        async with made:
            return await generate_batch_async(
                prompts,
                max_concurrency=max_concurrency,
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
                session=made,
                **options,
            )

    results = BatchResults(run())
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(results)
    return results


async def generate_batch_async(
    prompts: Sequence[Input],
    *,
    max_concurrency: int = 64,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    session: AsyncSession | None = None,
    **options: Unpack[CallOptions],
) -> list[Answer | KodoError]:
    """As :func:`generate_batch`, awaited. Public as ``kodo.aio.generate_batch``."""
    if session is None:
        async with AsyncSession() as made:
            return await generate_batch_async(
                prompts,
                max_concurrency=max_concurrency,
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
                session=made,
                **options,
            )
    asked: CallOptions = {"job": "generate_batch", **options}
    throttle = Throttle(
        maximum=max_concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    expected = _estimate_tokens(asked)
    results: list[Answer | KodoError] = [KodoError("not sent")] * len(prompts)
    todo = iter(enumerate(prompts))

    async def work() -> None:
        for index, prompt in todo:
            read = sum(request_plan.guess_tokens(text) for text in request_plan.texts(prompt))
            async with throttle.slot(read + expected) as slot:
                try:
                    answer = await session.respond(prompt, **asked)
                except KodoError as error:
                    results[index] = error
                except ValueError as error:  # a prompt that cannot be sent, such as an empty one
                    results[index] = KodoError(str(error))
                else:
                    slot.used(answer.usage.total_tokens if answer.usage_known else None)
                    results[index] = answer

    with session.listening(throttle.on_retry):
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max_concurrency, len(prompts))):
                group.create_task(work())
    return results


def _estimate_tokens(options: CallOptions) -> int:
    """About how many tokens a call uses besides its prompt."""
    fixed: Iterable[str] = request_plan.texts(options.get("instructions") or "")
    return sum(map(request_plan.guess_tokens, fixed)) + (
        options.get("max_output_tokens") or ASSUMED_OUTPUT_TOKENS
    )
