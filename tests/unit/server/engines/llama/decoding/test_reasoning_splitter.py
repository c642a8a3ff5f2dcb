"""Reasoning told apart from the answer."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.decoding.reasoning_splitter import ReasoningSplitter
from kodo.server.lifecycle.ports import ReasoningDelta, TextDelta


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_reasoning_is_split_wherever_the_pieces_are_cut(size: int) -> None:
    """The marks are found across deltas, no id is lost, and no mark is in any text."""
    text = "<think>\nLet me see.\n</think>\n\nYes <b>."
    splitter = ReasoningSplitter()
    events: list[ReasoningDelta | TextDelta] = []
    for start in range(0, len(text), size):
        events += splitter.add(TextDelta(text=text[start : start + size], tokens=(start,)))
    events += splitter.flush()
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Let me see."
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Yes <b>."
    assert [token for event in events for token in event.tokens] == list(range(0, len(text), size))


def test_text_without_marks_is_left_alone() -> None:
    """A model that does not think this time just answers."""
    splitter = ReasoningSplitter()
    events = [*splitter.add(TextDelta(text="<b>Hi", tokens=(1,))), *splitter.flush()]
    assert events == [TextDelta(text="<b>Hi", tokens=(1,))]
