"""Budgets of keys: tokens or dollars of a day and a month, kept in the store, asked for before each request."""

from __future__ import annotations

import asyncio
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from tests.contract.memory_store import MemoryStore
from tests.contract.stores import said
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_access import make_key
from websockets.asyncio.client import connect

from kodo.server.config import InvalidSettings, LimitSettings, ModelSettings, load
from kodo.server.http import admin
from kodo.server.http.budgets import Budget, Budgets, day_of, first_of_month
from kodo.server.http.errors import BudgetSpent
from kodo.server.http.keys import Caller, new_key
from kodo.server.http.spending import MAX_SPENDING, spending_of
from kodo.server.lifecycle import event_log, plan
from kodo.server.lifecycle.activity import ActivityFilter
from kodo.server.lifecycle.errors import InvalidRequest, StoreFailed
from kodo.server.lifecycle.event_log import Began, Ended
from kodo.server.lifecycle.ports import ModelCard, Sampling, TextDelta, Usage
from kodo.server.lifecycle.records import KeyCharge, KeyRow, KeySpending, ResponseRow
from kodo.server.lifecycle.row_codec import StoredRequest
from kodo.server.lifecycle.run import Run
from kodo.server.store import spending
from kodo.server.store.sqlite import SqliteStore
from kodo.server.wire.request import CreateResponse

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

    async def charge_key(self, charge: KeyCharge) -> None:
        """See ``Store``."""
        if self.broken:
            raise StoreFailed("The disk is full.")
        await super().charge_key(charge)


async def spend(budgets: Budgets, key: KeyRow, tokens: int, nano_usd: int = 0) -> None:
    """Charge a key now."""
    day = day_of(budgets._now())
    await budgets.charge(KeyCharge(key_id=key.id, day=day, spending=KeySpending(tokens, nano_usd)))


def test_days_and_months_are_those_of_utc() -> None:
    """Also at the turn of a year, and in a leap year's February."""
    assert day_of(86_399.9) == 0
    assert day_of(NEW_YEARS_EVE) - first_of_month(NEW_YEARS_EVE) == 30
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()
    assert first_of_month(leap) == day_of(datetime(2028, 2, 1, tzinfo=UTC).timestamp())


async def test_a_spent_budget_is_refused_until_its_period_is_over() -> None:
    """The day ends in ten seconds and with it the year: the next request is let in, the month's count begins anew."""
    clock = BudgetClock(NEW_YEARS_EVE)
    budgets = Budgets(MemoryStore(), LimitSettings(), {}, clock)
    _, row = new_key(name="", project="p", tokens_per_day=100, tokens_per_month=150)
    caller = Caller(owner="p", key=row)
    await spend(budgets, row, 99)
    await budgets.check(caller)
    await spend(budgets, row, 1)
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
        await spend(budgets, row, spent)
    with pytest.raises(BudgetSpent, match="150 tokens a month") as refused:
        await budgets.check(caller)
    assert refused.value.retry_after == pytest.approx(30 * 86_400), "until February begins"


async def test_keys_without_a_budget_and_no_key_are_let_in_and_not_counted() -> None:
    """Nothing of theirs is written."""
    store = MemoryStore()
    budgets = Budgets(store, LimitSettings(), {}, BudgetClock(0.0))
    (_, row), (_, other) = new_key(name="", project="p"), new_key(name="", project="p", tokens_per_day=1)
    for key in (row, other):
        await store.put_key(key)
    for caller in (Caller(owner="p"), Caller(owner="p", key=row)):
        await budgets.check(caller)
    used = Usage(input=2, output=3)
    assert await budgets.charge_of(row.id, "m", used, 0.0) is None
    assert await budgets.charge_of("gone", "m", used, 0.0) is None
    assert await budgets.charge_of(other.id, "m", Usage(), 0.0) is None
    charge = await budgets.charge_of(other.id, "m", used, 2 * 86_400.0)
    assert charge == KeyCharge(key_id=other.id, day=2, spending=KeySpending(5)), (
        "never seen here: the store knows"
    )


async def test_the_settings_give_every_key_a_budget_unless_it_has_its_own() -> None:
    """As for the limits by the minute."""
    budgets = Budgets(MemoryStore(), LimitSettings(tokens_per_day=7, usd_per_month=70), {}, BudgetClock(0.0))
    given = {"tokens_per_day": 7, "usd_per_month": 70}
    assert budgets.limits_of(new_key(name="", project="p")[1]) == given
    own = new_key(name="", project="p", usd_per_month=0.5)[1]
    assert budgets.limits_of(own) == {**given, "usd_per_month": 0.5}


async def test_what_the_store_does_not_take_is_counted_all_the_same() -> None:
    """It is held, refuses as if it were stored, and is written with what is spent next."""
    store = ForgetfulStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), {}, BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    caller = Caller(owner="p", key=row)
    await spend(budgets, row, 10)
    with pytest.raises(BudgetSpent):
        await budgets.check(caller)
    store.broken = False
    await spend(budgets, row, 1)
    await budgets.written()
    assert await store.key_spending(row.id, 0) == {0: KeySpending(11)}


async def test_what_the_store_did_not_take_is_written_when_it_does() -> None:
    """Before the next request of any key, and at the end: no other charge is needed, and other servers see it."""
    store = ForgetfulStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), {}, BudgetClock(0.0))
    _, row = new_key(name="", project="p")
    await spend(budgets, row, 5)
    await budgets.written()
    store.broken = False
    await budgets.written()
    assert await store.key_spending(row.id, 0) == {0: KeySpending(5)}


async def test_what_no_store_can_take_stops_no_other_key(caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log; the keys are let in, and what they spend is counted."""

    class SmallStore(MemoryStore):
        async def charge_key(self, charge: KeyCharge) -> None:
            if charge.spending.tokens > 2**63:
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            await super().charge_key(charge)

    store = SmallStore()
    budgets = Budgets(store, LimitSettings(tokens_per_day=10), {}, BudgetClock(0.0))
    rows = [new_key(name="", project="p")[1] for _ in range(2)]
    for row, tokens in zip(rows, (2**64, 3), strict=True):
        await spend(budgets, row, tokens)
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
    budgets = Budgets(MemoryStore(), LimitSettings(), {}, BudgetClock(0.0))
    _, row = new_key(name="", project="p", tokens_per_day=10**6, usd_per_month=1.5)
    caller = Caller(owner="p", key=row)
    await spend(budgets, row, 10, 1_499_999_999)
    await budgets.check(caller)
    await spend(budgets, row, 0, 1)
    with pytest.raises(BudgetSpent, match=r"budget of \$1\.50 a month"):
        await budgets.check(caller)
    tokens, money = await budgets.of(row)
    assert (tokens.unit, tokens.spent, money.unit, money.spent) == ("tokens", 10, "usd", 1.5)
    assert str(Budget("usd", "day", 0.0025, 0.0, 0.0)) == "$0.0025 a day"
    assert str(Budget("usd", "day", 12_345.0, 0.0, 0.0)) == "$12,345.00 a day"


async def test_an_answer_costs_what_the_settings_say(tmp_path: Path) -> None:
    """Cached tokens at their own price, rounded up; an unknown model and no usage cost nothing; no upstream can say so much that
    the sums of a day do not fit the database."""
    used = Usage(input=1000, cached=400, output=100)
    async with served(settings(tmp_path, PRICED)) as server:
        models = server.state.models
        assert spending_of(models, MODEL, used) == KeySpending(1100, 2_200_000)
        assert spending_of(models, "gone", used) == KeySpending(1100, 0)
        assert spending_of(models, MODEL, Usage()) == KeySpending()
        assert spending_of(models, MODEL, Usage(input=2**70)) == KeySpending(MAX_SPENDING, MAX_SPENDING)


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
        await spend(server.state.limits.budgets, row, 0, 10**7)
        for call in (
            sdk.responses.create(model=MODEL, input="more"),
            sdk.chat.completions.create(model=MODEL, messages=[message]),
        ):
            with pytest.raises(openai.RateLimitError, match=r"\$0\.01 a day") as refused:
                await call
            assert refused.value.code == "insufficient_quota"


async def spent_and_used(server: Served, row: KeyRow) -> tuple[int, int]:
    """Tokens that a key's budget counts, and those that its stored responses say they used."""
    spent = sum(day.tokens for day in (await server.state.store.key_spending(row.id, 0)).values())
    assert server.state.store.activity is not None
    lines = await server.state.store.activity.activities(ActivityFilter(), 100)
    return spent, sum(line.usage.input + line.usage.output for line in lines if line.key_id == row.id)


async def test_a_response_that_another_start_goes_on_with_is_charged_at_its_end(tmp_path: Path) -> None:
    """In the background it has its whole usage: what it used before, too. What was cancelled or deleted counts as well."""
    words = " ".join(f"word{number}" for number in range(30))
    slow = script(tmp_path / "scripts", {"match": ".", "steps": [{"type": "text", "text": words}]}, pace=0.02)
    async with served(settings(tmp_path, slow)) as server:
        key = await make_key(server, tokens_per_day=10**6)
        sdk = server.sdk(key)
        (row,) = await server.state.store.keys()
        names = []
        for _ in range(3):
            made = await sdk.responses.create(model=MODEL, input="go on", background=True)
            names.append(made.id)
        while (await sdk.responses.retrieve(names[0])).status != "in_progress":
            await asyncio.sleep(0.02)
        cancelled = await sdk.responses.cancel(names[1])
        assert cancelled.usage is not None
        assert await spent_and_used(server, row) == (cancelled.usage.total_tokens,) * 2
    async with served(settings(tmp_path, slow)) as server:
        sdk = server.sdk(key)
        while (ended := await sdk.responses.retrieve(names[0])).status != "completed":
            await asyncio.sleep(0.02)
        whole = await sdk.responses.create(model=MODEL, input="go on")
        assert ended.usage == whole.usage
        await sdk.responses.delete(names[2])
        (sums,) = await server.state.store.activity.sums(86_400, 0, row.project)  # type: ignore[union-attr]
        assert (await spent_and_used(server, row))[0] == sums.usage.input + sums.usage.output


async def test_what_a_killed_server_left_is_charged_when_it_is_ended(tmp_path: Path) -> None:
    """Its client is gone, so the next start ends it as failed: with its prompt, what it had said, and what went into it before."""
    request = CreateResponse(model=MODEL)
    card = ModelCard(name=MODEL, engine="scripted", context_window=1000, max_output_tokens=1000, parallel=4)
    _, key = new_key(name="", project="p", tokens_per_day=10**6)
    stored = StoredRequest(
        request=request,
        sampling=Sampling(),
        priority=2,
        key_id=key.id,
        input_tokens=7,
        prior_usage=Usage(input=100, output=20),
    )
    logs = {"resp_said": [Began(), TextDelta(text="so far", tokens=(1, 2, 3))], "resp_silent": []}
    store = SqliteStore(tmp_path)
    await store.open()
    await store.put_key(key)
    for name, log in logs.items():
        begun = plan.initial_response(name, request, card, 1000.0, background=False, store=True)
        row = ResponseRow(
            id=name,
            owner="p",
            status="in_progress",
            created_at=1000.0,
            request=msgspec.json.encode(stored),
            response=msgspec.json.encode(begun),
        )
        await store.create_response(row, [said(f"msg_{name}")])
        await store.append_log(name, 0, [event_log.encode(entry) for entry in log])
    await store.close()
    async with served(settings(tmp_path)) as server:
        used = {}
        for name in logs:
            await server.state.service.settle(name)
            response = await server.state.service.get("p", name)
            assert (response.status, response.usage is None) == ("failed", False)
            used[name] = response.usage.total_tokens  # type: ignore[union-attr]
        assert used == {"resp_said": 130, "resp_silent": 120}
        assert await spent_and_used(server, key) == (250, 250)


@pytest.mark.parametrize("stored", [True, False])
async def test_an_answer_is_charged_before_its_end_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    """So a kill behind an answer's end takes nothing from the count, whether the answer is stored or not."""
    async with served(settings(tmp_path)) as server:
        key = await make_key(server, tokens_per_day=10**6)
        (row,) = await server.state.store.keys()
        seen: list[KeySpending] = []
        publish = Run._publish_end

        def publish_end(run: Run) -> None:
            (spent,) = server.state.store._read.run_inline(  # type: ignore[attr-defined]
                lambda connection: spending.read(connection, row.id, 0)
            ).values()
            seen.append(spent)
            publish(run)

        monkeypatch.setattr(Run, "_publish_end", publish_end)
        answer = await server.sdk(key).responses.create(model=MODEL, input="one two", store=stored)
        assert answer.usage is not None
        assert seen == [KeySpending(answer.usage.total_tokens)]


async def _responses(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """Whole, streamed, not stored, in the background."""
    await sdk.responses.create(model=MODEL, input="one")
    async with sdk.responses.stream(model=MODEL, input="one two") as stream:
        await stream.until_done()
    await sdk.responses.create(model=MODEL, input="one two three", store=False)
    made = await sdk.responses.create(model=MODEL, input="one two three four", background=True)
    while made.status != "completed":
        await asyncio.sleep(0.01)
        made = await sdk.responses.retrieve(made.id)


async def _chat(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """Two answers, a stream, the older endpoint, and Anthropic's."""
    message: Any = {"role": "user", "content": "four five"}
    await sdk.chat.completions.create(model=MODEL, messages=[message], n=2)
    stream = await sdk.chat.completions.create(model=MODEL, messages=[message], stream=True)
    assert [chunk async for chunk in stream]
    await sdk.completions.create(model=MODEL, prompt=["six", "seven"])
    body = {"model": MODEL, "max_tokens": 5, "messages": [message]}
    async with server.http(headers={"x-api-key": sdk.api_key}) as http:
        answer = await http.post("/v1/messages", json=body)
        assert answer.status_code == 200, answer.text


async def _batch(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """A line for each endpoint."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/responses": {"input": "six"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "seven"}]},
    }
    for endpoint, body in bodies.items():
        line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": MODEL, **body}}
        file = await sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = await sdk.batches.create(
            input_file_id=file.id,
            endpoint=endpoint,  # type: ignore[arg-type]  # one of the two
            completion_window="24h",
        )
        while batch.status != "completed":
            await asyncio.sleep(0.02)
            batch = await sdk.batches.retrieve(batch.id)
        assert batch.request_counts is not None and batch.request_counts.completed == 1


async def _assistant(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """A run."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        assistant = await sdk.beta.assistants.create(model=MODEL)
        run = await sdk.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": "eight nine"}]},
            poll_interval_ms=20,
        )
    assert run.status == "completed"


async def _sockets(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """A realtime session, and a socket of the Responses API."""
    async with sdk.realtime.connect(model=MODEL) as session:
        await session.response.create(response={"input": [_SAID], "output_modalities": ["text"]})
        async for event in session:
            if event.type == "response.done":
                break
    headers = {"authorization": f"Bearer {sdk.api_key}"}
    async with connect(f"ws{server.url[4:]}/v1/responses", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "response.create", "model": MODEL, "input": "ten"}))
        while json.loads(await socket.recv())["type"] != "response.completed":
            pass


async def _compaction(server: Served, sdk: openai.AsyncOpenAI) -> None:
    """The summary, which is a response of nobody's."""
    long = [{**_SAID, "content": [{"type": "input_text", "text": "word " * 2000}]} for _ in range(12)]
    await sdk.responses.compact(model=MODEL, input=long)  # type: ignore[arg-type]  # messages


_SAID: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "nine"}]}
WAYS = (_responses, _chat, _batch, _assistant, _sockets, _compaction)


async def test_every_api_charges_each_answer_once(tmp_path: Path) -> None:
    """By the usage of the response behind it, stored or not, in a batch, a run, a session and on a socket."""
    async with served(settings(tmp_path)) as server:
        key = await make_key(server, tokens_per_day=10**9)
        sdk = server.sdk(key)
        (row,) = await server.state.store.keys()
        ended: list[int] = []
        ends = Run.end

        async def end(run: Run, entry: Ended) -> None:
            await ends(run, entry)
            assert entry.usage is not None
            ended.append(entry.usage.input + entry.usage.output)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Run, "end", end)
            for way in WAYS:
                before, (spent, _) = len(ended), await spent_and_used(server, row)
                await way(server, sdk)
                assert len(ended) > before, way.__name__
                assert (await spent_and_used(server, row))[0] - spent == sum(ended[before:]), way.__name__


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
