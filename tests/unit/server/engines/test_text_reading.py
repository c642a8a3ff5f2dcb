"""Reading an answer's text takes time in proportion to its length, whatever a model that goes round in a loop writes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kodo.server.engines.upstream.text_calls import TextCalls
from kodo.server.engines.upstream.text_channels import TextChannels

SCHEMAS = {"f": {"type": "object", "properties": {"a": {"type": "string"}}}}
PIECES = {
    "a closing mark that is quoted": "write `</think>` here. ",
    "an opening mark of a call": "\n<tool_call>\n",
    "a fence before a mark": "```\n<tool_call>\n",
    "a backtick": "`" * 10,
    "white space": " \n" * 10,
    "a parameter's end": "</parameter> ",
}


def _channels(piece: str, times: int) -> str:
    channels = TextChannels(waits=True)
    segments = [one for _ in range(times) for one in channels.feed(piece)]
    return "".join(one.text for one in (*segments, *channels.flush()))


def _calls(piece: str, times: int) -> str:
    calls = TextCalls(SCHEMAS)
    return "".join([calls.feed(piece) for _ in range(times)]) + calls.finish(complete=True)[0]


@pytest.mark.parametrize("read", [_channels, _calls])
@pytest.mark.parametrize("name", PIECES)
def test_twice_the_text_takes_about_twice_the_time(read: Callable[[str, int], str], name: str) -> None:
    """2,000 pieces of each kind, in less than two seconds of the processor; all of the text is
    there."""
    piece, times = PIECES[name], 2000
    began = time.process_time()
    text = read(piece, times)
    assert time.process_time() - began < 2
    assert text.strip() == (piece * times).strip()
