"""`import kodo` against the real server, as another process, with the real SDK between them; an echo for a model."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import kodo
from kodo.client import endpoint
from kodo.client.endpoint import StartedServer, find_running
from kodo.client.errors import RequestRefusedError
from kodo.client.retry import RetryPolicy

ECHO = """
[models.codex-mini-latest]
engine = "scripted"
target = ""
"""


pytestmark = pytest.mark.xdist_group("library")  # one server for the file


def alone(patch: pytest.MonkeyPatch, home: Path) -> None:
    """A home whose server echoes, and an environment that names no other."""
    for name in [name for name in os.environ if name.startswith(("KODO_", "OPENAI_"))]:
        patch.delenv(name)
    patch.setenv("KODO_HOME", str(home))
    (home / "config.toml").write_text(ECHO)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedServer]:
    """A real server, in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        alone(patch, tmp_path_factory.mktemp("home"))
        started = StartedServer.start(120)
        patch.setenv("KODO_BASE_URL", started.base_url)
        yield started
        started.stop()


def test_with_nothing_configured_a_server_lives_as_long_as_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call starts kodo; closing the session ends it and its note is gone."""
    alone(monkeypatch, tmp_path)
    monkeypatch.setattr(endpoint, "DEFAULT_PORT", 9)  # a kodo of this machine's user is not part of the test
    notes: list[str] = []
    with kodo.Session(on_note=notes.append) as session:
        answer = session.respond("good morning")
        assert session.endpoint().source == "started"
        assert find_running() is None, "it is no other command's server"
    assert "good morning" in answer.text
    assert notes == ["no server is configured or running; starting kodo for this command"]
    assert not (tmp_path / "server.json").exists()


def test_everything_goes_through_a_server_that_runs(server: StartedServer) -> None:
    """Answers, usage, streams, background, chat, code, batch and estimate go through it, and each call is a row."""
    with kodo.Session() as session:
        assert (session.endpoint().source, session.endpoint().local) == ("configured", True)
        answer = session.respond("one two three", max_output_tokens=50, metadata={"a": "b"})
        assert answer.status == "completed"
        assert answer.usage.input_tokens > 0
        assert answer.request_id
        assert answer.usd == 0
        assert answer.cost.list_usd
        with session.stream("four five six") as stream:
            assert "".join(stream) == stream.answer.text
        assert "later" in session.respond("later", background=True).text
        assert session.estimate("one two three").method == "server"
        chat = kodo.Chat(session, name="e2e")
        chat.say("my name is Ada")
        chat.say("what is my name")
        assert len(kodo.Chat.resume(session, "e2e").turns) == 2
        results = kodo.generate_batch([f"number {number}" for number in range(20)], session=session)
        assert [
            f"number {number}" in r.text for number, r in enumerate(results) if isinstance(r, kodo.Answer)
        ] == [True] * 20
        rows = session.ledger.query(
            "SELECT status, count(*), sum(cost_nano), min(list_nano) > 0 FROM calls WHERE run = ? GROUP BY 1",
            (session.run_id,),
        )
    assert rows == [("completed", 25, 0, 1)]


def test_a_chat_goes_on_after_the_server_forgot(server: StartedServer) -> None:
    """A deleted response is not found any more; the chat sends its history instead."""
    with kodo.Session() as session:
        chat = kodo.Chat(session)
        first = chat.say("my name is Ada")
        session.client().responses.delete(first.response_id)
        chat.say("what is my name")
        assert len(chat.turns) == 2


def test_a_refusal_names_the_field(server: StartedServer) -> None:
    """The server's code and param are in the error."""
    with kodo.Session() as session, pytest.raises(RequestRefusedError) as caught:
        session.respond("hi", temperature=9)
    assert (caught.value.status, caught.value.param) == (400, "temperature")


def test_a_recorded_run_replays_what_the_server_said(server: StartedServer, tmp_path: Path) -> None:
    """What the real server said comes back from the file."""
    tape = tmp_path / "run.jsonl"
    with kodo.Session(record=tape) as session:
        live = [session.respond("good morning").text, "".join(session.stream("good night"))]
    with kodo.Session(replay=tape) as session:
        assert session.endpoint().source == "replay"
        assert [session.respond("good morning").text, "".join(session.stream("good night"))] == live


@contextlib.asynccontextmanager
async def cutting(base_url: str, after: bytes) -> AsyncIterator[str]:
    """A proxy that breaks the first connection whose answer holds `after`, and passes on the others."""
    parts = urlsplit(base_url)
    cut = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(parts.hostname, parts.port)

        async def back() -> None:
            nonlocal cut
            seen = b""
            while data := await upstream_reader.read(256):
                seen += data
                if after in seen and not cut:
                    cut = True
                    writer.transport.abort()
                    return
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(back())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                upstream_writer.write(data)
        upstream_writer.close()
        await asyncio.gather(answering, return_exceptions=True)

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy:
        yield f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/v1"
    assert cut


async def test_a_background_stream_survives_a_break(server: StartedServer) -> None:
    """Cut in the middle, the stream is taken up at the real server: no piece is lost or doubled."""
    words = " ".join(f"word{number}" for number in range(60))
    async with cutting(server.base_url, b"word30") as url:
        async with kodo.aio.Session(base_url=url, retry=RetryPolicy(3, 0.01)) as session:
            stream = await session.stream(words, background=True)
            text = "".join([piece async for piece in stream])
    assert text == stream.answer.text
    assert text.count("word30") == 1
    assert stream.answer.attempts == 1


async def test_a_budget_holds_against_the_real_server(server: StartedServer) -> None:
    """With prices that cost, a hundred calls at once stay under the limit."""
    budget = kodo.Budget(run=Decimal("0.01"))
    async with kodo.aio.Session(free=False, budget=budget) as session:
        results = await kodo.aio.generate_batch(["hello there"] * 100, max_output_tokens=100, session=session)
        assert session.spent <= Decimal("0.01")
    refused = sum(isinstance(result, kodo.BudgetExceededError) for result in results)
    answered = sum(isinstance(result, kodo.Answer) for result in results)
    assert refused + answered == 100
    assert refused > 0 < answered
