"""The throttle: concurrency that adapts, and limits a minute, on a clock of the test's own."""

from __future__ import annotations

import asyncio

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.retry import RetryEvent
from kodo.client.throttle import WINDOW, AdaptiveLimit, MinuteLimit, Throttle


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def serve(limit: AdaptiveLimit, clock: Clock, slots: int, rounds: int, seconds: float = 1.0) -> list[int]:
    """A server that works on `slots` calls at once; what the limit was after each round."""
    seen = []
    for _ in range(rounds):
        calls = limit.limit
        for _ in range(calls):
            clock.now += seconds / min(calls, slots)
            limit.record_success(saturated=True)
        seen.append(limit.limit)
    return seen


@pytest.mark.parametrize("slots", [1, 4, 16, 40])
def test_it_settles_at_what_the_server_can_do_at_once(slots: int) -> None:
    """With more calls than slots nothing finishes sooner: the limit ends at or just above the slots, never below."""
    clock = Clock()
    limit = AdaptiveLimit(start=4, maximum=64, clock=clock)
    serve(limit, clock, slots, 40)
    last = serve(limit, clock, slots, 60)
    assert min(last) >= slots
    assert sum(last) / len(last) <= max(2 * slots, 6)


def test_it_grows_while_more_calls_finish_more() -> None:
    """A server without limits is used up to the maximum, in a few rounds."""
    clock = Clock()
    limit = AdaptiveLimit(start=4, maximum=64, clock=clock)
    assert serve(limit, clock, 10_000, 6)[-1] == 64


def test_a_rate_limit_halves_once_for_calls_of_the_same_moment() -> None:
    """Ten 429s to calls that were under way together are one piece of news."""
    clock = Clock()
    limit = AdaptiveLimit(start=32, maximum=64, clock=clock)
    began = clock.now
    clock.now += 1
    for _ in range(10):
        limit.back_off(began)
    assert limit.limit == 16
    clock.now += 1
    limit.back_off(clock.now)
    assert limit.limit == 8


@given(st.lists(st.one_of(st.booleans(), st.none()), max_size=300))
def test_the_limit_stays_in_its_bounds(events: list[bool | None]) -> None:
    """Whatever happens, it is between 1 and the maximum."""
    clock = Clock()
    limit = AdaptiveLimit(start=3, maximum=9, clock=clock)
    for event in events:
        clock.now += 0.1
        if event is None:
            limit.back_off(clock.now)
        else:
            limit.record_success(saturated=event)
        assert 1 <= limit.limit <= 9


@given(
    units=st.integers(1, 50),
    wishes=st.lists(st.tuples(st.integers(1, 60), st.floats(0, 30)), min_size=1, max_size=60),
)
def test_no_window_of_sixty_seconds_holds_more_than_the_limit(
    units: int, wishes: list[tuple[int, float]]
) -> None:
    """Over every 60 seconds at most the limit begins, or one request that is larger by itself."""
    clock = Clock()
    limit = MinuteLimit(units, clock)
    begun: list[tuple[float, int]] = []
    for wanted, pause in wishes:
        clock.now += pause
        while wait := limit.wait(wanted):
            clock.now += wait
        limit.take(wanted)
        begun.append((clock.now, wanted))
    for start, _ in begun:
        inside = [count for moment, count in begun if start <= moment < start + WINDOW]
        assert sum(min(count, units) for count in inside) <= units or len(inside) == 1


def test_what_was_not_used_is_given_back() -> None:
    """Tokens set aside and not used make room again."""
    clock = Clock()
    limit = MinuteLimit(100, clock)
    limit.take(90)
    assert limit.wait(50) > 0
    limit.take(-80)
    assert limit.wait(50) == 0


async def test_never_more_in_flight_than_allowed_and_first_come_first_served() -> None:
    """Slots are given in the order of asking, and never more than the limit at once."""
    throttle = Throttle(maximum=3, start=3)
    order: list[int] = []
    most = 0

    async def call(number: int) -> None:
        nonlocal most
        async with throttle.slot() as slot:
            order.append(number)
            most = max(most, throttle.in_flight)
            await asyncio.sleep(0)
            slot.used()

    await asyncio.gather(*(call(number) for number in range(50)))
    assert order == list(range(50))
    assert most == 3
    assert throttle.in_flight == 0


async def test_a_failed_call_gives_its_slot_back() -> None:
    """An exception inside a slot frees it."""
    throttle = Throttle(maximum=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with throttle.slot():
                raise ZeroDivisionError
    assert throttle.in_flight == 0


async def test_it_learns_from_the_retries_of_a_session() -> None:
    """429s, 503s and time-outs push back; other failures do not."""
    request = httpx2.Request("POST", "http://server")

    def event(error: Exception) -> RetryEvent:
        return RetryEvent("x", 1, 0.1, 0.0, error)

    for error, expected in [
        (openai.RateLimitError("x", response=httpx2.Response(429, request=request), body=None), 4),
        (openai.APITimeoutError(request=request), 4),
        (openai.InternalServerError("x", response=httpx2.Response(500, request=request), body=None), 8),
    ]:
        throttle = Throttle(maximum=8, start=8)
        throttle.on_retry(event(error))
        assert throttle.adaptive.limit == expected
