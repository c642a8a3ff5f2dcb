"""``generate_batch``: many prompts at once, answers in order, as many in flight as the server takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Unpack

from kodo.client import request_plan
from kodo.client.answer import Answer
from kodo.client.async_session import AsyncSession
from kodo.client.errors import KodoError
from kodo.client.request_plan import CallOptions, Input
from kodo.client.session import Session
from kodo.client.throttle import Throttle

ASSUMED_OUTPUT_TOKENS = 256
"""What a call without ``max_output_tokens`` counts against a limit of tokens a minute until its usage is known."""


def generate_batch(
    prompts: Sequence[Input],
    *,
    max_concurrency: int = 64,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    session: Session | None = None,
    **options: Unpack[CallOptions],
) -> list[Answer | KodoError]:
    """One answer a prompt, in the order of the prompts; where a call failed, its error stands in its place.

    A failure never stops the others. Calls are retried as the session does; how many are in flight adapts to rate
    limits and to whether more of them finish more (``kodo.client.throttle``). All prompts and answers are in memory:
    for files of many thousands there is ``kodo batch run``.

    Args:
        prompts: prompts, or lists of input items.
        max_concurrency: most calls in flight.
        requests_per_minute, tokens_per_minute: kept over every 60 seconds; None is no limit.
        session: the session to use; default: a new one for this call.
        options: for every call.

    Raises:
        RuntimeError: called where an event loop runs; use ``kodo.aio.generate_batch`` there.
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

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    raise RuntimeError("an event loop is running here: await kodo.aio.generate_batch instead")


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
