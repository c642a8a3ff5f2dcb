"""Events of a Chat stream that arrive together."""

from __future__ import annotations

import pytest

from kodo.server.engines.upstream.chat_chunk import UpstreamChunk, decode_chunks, decode_together, join_texts

TEXT = b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'
END = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'


def test_chunks_that_arrive_together_are_those_that_come_alone() -> None:
    """Decoded in one go, the end of the stream behind them as it is."""
    assert decode_together([TEXT, END, b"[DONE]"]) == [*decode_chunks(TEXT), *decode_chunks(END), b"[DONE]"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(b": keep-alive", id="a comment"),
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"choices":[{"delta":"a"}]}', id="another form"),
        pytest.param(TEXT + b"\n" + TEXT, id="two in one"),
        pytest.param(b'{"choices":[],"error":{"message":"no"}}', id="an error"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b'{"choices":[{"delta":{"content":"\xff"}}]}', id="no text"),
    ],
)
def test_a_batch_with_anything_else_is_left_to_be_read_one_by_one(odd: bytes) -> None:
    """So that what stands before it is handed on, and it is read in all the forms that there are."""
    assert decode_together([TEXT, odd, END]) == [TEXT, odd, END]


def test_an_event_that_is_alone_is_left_as_it_is() -> None:
    """There is nothing to gain."""
    assert decode_together([TEXT, b"[DONE]"]) == [TEXT, b"[DONE]"]
    assert all(isinstance(chunk, UpstreamChunk) for chunk in decode_together([TEXT, TEXT]))


def test_texts_of_neighbours_are_joined_and_nothing_passes_another() -> None:
    """What has more than a text stays between the texts that it stood between."""
    other = UpstreamChunk(choices=())
    (text,) = decode_chunks(TEXT)
    assert isinstance(text, UpstreamChunk)
    assert join_texts([text, text, other, text, b"x", text]) == ["aa", other, "a", b"x", "a"]
    assert join_texts([other]) == [other]
