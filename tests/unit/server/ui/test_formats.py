"""Numbers, times and texts as the dashboard shows them."""

from __future__ import annotations

import pytest

from kodo.server.ui import formats


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0004, "0.4 ms"),
        (0.9996, "1.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (3599.9, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_a_time_is_rounded_into_its_next_unit(value: float, shown: str) -> None:
    """Never "1 min 60 s"."""
    assert formats.seconds(value) == shown
