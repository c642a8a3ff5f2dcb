"""generate_code and its twins."""

from __future__ import annotations

import pytest

import kodo
from kodo.client.testing import FakeResponses, Reply
from kodo.jobs.generate.job import with_files

ANSWER = "Here you go:\n```python\ndef add(a, b):\n    return a + b\n```\nEnjoy!"
CODE = "def add(a, b):\n    return a + b\n"


def test_only_the_code_comes_back() -> None:
    """Fences and chatter are gone; the request asks for code in the language and is booked as its job."""
    with FakeResponses([Reply(text=ANSWER)]) as server, kodo.Session(base_url=server.base_url) as session:
        assert kodo.generate_code("add two numbers", language="python", session=session, check=True) == CODE
        assert session.ledger.query("SELECT job FROM calls") == [("generate",)]
    assert "one fenced code block of python" in server.posts[0].body["instructions"]
    assert server.posts[0].body["input"] == "add two numbers"


def test_the_stream_is_the_same_code() -> None:
    """The pieces of the streaming twin make up what the whole one returns."""
    with FakeResponses([Reply(text=ANSWER)]) as server, kodo.Session(base_url=server.base_url) as session:
        pieces = list(kodo.generate_code_stream("add two numbers", session=session))
    assert "".join(pieces) == CODE
    assert len(pieces) == 2


async def test_the_async_twins_do_the_same() -> None:
    """kodo.aio has both."""
    with FakeResponses([Reply(text=ANSWER)] * 2) as server:
        async with kodo.aio.Session(base_url=server.base_url) as session:
            assert await kodo.aio.generate_code("add", session=session) == CODE
            stream = kodo.aio.generate_code_stream("add", session=session)
            assert "".join([piece async for piece in stream]) == CODE


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(text="```\n\n```"), "no code"),
        (
            Reply(
                text=ANSWER[:40],
                response={"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ),
            "max_output_tokens",
        ),
        (Reply(text="```python\ndef (:\n```"), "not valid python: .*line 1"),
        (Reply(text="```python\nx = '\x00'\n```"), "not valid python"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_holds_the_text(reply: Reply, reason: str) -> None:
    """No code, a cut answer and code that does not parse are refused, with what the model wrote."""
    with FakeResponses([reply]) as server, kodo.Session(base_url=server.base_url) as session:
        with pytest.raises(kodo.UnusableCodeError, match=reason) as caught:
            kodo.generate_code("add", language="python", check=True, session=session)
    assert caught.value.text == reply.text


def test_a_cut_stream_of_code_says_so_at_the_end() -> None:
    """The streaming twin raises after the last piece where the answer was cut off."""
    cut = Reply(
        text=ANSWER, response={"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    )
    seen: list[str] = []
    with FakeResponses([cut]) as server, kodo.Session(base_url=server.base_url) as session:
        with pytest.raises(kodo.UnusableCodeError, match="cut off"):
            seen.extend(kodo.generate_code_stream("add", session=session))
    assert "".join(seen) == CODE


def test_a_check_without_a_parser_is_refused_before_anything_is_sent() -> None:
    """check needs python, json or toml."""
    with FakeResponses() as server, kodo.Session(base_url=server.base_url) as session:
        with pytest.raises(ValueError, match="'rust'"):
            kodo.generate_code("x", language="rust", check=True, session=session)
    assert server.posts == []


def test_files_come_before_the_prompt_and_cannot_close_their_fence() -> None:
    """A fence inside a file does not end the file's own fence."""
    text = with_files("explain", {"a.md": "```\ninner\n```\n"})
    assert text == "a.md:\n````\n```\ninner\n```\n````\n\nexplain"


def test_without_a_session_one_is_made_for_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_BASE_URL is all that a first call needs."""
    with FakeResponses([Reply(text=ANSWER)]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert kodo.generate_code("add") == CODE
