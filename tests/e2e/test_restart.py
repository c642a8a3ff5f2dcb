"""What a server that was killed takes up again: with the scripted engine, and the installed command with its model."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from tests.crash.process import Killable, start
from tests.e2e.conftest import Server
from tests.unit.server.store.test_failures import integrity

MODEL = "codex-mini-latest"
Serve = Callable[..., Server]
Begin = Callable[[], Killable]
WORDS = " ".join(f"word{number}" for number in range(200))
FINAL = ("completed", "incomplete", "failed", "cancelled")


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[..., Begin]]:
    """Given a script (without turns it echoes), what starts a server with it, again and again."""
    running: list[Killable] = []

    def given(*turns: dict[str, Any], **options: Any) -> Begin:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"turns": turns, **options}))

        def begin() -> Killable:
            running.append(start(tmp_path / "home", script))
            return running[-1]

        return begin

    yield given
    for server in running:
        server.kill()


def kill(server: Killable | Server) -> None:
    """``kill -9``; the file is whole."""
    if isinstance(server, Server):
        server.stop(signal.SIGKILL)
    else:
        server.kill()
    assert integrity(server.home) == "ok"


def over(sdk: openai.OpenAI, response_id: str) -> Response:
    """A background response, once it is over."""
    while (response := sdk.responses.retrieve(response_id)).status not in FINAL:
        time.sleep(0.02)
    return response


def watched(sdk: openai.OpenAI, response_id: str, deltas: int) -> list[Any]:
    """The events of a background response up to its so-many-th delta of text."""
    events = []
    with sdk.responses.retrieve(response_id, stream=True) as stream:
        for event in stream:
            events.append(event)
            deltas -= event.type == "response.output_text.delta"
            if deltas == 0:
                break
    return events


def resumed(sdk: openai.OpenAI, response_id: str, after: int = -1) -> list[Any]:
    """The events behind a sequence number, to the end."""
    return list(sdk.responses.retrieve(response_id, stream=True, starting_after=after))


def text_of(events: list[Any]) -> str:
    """The deltas of a stream, joined."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def bare(events: list[Any]) -> list[tuple[str, str]]:
    """Events without ids, times and repeated signs of life: what must be equal of two runs of one request."""
    return [
        (event.type, getattr(event, "delta", getattr(event, "text", "")))
        for event in events
        if event.type != "response.in_progress"
    ]


def test_an_interrupted_answer_goes_on_where_it_was(scripted: Callable[..., Begin]) -> None:
    """Killed twice in the middle: the same text, numbers that go on, nothing twice, usage counted once."""
    begin = scripted(pace=0.01)
    server = begin()
    asked = {"model": MODEL, "input": WORDS, "background": True}
    name = server.sdk().responses.create(**asked).id
    seen = watched(server.sdk(), name, 10)
    for more in (20, 0):
        kill(server)
        server = begin()
        if more:
            rest = watched(server.sdk(), name, more)
            assert [event.to_dict() for event in rest[: len(seen)]] == [event.to_dict() for event in seen]
            seen = rest
    rest = resumed(server.sdk(), name, seen[-1].sequence_number)
    whole = resumed(server.sdk(), name)
    assert [event.to_dict() for event in seen + rest] == [event.to_dict() for event in whole]
    assert [event.sequence_number for event in whole] == list(range(len(whole)))
    response = over(server.sdk(), name)
    uninterrupted = over(server.sdk(), server.sdk().responses.create(**asked).id)
    assert (response.status, response.output_text, text_of(whole)) == ("completed", WORDS, WORDS)
    assert response.usage == uninterrupted.usage
    assert bare(whole) == bare(resumed(server.sdk(), uninterrupted.id))


def test_queued_responses_run_and_the_interrupted_chain_goes_on(scripted: Callable[..., Begin]) -> None:
    """A queued child of a finished parent runs after the restart, though its parent was deleted meanwhile."""
    begin = scripted(pace=0.02)
    server = begin()
    sdk = server.sdk()
    parent = sdk.responses.create(model=MODEL, input="the parent")
    busy = sdk.responses.create(model=MODEL, input=WORDS * 5, stream=True)  # background work waits for it
    next(iter(busy))
    queued = sdk.responses.create(
        model=MODEL, input="the child", background=True, previous_response_id=parent.id
    )
    sdk.responses.delete(parent.id)
    assert queued.status == "queued"
    assert sdk.responses.retrieve(queued.id).status == "queued"
    kill(server)
    server = begin()
    response = over(server.sdk(), queued.id)
    assert (response.status, response.output_text) == ("completed", "the child")
    assert response.usage is not None
    assert response.usage.input_tokens == 2 * (4 + 3) + 4 + 3


def test_a_conversation_is_taken_up_as_it_was(scripted: Callable[..., Begin]) -> None:
    """What others add to the conversation meanwhile is not put before the answer; the answer is at its end once."""
    begin = scripted(pace=0.02)
    server = begin()
    sdk = server.sdk()
    conversation = sdk.conversations.create(items=[{"role": "user", "content": "first"}])
    response = sdk.responses.create(model=MODEL, input=WORDS, background=True, conversation=conversation.id)
    watched(sdk, response.id, 5)
    sdk.conversations.items.create(conversation.id, items=[{"role": "user", "content": "added meanwhile"}])
    kill(server)
    server = begin()
    done = over(server.sdk(), response.id)
    assert (done.status, done.output_text) == ("completed", WORDS)
    assert done.usage is not None
    assert done.usage.input_tokens == (4 + 2) + (4 + -(-len(WORDS) // 4))
    items = server.sdk().conversations.items.list(conversation.id, order="asc").data
    assert [item.content[0].text for item in items] == ["first", "added meanwhile", WORDS, WORDS]  # type: ignore[union-attr]


def test_an_engine_that_cannot_continue_begins_anew_and_says_so(scripted: Callable[..., Begin]) -> None:
    """The cut item stays, marked incomplete; the whole answer follows as the next item, and only it is counted."""
    begin = scripted(pace=0.01, continues=False)
    server = begin()
    name = server.sdk().responses.create(model=MODEL, input=WORDS, background=True).id
    seen = watched(server.sdk(), name, 10)
    kill(server)
    server = begin()
    whole = resumed(server.sdk(), name)
    response = over(server.sdk(), name)
    cut, again = response.output
    assert (response.status, cut.status, again.status) == ("completed", "incomplete", "completed")  # type: ignore[union-attr]
    assert again.content[0].text == WORDS  # type: ignore[union-attr]
    assert WORDS.startswith(cut.content[0].text)  # type: ignore[union-attr]
    assert [event.to_dict() for event in whole[: len(seen)]] == [event.to_dict() for event in seen]
    assert [event.sequence_number for event in whole] == list(range(len(whole)))
    assert response.usage is not None
    assert response.usage.output_tokens == -(-len(WORDS) // 4)


def test_what_ran_for_a_client_that_is_gone_ends_as_failed(scripted: Callable[..., Begin]) -> None:
    """A response in the foreground ends with its connection: what was said is kept, and it says why it stopped."""
    begin = scripted(pace=0.05)
    server = begin()
    stream = iter(server.sdk().responses.create(model=MODEL, input=WORDS, stream=True))
    name = next(event.response.id for event in stream if event.type == "response.created")
    next(event for event in stream if event.type == "response.output_text.delta")
    with contextlib.closing(sqlite3.connect(server.home / "kodo.db")) as database:
        while not any(b"word" in chunk for (chunk,) in database.execute("SELECT chunk FROM log")):
            time.sleep(0.02)  # the log of a stream follows
    kill(server)
    response = begin().sdk().responses.retrieve(name)
    assert response.status == "failed"
    assert response.error is not None
    assert "stopped" in response.error.message
    assert WORDS.startswith(response.output_text)
    assert response.output_text


def test_an_orderly_stop_leaves_background_work_for_the_next_start(scripted: Callable[..., Begin]) -> None:
    """SIGTERM ends it at once; the answer goes on after the next start."""
    begin = scripted(pace=0.02)
    server = begin()
    name = server.sdk().responses.create(model=MODEL, input=WORDS, background=True).id
    watched(server.sdk(), name, 5)
    assert server.stop() == 0
    server = begin()
    assert over(server.sdk(), name).output_text == WORDS
    assert [event.sequence_number for event in resumed(server.sdk(), name)] == list(
        range(len(resumed(server.sdk(), name)))
    )


def test_reasoning_and_calls_are_continued_too(scripted: Callable[..., Begin]) -> None:
    """Whatever the answer was at when it was cut: every item comes out once and whole."""
    steps = [
        {"type": "reasoning", "text": "thinking " * 20},
        {"type": "text", "text": "saying " * 20},
        {"type": "call", "name": "add", "arguments": {"numbers": list(range(60))}, "call_id": "call_1"},
    ]
    begin = scripted({"steps": steps, "match": "."}, pace=0.01)
    tool: Any = {"type": "function", "name": "add", "parameters": {"type": "object", "properties": {}}}
    server = begin()
    asked: dict[str, Any] = {"model": MODEL, "input": "go", "background": True, "tools": [tool]}
    name = server.sdk().responses.create(**asked).id
    for kind in ("reasoning_summary_text.delta", "output_text.delta", "function_call_arguments.delta"):
        with server.sdk().responses.retrieve(name, stream=True) as stream:
            next(event for event in stream if event.type == f"response.{kind}")
        kill(server)
        server = begin()
    whole = resumed(server.sdk(), name)
    uninterrupted = over(server.sdk(), server.sdk().responses.create(**asked).id)
    assert bare(whole) == bare(resumed(server.sdk(), uninterrupted.id))
    response = over(server.sdk(), name)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert response.usage == uninterrupted.usage


@pytest.mark.model
@pytest.mark.xdist_group("real model")
@pytest.mark.parametrize("format_", ["text", "json"])
def test_the_real_model_goes_on_token_for_token(serve: Serve, format_: str) -> None:
    """At temperature 0, killed in the middle, free text and what a grammar holds: as if nothing had happened.

    The question is one whose answer leaves no doubt: where two words are all but equally likely, the last digits of a sum
    decide, and they depend on how many tokens are read at once; see docs/reference/state.md.
    """
    schema = {
        "type": "object",
        "properties": {"names": {"type": "array", "items": {"type": "string"}, "minItems": 8, "maxItems": 8}},
        "required": ["names"],
        "additionalProperties": False,
    }
    text: Any = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}}
    asked: dict[str, Any] = {
        "model": MODEL,
        "input": "Write the numbers from 1 to 100, separated by commas.",
        "temperature": 0,
        "max_output_tokens": 100,
        "background": True,
        **({"text": text} if format_ == "json" else {}),
    }
    server = serve()
    name = server.sdk().responses.create(**asked).id
    seen = watched(server.sdk(), name, 20)
    kill(server)
    server = serve()
    rest = resumed(server.sdk(), name, seen[-1].sequence_number)
    whole = resumed(server.sdk(), name)
    response = over(server.sdk(), name)
    uninterrupted = over(server.sdk(), server.sdk().responses.create(**asked).id)
    assert len(text_of(rest)) > 20
    assert [event.to_dict() for event in seen + rest] == [event.to_dict() for event in whole]
    assert [event.sequence_number for event in whole] == list(range(len(whole)))
    assert (response.output_text, response.status) == (uninterrupted.output_text, uninterrupted.status)
    assert text_of(whole) == response.output_text
    assert response.usage is not None
    assert uninterrupted.usage is not None
    assert response.usage.output_tokens == uninterrupted.usage.output_tokens
    assert response.usage.input_tokens == uninterrupted.usage.input_tokens
