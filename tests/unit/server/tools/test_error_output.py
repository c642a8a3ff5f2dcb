"""What programs that were started write to their standard error."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kodo.server.tools import error_output
from kodo.server.tools.error_output import BURST, MAX_LINE, log_errors


async def logged(data: bytes, caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log that a stream gives."""
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    with caplog.at_level(logging.WARNING, error_output.__name__):
        await log_errors(stream, "it")
    return [record.getMessage() for record in caplog.records]


async def test_lines_are_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    """Also the last one without an end; empty ones are not, and what is no text is shown as such."""
    assert await logged(b"one\n\n  two \r\n\x1b[2Jthree\xff", caplog) == [
        "it: one",
        "it: two",
        "it: \N{REPLACEMENT CHARACTER}[2Jthree\N{REPLACEMENT CHARACTER}",
    ]


async def test_lines_without_end_and_number_are_cut(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the beginning of a long line, and says how many it does not have."""
    monkeypatch.setattr(error_output, "PER_SECOND", 0.0)
    lines = await logged(b"x" * 1_000_000 + b"\n" + b"y\n" * 10_000, caplog)
    assert lines == [
        f"it: {'x' * MAX_LINE}",
        *["it: y"] * (BURST - 1),
        f"it: {10_000 - BURST + 1} more lines were left out",
    ]
