"""What a log says of the tokens that were used before its end."""

from __future__ import annotations

import pytest

from kodo.server.lifecycle.event_log import (
    Began,
    Entry,
    Queued,
    Restarted,
    TurnEnded,
    usage_so_far,
)
from kodo.server.lifecycle.ports import ReasoningDelta, TextDelta, Usage

TURN = TurnEnded(usage=Usage(input=50, cached=40, output=5))
THOUGHT, SAID = ReasoningDelta(text="hm", tokens=(1, 2)), TextDelta(text="yes", tokens=(3, 4, 5))


@pytest.mark.parametrize(
    ("entries", "used"),
    [
        ([], Usage()),
        ([Queued()], Usage()),
        ([Queued(), Began()], Usage(input=9)),
        ([Began(), THOUGHT, SAID], Usage(input=9, output=5, reasoning=2)),
        ([Began(), SAID, Restarted(), THOUGHT], Usage(input=9, output=2, reasoning=2)),
        ([Began(), SAID, TURN], Usage(input=50, cached=40, output=5)),
        ([Began(), SAID, TURN, SAID], Usage(input=50, cached=40, output=8)),
        ([Began(), TURN, SAID, TURN, Began()], Usage(input=100, cached=80, output=10)),
    ],
)
def test_tokens_are_counted_by_what_the_log_has(entries: list[Entry], used: Usage) -> None:
    """Nothing before it began; whole turns as they said themselves, the last one by its prompt, where it is the first, and its text."""
    assert usage_so_far(entries, 9) == used
