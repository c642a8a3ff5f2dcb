"""`kodo usage` and `kodo budget`, over a ledger with known rows."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run
from kodo.cli.tables import as_table, width
from kodo.cli.usage_report import parse_since, usage_rows
from kodo.client.ledger import CallOutcome, Ledger
from kodo.client.prices import Cost
from kodo.client.usage import Usage

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A KODO_HOME whose ledger has four calls: two models, two days, two jobs, one failure."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    monkeypatch.delenv("KODO_LANG", raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    calls = [
        ("mini", "ask", "/src/a", DAY, "completed", "0.5"),
        ("mini", "batch", "/src/a", DAY + timedelta(hours=1), "completed", "0.25"),
        ("local", "ask", "", DAY + timedelta(days=1), "completed", "0"),
        ("local", "ask", "", DAY + timedelta(days=1), "failed", "0"),
    ]
    with Ledger(tmp_path / "ledger.db") as ledger:
        for model, job, repository, when, status, usd in calls:
            cost = Cost(Decimal(usd), Decimal("1"))
            held = ledger.reserve(
                cost, model=model, endpoint="e", run="r", job=job, repository=repository, now=when.timestamp()
            )
            ledger.settle(held, CallOutcome(status, cost, Usage(100, 40, 0, 10, 3)))  # type: ignore[arg-type]  # from a list
    return tmp_path


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["usage", *arguments]) == ExitCode.DONE
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", {"2026-11-20": (2, 0, 0.75), "2026-11-21": (2, 1, 0.0)}),
        ("model", {"mini": (2, 0, 0.75), "local": (2, 1, 0.0)}),
        ("job", {"ask": (3, 1, 0.5), "batch": (1, 0, 0.25)}),
        ("repo", {"/src/a": (2, 0, 0.75), "": (2, 1, 0.0)}),
    ],
)
def test_calls_are_summed_by_the_column_asked_for(
    by: str, expected: dict[str, object], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each row counts its calls, its failures and its dollars; the total is theirs."""
    got = json.loads(report(capsys, "--by", by, "--format", "json"))
    assert {row["key"]: (row["calls"], row["failed"], row["usd"]) for row in got["rows"]} == expected
    assert (got["total"]["calls"], got["total"]["usd"], got["total"]["list_usd"]) == (4, 0.75, 4.0)
    assert (got["total"]["input_tokens"], got["total"]["cached_tokens"]) == (400, 160)


def test_csv_is_read_back_as_the_same_rows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A spreadsheet gets numbers without separators."""
    rows = list(csv.DictReader(io.StringIO(report(capsys, "--by", "model", "--format", "csv"))))
    assert [(row["key"], row["calls"], row["usd"]) for row in rows] == [
        ("local", "2", "0.0"),
        ("mini", "2", "0.75"),
    ]


def test_the_table_has_a_total_and_speaks_japanese(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headings follow --lang, and columns align although some characters are two columns wide."""
    lines = report(capsys, "--lang", "ja").splitlines()
    assert lines[0].startswith("日 (UTC)")
    assert lines[-1].startswith("合計")
    assert len({width(line) for line in lines}) == 1


def test_since_leaves_older_calls_out(home: Path) -> None:
    """The boundary counts."""
    with Ledger(home / "ledger.db") as ledger:
        assert sum(row.calls for row in usage_rows(ledger, "day", DAY + timedelta(hours=1))) == 3


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", DAY - timedelta(hours=24)),
        ("7d", DAY - timedelta(days=7)),
        ("2w", DAY - timedelta(days=14)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T09:00+09:00", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_since_takes_a_date_or_a_time_ago(text: str, moment: datetime) -> None:
    """A date without a zone is UTC, as the ledger's days are."""
    assert parse_since(text, DAY) == moment


@pytest.mark.parametrize("text", ["yesterday", "7", "-3d", "7y", ""])
def test_a_wrong_since_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r".*"):
        parse_since(text, DAY)


def test_the_plot_is_a_png(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture of some size is written, and stdout stays empty."""
    out = home / "usage.png"
    assert report(capsys, "--by", "model", "--format", "png", "-o", str(out)) == ""
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert len(content) > 5_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["usage", "--format", "png"], "-o FILE"),
        (["usage", "--since", "soon"], "invalid --since 'soon'"),
        (["usage", "--by", "mood"], "--by"),
        (["usage", "-o", "/nonexistent/x"], "/nonexistent/x"),
        (["budget", "set", "week", "5"], "scope"),
        (["budget", "set", "day", "much"], "'much'"),
        (["budget", "set", "day", "nan"], "'nan'"),
        (["budget", "set", "day", "--", "-3"], "'-3'"),
    ],
)
def test_a_wrong_option_is_bad_input_and_named(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clear line, no traceback."""
    assert run(arguments) == ExitCode.BAD_INPUT
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_an_empty_ledger_is_an_empty_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was called: zeros and a note, no error."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "new"))
    assert json.loads(report(capsys, "--format", "json"))["total"]["calls"] == 0


def test_a_limit_is_set_shown_and_taken_away(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is left is the limit minus what was spent in the window."""
    assert run(["budget", "set", "repository", "2"]) == ExitCode.DONE
    capsys.readouterr()
    assert run(["budget", "show", "--format", "json"]) == ExitCode.DONE
    shown = {(row["scope"], row["window"]): row for row in json.loads(capsys.readouterr().out)}
    assert shown["repository", "/src/a"] == {
        "scope": "repository", "window": "/src/a", "limit": 2.0, "spent": 0.75, "left": 1.25,
    }  # fmt: skip
    assert run(["budget", "set", "repository", "off"]) == ExitCode.DONE
    with Ledger(home / "ledger.db") as ledger:
        assert dict(ledger.limits().limits()) == {}


def test_a_table_aligns_numbers_to_the_right() -> None:
    """Two columns of space between, nothing behind."""
    text = as_table([{"a": "x", "n": 1000}, {"a": "日本", "n": None}], {"a": "A", "n": "N"})
    assert text == "A         N\nx     1,000\n日本      -"
