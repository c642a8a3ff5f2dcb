"""Stop strings in a stream of deltas."""

from __future__ import annotations

import pytest

from kodo.server.engines.stop_buffer import StopBuffer, longest_partial_match
from kodo.server.lifecycle.ports import TextDelta


@pytest.mark.parametrize(("text", "size"), [("abc<th", 3), ("abc", 0), ("<", 1), ("<think>", 0), ("<<", 1)])
def test_the_longest_beginning_of_a_mark_is_found(text: str, size: int) -> None:
    """Only what may still become the mark is held back."""
    assert longest_partial_match(text, ("<think>",)) == size


@pytest.mark.parametrize(
    ("pieces", "said", "stopped"),
    [
        ((' {"na', 'me": "f'), "", '{"name": "'),
        (("As JSON: ", '{"name": "f"}'), 'As JSON: {"name": "f"}', None),
        (('{"age', '": 1} {"name": "'), '{"age": 1} {"name": "', None),
        (('{"name" ', "and so STOP on"), '{"name" and so ', "STOP"),
    ],
)
def test_a_mark_that_is_no_word_counts_only_where_a_text_begins(
    pieces: tuple[str, ...], said: str, stopped: str | None
) -> None:
    """Bare JSON begins a call at the start of an answer; behind words it is an example."""
    buffer = StopBuffer(("STOP",), ('{"name": "',))
    ready: list[TextDelta] = []
    for piece in pieces:
        if buffer.stopped_by is None:
            ready += buffer.add(TextDelta(text=piece))
    assert "".join(delta.text for delta in [*ready, *buffer.flush((1,))]) == said
    assert buffer.stopped_by == stopped
