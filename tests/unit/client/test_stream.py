"""Streams: retried before the first event, never after it, resumed when the server works in the background."""

from __future__ import annotations

import gc
from decimal import Decimal

import pytest

from kodo.client.answer import AnswerFailedError
from kodo.client.async_session import AsyncSession
from kodo.client.errors import RequestRefusedError, StreamCutError
from kodo.client.ledger import Ledger
from kodo.client.retry import RetryPolicy
from kodo.client.session import Session
from kodo.client.testing import FakeResponses, Reply, refusal


def rows(columns: str) -> list[tuple[object, ...]]:
    with Ledger() as ledger:
        return ledger.query(f"SELECT {columns} FROM calls")


def test_pieces_arrive_and_the_answer_follows() -> None:
    """The pieces make up the text; answer is there at the end and not before."""
    with FakeResponses([Reply(text="one two three")]) as server:
        with Session(base_url=server.base_url, free=False) as session, session.stream("hi there") as stream:
            assert next(stream) == "one"
            with pytest.raises(RuntimeError, match="end"):
                _ = stream.answer
            assert list(stream) == [" two", " three"]
            assert (stream.answer.text, stream.answer.request_id) == ("one two three", "req_fake")
    assert rows("status, cost_nano, request_id") == [("completed", 21_000, "req_fake")]


@pytest.mark.parametrize("first", [refusal(503), refusal(429, retry_after_ms="2"), Reply(cut_after=0)])
def test_a_stream_is_retried_before_its_first_event(quick: RetryPolicy, first: Reply) -> None:
    """Nothing has been shown yet, so a failure there is retried like any other."""
    with (
        FakeResponses([first, Reply(text="ok")]) as server,
        Session(base_url=server.base_url, retry=quick) as session,
    ):
        assert list(session.stream("hi")) == ["ok"]
    assert len(server.posts) == 2
    assert rows("status, attempts") == [("completed", 2)]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_stream_that_broke_is_not_sent_again(quick: RetryPolicy, after: int) -> None:
    """From the first event on a break is a StreamCutError with the text so far, charged as an estimate."""
    with FakeResponses([Reply(text="one two three", cut_after=after)]) as server:
        with Session(base_url=server.base_url, free=False, retry=quick) as session:
            seen: list[str] = []
            with pytest.raises(StreamCutError) as caught:
                seen.extend(session.stream("hi there"))
    assert caught.value.text == "".join(["one", " two"][: after - 1])
    assert len(server.posts) == 1
    assert rows("status, estimated, cost_nano > 0, output_tokens > 0") == [("cut", 1, 1, int(after > 1))]


def test_a_background_stream_goes_on_after_a_break(quick: RetryPolicy) -> None:
    """The stream is taken up after the last event that arrived; no piece is lost or doubled."""
    with FakeResponses([Reply(text="one two three four", cut_after=3)]) as server:
        with Session(base_url=server.base_url, free=False, retry=quick) as session:
            stream = session.stream("hi", background=True)
            assert list(stream) == ["one", " two", " three", " four"]
    resumed = [seen.path for seen in server.requests if seen.method == "GET"]
    assert len(resumed) == 1
    assert "starting_after=2" in resumed[0]
    assert rows("status, cost_nano") == [("completed", 25_500)]


def test_leaving_early_is_a_cancelled_call() -> None:
    """close, and being dropped, settle the call with an estimate of what had arrived."""
    with FakeResponses() as server, Session(base_url=server.base_url, free=False) as session:
        with session.stream("one two three four") as stream:
            next(stream)
        session.stream("never read").close()
        dropped = session.stream("five six seven")
        next(dropped)
        del dropped
        gc.collect()
    assert rows("DISTINCT status, estimated") == [("cancelled", 1)]
    assert len(rows("id")) == 3


def test_closing_the_session_closes_its_streams() -> None:
    """A stream that is still open when its session is closed is settled as cancelled."""
    with FakeResponses() as server:
        with Session(base_url=server.base_url) as session:
            stream = session.stream("one two three")
            next(stream)
        assert list(stream) == []
    assert rows("status") == [("cancelled",)]


async def test_closing_the_async_session_closes_its_streams() -> None:
    """The same, awaited."""
    with FakeResponses() as server:
        async with AsyncSession(base_url=server.base_url) as session:
            stream = await session.stream("one two three")
            await anext(stream)
        assert [piece async for piece in stream] == []
    assert rows("status") == [("cancelled",)]


def test_a_response_that_fails_in_the_stream_is_an_error(quick: RetryPolicy) -> None:
    """response.failed ends the stream with AnswerFailedError and is not retried."""
    failed = Reply(
        text="half", response={"status": "failed", "error": {"code": "server_error", "message": "broke"}}
    )
    with FakeResponses([failed]) as server, Session(base_url=server.base_url, retry=quick) as session:
        stream = session.stream("hi")
        with pytest.raises(AnswerFailedError, match="broke"):
            list(stream)
    assert rows("status") == [("failed",)]


def test_a_refused_stream_raises_at_once() -> None:
    """A 400 is raised by stream itself, before anything is read."""
    with (
        FakeResponses([refusal(400, "invalid_prompt")]) as server,
        Session(base_url=server.base_url) as session,
    ):
        with pytest.raises(RequestRefusedError):
            session.stream("hi")
    assert rows("status, cost_nano") == [("failed", 0)]


async def test_the_async_stream_does_the_same(quick: RetryPolicy) -> None:
    """Pieces, answer, retry before the first event, cut after it, resume in the background."""
    script = [
        refusal(503),
        Reply(text="one two"),
        Reply(text="one two three", cut_after=2),
        Reply(text="one two three four", cut_after=3),
    ]
    with FakeResponses(script) as server:
        async with AsyncSession(base_url=server.base_url, free=False, retry=quick) as session:
            stream = await session.stream("hi")
            assert [piece async for piece in stream] == ["one", " two"]
            assert (stream.answer.text, stream.answer.attempts) == ("one two", 2)
            with pytest.raises(StreamCutError):
                async for _ in await session.stream("hi"):
                    pass
            resumed = await session.stream("hi", background=True)
            assert "".join([piece async for piece in resumed]) == "one two three four"
    assert rows("status") == [("completed",), ("cut",), ("completed",)]


async def test_leaving_an_async_stream_early_is_a_cancelled_call() -> None:
    """Leaving the block after one piece settles the call."""
    with FakeResponses() as server:
        async with AsyncSession(base_url=server.base_url, free=False) as session:
            async with await session.stream("one two three") as stream:
                assert await anext(stream) == "one"
    assert rows("status, estimated") == [("cancelled", 1)]
    with Ledger() as ledger:
        assert Decimal(0) < ledger.spent("run", session.run_id) < Decimal("0.001")
