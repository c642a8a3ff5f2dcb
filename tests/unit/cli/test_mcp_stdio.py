"""What ``kodo mcp`` reads of its client."""

from __future__ import annotations

import io

import pytest

from kodo.cli.mcp_stdio import MAX_MESSAGE_BYTES, MessageLines


@pytest.mark.parametrize(
    ("given", "lines", "too_large"),
    [
        (b"", [], False),
        (b'{"id": 1}\n{"id": 2}\n', ['{"id": 1}\n', '{"id": 2}\n'], False),
        (b"short\n" + b"x" * MAX_MESSAGE_BYTES + b"y\nnever read\n", ["short\n"], True),
    ],
)
async def test_the_end_of_what_a_client_sends_is_told(
    given: bytes, lines: list[str], too_large: bool
) -> None:
    """Once, behind the last message, so that what still runs for it can be ended; also where a message is too large."""
    events: list[str] = []
    messages = MessageLines(io.BytesIO(given), lambda: events.append("ended"))
    async for line in messages:
        events.append(line)
    assert events == [*lines, "ended"]
    assert messages.too_large is too_large
