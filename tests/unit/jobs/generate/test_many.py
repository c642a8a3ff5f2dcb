"""generate_batch: order, failures in their place, limits, and a server that pushes back."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pytest

import kodo
from kodo.client.errors import BudgetExceededError, RequestRefusedError
from kodo.client.retry import RetryPolicy
from kodo.client.testing import FakeResponses, ReceivedRequest, Reply, refusal


def test_answers_are_in_the_order_of_the_prompts() -> None:
    """A slow first prompt does not come last."""

    def reply(seen: ReceivedRequest) -> Reply:
        return Reply(delay=0.2 if seen.body["input"] == "prompt 0" else 0.0)

    with FakeResponses(reply) as server, kodo.Session(base_url=server.base_url) as session:
        answers = kodo.generate_batch([f"prompt {number}" for number in range(30)], session=session)
        assert session.ledger.query("SELECT DISTINCT job FROM calls") == [("generate_batch",)]
    assert [answer.text for answer in answers if isinstance(answer, kodo.Answer)] == [
        f"prompt {number}" for number in range(30)
    ]


def test_a_failure_stands_in_its_place_and_stops_nothing() -> None:
    """Every third prompt is refused: its error is at its index, the others are answered."""

    def reply(seen: ReceivedRequest) -> Reply:
        return refusal(400, "invalid_prompt") if int(seen.body["input"]) % 3 == 0 else Reply()

    with FakeResponses(reply) as server, kodo.Session(base_url=server.base_url) as session:
        results = kodo.generate_batch([str(number) for number in range(20)], session=session)
    for number, result in enumerate(results):
        assert isinstance(result, RequestRefusedError if number % 3 == 0 else kodo.Answer), number


def test_nothing_in_nothing_out() -> None:
    """No prompts are no calls."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        assert kodo.generate_batch([], session=session) == []


def test_no_more_than_the_most_are_in_flight() -> None:
    """The server never sees more at once than max_concurrency."""
    lock = threading.Lock()
    inside = most = 0

    def reply(_: ReceivedRequest) -> Reply:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.01)
        with lock:
            inside -= 1
        return Reply()

    with FakeResponses(reply) as server, kodo.Session(base_url=server.base_url) as session:
        kodo.generate_batch(["x"] * 60, max_concurrency=5, session=session)
    assert 1 < most <= 5


def test_a_server_that_pushes_back_is_answered_whole_and_charged_once() -> None:
    """Every call is refused once with 429: all are answered in the end, and each is charged once."""
    lock = threading.Lock()
    seen_before: set[str] = set()

    def reply(seen: ReceivedRequest) -> Reply:
        prompt = str(seen.body["input"])
        with lock:
            first = prompt not in seen_before
            seen_before.add(prompt)
        return refusal(429, "rate_limit_exceeded", retry_after_ms="1") if first else Reply(text="ok")

    with FakeResponses(reply) as server:
        with kodo.Session(base_url=server.base_url, free=False, retry=RetryPolicy(3, 0.001, 0.01)) as session:
            results = kodo.generate_batch([f"p{number}" for number in range(40)], session=session)
            assert session.spent == sum((r.usd for r in results if isinstance(r, kodo.Answer)), Decimal(0))
    assert all(isinstance(result, kodo.Answer) for result in results)
    assert len(server.posts) == 80


def test_a_budget_that_ends_leaves_errors_for_the_rest() -> None:
    """What does not fit is an error in its place; what was answered stays under the limit."""
    budget = kodo.Budget(run=Decimal("0.001"))
    with FakeResponses() as server:
        with kodo.Session(base_url=server.base_url, free=False, budget=budget) as session:
            results = kodo.generate_batch(["hello"] * 300, max_output_tokens=30, session=session)
            assert session.spent <= Decimal("0.001")
    refused = [result for result in results if isinstance(result, BudgetExceededError)]
    assert refused
    assert len(server.posts) == len(results) - len(refused)


async def test_the_async_twin_keeps_requests_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 5 a minute the sixth waits: only five have begun when the loop is first idle."""
    with FakeResponses() as server:
        async with kodo.aio.Session(base_url=server.base_url) as session:
            task = asyncio.create_task(
                kodo.aio.generate_batch(["x"] * 8, requests_per_minute=5, session=session)
            )
            while len(server.posts) < 5:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert len(server.posts) == 5
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_inside_a_loop_the_results_are_awaited() -> None:
    """generate_batch in async code is a coroutine, and its list is in the order of the prompts."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        results = await kodo.generate_batch(["one", "two"], session=session)
        assert [str(result) for result in results] == ["one", "two"]


def test_the_results_can_be_run_as_a_coroutine() -> None:
    """asyncio.run(generate_batch(...)) is the same as the call alone."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        results = asyncio.run(kodo.generate_batch(["one", "two"], session=session))
        assert [str(result) for result in results] == ["one", "two"]


def test_a_prompt_that_cannot_be_sent_is_a_failure_in_its_place() -> None:
    """An empty prompt stops no other."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        results = kodo.generate_batch(["one", "", "three"], session=session)
        assert [isinstance(result, kodo.KodoError) for result in results] == [False, True, False]
