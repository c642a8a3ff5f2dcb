"""The retry policy: what is retried, how long it waits, how often it is asked."""

from __future__ import annotations

import asyncio
import functools
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.retry import (
    RetryEvent,
    RetryPolicy,
    exponential_backoff_retry,
    is_retryable,
    retry_with_backoff,
    server_delay,
)

REQUEST = httpx2.Request("POST", "http://server/v1/responses")


def failure(status: int, code: str | None = None, **headers: str) -> openai.APIStatusError:
    """The SDK's error for an HTTP status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=named, request=REQUEST)
    kind = {429: openai.RateLimitError, 400: openai.BadRequestError}.get(status, openai.APIStatusError)
    return kind("failed", response=response, body={"code": code})


class Flaky:
    """Fails with the given errors in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_rate_limits_timeouts_and_server_errors_are_retried(status: int) -> None:
    """408, 429 and every 5xx may be tried again."""
    assert is_retryable(failure(status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_the_callers_own_faults_are_not_retried(status: int) -> None:
    """Other 4xx are not tried again."""
    assert not is_retryable(failure(status))


@pytest.mark.parametrize(
    "error",
    [
        failure(400, x_should_retry="true"),
        failure(401, x_should_retry="true"),
        failure(404, x_should_retry="true"),
        failure(429, "insufficient_quota", x_should_retry="true"),
    ],
)
def test_no_header_makes_the_never_list_retryable(error: Exception) -> None:
    """400, 401, 404 and insufficient_quota are never retried, whatever a header says."""
    assert not is_retryable(error)


def test_x_should_retry_adds_and_forbids() -> None:
    """x-should-retry true adds a status, false takes one away."""
    assert is_retryable(failure(409, x_should_retry="true"))
    assert not is_retryable(failure(503, x_should_retry="false"))


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=REQUEST),
        openai.APITimeoutError(request=REQUEST),
        httpx2.ReadTimeout("slow"),
        httpx2.RemoteProtocolError("cut"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_broken_connections_and_timeouts_are_retried(error: Exception) -> None:
    """Transport errors of the SDK, of the HTTP client and of Python may be tried again."""
    assert is_retryable(error)


def test_other_exceptions_are_not_retried() -> None:
    """A fault of the program is raised at once."""
    flaky = Flaky(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        RetryPolicy(base_delay=0).call("test", flaky)
    assert flaky.calls == 1


def test_retry_after_ms_wins_over_retry_after() -> None:
    """retry-after-ms is read before retry-after."""
    assert server_delay(failure(429, retry_after_ms="250", retry_after="9")) == 0.25


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    """retry-after may be a number of seconds or an HTTP date."""
    assert server_delay(failure(429, retry_after="1.5")) == 1.5
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    asked = server_delay(failure(429, retry_after=date))
    assert asked is not None
    assert 0 < asked <= 40


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "soon", "Mon, 01 Jan 2001 00:00:00 GMT", ""])
def test_a_delay_that_makes_no_sense_is_ignored(text: str) -> None:
    """No number, none above zero, a date gone by: the usual back-off is used."""
    assert server_delay(failure(429, retry_after=text)) is None


@given(
    retry=st.integers(1, 2000),
    base=st.floats(0, 100),
    cap=st.floats(0, 1000),
    seed=st.integers(0, 2**32),
)
def test_full_jitter_stays_in_its_bounds(retry: int, base: float, cap: float, seed: int) -> None:
    """The pause before retry n is between 0 and min(cap, base * 2**(n-1)), also far beyond a float's exponent."""
    policy = RetryPolicy(base_delay=base, max_delay=cap, random=random.Random(seed))
    bound = cap if retry > 200 and base > 0 else min(cap, base * 2.0 ** min(retry - 1, 900))
    assert 0 <= policy.delay(retry, ConnectionError()) <= bound * (1 + 1e-9)


def test_full_jitter_uses_the_whole_range() -> None:
    """Pauses are spread over the range, not bunched at its end."""
    policy = RetryPolicy(base_delay=1, max_delay=8, random=random.Random(1))
    drawn = [policy.delay(4, ConnectionError()) for _ in range(2000)]
    assert min(drawn) < 0.1
    assert max(drawn) > 7.9
    assert 3.7 < sum(drawn) / len(drawn) < 4.3


@given(asked=st.floats(0.001, 100), seed=st.integers(0, 2**32))
def test_a_servers_wish_is_never_undercut(asked: float, seed: int) -> None:
    """What the server asked for is waited in full, and at most a second and a tenth longer."""
    policy = RetryPolicy(random=random.Random(seed))
    delay = policy.delay(1, failure(429, retry_after_ms=repr(asked * 1000)))
    assert asked * (1 - 1e-9) <= delay <= asked + min(1.0, asked / 10) + 1e-9


def test_retries_end_after_max_retries_and_raise_the_last_error() -> None:
    """With max_retries=2 a function that always fails is called three times."""
    last = failure(503)
    flaky = Flaky(failure(500), failure(502), last, failure(504))
    with pytest.raises(openai.APIStatusError) as caught:
        RetryPolicy(max_retries=2, base_delay=0).call("test", flaky)
    assert caught.value is last
    assert flaky.calls == 3


def test_no_attempt_begins_after_the_deadline() -> None:
    """A pause that would end after the deadline is not begun."""
    flaky = Flaky(failure(429, retry_after="5"))
    with pytest.raises(openai.RateLimitError):
        RetryPolicy(deadline=1.0).call("test", flaky)
    assert flaky.calls == 1


def test_a_server_that_asks_for_too_long_is_not_waited_for() -> None:
    """Beyond max_server_delay the error is raised at once."""
    flaky = Flaky(failure(429, retry_after="121"))
    with pytest.raises(openai.RateLimitError):
        RetryPolicy().call("test", flaky)
    assert flaky.calls == 1


def test_hooks_hear_of_every_pause() -> None:
    """A hook gets the attempt, the pause, and the error, once a retry and not for the last failure."""
    heard: list[RetryEvent] = []
    policy = RetryPolicy(max_retries=2, base_delay=0.001, on_retry=(heard.append,))
    with pytest.raises(openai.APIStatusError):
        policy.call("job", Flaky(*[failure(500) for _ in range(5)]))
    assert [(event.name, event.attempt) for event in heard] == [("job", 1), ("job", 2)]
    assert all(0 <= event.delay <= 0.002 for event in heard)


def test_the_decorator_keeps_name_arguments_and_result() -> None:
    """A decorated function is called with its arguments and returns its own result."""
    calls: list[int] = []

    @retry_with_backoff(base_delay=0.0)
    def double(number: int) -> int:
        """Twice."""
        calls.append(number)
        if len(calls) < 3:
            raise ConnectionError
        return 2 * number

    assert double(4) == 8
    assert calls == [4, 4, 4]
    assert double.__doc__ == "Twice."


async def test_the_decorator_awaits_coroutine_functions() -> None:
    """A coroutine function stays one and is retried between awaits."""
    flaky = Flaky(TimeoutError(), failure(500))

    @retry_with_backoff(base_delay=0.0)
    async def ask() -> str:
        await asyncio.sleep(0)
        return flaky()

    assert await ask() == "answer"
    assert flaky.calls == 3


def test_generators_are_refused() -> None:
    """A generator has no single moment of failure, so decorating one is a TypeError."""
    with pytest.raises(TypeError, match="generator"):

        @retry_with_backoff()
        def numbers() -> object:
            yield 1


def test_given_exceptions_replace_the_list_but_not_the_never_list() -> None:
    """retryable_exceptions chooses by type; a 404 of a chosen type is still not retried."""
    flaky = Flaky(KeyError("a"), KeyError("b"))
    assert exponential_backoff_retry(flaky, base_delay=0.0, retryable_exceptions=(KeyError,)) == "answer"
    gone = Flaky(failure(404))
    with pytest.raises(openai.APIStatusError):
        exponential_backoff_retry(gone, base_delay=0.0, retryable_exceptions=(openai.APIStatusError,))
    assert gone.calls == 1
    refused = Flaky(ConnectionError())
    with pytest.raises(ConnectionError):
        exponential_backoff_retry(refused, base_delay=0.0, retryable_exceptions=(KeyError,))
    assert refused.calls == 1


async def test_one_call_form_takes_partials_objects_and_coroutines() -> None:
    """exponential_backoff_retry works on callables without a name, and returns what a coroutine function returns."""
    flaky = Flaky(ConnectionError())
    assert exponential_backoff_retry(functools.partial(flaky), base_delay=0.0) == "answer"

    async def ask(text: str) -> str:
        return text + flaky()

    flaky.errors.append(ConnectionError())
    assert await exponential_backoff_retry(functools.partial(ask, "an "), base_delay=0.0) == "an answer"


@pytest.mark.parametrize(
    "wrong", [{"max_retries": -1}, {"base_delay": -1.0}, {"max_delay": float("nan")}, {"deadline": -1.0}]
)
def test_arguments_out_of_range_are_named(wrong: dict[str, float]) -> None:
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_without_jitter_pauses_are_the_bounds() -> None:
    """jitter=False doubles exactly, up to the cap."""
    policy = RetryPolicy(base_delay=1.0, max_delay=5.0, jitter=False)
    assert [policy.delay(retry, ConnectionError()) for retry in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 5.0]
