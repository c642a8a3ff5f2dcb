"""The figures beside a batch, and where they are shown."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest

from kodo.cli.batch_bar import MESSAGES, clock, describe, progress_bar
from kodo.cli.output import Output
from kodo.jobs.batch.progress import Progress

HALF_WAY = Progress(
    total=100, before=20, succeeded=28, failed=2, in_flight=4, usd=Decimal("0.25"), seconds=10.0
)


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_rate_and_time_left_follow_from_this_run_alone() -> None:
    """What was done before does not make the run look faster than it is."""
    assert HALF_WAY.done == 50
    assert HALF_WAY.rate == 3.0
    assert HALF_WAY.seconds_left == pytest.approx(50 / 3)
    assert Progress(total=10, before=0).seconds_left is None


def test_the_bar_tells_rate_cost_and_time_left_in_both_languages() -> None:
    """The issue's three figures, and what is in flight and failed."""
    assert describe(HALF_WAY, Output(MESSAGES, "en")) == "3.0/s  4 in flight  2 failed  $0.2500  0:17 left"
    assert describe(HALF_WAY, Output(MESSAGES, "ja")) == "3.0 件/秒  処理中 4  失敗 2  $0.2500  残り 0:17"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_times_are_minutes_and_hours(seconds: float | None, shown: str) -> None:
    """Rounded to whole seconds, never 0:60."""
    assert clock(seconds) == shown


def test_the_bar_is_drawn_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A log file gets no control characters, and neither does a quiet run."""
    for output, stream in (
        (Output(MESSAGES, "en"), io.StringIO()),
        (Output(MESSAGES, "en", quiet=True), Terminal()),
    ):
        monkeypatch.setattr("sys.stderr", stream)
        with progress_bar(output) as show:
            show(HALF_WAY)
        assert stream.getvalue() == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(Output(MESSAGES, "en")) as show:
        show(HALF_WAY)
    assert "50/100" in terminal.getvalue()
    assert "$0.2500" in terminal.getvalue()
    assert capsys.readouterr().out == ""
