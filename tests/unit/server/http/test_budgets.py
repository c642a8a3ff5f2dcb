"""Budgets of keys: tokens or dollars of a day and a month, kept in the store, asked for before each request."""

from __future__ import annotations

import asyncio
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.contract.memory_store import MemoryStore
from tests.serving import MODEL, served, settings
from tests.unit.server.http.test_access import make_key

from kodo.server.config import InvalidSettings, LimitSettings, ModelSettings, load
from kodo.server.http import admin
from kodo.server.http.budgets import Budget, Budgets, day_of, first_of_month
from kodo.server.http.errors import BudgetSpent
from kodo.server.http.keys import Caller, new_key
from kodo.server.http.spending import spending_of
from kodo.server.lifecycle.errors import InvalidRequest, StoreFailed
from kodo.server.lifecycle.records import KeySpending
from kodo.server.wire.chat import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from kodo.server.wire.embeddings import EmbeddingsUsage
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

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

    async def add_key_spending(self, key_id: str, day: int, spending: KeySpending) -> None:
        """See ``Store``."""
        if self.broken:
            raise StoreFailed("The disk is full.")
        await super().add_key_spending(key_id, day, spending)


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
    budgets.charge(caller, KeySpending(99))
    await budgets.check(caller)
    budgets.charge(caller, KeySpending(1))
    with pytest.raises(BudgetSpent, match="100 tokens a day") as refused:
        await budgets.check(caller)
    assert refused.value.retry_after == pytest.approx(10)
    assert await budgets.of(row) == (
        Budget("tokens", "day", 100, 100, NEW_YEARS_EVE + 10),
        Budget("tokens", "month", 150, 100, NEW_YEARS_EVE + 10),
    )
    clock.at += 10
    await budgets.check(caller)
    for day, spent in ((0, 80), (1, 80)):
        clock.at += day * 86_400
        budgets.charge(caller, KeySpending(spent))
    with pytest.raises(BudgetSpent, match="150 tokens a month") as refused:
        await budgets.check(caller)
    assert refused.value.retry_after == pytest.approx(30 * 86_400), "until February begins"


async def test_keys_without_a_budget_and_no_key_are_let_in_and_not_counted() -> None:
    """Nothing of theirs is written."""
    store = MemoryStore()
    budgets = Budgets(store, LimitSettings(), BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    for caller in (Caller(owner="p"), Caller(owner="p", key=row)):
        budgets.charge(caller, KeySpending(10**9, 10**12))
        await budgets.check(caller)
    assert await store.key_spending(row.id, 0) == {}


async def test_the_settings_give_every_key_a_budget_unless_it_has_its_own() -> None:
    """As for the limits by the minute."""
    budgets = Budgets(MemoryStore(), LimitSettings(tokens_per_day=7, usd_per_month=70), BudgetClock(0.0))
    given = {"tokens_per_day": 7, "usd_per_month": 70}
    assert budgets.limits_of(new_key(name="", project="p")[1]) == given
    own = new_key(name="", project="p", usd_per_month=0.5)[1]
    assert budgets.limits_of(own) == {**given, "usd_per_month": 0.5}


async def test_what_the_store_does_not_take_is_counted_all_the_same() -> None:
    """It is held, refuses as if it were stored, and is written with what is spent next."""
    store = ForgetfulStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    caller = Caller(owner="p", key=row)
    budgets.charge(caller, KeySpending(10))
    with pytest.raises(BudgetSpent):
        await budgets.check(caller)
    store.broken = False
    budgets.charge(caller, KeySpending(1))
    await budgets.written()
    assert await store.key_spending(row.id, 0) == {0: KeySpending(11)}


async def test_what_the_store_did_not_take_is_written_when_it_does() -> None:
    """Before the next request of any key, and at the end: no other charge is needed, and other servers see it."""
    store = ForgetfulStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    budgets.charge(Caller(owner="p", key=row), KeySpending(5))
    await budgets.written()
    store.broken = False
    await budgets.written()
    assert await store.key_spending(row.id, 0) == {0: KeySpending(5)}


async def test_what_no_store_can_take_stops_no_other_key(caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log; the keys are let in, and what they spend is counted."""

    class SmallStore(MemoryStore):
        async def add_key_spending(self, key_id: str, day: int, spending: KeySpending) -> None:
            if spending.tokens > 2**63:
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            await super().add_key_spending(key_id, day, spending)

    store = SmallStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), BudgetClock(0.0))
    rows = [new_key(name="", project="p")[1] for _ in range(2)]
    for row, tokens in zip(rows, (2**64, 3), strict=True):
        budgets.charge(Caller(owner="p", key=row), KeySpending(tokens))
    for row in rows:
        await budgets.check(Caller(owner="p", key=row))
    assert await store.key_spending(rows[1].id, 0) == {0: KeySpending(3)}
    assert f"what key {rows[0].id} has spent could not be counted" in caplog.text


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


PRICED = ModelSettings(
    engine="scripted", target="", price_input=2.0, price_cached_input=0.5, price_output=8.0
)


async def test_a_budget_in_dollars_is_refused_when_it_is_spent() -> None:
    """To the billionth of a dollar; the message names it, and a smaller one of tokens still counts."""
    budgets = Budgets(MemoryStore(), LimitSettings(), BudgetClock(0.0))
    _, row = new_key(name="", project="p", tokens_per_day=10**6, usd_per_month=1.5)
    caller = Caller(owner="p", key=row)
    budgets.charge(caller, KeySpending(10, 1_499_999_999))
    await budgets.check(caller)
    budgets.charge(caller, KeySpending(0, 1))
    with pytest.raises(BudgetSpent, match=r"budget of \$1\.50 a month"):
        await budgets.check(caller)
    tokens, money = await budgets.of(row)
    assert (tokens.unit, tokens.spent, money.unit, money.spent) == ("tokens", 10, "usd", 1.5)
    assert str(Budget("usd", "day", 0.0025, 0.0, 0.0)) == "$0.0025 a day"
    assert str(Budget("usd", "day", 12_345.0, 0.0, 0.0)) == "$12,345.00 a day"


async def test_every_kind_of_answer_costs_what_the_settings_say(tmp_path: Path) -> None:
    """Cached tokens at their own price, vectors by their input, rounded up; an unknown model and no usage cost nothing."""
    usages = [
        ResponseUsage(
            input_tokens=1000,
            input_tokens_details=InputTokensDetails(cached_tokens=400),
            output_tokens=100,
            output_tokens_details=OutputTokensDetails(),
            total_tokens=1100,
        ),
        CompletionUsage(
            prompt_tokens=1000,
            completion_tokens=100,
            total_tokens=1100,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=400),
            completion_tokens_details=CompletionTokensDetails(),
        ),
        EmbeddingsUsage(prompt_tokens=1100, total_tokens=1100),
    ]
    async with served(settings(tmp_path, PRICED)) as server:
        models = server.state.models
        spent = [spending_of(models, MODEL, usage) for usage in usages]
        assert spent == [KeySpending(1100, 2_200_000)] * 3
        assert spending_of(models, "gone", usages[0]) == KeySpending(1100, 0)
        assert spending_of(models, MODEL, None) == KeySpending()


async def test_a_server_counts_dollars_in_every_api(tmp_path: Path) -> None:
    """Responses, Chat, a batch's line and an assistant's run; then each of them is a 429 that no client should try again."""
    async with served(settings(tmp_path, PRICED)) as server:
        key = await make_key(server, usd_per_day=0.01)
        sdk = server.sdk(key)
        (row,) = await server.state.store.keys()

        async def spent() -> float:
            (budget,) = await server.state.limits.budgets.of(row)
            return budget.spent

        made = await sdk.responses.create(model=MODEL, input="one two three")
        assert made.usage is not None
        cost = (made.usage.input_tokens * 2 + made.usage.output_tokens * 8) / 1e6
        assert await spent() == pytest.approx(cost)
        message: Any = {"role": "user", "content": "four five"}
        chat = await sdk.chat.completions.create(model=MODEL, messages=[message])
        assert chat.usage is not None
        cost += (chat.usage.prompt_tokens * 2 + chat.usage.completion_tokens * 8) / 1e6
        assert await spent() == pytest.approx(cost)
        line = {
            "custom_id": "a",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": "six"},
        }
        file = await sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = await sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        while batch.status != "completed":
            await asyncio.sleep(0.02)
            batch = await sdk.batches.retrieve(batch.id)
        before, cost = cost, await spent()
        assert cost > before
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            assistant = await sdk.beta.assistants.create(model=MODEL)
            run = await sdk.beta.threads.create_and_run_poll(
                assistant_id=assistant.id, thread={"messages": [message]}, poll_interval_ms=20
            )
        assert run.status == "completed"
        assert await spent() > cost
        await server.state.store.add_key_spending(
            row.id, day_of(server.state.clock.now()), KeySpending(0, 10**7)
        )
        for call in (
            sdk.responses.create(model=MODEL, input="more"),
            sdk.chat.completions.create(model=MODEL, messages=[message]),
        ):
            with pytest.raises(openai.RateLimitError, match=r"\$0\.01 a day") as refused:
                await call
            assert refused.value.code == "insufficient_quota"


def test_a_budget_in_dollars_needs_a_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it would never be spent, so it is refused: in the settings, and for a new key."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    with pytest.raises(InvalidRequest, match="usd_per_month: a budget in dollars needs a price") as refused:
        admin.create_key(tmp_path, name="k", project="p", usd_per_month=5.0)
    assert refused.value.param == "usd_per_month"
    assert list(admin.list_keys(tmp_path)) == []
    (tmp_path / "config.toml").write_text("[limits]\nusd_per_day = 5\n")
    with pytest.raises(InvalidSettings, match="needs a price"):
        load()
    (tmp_path / "config.toml").write_text(
        '[limits]\nusd_per_day = 5\n[models.gpt]\nengine = "scripted"\ntarget = ""\nprice_output = 6\n'
    )
    assert load().limits.usd_per_day == 5
    _, row = admin.create_key(tmp_path, name="k", project="p", usd_per_month=5.0)
    assert list(admin.list_keys(tmp_path)) == [row]
