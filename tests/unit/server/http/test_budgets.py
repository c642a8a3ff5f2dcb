"""Budgets of keys: tokens of a day and a month, kept in the store, asked for before each request."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import openai
import pytest
from tests.contract.memory_store import MemoryStore
from tests.serving import MODEL, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.config import LimitSettings
from kodo.server.http.budgets import Budget, Budgets, day_of, first_of_month
from kodo.server.http.errors import BudgetSpent
from kodo.server.http.keys import Caller, new_key
from kodo.server.lifecycle.errors import StoreFailed

NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp()


class BudgetClock:
    """A clock that is set."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class ForgetfulStore(MemoryStore):
    """A store that does not take what keys spend, while ``broken``."""

    broken = True

    async def add_key_tokens(self, key_id: str, day: int, tokens: int) -> None:
        """See ``Store``."""
        if self.broken:
            raise StoreFailed("The disk is full.")
        await super().add_key_tokens(key_id, day, tokens)


def test_days_and_months_are_those_of_utc() -> None:
    """Also at the turn of a year, and in a leap year's February."""
    assert day_of(86_399.9) == 0
    assert day_of(NEW_YEARS_EVE) - first_of_month(NEW_YEARS_EVE) == 30
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()
    assert first_of_month(leap) == day_of(datetime(2028, 2, 1, tzinfo=UTC).timestamp())


async def test_a_spent_budget_is_refused_until_its_period_is_over() -> None:
    """The day ends in ten seconds and with it the year: the next request is let in, the month's count begins anew."""
    clock = BudgetClock(NEW_YEARS_EVE)
    budgets = Budgets(MemoryStore(), LimitSettings(), clock)
    _, row = new_key(name="", project="p", tokens_per_day=100, tokens_per_month=150)
    caller = Caller(owner="p", key=row)
    budgets.charge(caller, 99)
    await budgets.check(caller)
    budgets.charge(caller, 1)
    with pytest.raises(BudgetSpent, match="100 tokens a day") as refused:
        await budgets.check(caller)
    assert refused.value.retry_after == pytest.approx(10)
    assert await budgets.of(row) == (
        Budget("day", 100, 100, NEW_YEARS_EVE + 10),
        Budget("month", 150, 100, NEW_YEARS_EVE + 10),
    )
    clock.at += 10
    await budgets.check(caller)
    for day, spent in ((0, 80), (1, 80)):
        clock.at += day * 86_400
        budgets.charge(caller, spent)
    with pytest.raises(BudgetSpent, match="150 tokens a month") as refused:
        await budgets.check(caller)
    assert refused.value.retry_after == pytest.approx(30 * 86_400), "until February begins"


async def test_keys_without_a_budget_and_no_key_are_let_in_and_not_counted() -> None:
    """Nothing of theirs is written."""
    store = MemoryStore()
    budgets = Budgets(store, LimitSettings(), BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    for caller in (Caller(owner="p"), Caller(owner="p", key=row)):
        budgets.charge(caller, 10**9)
        await budgets.check(caller)
    assert await store.key_tokens(row.id, 0) == {}


async def test_the_settings_give_every_key_a_budget_unless_it_has_its_own() -> None:
    """As for the limits by the minute."""
    budgets = Budgets(MemoryStore(), LimitSettings(tokens_per_day=7, tokens_per_month=70), BudgetClock(0.0))
    assert budgets.limits_of(new_key(name="", project="p")[1]) == {"day": 7, "month": 70}
    assert budgets.limits_of(new_key(name="", project="p", tokens_per_day=9)[1]) == {"day": 9, "month": 70}


async def test_what_the_store_does_not_take_is_counted_all_the_same() -> None:
    """It is held, refuses as if it were stored, and is written with what is spent next."""
    store = ForgetfulStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    caller = Caller(owner="p", key=row)
    budgets.charge(caller, 10)
    with pytest.raises(BudgetSpent):
        await budgets.check(caller)
    store.broken = False
    budgets.charge(caller, 1)
    await budgets.written()
    assert await store.key_tokens(row.id, 0) == {0: 11}


async def test_a_server_counts_what_its_keys_use_and_knows_it_after_a_restart(tmp_path: Path) -> None:
    """Streams, Chat and background too; 429 ``insufficient_quota``, which no client should try again; another key goes on."""
    async with served(settings(tmp_path)) as server:
        key = await make_key(server, tokens_per_day=40)
        other, sdk = server.sdk(await make_key(server)), server.sdk(key)
        made = await sdk.responses.create(model=MODEL, input="one two three", store=False)
        stream = await sdk.responses.create(model=MODEL, input="four five six", stream=True)
        ends = [event.response.usage async for event in stream if event.type == "response.completed"]
        chat = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "seven eight"}]
        )
        assert made.usage is not None
        assert chat.usage is not None
        assert ends[0] is not None
        spent = made.usage.total_tokens + ends[0].total_tokens + chat.usage.total_tokens
        (row, _) = await server.state.store.keys()
        (budget,) = await server.state.limits.budgets.of(row)
        assert budget.spent == spent
        while True:
            try:
                await sdk.responses.create(model=MODEL, input="more of it and more")
            except openai.RateLimitError as error:
                refused = error
                break
        assert (refused.code, refused.type) == ("insufficient_quota", "insufficient_quota")
        assert 0 < int(refused.response.headers["retry-after"]) <= 86_400
        await other.responses.create(model=MODEL, input="mine is not spent")
        await sdk.models.list()
    async with served(settings(tmp_path)) as server:
        with pytest.raises(openai.RateLimitError, match="40 tokens a day"):
            await server.sdk(key).responses.create(model=MODEL, input="after a restart")
