"""The public types, checked by mypy (strict) and never run. A change that breaks a caller's types fails here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Iterator
from decimal import Decimal
from typing import Any, assert_type

import kodo
from kodo import aio
from kodo.client.async_session import AsyncSession
from kodo.client.errors import KodoError
from kodo.client.stream import AsyncTextStream, TextStream
from kodo.jobs.generate.many import BatchResults
from kodo.jobs.job import Rejected, Result, Verified


@kodo.retry_with_backoff(max_retries=5, base_delay=1.0, max_delay=60.0, retryable_exceptions=(OSError,))
def plain(number: int, *, name: str = "") -> str:
    return name * number


@aio.retry_with_backoff()
async def awaited(number: int) -> bytes:
    return bytes(number)


def decorated() -> None:
    assert_type(plain(1, name="x"), str)
    assert_type(awaited(1), Coroutine[Any, Any, bytes]).close()
    assert_type(kodo.exponential_backoff_retry(lambda: 3), int)
    plain("1")  # type: ignore[arg-type] # the decorator keeps the parameters


async def one_call() -> None:
    async def ask() -> float:
        return 1.0

    assert_type(await aio.exponential_backoff_retry(ask), float)


def sync_calls() -> None:
    with kodo.Session(base_url="http://server/v1", budget=kodo.Budget(day=Decimal(1))) as session:
        assert_type(session, kodo.Session)
        answer = session.respond("hi", temperature=0.5, text_format={"type": "object"}, job="mine")
        assert_type(answer, kodo.Answer)
        assert_type(answer.usage, kodo.Usage)
        assert_type(answer.usd, Decimal)
        assert_type(session.stream("hi"), TextStream)
        assert_type(session.estimate("hi"), kodo.Estimate)
        assert_type(kodo.generate_code("x", language="python", session=session), str)
        assert_type(kodo.generate_code_stream("x"), Iterator[str])
        assert_type(kodo.generate_batch(["a", [{"role": "user", "content": "b"}]]), BatchResults)
        chat = kodo.Chat.resume(session, "name")
        assert_type(chat, kodo.Chat)
        assert_type(chat.say("x"), kodo.Answer)
        assert_type(chat.stream("x"), Iterator[str])
        assert_type(chat.undo(), kodo.Turn | None)
        session.respond("hi", temprature=1)  # type: ignore[call-arg] # options are checked by name
        session.respond("hi", store="yes")  # type: ignore[arg-type] # and by type
        kodo.Chat(AsyncSession())  # type: ignore[arg-type] # the async chat is aio.Chat


async def async_calls() -> None:
    async with aio.Session(base_url="http://server/v1") as session:
        assert_type(session, AsyncSession)
        assert_type(await session.respond("hi", temperature=0.5), kodo.Answer)
        assert_type(await session.stream("hi"), AsyncTextStream)
        assert_type(await session.estimate("hi"), kodo.Estimate)
        assert_type(await aio.generate_code("x", session=session), str)
        assert_type(aio.generate_code_stream("x"), AsyncGenerator[str, None])
        assert_type(await aio.generate_batch(["a"]), list[kodo.Answer | KodoError])
        assert_type(await aio.Chat(session).say("x"), kodo.Answer)


def accounts() -> None:
    tracker = kodo.UsageTracker()
    assert_type(tracker.get_estimated_cost(), float)
    assert_type(tracker.list_price(), Decimal)
    assert_type(tracker.table(), str)
    tracker.add_usage(10, 20)
    tracker.add_usage(kodo.Usage(), "m")
    assert_type(kodo.review_code("x = 1", "python"), str)
    assert_type(kodo.generate_tests("x = 1", "pytest"), str)
    assert_type(kodo.PriceBook(unknown="refuse").charge("m", kodo.Usage(), free=False), kodo.Cost)
    with kodo.Ledger() as ledger:
        assert_type(ledger.spent("day", "2026-11-23"), Decimal)
        ledger.spent("week", "x")  # type: ignore[arg-type] # the scopes are a closed set


def results(result: Result[int]) -> int | str:
    if isinstance(result, Rejected):
        return result.reason
    assert_type(result, Verified[int])
    return result.map(str).value
