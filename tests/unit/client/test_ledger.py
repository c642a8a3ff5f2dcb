"""The ledger: rows, sums, limits, and what becomes of reservations nobody settles."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.budget import Budget, Windows
from kodo.client.errors import BudgetExceededError, SettingsError
from kodo.client.ledger import CallOutcome, Ledger
from kodo.client.prices import Cost
from kodo.client.usage import Usage

NOON = 1_763_899_200.0  # 2025-11-23T12:00:00Z


def dollars(amount: str) -> Cost:
    return Cost(Decimal(amount), Decimal(amount))


def reserve(ledger: Ledger, amount: str, **other: object):
    given = {"model": "m", "endpoint": "e", "run": "r", "now": NOON, **other}
    return ledger.reserve(dollars(amount), **given)  # type: ignore[arg-type]


def sums(ledger: Ledger) -> dict[tuple[str, str], int]:
    """The totals as the rows themselves add up to."""
    found: dict[tuple[str, str], int] = {}
    for run, day, month, repository, nano in ledger.query(
        "SELECT run, day, month, repository, cost_nano FROM calls"
    ):
        for scope, key in Windows(str(run), str(day), str(month), str(repository)).each():
            found[scope, key] = found.get((scope, key), 0) + int(str(nano))
    return found


def stored(ledger: Ledger) -> dict[tuple[str, str], int]:
    rows = ledger.query("SELECT scope, key, nano FROM totals")
    return {(str(scope), str(key)): int(str(nano)) for scope, key, nano in rows}


def test_a_call_is_one_row_with_everything_known_of_it() -> None:
    """Model, tokens, cost, list price, job, repository, latency, request id and attempts are written down."""
    with Ledger() as ledger:
        open_call = reserve(ledger, "0.5", job="review", repository="/repo")
        outcome = CallOutcome(
            "completed", Cost(Decimal(0), Decimal("0.25")), Usage(10, 4, 2, 7, 3), 1.5, 2, "resp_1", "req_1"
        )
        assert ledger.settle(open_call, outcome)
        row = ledger.query(
            "SELECT status, job, repository, model, endpoint, input_tokens, cached_tokens, cache_write_tokens,"
            " output_tokens, reasoning_tokens, cost_nano, list_nano, reserved_nano, latency, attempts, response_id,"
            " request_id, estimated, day FROM calls"
        )
        tokens, money = (10, 4, 2, 7, 3), (0, 250_000_000, 500_000_000)
        assert row == [
            (
                "completed",
                "review",
                "/repo",
                "m",
                "e",
                *tokens,
                *money,
                1.5,
                2,
                "resp_1",
                "req_1",
                0,
                "2025-11-23",
            )
        ]


def test_a_reservation_counts_until_it_is_settled() -> None:
    """The worst case counts while the call runs, the cost afterwards."""
    with Ledger() as ledger:
        open_call = reserve(ledger, "0.5")
        assert ledger.spent("run", "r") == Decimal("0.5")
        ledger.settle(open_call, CallOutcome("completed", dollars("0.1")))
        assert ledger.spent("run", "r") == Decimal("0.1")


def test_settling_twice_counts_once() -> None:
    """The first outcome stays; a second one changes nothing and says so."""
    with Ledger() as ledger:
        open_call = reserve(ledger, "0.5")
        assert ledger.settle(open_call, CallOutcome("completed", dollars("0.1")))
        assert not ledger.settle(open_call, CallOutcome("cancelled", dollars("0.4")))
        assert ledger.spent("day", "2025-11-23") == Decimal("0.1")


@pytest.mark.parametrize("scope", ["run", "day", "month", "repository"])
def test_each_limit_refuses_what_does_not_fit(scope: str) -> None:
    """A call whose worst case passes a limit is refused, names the limit, and leaves no row."""
    with Ledger() as ledger:
        budget = Budget(**{scope: Decimal("1")})
        reserve(ledger, "0.6", budget=budget, repository="/repo")
        with pytest.raises(BudgetExceededError, match=f"budget per {scope}") as caught:
            reserve(ledger, "0.400000001", budget=budget, repository="/repo")
        assert (caught.value.limit, caught.value.spent) == (Decimal(1), Decimal("0.6"))
        reserve(ledger, "0.4", budget=budget, repository="/repo")
        assert len(ledger.query("SELECT id FROM calls")) == 2


@pytest.mark.parametrize(
    ("scope", "elsewhere"),
    [
        ("run", {"run": "another"}),
        ("day", {"now": NOON + 43_200}),
        ("month", {"now": NOON + 8 * 86_400}),
        ("repository", {"repository": "/another"}),
        ("repository", {"repository": ""}),
    ],
)
def test_windows_are_separate(scope: str, elsewhere: dict[str, object]) -> None:
    """What one window has used up takes nothing from another run, UTC day, month or repository."""
    with Ledger() as ledger:
        budget = Budget(**{scope: Decimal("0.6")})
        here = {"run": "r", "repository": "/repo", "now": NOON, "budget": budget}
        reserve(ledger, "0.5", **here)
        reserve(ledger, "0.5", **{**here, **elsewhere})
        with pytest.raises(BudgetExceededError):
            reserve(ledger, "0.5", **here)


def test_stored_limits_hold_for_every_run_and_the_smaller_one_counts() -> None:
    """A limit in the ledger and one of the call hold together."""
    with Ledger() as ledger:
        ledger.set_limit("day", Decimal("1"))
        assert ledger.limits() == Budget(day=Decimal("1"))
        with pytest.raises(BudgetExceededError):
            reserve(ledger, "0.3", budget=Budget(day=Decimal("0.2")))
        with pytest.raises(BudgetExceededError):
            reserve(ledger, "1.1", budget=Budget(day=Decimal("2")))
        ledger.set_limit("day", None)
        reserve(ledger, "1.1", budget=Budget(day=Decimal("2")))


@pytest.mark.parametrize("wrong", [Decimal("-1"), Decimal("NaN"), Decimal("Infinity")])
def test_a_limit_is_an_amount(wrong: Decimal) -> None:
    """Negative and endless limits are refused where they are made."""
    with pytest.raises(ValueError, match="day"):
        Budget(day=wrong)
    with Ledger() as ledger, pytest.raises(ValueError, match="day"):
        ledger.set_limit("day", wrong)


def test_a_limit_is_not_rounded_up() -> None:
    """A limit between two nano-dollars lets only the lower one through."""
    with Ledger() as ledger:
        budget = Budget(run=Decimal("0.0000000015"))
        with pytest.raises(BudgetExceededError):
            reserve(ledger, "0.000000002", budget=budget)
        reserve(ledger, "0.000000001", budget=budget)


AMOUNTS = st.decimals(0, 2, places=9)


@given(
    calls=st.lists(
        st.tuples(AMOUNTS, st.floats(0, 1), st.sampled_from(["a", "b"]), st.booleans()), max_size=20
    ),
    limit=st.decimals(0, 5, places=11),
)
def test_totals_are_the_sum_of_the_rows_and_never_pass_the_limit(
    tmp_path_factory: pytest.TempPathFactory,
    calls: list[tuple[Decimal, float, str, bool]],
    limit: Decimal,
) -> None:
    """Whatever is reserved, refused and settled: totals equal the rows, and no run passes its limit."""
    with Ledger(tmp_path_factory.mktemp("ledger") / "l.db") as ledger:
        for worst, part, run, settle in calls:
            try:
                open_call = ledger.reserve(
                    Cost(worst, None), model="m", endpoint="e", run=run, budget=Budget(run=limit)
                )
            except BudgetExceededError as refused:
                assert refused.spent + worst > limit
                continue
            if settle:
                cost = (worst * Decimal(str(part))).quantize(Decimal("1e-9"))
                ledger.settle(open_call, CallOutcome("completed", Cost(min(cost, worst), None)))
            for name in ("a", "b"):
                assert ledger.spent("run", name) <= limit
        assert stored(ledger) == sums(ledger)


CRASH = """
import os, signal, sys
from decimal import Decimal
from kodo.client.ledger import Ledger
from kodo.client.prices import Cost
ledger = Ledger()
ledger.reserve(Cost(Decimal("0.25"), None), model="m", endpoint="e", run="crashed")
print("reserved", flush=True)
if sys.argv[1] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def child(mode: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reserved\n"
    return process


def test_reservations_of_a_killed_process_become_lost_and_keep_their_worst_case() -> None:
    """After kill -9 the next one to open the ledger finds the call, marks it lost, and keeps it counted."""
    process = child("die")
    assert process.wait(30) == -signal.SIGKILL
    with Ledger() as ledger:
        assert ledger.query("SELECT status, cost_nano, estimated FROM calls") == [("lost", 250_000_000, 1)]
        assert ledger.spent("run", "crashed") == Decimal("0.25")
        assert ledger.recover().count == 0
    assert not any((ledger.path.parent / "ledger.db-owners").iterdir())
    process.communicate()


def test_reservations_of_a_living_process_are_left_alone() -> None:
    """Another process that is only slow keeps its reservations, even when it is stopped."""
    process = child("live")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with Ledger() as ledger:
            assert ledger.query("SELECT status FROM calls") == [("reserved",)]
    finally:
        os.kill(process.pid, signal.SIGCONT)
    process.communicate("")
    with Ledger() as ledger:
        assert ledger.query("SELECT status FROM calls") == [("lost",)]


def test_old_claims_of_dead_processes_are_swept() -> None:
    """A day-old lock file that nobody holds goes; a held one and a young one stay."""
    with Ledger() as ledger:
        reserve(ledger, "0")
        folder = ledger.path.parent / "ledger.db-owners"
        (held,) = folder.iterdir()
        for name in ("old", "young"):
            (folder / name).touch()
        os.utime(held, (1, 1))
        os.utime(folder / "old", (1, 1))
        with Ledger():
            assert {path.name for path in folder.iterdir()} == {held.name, "young"}


def test_the_file_is_private_and_a_newer_one_is_refused(home: Path) -> None:
    """Only its owner can read the ledger; one written by a later version is not touched."""
    Ledger().close()
    path = home / "ledger.db"
    assert path.stat().st_mode & 0o077 == 0
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(SettingsError, match="newer kodo"):
        Ledger()


def test_a_file_that_is_no_ledger_is_one_clear_error(home: Path) -> None:
    """Garbage in place of the ledger is an error that names the file."""
    home.mkdir()
    (home / "ledger.db").write_text("this is not a database, and longer than a header of one would be " * 4)
    with pytest.raises(SettingsError, match=r"ledger\.db"):
        Ledger()


def test_reports_can_read_and_not_write() -> None:
    """query takes SELECT and refuses the rest."""
    with Ledger() as ledger, pytest.raises(ValueError, match="SELECT"):
        ledger.query("DELETE FROM calls")


def test_a_full_disk_is_an_error_of_the_ledger_and_passes() -> None:
    """It names the file, nothing of the call is written down, and the next one is where there is room again."""
    with Ledger() as ledger:
        reserve(ledger, "0.5")
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(SettingsError, match=f"ledger {ledger.path}: .*full"):
            for _ in range(10_000):
                reserve(ledger, "0.25", job="x" * 2000)
        assert stored(ledger) == sums(ledger)
        ledger._db.execute("PRAGMA max_page_count = 100000")
        reserve(ledger, "0.5")
        assert stored(ledger) == sums(ledger)


class RefusesOneCommit:
    """A connection whose next COMMIT fails, and leaves its transaction open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._refuses = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        """As a connection's."""
        if sql == "COMMIT" and self._refuses:
            self._refuses = False
            raise sqlite3.OperationalError("disk I/O error")
        return self._database.execute(sql, *values)


def test_a_commit_that_fails_leaves_no_transaction_open() -> None:
    """The call is not written down, and the next one is."""
    with Ledger() as ledger:
        ledger._db = RefusesOneCommit(ledger._db)  # type: ignore[assignment]
        with pytest.raises(SettingsError, match="disk I/O error"):
            reserve(ledger, "0.5")
        assert stored(ledger) == {}
        reserve(ledger, "0.25")
        assert stored(ledger) == sums(ledger) != {}
