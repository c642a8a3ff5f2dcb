"""Chat: turns that go on from each other, kept by name, undone, taken up on a server that forgot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import kodo
from kodo.client.errors import ChatNotFoundError, RequestRefusedError, StreamCutError
from kodo.client.testing import FakeResponses, Reply, refusal
from kodo.jobs.generate.chat import saved_chats


def test_a_turn_goes_on_from_the_last_one() -> None:
    """Only what is new is sent, with the id of the last response and the instructions."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        chat = kodo.Chat(session, instructions="be kind")
        first = chat.say("hello")
        assert list(chat.stream("and again")) == ["and", " again"]
    one, two = (seen.body for seen in server.posts)
    assert "previous_response_id" not in one
    assert two["previous_response_id"] == first.response_id
    assert (two["input"], two["instructions"], two["store"]) == ("and again", "be kind", True)
    assert [(turn.said, turn.answered) for turn in chat.turns] == [
        ("hello", "hello"),
        ("and again", "and again"),
    ]


def test_a_named_chat_is_saved_after_each_turn_and_resumed() -> None:
    """A new session goes on where the last one stopped, with instructions and model."""
    with FakeResponses() as server:
        with kodo.Session(base_url=server.base_url) as session:
            last = kodo.Chat(session, name="日本語-1", instructions="be kind", model="m").say("hello")
        with kodo.Session(base_url=server.base_url) as session:
            chat = kodo.Chat.resume(session, "日本語-1")
            chat.say("again")
    assert saved_chats() == ["日本語-1"]
    body = server.posts[1].body
    assert (body["previous_response_id"], body["instructions"], body["model"]) == (
        last.response_id,
        "be kind",
        "m",
    )


def test_undo_goes_back_one_turn() -> None:
    """After undo the next turn goes on from the turn before; with none left it starts anew."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        chat = kodo.Chat(session, name="a")
        first = chat.say("one")
        chat.say("two")
        undone = chat.undo()
        assert undone is not None
        assert undone.said == "two"
        chat.say("three")
        assert [turn.said for turn in kodo.Chat.resume(session, "a").turns] == ["one", "three"]
        assert (chat.undo(), chat.undo(), chat.undo())[2] is None
        chat.say("anew")
    bodies = [seen.body for seen in server.posts]
    assert bodies[2]["previous_response_id"] == first.response_id
    assert "previous_response_id" not in bodies[3]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_forgot_gets_the_whole_history(streamed: bool) -> None:
    """previous_response_not_found is answered by sending all turns as input, once."""
    script = [Reply(text="hi"), refusal(404, "previous_response_not_found"), Reply(text="fine")]
    with FakeResponses(script) as server, kodo.Session(base_url=server.base_url) as session:
        chat = kodo.Chat(session)
        chat.say("hello")
        said = "".join(chat.stream("how are you")) if streamed else chat.say("how are you").text
    assert said == "fine"
    assert server.posts[2].body["input"] == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": "how are you"},
    ]
    assert "previous_response_id" not in server.posts[2].body


def test_other_refusals_are_not_taken_for_forgetting() -> None:
    """A refused turn raises and is not kept."""
    with FakeResponses([Reply(), refusal(404, "model_not_found")]) as server:
        with kodo.Session(base_url=server.base_url) as session:
            chat = kodo.Chat(session)
            chat.say("hello")
            with pytest.raises(RequestRefusedError):
                chat.say("again")
    assert [turn.said for turn in chat.turns] == ["hello"]


def test_a_turn_that_broke_or_was_left_is_not_kept() -> None:
    """Half an answer is no turn."""
    with FakeResponses([Reply(text="one two three", cut_after=2), Reply(text="one two")]) as server:
        with kodo.Session(base_url=server.base_url) as session:
            chat = kodo.Chat(session)
            with pytest.raises(StreamCutError):
                list(chat.stream("hello"))
            left = chat.stream("again")
            next(iter(left))
            left.close()  # type: ignore[attr-defined]
    assert chat.turns == ()


def test_what_is_kept_is_private_and_masked(home: Path) -> None:
    """The file can be read by its owner only and holds no secret that was typed."""
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        chat = kodo.Chat(session)
        chat.say(f"my token is {token}")
        chat.save("kept")
    path = home / "chats" / "kept.json"
    assert path.stat().st_mode & 0o077 == 0
    assert token not in path.read_text()
    assert json.loads(path.read_text())["turns"][0]["said"] == "my token is [masked github token]"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a" * 65, "a b", "a\n"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    """Names are letters, digits, _, . and -."""
    with kodo.Session(base_url="http://127.0.0.1:9/v1") as session:
        with pytest.raises(ValueError, match="chat name"):
            kodo.Chat(session, name=name)
        with pytest.raises(ValueError, match="chat name"):
            kodo.Chat.resume(session, name)


def test_resuming_what_is_not_there_or_broken_is_one_error(home: Path) -> None:
    """The error names the chat."""
    (home / "chats").mkdir(parents=True)
    (home / "chats" / "broken.json").write_text('{"turns": [{"said": 1}]')
    with kodo.Session(base_url="http://127.0.0.1:9/v1") as session:
        with pytest.raises(ChatNotFoundError, match="'nobody'"):
            kodo.Chat.resume(session, "nobody")
        with pytest.raises(ChatNotFoundError, match="'broken'"):
            kodo.Chat.resume(session, "broken")


async def test_the_async_chat_does_the_same() -> None:
    """say, stream, undo, resume and the server that forgot, awaited."""
    script = [
        Reply(text="hi"),
        refusal(400, "previous_response_not_found"),
        Reply(text="fine thanks"),
        Reply(text="x"),
    ]
    with FakeResponses(script) as server:
        async with kodo.aio.Session(base_url=server.base_url) as session:
            chat = kodo.aio.Chat(session, name="a")
            assert (await chat.say("hello")).text == "hi"
            assert [piece async for piece in chat.stream("how are you")] == ["fine", " thanks"]
            chat.undo()
            again = kodo.aio.Chat.resume(session, "a")
            await again.say("x")
    assert [turn.said for turn in again.turns] == ["hello", "x"]
    assert len(server.posts[2].body["input"]) == 3
