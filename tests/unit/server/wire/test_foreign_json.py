"""JSON of a stranger: every way in which it cannot be read is one error, wherever it is read."""

from __future__ import annotations

import msgspec
import pytest

from kodo.server.engines.upstream import chat_messages, tool_calls
from kodo.server.engines.upstream.chat_stream import ChatStream
from kodo.server.engines.upstream.profile import profile_named
from kodo.server.http.anthropic import response_translation
from kodo.server.lifecycle.errors import EngineFailed
from kodo.server.ui import formats
from kodo.server.wire.foreign_json import NotJson, read_json, read_json_as

DEEP = "[" * 100_000
HALF = '{"a": "\\ud83d"}'
"""Half of a character, as an escape: the text itself is ASCII."""
CUT = b'{"choices": [{"delta": {"content": "\xe3\x81"}}]}'
UNREADABLE = {"cut": '{"a": ', "deep": DEEP, "half": HALF, "lone": '{"a": "\ud83d"}', "empty": ""}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_error(text: str) -> None:
    """Cut off, too deep, no text: as text and as bytes, of any type."""
    for data in (text, text.encode(errors="surrogatepass"), b"\xff" + text.encode(errors="replace")):
        with pytest.raises(NotJson):
            read_json(data)
        with pytest.raises(NotJson):
            read_json_as(msgspec.json.Decoder(dict[str, str]), data)


def test_what_can_be_read_is_read() -> None:
    """And a value of another type is none."""
    assert read_json(b'{"a": [1, "\xe3\x81\x82"]}') == {"a": [1, "あ"]}
    assert read_json_as(msgspec.json.Decoder(dict[str, str]), '{"a": "b"}') == {"a": "b"}
    with pytest.raises(NotJson, match="str"):
        read_json_as(msgspec.json.Decoder(dict[str, str]), '{"a": 1}')


@pytest.mark.parametrize("text", [DEEP, HALF, '{"a": '], ids=["deep", "half", "cut"])
def test_a_models_arguments_break_nothing(text: str) -> None:
    """Where they are read again: an answer of Messages, a history for another server, the dashboard's page."""
    assert response_translation._parse_arguments(text) is None
    assert "invalid_arguments" in chat_messages._object_text(text)
    assert tool_calls._custom_input(text) == text
    assert formats.pretty(text) == text
    assert formats.pretty(text).encode()


@pytest.mark.parametrize("data", [DEEP.encode(), CUT, b"{"], ids=["deep", "cut character", "cut"])
def test_a_servers_event_that_is_none_is_the_servers_failure(data: bytes) -> None:
    """An error that the pool counts, not one of this program."""
    with pytest.raises(EngineFailed, match="not an answer"):
        ChatStream({}, profile_named("generic"), "upstream").feed(data)
