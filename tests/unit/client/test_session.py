"""A session against a real socket: what is sent, retried, charged and written down."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kodo.client.accounting import repository_of
from kodo.client.answer import Answer, AnswerFailedError
from kodo.client.async_session import AsyncSession
from kodo.client.budget import Budget
from kodo.client.errors import (
    AuthenticationFailedError,
    BudgetExceededError,
    CallError,
    CallTimeoutError,
    MalformedAnswerError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    UnknownPriceError,
    UnreachableError,
)
from kodo.client.ledger import Ledger
from kodo.client.retry import RetryPolicy, retry_with_backoff
from kodo.client.session import Session
from kodo.client.settings import load
from kodo.client.testing import FakeResponses, Reply, refusal

USD = Decimal


def rows(columns: str) -> list[tuple[object, ...]]:
    with Ledger() as ledger:
        return ledger.query(f"SELECT {columns} FROM calls ORDER BY started")


class Sync:
    """The sync session with the async one's face, so that one test covers both."""

    def __init__(self, **given: object) -> None:
        self.session = Session(**given)  # type: ignore[arg-type]

    async def __aenter__(self) -> Sync:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.session.close)

    async def respond(self, *args: object, **options: object):
        return await asyncio.to_thread(self.session.respond, *args, **options)  # type: ignore[arg-type]

    async def estimate(self, *args: object, **options: object):
        return await asyncio.to_thread(self.session.estimate, *args, **options)  # type: ignore[arg-type]


@pytest.fixture(params=[Sync, AsyncSession], ids=["sync", "async"])
def kind(request: pytest.FixtureRequest):
    """Both kinds of session, one after the other."""
    return request.param


async def test_an_answer_has_text_usage_cost_and_ids(kind, quick: RetryPolicy) -> None:
    """What the server sent is in the Answer, and one row of the ledger has the same figures."""
    with FakeResponses([Reply(text="four words of text")]) as server:
        async with kind(base_url=server.base_url, free=False, retry=quick, job="ask") as session:
            answer = await session.respond("one two three", temperature=0.2, max_output_tokens=50)
    assert (answer.text, answer.status, answer.model) == (
        "four words of text",
        "completed",
        "codex-mini-latest",
    )
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.request_id) == (3, 4, "req_fake")
    assert answer.usd == USD("0.0000285")
    assert server.posts[0].body == {
        "model": "codex-mini-latest",
        "input": "one two three",
        "temperature": 0.2,
        "max_output_tokens": 50,
    }
    assert rows("status, job, input_tokens, output_tokens, cost_nano, response_id, request_id, attempts") == [
        ("completed", "ask", 3, 4, 28_500, answer.response_id, "req_fake", 1)
    ]


async def test_every_option_reaches_the_body(kind) -> None:
    """Options are sent under their names; a schema becomes a strict format; unknown fields go through extra."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url) as session:
            await session.respond(
                [{"role": "user", "content": "hi"}],
                model="other",
                instructions="be brief",
                top_logprobs=2,
                store=False,
                metadata={"a": "b"},
                text_format={"title": "My answer", "type": "object"},
                extra={"x_field": [1]},
            )
    body = server.posts[0].body
    assert body["text"]["format"] == {
        "type": "json_schema",
        "name": "My_answer",
        "schema": {"title": "My answer", "type": "object"},
        "strict": True,
    }
    assert {name: body[name] for name in ("model", "top_logprobs", "store", "x_field")} == {
        "model": "other",
        "top_logprobs": 2,
        "store": False,
        "x_field": [1],
    }


async def test_an_option_that_does_not_exist_is_refused(kind) -> None:
    """A misspelled option is a TypeError that names it; nothing is sent."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url) as session:
            with pytest.raises(TypeError, match="temprature"):
                await session.respond("hi", temprature=1)
    assert server.posts == []
    assert rows("id") == []


@pytest.mark.parametrize(
    "first",
    [
        refusal(429, "rate_limit_exceeded", retry_after_ms="5"),
        refusal(429, "rate_limit_exceeded", retry_after="0.01"),
        refusal(500),
        refusal(503),
        refusal(408),
        Reply(cut_after=0),
    ],
    ids=["429-ms", "429-s", "500", "503", "408", "reset"],
)
async def test_a_passing_failure_is_retried_and_charged_once(kind, quick: RetryPolicy, first: Reply) -> None:
    """One failure, then an answer: two requests, one row, the price of one answer."""
    with FakeResponses([first, Reply(text="ok")]) as server:
        async with kind(base_url=server.base_url, free=False, retry=quick) as session:
            answer = await session.respond("hi")
    assert (answer.text, answer.attempts, len(server.posts)) == ("ok", 2, 2)
    assert rows("status, attempts, cost_nano") == [("completed", 2, 7_500)]
    assert (
        "x-stainless-retry-count" not in server.posts[1].headers
        or server.posts[1].headers["x-stainless-retry-count"] == "0"
    )


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(400, "invalid_prompt"), RequestRefusedError),
        (refusal(404, "model_not_found"), RequestRefusedError),
        (refusal(422), RequestRefusedError),
        (refusal(401, "invalid_api_key"), AuthenticationFailedError),
        (refusal(403), AuthenticationFailedError),
        (refusal(429, "insufficient_quota", retry_after_ms="1"), QuotaExhaustedError),
    ],
)
async def test_a_lasting_failure_is_one_request_and_costs_nothing(
    kind, quick: RetryPolicy, reply: Reply, error: type[CallError]
) -> None:
    """Refusals are not retried, have status and code, and are charged nothing."""
    with FakeResponses([reply]) as server:
        async with kind(base_url=server.base_url, free=False, retry=quick) as session:
            with pytest.raises(error) as caught:
                await session.respond("hi")
    assert (caught.value.status, caught.value.request_id, caught.value.attempts) == (
        reply.status,
        "req_fake",
        1,
    )
    assert f"answered {reply.status}: scripted {reply.status}" in str(caught.value)
    assert rows("status, cost_nano, request_id, estimated") == [("failed", 0, "req_fake", 0)]


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitedError), (503, ServerFailedError)])
async def test_retries_are_counted_and_end(
    kind, quick: RetryPolicy, status: int, error: type[CallError]
) -> None:
    """With three retries the server sees four requests, and the SDK adds none of its own."""
    with FakeResponses([refusal(status)] * 4) as server:
        async with kind(base_url=server.base_url, retry=quick) as session:
            with pytest.raises(error) as caught:
                await session.respond("hi")
    assert (caught.value.attempts, len(server.posts)) == (4, 4)


async def test_a_note_of_a_retry_says_why_there_is_no_connection(kind) -> None:
    """The class alone tells a server that is not running from no other fault; and which server was tried, how often it will be."""
    notes: list[str] = []
    settings = load(base_url="http://127.0.0.1:9/v1", free=True, max_retries=1, base_delay=0.0)
    async with kind(settings=settings, on_note=notes.append) as session:
        with pytest.raises(UnreachableError):
            await session.respond("Hello")
    assert len(notes) == 1 and "APIConnectionError: " in notes[0]
    assert "refused" in notes[0] or "attempts failed" in notes[0]
    assert notes[0].startswith("attempt 1 of 2 at http://127.0.0.1:9/v1 failed")


def test_blocks_that_listen_to_retries_may_overlap() -> None:
    """Jobs of one session end in any order: each is told while it runs, and none behind its end."""
    told: list[str] = []
    session = Session(base_url="http://127.0.0.1:9/v1", retry=RetryPolicy(1, 0))

    def fail() -> None:
        with pytest.raises(TimeoutError):
            session.retry.call("job", timed_out)

    def timed_out() -> None:
        raise TimeoutError

    with session:
        one, two = (session.listening(lambda _, name=name: told.append(name)) for name in "ab")
        one.__enter__()
        fail()
        two.__enter__()
        fail()
        one.__exit__(None, None, None)
        fail()
        two.__exit__(None, None, None)
        fail()
    assert told == ["a", "a", "b", "b"]


async def test_a_body_that_is_no_response_is_an_error_and_not_retried(kind, quick: RetryPolicy) -> None:
    """Broken JSON, other JSON and plain text are MalformedAnswerErrors, charged as an estimate."""
    for garbage in ("{nope", '{"hello": 1}', "[]", '"text"'):
        with FakeResponses([Reply(garbage=garbage)]) as server:
            async with kind(base_url=server.base_url, free=False, retry=quick) as session:
                with pytest.raises(MalformedAnswerError):
                    await session.respond("some words to be sent")
    assert {row[:2] for row in rows("status, estimated, cost_nano")} == {("failed", 1)}
    assert all(int(str(row[0])) > 0 for row in rows("cost_nano"))


async def test_a_failed_response_is_an_error_that_holds_it(kind, quick: RetryPolicy) -> None:
    """Status failed raises with code and answer; its usage is charged."""
    failed = Reply(
        text="half", response={"status": "failed", "error": {"code": "server_error", "message": "broke"}}
    )
    with FakeResponses([failed]) as server:
        async with kind(base_url=server.base_url, free=False, retry=quick) as session:
            with pytest.raises(AnswerFailedError, match="broke") as caught:
                await session.respond("hi")
    assert caught.value.code == "server_error"
    assert caught.value.answer is not None
    assert caught.value.answer.text == "half"
    assert rows("status, cost_nano, error") == [("failed", 7_500, "AnswerFailedError: server_error")]


async def test_an_incomplete_response_is_an_answer_that_says_so(kind) -> None:
    """Status incomplete is no error; the reason is in the answer."""
    cut = Reply(response={"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})
    with FakeResponses([cut]) as server:
        async with kind(base_url=server.base_url) as session:
            answer = await session.respond("hi")
    assert (answer.status, answer.incomplete_reason) == ("incomplete", "max_output_tokens")
    assert rows("status") == [("incomplete",)]


async def test_missing_usage_is_estimated_and_marked(kind) -> None:
    """A server that sends no usage does not make the call free."""
    with FakeResponses([Reply(text="some words", response={"usage": None})]) as server:
        async with kind(base_url=server.base_url, free=False) as session:
            answer = await session.respond("some more words")
    assert not answer.usage_known
    assert answer.usd > 0
    assert rows("estimated, output_tokens > 0") == [(1, 1)]


async def test_a_silent_server_is_a_timeout(kind) -> None:
    """No answer within the time allowed is a CallTimeoutError after the retries."""
    with FakeResponses([Reply(delay=3)] * 2) as server:
        async with kind(base_url=server.base_url, retry=RetryPolicy(1, 0.001)) as session:
            with pytest.raises(CallTimeoutError) as caught:
                await session.respond("hi", timeout=0.2)
    assert caught.value.attempts == 2


async def test_nobody_there_costs_nothing(kind, quick: RetryPolicy) -> None:
    """A refused connection is an UnreachableError; nothing was sent, so nothing is charged."""
    async with kind(base_url="http://127.0.0.1:9/v1", free=False, retry=quick) as session:
        with pytest.raises(UnreachableError):
            await session.respond("hi")
    assert rows("status, cost_nano, attempts") == [("failed", 0, 4)]


async def test_a_background_response_is_waited_for(kind) -> None:
    """With background the answer is fetched until it is done."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url) as session:
            answer = await session.respond("later please", background=True)
    assert answer.text == "later please"
    assert [seen.method for seen in server.requests] == ["POST", "GET"]


async def test_a_spent_budget_sends_nothing(kind) -> None:
    """A call that may cost more than is left is refused before it is sent, and has no row."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url, free=False, budget=Budget(run=USD("0.001"))) as session:
            with pytest.raises(BudgetExceededError, match="per run"):
                await session.respond("hi", max_output_tokens=1000)
            assert (await session.respond("hi", max_output_tokens=50)).text == "hi"
    assert len(server.posts) == 1
    assert len(rows("id")) == 1


async def test_under_a_budget_an_answer_is_capped(kind) -> None:
    """A worst case needs a cap: without one given, the setting's is sent, and the user is told."""
    notes: list[str] = []
    with FakeResponses() as server:
        async with kind(
            base_url=server.base_url, free=False, budget=Budget(run=USD(1)), on_note=notes.append
        ) as session:
            await session.respond("hi")
            await session.respond("hi")
    assert server.posts[0].body["max_output_tokens"] == 8192
    assert notes == ["a budget is set; the answer is limited to 8192 tokens"]


async def test_history_on_the_server_is_part_of_the_worst_case(kind) -> None:
    """A turn that goes on from a large one reserves for reading it again."""
    large = {"usage": {"input_tokens": 900_000, "output_tokens": 100_000}}
    with FakeResponses([Reply(response=large)]) as server:
        async with kind(base_url=server.base_url, free=False, budget=Budget(run=USD("3.4"))) as session:
            answer = await session.respond("hi", max_output_tokens=10)
            with pytest.raises(BudgetExceededError) as caught:
                await session.respond("hi", max_output_tokens=10, previous_response_id=answer.response_id)
    assert caught.value.wanted > USD("1.5")


@pytest.mark.parametrize(
    "unseen",
    [
        {"previous_response_id": "resp_of_another_ledger"},
        {"extra": {"conversation": "conv_1"}},
        {
            "extra": {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]}
                ]
            }
        },
    ],
)
async def test_what_cannot_be_seen_reserves_the_whole_window(kind, unseen: dict[str, Any]) -> None:
    """A call that reads what is not in it reserves the model's context window: 200,000 tokens here."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url, free=False, budget=Budget(run=USD("0.29"))) as session:
            with pytest.raises(BudgetExceededError) as caught:
                await session.respond("hi", max_output_tokens=1, **unseen)
    assert caught.value.wanted == USD("0.300006")
    assert server.posts == []


async def test_an_unknown_price_under_a_budget_is_refused(kind) -> None:
    """Without a policy of the user's, a limit that could not be kept refuses the call."""
    with FakeResponses() as server:
        async with kind(
            base_url=server.base_url, free=False, budget=Budget(run=USD(1)), model="nobody-knows"
        ) as session:
            with pytest.raises(UnknownPriceError, match="nobody-knows"):
                await session.respond("hi")
    assert server.posts == []


async def test_without_a_budget_an_unknown_price_is_a_note(kind) -> None:
    """The call goes on, costs 0, and the user is told once, in Japanese if asked."""
    notes: list[str] = []
    with FakeResponses() as server:
        async with kind(
            base_url=server.base_url, free=False, model="nobody-knows", lang="ja", on_note=notes.append
        ) as session:
            await session.respond("hi")
            await session.respond("hi")
    assert notes == ["モデル nobody-knows の価格が不明なため、費用を 0 として計上します"]


async def test_secrets_do_not_leave(kind) -> None:
    """A token in the input or the instructions is masked in what is sent, with a note and in the answer."""
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    notes: list[str] = []
    with FakeResponses() as server:
        async with kind(base_url=server.base_url, on_note=notes.append) as session:
            answer = await session.respond(f"why does {token} fail", instructions=f"use {token}")
    assert token not in json.dumps(server.posts[0].body)
    assert answer.masked == ("github token", "github token")
    assert notes == ["masked before sending: github token"]


async def test_an_estimate_sends_nothing_but_the_count(kind) -> None:
    """A dry run counts with the server's own counter, makes no call, and writes no row."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url, free=False) as session:
            estimate = await session.estimate("one two three", max_output_tokens=100)
    assert (estimate.input_tokens, estimate.method, estimate.output_bound) == (3, "server", 100)
    assert estimate.worst.usd == (estimate.input_bound * USD("1.5") + 600) / 1_000_000
    assert [seen.path for seen in server.requests] == ["/v1/responses/input_tokens"]
    assert rows("id") == []


async def test_an_estimate_without_a_counter_is_a_guess(kind) -> None:
    """Where the server cannot count, or may not be asked, the guess stands and says so."""
    with FakeResponses(input_tokens=False) as server:
        async with kind(base_url=server.base_url) as session:
            guessed = await session.estimate("def add(a, b): return a + b\n" * 40)
            unasked = await session.estimate("hello", ask_server=False)
    assert (guessed.method, unasked.method) == ("guess", "guess")
    assert 200 < guessed.input_tokens < 500 < guessed.input_bound
    assert len(server.requests) == 1


async def test_a_cancelled_task_is_settled_as_cancelled() -> None:
    """Cancelling the awaiting task leaves a cancelled row with an estimate, and no open reservation."""
    with FakeResponses([Reply(delay=2)]) as server:
        async with AsyncSession(base_url=server.base_url, free=False) as session:
            task = asyncio.create_task(session.respond("hello there"))
            while not server.posts:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert rows("status, estimated, cost_nano > 0") == [("cancelled", 1, 1)]


def test_parallel_calls_of_one_session_keep_the_budget() -> None:
    """Forty threads against room for some: the sum of what was charged stays under the limit."""
    limit = USD("0.01")
    outcomes: list[str] = []
    lock = threading.Lock()
    with (
        FakeResponses() as server,
        Session(base_url=server.base_url, free=False, budget=Budget(run=limit)) as session,
    ):

        def call(number: int) -> None:
            try:
                session.respond(f"call {number}", max_output_tokens=200)
                said = "ok"
            except BudgetExceededError:
                said = "refused"
            with lock:
                outcomes.append(said)

        with ThreadPoolExecutor(40) as pool:
            list(pool.map(call, range(40)))
        assert session.spent <= limit
    assert outcomes.count("ok") == len(server.posts)
    assert outcomes.count("refused") > 0


async def test_a_thousand_tasks_overshoot_by_nothing() -> None:
    """1,000 calls at once against a nearly spent budget: what was sent fits, the rest was never sent."""
    limit = USD("0.05")
    with FakeResponses() as server:
        async with AsyncSession(base_url=server.base_url, free=False, budget=Budget(run=limit)) as session:
            calls = [session.respond(f"call {number}", max_output_tokens=100) for number in range(1000)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert session.spent <= limit
    answered = [result for result in results if isinstance(result, Answer)]
    assert len(server.posts) == len(answered) > 0
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 1000 - len(answered) > 0
    assert sum((answer.usd for answer in answered), USD(0)) == rows_usd()


def rows_usd() -> USD:
    return sum((USD(int(str(row[0]))) for row in rows("cost_nano")), USD(0)) / 10**9


async def test_a_decorated_call_of_a_session_is_not_retried_twice() -> None:
    """retry_with_backoff around a session adds nothing to the session's own retries."""
    with FakeResponses([refusal(503)] * 2) as server:
        async with AsyncSession(base_url=server.base_url, retry=RetryPolicy(1, 0.001)) as session:

            @retry_with_backoff(base_delay=0.001)
            async def ask() -> None:
                await session.respond("hi")

            with pytest.raises(ServerFailedError):
                await ask()
    assert len(server.posts) == 2


def test_record_and_replay_are_not_both(tmp_path: Path) -> None:
    """One run is either recorded or replayed."""
    with pytest.raises(ValueError, match="record and replay"):
        Session(record=tmp_path / "a", replay=tmp_path / "b")


def test_a_session_made_from_settings_takes_arguments_over_them() -> None:
    """Arguments outrank the settings given; the key survives."""
    with Session(load(api_key="k", model="a"), model="b") as session:
        assert (session.settings.model, session.settings.key()) == ("b", "k")


def test_the_repository_is_the_work_tree(tmp_path: Path) -> None:
    """The folder that holds .git names the repository; without one there is none."""
    deep = tmp_path / "repo" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    assert repository_of(deep) == str(tmp_path / "repo")
    assert repository_of(tmp_path) == ""


async def test_a_key_is_sent_and_not_shown(kind) -> None:
    """The key is in the Authorization header and nowhere in the session's repr."""
    with FakeResponses() as server:
        async with kind(base_url=server.base_url, api_key="sesame-key") as session:
            await session.respond("hi")
            assert "sesame-key" not in repr(vars(session))
    assert server.posts[0].headers["authorization"] == "Bearer sesame-key"
