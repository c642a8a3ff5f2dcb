"""Per-key limits: requests per minute, tokens per minute, concurrent requests. Off unless set.

Budgets by the day and the month are :mod:`kodo.server.http.budgets`; they are asked before these.

They are asked in one place for each way in: :class:`RequestLimits` for every POST of every API family, a socket at each
of its turns, a batch at each of its lines.

Buckets that refill steadily (so a minute's worth may come at once, then as fast as it refills). Tokens are charged when
they are known: a request over the limit is let through once, and the next ones wait until the bucket is above zero.

Servers that share a store share the buckets: a server asks the store at each request of a key that has limits, which counts
it there before it is admitted. So all of them together admit no more requests than the limit. What is over at another server
(tokens that were charged, requests that ended or were refused) is heard of up to :data:`SHARE_SECONDS` late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from kodo.server.config import LimitSettings
from kodo.server.http.budgets import Budgets
from kodo.server.http.errors import RateLimited, error_response
from kodo.server.http.keys import DEFAULT_PROJECT, Caller
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import LimitUse
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.store_ports import SharedStore
from kodo.server.wire.chat import CompletionUsage
from kodo.server.wire.embeddings import EmbeddingsUsage
from kodo.server.wire.response import ResponseUsage

LONGEST_WAIT: Final = 60.0
"""Seconds after which work that waits for a limit looks again: a budget may end in a month."""
SHARE_SECONDS: Final = 1.0
"""How often a server says what has changed, and how long it refuses by what it last heard of the others."""

WireUsage: TypeAlias = ResponseUsage | CompletionUsage | EmbeddingsUsage
"""Tokens as the APIs report them."""
Count: TypeAlias = "Callable[[WireUsage | None], None]"
"""Takes the tokens of an answer from those of a key's minute."""


class Now(Protocol):
    """A clock's reading."""

    def __call__(self) -> float:
        """Seconds."""


@dataclass
class Bucket:
    """A token bucket: ``limit`` per minute, ``level`` left, refilled last ``at`` (seconds)."""

    limit: int
    level: float
    at: float

    def refill(self, now: float) -> None:
        """Bring the level up to date."""
        self.level = min(float(self.limit), self.level + (now - self.at) * self.limit / 60)
        self.at = now

    def wait(self, need: float) -> float:
        """Seconds until ``need`` is available."""
        return max(0.0, (need - self.level) * 60 / self.limit)


@dataclass
class _Account:
    name: str
    requests: Bucket | None
    tokens: Bucket | None
    max_concurrent: int | None
    running: int = 0
    elsewhere: int = 0
    """What runs on the other servers."""
    used_requests: int = 0
    used_tokens: int = 0
    """Since this server began."""
    told_requests: int = 0
    told_tokens: int = 0
    told_running: int | None = 0
    """What the other servers have heard of; None: not known, because the store has not answered."""
    agreed_until: float = 0.0
    agreeing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.requests or self.tokens or self.max_concurrent)

    @property
    def is_untold(self) -> bool:
        """Whether the others have something to hear."""
        told = self.told_requests, self.told_tokens, self.told_running
        return told != (self.used_requests, self.used_tokens, self.running)

    def refill(self, now: float) -> None:
        """Bring the buckets up to date."""
        for bucket in (self.requests, self.tokens):
            if bucket is not None:
                bucket.refill(now)

    def room(self) -> float:
        """Requests that may still begin, as far as is known here."""
        levels = [bucket.level for bucket in (self.requests, self.tokens) if bucket is not None]
        if self.max_concurrent is not None:
            levels.append(self.max_concurrent - self.running - self.elsewhere)
        return min(levels, default=0.0)


class Ticket:
    """One admitted request. Close it when the request ends."""

    def __init__(self, account: _Account) -> None:
        self._account = account
        self._open = True
        self.detached = False
        """Whether it is closed by its work, which may outlive its HTTP request."""

    @property
    def headers(self) -> dict[str, str]:
        """The ``x-ratelimit-*`` headers."""
        return _headers(self._account)

    def starting(self) -> _Starting:
        """A block that starts the work: the ticket is closed if it cannot be started."""
        return _Starting(self)

    def count(self, usage: WireUsage | None) -> None:
        """Take the tokens of an answer from those of the minute; None: nothing. Its key's budget is charged where it ends."""
        if self._account.tokens is not None and usage is not None:
            self._account.tokens.level -= usage.total_tokens
            self._account.used_tokens += usage.total_tokens

    async def finish(self, service: Service, *runs: Run) -> None:
        """End the request: stop what still runs of it, count each run, and close.

        Where the caller is cancelled meanwhile, a run that is not over yet is counted when it is.
        """
        try:
            if not all(run.finished for run in runs):
                await service.stop(*runs)
        finally:
            self.close_after(*runs)

    def close_after(self, *runs: Run) -> None:
        """Count each run when it is over, at once or later, and close with the last of them."""
        self.detached = True
        left = {run.id for run in runs if not run.finished}

        def end(run: Run, _: object = None) -> None:
            self.count(run.response.usage)
            left.discard(run.id)
            if not left:
                self.close()

        for run in runs:
            if run.finished or run.task is None:
                end(run)
            else:
                run.task.add_done_callback(partial(end, run))

    def close(self) -> None:
        """End the request. May be called twice."""
        if self._open:
            self._open = False
            self._account.running -= 1


class _Starting:
    """See :meth:`Ticket.starting`."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._ticket.close()


class Limits:
    """The accounts of all keys. ``store``: what several servers share; None counts here only."""

    def __init__(
        self,
        settings: LimitSettings,
        now: Now,
        budgets: Budgets,
        store: SharedStore | None = None,
    ) -> None:
        self._store = store if store is not None and store.shared else None
        self._settings = settings
        self.budgets = budgets
        self._now = now
        self._accounts: dict[str, _Account] = {}

    async def admit(self, caller: Caller) -> Ticket:
        """Admit a request.

        Raises:
            RateLimited: the key is over one of its limits, or (``BudgetSpent``) has spent a budget.
            StoreFailed: what the other servers have used is not to be had.
        """
        if caller.key is not None and self.budgets.apply_to(caller.key):
            await self.budgets.check(caller)
        account = self._account(caller)
        if self._store is not None and account.is_limited:
            async with account.agreeing:
                await self._agree(self._store, account)
                return self._enter(caller, account)
        return self._enter(caller, account)

    async def share(self) -> None:
        """Have the other servers hear of what has changed here; called every :data:`SHARE_SECONDS`."""
        if self._store is None:
            return
        for account in list(self._accounts.values()):
            if account.is_limited and account.is_untold:
                async with account.agreeing:
                    await self._exchange(self._store, account)

    async def _agree(self, store: SharedStore, account: _Account) -> None:
        """Ask whether one more is left. What says no here says no everywhere, and is asked again a moment later."""
        now = self._now()
        account.refill(now)
        if now >= account.agreed_until or account.room() >= 1:
            await self._exchange(store, account, entering=1)

    async def _exchange(self, store: SharedStore, account: _Account, *, entering: int = 0) -> None:
        """``entering``: a request that will be admitted if what is left is enough; the others see it at once. If it is not, or
        is given up, it is given back the next time, because it is not in what this server has used."""
        use = LimitUse(
            requests_per_minute=None if account.requests is None else account.requests.limit,
            tokens_per_minute=None if account.tokens is None else account.tokens.limit,
            requests=account.used_requests + entering,
            tokens=account.used_tokens,
            requests_told=account.told_requests,
            tokens_told=account.told_tokens,
            running=account.running + entering,
        )
        account.told_running = None
        left = await store.share_limits(account.name, use)
        account.told_requests, account.told_tokens, account.told_running = (
            use.requests,
            use.tokens,
            use.running,
        )
        if left is None:
            return
        now = self._now()
        for bucket, level, more in (
            (account.requests, left.requests, account.used_requests - use.requests),
            (account.tokens, left.tokens, account.used_tokens - use.tokens),
        ):
            if bucket is not None and level is not None:
                bucket.level, bucket.at = level - more, now  # charged while the answer was on its way
        account.elsewhere = left.running_elsewhere
        account.agreed_until = now + SHARE_SECONDS

    def _enter(self, caller: Caller, account: _Account) -> Ticket:
        account.refill(self._now())
        if (
            account.max_concurrent is not None
            and account.running + account.elsewhere >= account.max_concurrent
        ):
            raise RateLimited(
                f"The number of concurrent requests of this key is limited to {account.max_concurrent}.",
                retry_after=1.0,
                headers=_headers(account),
            )
        for bucket, need, what in ((account.requests, 1.0, "requests"), (account.tokens, 1.0, "tokens")):
            if bucket is not None and bucket.level < need:
                raise RateLimited(
                    f"Rate limit reached: {bucket.limit} {what} per minute.",
                    retry_after=bucket.wait(need),
                    headers=_headers(account),
                )
        if account.requests is not None:
            account.requests.level -= 1
            account.used_requests += 1
        account.running += 1
        return Ticket(account)

    async def wait(self, caller: Caller) -> Ticket:
        """Admit a request once the key's limits allow it."""
        while True:
            try:
                return await self.admit(caller)
            except RateLimited as error:
                await asyncio.sleep(min(max(error.retry_after, 0.05), LONGEST_WAIT))

    def _account(self, caller: Caller) -> _Account:
        key, default = caller.key, self._settings
        name = key.id if key is not None else DEFAULT_PROJECT
        account = self._accounts.get(name)
        if account is not None:
            return account
        rpm = key.requests_per_minute if key and key.requests_per_minute else default.requests_per_minute
        tpm = key.tokens_per_minute if key and key.tokens_per_minute else default.tokens_per_minute
        max_concurrent = (
            key.concurrent_requests if key and key.concurrent_requests else default.concurrent_requests
        )
        now = self._now()
        account = self._accounts[name] = _Account(
            name,
            requests=None if rpm is None else Bucket(rpm, float(rpm), now),
            tokens=None if tpm is None else Bucket(tpm, float(tpm), now),
            max_concurrent=max_concurrent,
        )
        return account


def _headers(account: _Account) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, bucket in (("requests", account.requests), ("tokens", account.tokens)):
        if bucket is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(bucket.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
            headers[f"x-ratelimit-reset-{name}"] = f"{bucket.wait(bucket.limit):.3f}s"
    return headers


TICKET: Final = "ticket"
_FREE: Final = ("/cancel",)
"""What only ends work is always allowed."""


class RequestLimits:
    """ASGI, behind the guard: admits every POST under ``/v1``, and closes its ticket when the request has ended."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        counted = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/v1/")
        if not counted or scope["path"].endswith(_FREE):
            await self._app(scope, receive, send)
            return
        try:
            ticket = scope["state"][TICKET] = await self._limits.admit(scope["state"]["caller"])
        except (RateLimited, StoreFailed) as error:
            await error_response(error, scope)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if not ticket.detached:
                ticket.close()
