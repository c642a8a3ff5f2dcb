"""When a failed call is made again, and after how long. Knows nothing of sessions or ledgers.

Delays are exponential with full jitter: before retry *n* (from 1) the pause is drawn evenly from
``0 … min(max_delay, base_delay * 2**(n-1))`` seconds (M. Brooker, "Exponential Backoff and Jitter", 2015). A server
that says how long to wait (``retry-after-ms``, else ``retry-after`` in seconds or as an HTTP date) is waited for that
long, and up to a tenth (at most a second) longer so that many clients do not come back in the same instant.

Retried: 408, 429, 5xx, time-outs, broken or refused connections. ``x-should-retry: true`` adds other statuses,
``false`` forbids. Never retried, whatever a header says: 400, 401, 404 and the code ``insufficient_quota``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import wraps
from typing import ParamSpec, TypeVar, cast

# Retries are logged for programs that configured logging; the others learn of them from hooks, not from a bare line
# on stderr by Python's handler of last resort.
_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())

P = ParamSpec("P")
T = TypeVar("T")

NEVER_RETRIED = frozenset({400, 401, 404})
"""Statuses that are not retried even if a header asks for it."""


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """What a hook is told before a pause: the attempt that failed (from 1), the pause and time gone in seconds."""

    name: str
    attempt: int
    delay: float
    elapsed: float
    error: Exception


RetryHook = Callable[[RetryEvent], None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently to retry.

    Args:
        max_retries: further attempts after the first.
        base_delay, max_delay: bounds of the drawn pause, in seconds.
        jitter: draw the pause; False: always the upper bound ``min(max_delay, base_delay * 2**(n-1))``.
        deadline: no attempt begins later than this many seconds after the first began; None sets no deadline.
        max_server_delay: a server that asks for a longer wait than this, in seconds, is not retried.
        retryable_exceptions: retry these instead of the list above; an exception with an HTTP status must also
            have one that may be retried.
        on_retry: called before each pause, in order; for messages and metrics. Each retry is also logged, as a
            warning of the logger ``kodo.client.retry``.
    """

    max_retries: int = 5
    base_delay: float = 1.0
    max_delay: float = 60.0
    deadline: float | None = None
    max_server_delay: float = 120.0
    retryable_exceptions: tuple[type[Exception], ...] | None = None
    on_retry: tuple[RetryHook, ...] = ()
    jitter: bool = True
    random: random.Random = field(default_factory=random.SystemRandom, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"max_retries: {self.max_retries} is negative")
        for name in ("base_delay", "max_delay", "max_server_delay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: {value} is not a number of seconds")
        if self.deadline is not None and not self.deadline >= 0:
            raise ValueError(f"deadline: {self.deadline} is not a number of seconds")

    def retries(self, error: Exception) -> bool:
        """Whether this failure may be tried again at all."""
        if self.retryable_exceptions is not None:
            if not isinstance(error, self.retryable_exceptions):
                return False
            return status_of(error) is None or is_retryable(error)
        return is_retryable(error)

    def delay(self, retry: int, error: Exception) -> float:
        """Seconds to wait before retry number ``retry`` (from 1)."""
        asked = server_delay(error)
        if asked is not None:
            return asked + self.random.uniform(0, min(1.0, asked / 10))
        # 2**64 s is beyond any cap; a larger exponent would overflow a float.
        bound = min(self.max_delay, self.base_delay * 2 ** min(retry - 1, 64))
        return self.random.uniform(0, bound) if self.jitter else bound

    def call(self, name: str, func: Callable[[], T]) -> T:
        """Run ``func``, again where the policy says so. The last exception is raised unchanged."""
        attempts = _Attempts(self, name)
        while True:
            try:
                return func()
            except Exception as error:
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
            time.sleep(delay)

    async def acall(self, name: str, func: Callable[[], Awaitable[T]]) -> T:
        """As :meth:`call` for a function that is awaited."""
        attempts = _Attempts(self, name)
        while True:
            try:
                return await func()
            except Exception as error:
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)


class _Attempts:
    """The attempts of one call: counts them and decides about the next."""

    def __init__(self, policy: RetryPolicy, name: str) -> None:
        self.policy, self.name = policy, name
        self.attempt = 0
        self.started_at = time.monotonic()

    def delay_after(self, error: Exception) -> float | None:
        """Seconds to wait before the next attempt, or None where the error is final. Calls the hooks."""
        policy = self.policy
        self.attempt += 1
        if self.attempt > policy.max_retries or not policy.retries(error):
            return None
        if (server_delay(error) or 0.0) > policy.max_server_delay:
            return None
        delay = policy.delay(self.attempt, error)
        elapsed = time.monotonic() - self.started_at
        if policy.deadline is not None and elapsed + delay > policy.deadline:
            return None
        _log.warning("%s: attempt %d failed (%r), retrying in %.2f s", self.name, self.attempt, error, delay)
        for hook in policy.on_retry:
            hook(RetryEvent(self.name, self.attempt, delay, elapsed, error))
        return delay


def status_of(error: BaseException) -> int | None:
    """The HTTP status an exception carries (``status_code``, or its ``response``'s), or None."""
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def header_of(error: BaseException, name: str) -> str | None:
    """A header of the response that an exception carries, or None."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get(name) if headers is not None else None
    return value if isinstance(value, str) else None


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may succeed, by the rules in the module's docstring."""
    status = status_of(error)
    if status is not None:
        if status in NEVER_RETRIED or is_out_of_quota(error):
            return False
        advice = header_of(error, "x-should-retry")
        if advice in ("true", "false"):
            return advice == "true"
        return status in (408, 429) or status >= 500
    return isinstance(error, (ConnectionError, TimeoutError)) or _is_transport_error(error)


def is_out_of_quota(error: BaseException) -> bool:
    """Whether the server says that the account has no quota left (as ``code`` or, on older servers, ``type``)."""
    return "insufficient_quota" in (getattr(error, "code", None), getattr(error, "type", None))


def _is_transport_error(error: BaseException) -> bool:
    """True for connection and time-out errors of the SDK and of HTTP clients, found by name in the class's ancestry.

    By name, because importing the SDK takes a second and a caller that never loaded it cannot raise its errors. The
    SDK wraps everything that its transport raised in an APIConnectionError, programming errors too; so the cause decides.
    """
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
    if ("openai", "APIConnectionError") in names:
        return error.__cause__ is None or is_retryable(error.__cause__)
    return not names.isdisjoint({("httpx2", "TransportError"), ("httpx", "TransportError")})


def server_delay(error: BaseException) -> float | None:
    """Seconds the server asked to wait, or None if absent or invalid."""
    milliseconds = _positive(header_of(error, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = header_of(error, "retry-after")
    seconds = _positive(text)
    if seconds is not None or text is None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    ahead = date.timestamp() - time.time()
    return ahead if ahead > 0 else None


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def retry_with_backoff(
    max_retries: int = 5,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    jitter: bool = True,
    retryable_exceptions: tuple[type[Exception], ...] | None = None,
    *,
    deadline: float | None = None,
    on_retry: tuple[RetryHook, ...] = (),
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator: call the function again when it fails in a way that another try may mend.

    Works on functions and coroutine functions. Arguments are those of :class:`RetryPolicy`; times are in seconds.
    The last exception is raised unchanged. Give an SDK client used inside ``max_retries=0``, or its own retries
    multiply with these.

    Raises:
        ValueError: an argument is out of range.
        TypeError: the function is a generator, which has no single moment of failure.
    """
    policy = RetryPolicy(
        max_retries,
        base_delay,
        max_delay,
        deadline,
        retryable_exceptions=retryable_exceptions,
        on_retry=on_retry,
        jitter=jitter,
    )

    def decorate(func: Callable[P, T]) -> Callable[P, T]:
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"{func.__qualname__}: a generator cannot be retried as a whole")
        name = f"{func.__module__}.{func.__qualname__}"
        if inspect.iscoroutinefunction(func):

            @wraps(func)
            async def aretrying(*args: P.args, **kwargs: P.kwargs) -> object:
                return await policy.acall(name, lambda: func(*args, **kwargs))

            return cast(Callable[P, T], aretrying)

        @wraps(func)
        def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
            return policy.call(name, lambda: func(*args, **kwargs))

        return retrying

    return decorate


def exponential_backoff_retry(
    func: Callable[[], T],
    max_retries: int = 5,
    base_delay: float = 1.0,
    max_delay: float = 60.0,
    jitter: bool = True,
    retryable_exceptions: tuple[type[Exception], ...] | None = None,
    *,
    deadline: float | None = None,
    on_retry: tuple[RetryHook, ...] = (),
) -> T:
    """Call ``func()`` with retries; the result of a coroutine function must be awaited.

    As :func:`retry_with_backoff`, for one call: ``exponential_backoff_retry(lambda: client.responses.create(...))``.
    """
    wrapped = retry_with_backoff(
        max_retries, base_delay, max_delay, jitter, retryable_exceptions, deadline=deadline, on_retry=on_retry
    )
    return wrapped(func if hasattr(func, "__qualname__") else _named(func))()


def _named(func: Callable[[], T]) -> Callable[[], T]:
    """A function around a callable without a name (a partial, an object), a coroutine function if it is one."""
    call = getattr(func, "func", None) or getattr(func, "__call__", None)  # noqa: B004 -- the method itself is wanted
    if inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(call):

        async def acalling() -> object:
            return await cast(Callable[[], Awaitable[object]], func)()

        return cast(Callable[[], T], acalling)

    def calling() -> T:
        return func()

    return calling
