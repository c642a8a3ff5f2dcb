"""Channels of gpt-oss's kind: what is reasoning and what is the answer, however the text is cut."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.decoding.channel_splitter import ChannelSplitter
from kodo.server.lifecycle.ports import ReasoningDelta, TextDelta

THOUGHT = "<|channel|>analysis<|message|>Let me think: 1 < 2.<|end|><|start|>assistant<|channel|>final<|message|>Yes, <b>."
CASES = {
    THOUGHT: ("Let me think: 1 < 2.", "Yes, <b>."),
    "<|channel|>final<|message|>At once.": ("", "At once."),
    "Plain.": ("", "Plain."),
    "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant<|channel|>final<|message|>Done.<|return|>": (
        "",
        "I will look.Done.",
    ),
    "<|channel|>analysis<|message|>Cut": ("Cut", ""),
    "<|channel|>ana": ("", ""),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("text", CASES)
def test_marks_are_in_no_text_and_every_token_in_an_event(text: str, size: int) -> None:
    """Cut into pieces of any size, reasoning and answer are the same, and the ids of all pieces come back in order."""
    splitter = ChannelSplitter()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    events = []
    for number, piece in enumerate(pieces):
        events += splitter.add(TextDelta(text=piece, tokens=(number,)))
    inside = splitter.inside
    events += splitter.flush()
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    answer = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (reasoning, answer) == CASES[text]
    assert [token for event in events for token in event.tokens] == list(range(len(pieces)))
    assert inside is text.endswith("Cut")
    assert splitter.tokens == sum(len(e.tokens) for e in events if isinstance(e, ReasoningDelta))
