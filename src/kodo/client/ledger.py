"""The record of every call, and the transaction that keeps spending under its limits. One SQLite file.

A call is one row. It is written *before* the call is sent, as a reservation of the most it can cost, and settled
when the outcome is known. The sums that limits are checked against are kept in ``totals`` inside the same
transaction, so a check costs the same with ten rows or ten million, and two processes can never both take the last
cent: ``BEGIN IMMEDIATE`` lets one writer in at a time.

What an outcome is charged:

- an answer with usage (completed, incomplete, failed): its tokens at their price;
- refused by the server before it worked (an HTTP error): nothing;
- cancelled or cut on the way, usage never seen: an estimate from what was sent and received, marked ``estimated``;
- the process died: the whole reservation, marked ``estimated`` (status ``lost``). A reservation belongs to its
  process as long as that process holds a lock on a file of its own, so a dead owner is told from a slow one
  without guessing by time or process number.

It knows nothing of HTTP, and nothing about prices: amounts are given to it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from filelock import FileLock, Timeout

from kodo.client.budget import SCOPES, Budget, Scope, Windows
from kodo.client.errors import BudgetExceededError, SettingsError
from kodo.client.prices import Cost, from_nano, limit_nano, to_nano
from kodo.client.usage import Usage
from kodo.home import kodo_home

CallStatus = Literal["reserved", "completed", "incomplete", "failed", "cancelled", "cut", "lost"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
  id TEXT PRIMARY KEY,
  started REAL NOT NULL,              -- seconds since 1970
  latency REAL,                       -- seconds until the outcome was known
  status TEXT NOT NULL,
  owner TEXT NOT NULL,
  run TEXT NOT NULL, day TEXT NOT NULL, month TEXT NOT NULL, repository TEXT NOT NULL,
  job TEXT NOT NULL, model TEXT NOT NULL, endpoint TEXT NOT NULL,
  response_id TEXT, request_id TEXT, attempts INTEGER NOT NULL DEFAULT 0, error TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0, cached_tokens INTEGER NOT NULL DEFAULT 0,
  cache_write_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  reserved_nano INTEGER NOT NULL,     -- the worst case, 1e-9 US dollars
  cost_nano INTEGER NOT NULL,         -- what counts against limits now: the reservation, then the cost
  list_nano INTEGER,                  -- what the list price would have been, NULL if unknown
  estimated INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS calls_started ON calls (started);
CREATE INDEX IF NOT EXISTS calls_response ON calls (response_id) WHERE response_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS calls_open ON calls (owner) WHERE status = 'reserved';
CREATE TABLE IF NOT EXISTS totals (
  scope TEXT NOT NULL, key TEXT NOT NULL, nano INTEGER NOT NULL, PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS limits (scope TEXT PRIMARY KEY, nano INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_VERSION = 1
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """An open row: the call that may now be sent, and what was set aside for it."""

    id: str
    started: float
    reserved: Decimal
    windows: Windows


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. ``latency`` in seconds; ``estimated`` where the usage is not the server's own figure."""

    status: CallStatus
    cost: Cost
    usage: Usage = field(default_factory=Usage)
    latency: float = 0.0
    attempts: int = 1
    response_id: str | None = None
    request_id: str | None = None
    error: str | None = None
    estimated: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What ``recover`` found: reservations of processes that are gone, and what they now count for in US dollars."""

    count: int
    usd: Decimal


class Ledger:
    """The ledger file. Safe to share between threads, and the file between processes.

    Args:
        path: the SQLite file; default ``KODO_HOME/ledger.db``. Made if it is not there, readable by its owner only.
        wait: seconds to wait for another process's transaction.

    Raises:
        SettingsError: the file cannot be opened, or a newer kodo wrote it.
    """

    def __init__(self, path: Path | None = None, *, wait: float = 60.0) -> None:
        self.path = path or kodo_home() / "ledger.db"
        self._lock = threading.Lock()
        self._owner = _Owner(self.path.parent / f"{self.path.name}-owners")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            self._db = sqlite3.connect(self.path, timeout=wait, isolation_level=None, check_same_thread=False)
            with FileLock(
                self.path.parent / f"{self.path.name}.setup"
            ):  # WAL cannot be switched on by two processes at the same time
                self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(f"ledger {self.path}: {error}") from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a killed process loses nothing; a power cut may lose the last transactions, never corrupts.
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise SettingsError(f"ledger {self.path}: written by a newer kodo (version {version})")
            if version < _VERSION:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self.recover()

    def close(self) -> None:
        """Close the file and give up its lock. Open reservations of this process then count as lost."""
        with self._lock:
            self._db.close()
            self._owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reading():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if (
                    self._db.in_transaction
                ):  # after some errors (a full disk) SQLite has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The file for one thread. Raises SettingsError: it cannot be used (a full disk, a lock that another process keeps)."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise SettingsError(f"ledger {self.path}: {error}") from error

    def reserve(
        self,
        worst: Cost,
        *,
        model: str,
        endpoint: str,
        run: str,
        job: str = "",
        repository: str = "",
        budget: Budget | None = None,
        now: float | None = None,
    ) -> Reservation:
        """Set the worst case of a call aside, or refuse it. To be called before anything is sent.

        Args:
            worst: the most the call can cost.
            now: seconds since 1970; default the clock. Decides the day and the month the call counts in.

        Raises:
            BudgetExceededError: a limit of ``budget`` or one stored in the ledger has less than that left.
            SettingsError: it cannot be written down.
        """
        started = time.time() if now is None else now
        windows = Windows.at(started, run, repository)
        reservation = Reservation(uuid.uuid4().hex, started, worst.usd, windows)
        owner = self._owner.token()
        given = dict(budget.limits()) if budget else {}
        with self._transaction():
            stored = self._stored_limits()
            for scope, key in windows.each():
                limits = [limit for limit in (given.get(scope), stored.get(scope)) if limit is not None]
                if not limits:
                    continue
                spent = self._total(scope, key)
                if spent + worst.nano > limit_nano(min(limits)):
                    raise BudgetExceededError(scope, key, min(limits), from_nano(spent), worst.usd)
            self._db.execute(
                "INSERT INTO calls (id, started, status, owner, run, day, month, repository, job, model, endpoint,"
                " reserved_nano, cost_nano) VALUES (?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    reservation.id,
                    started,
                    owner,
                    windows.run,
                    windows.day,
                    windows.month,
                    repository,
                    job,
                    model,
                    endpoint,
                    worst.nano,
                    worst.nano,
                ),
            )
            self._add(windows, worst.nano)
        return reservation

    def settle(self, reservation: Reservation, outcome: CallOutcome) -> bool:
        """Write the outcome over the reservation. Settling twice does nothing more.

        Returns:
            Whether this call settled it.
        """
        usage = outcome.usage
        listed = None if outcome.cost.list_usd is None else to_nano(outcome.cost.list_usd)
        with self._transaction():
            changed = self._db.execute(
                "UPDATE calls SET status = ?, latency = ?, attempts = ?, response_id = ?, request_id = ?, error = ?,"
                " input_tokens = ?, cached_tokens = ?, cache_write_tokens = ?, output_tokens = ?, reasoning_tokens = ?,"
                " cost_nano = ?, list_nano = ?, estimated = ?, model = coalesce(?, model)"
                " WHERE id = ? AND status = 'reserved' RETURNING reserved_nano",
                (
                    outcome.status,
                    outcome.latency,
                    outcome.attempts,
                    outcome.response_id,
                    outcome.request_id,
                    outcome.error,
                    usage.input_tokens,
                    usage.cached_tokens,
                    usage.cache_write_tokens,
                    usage.output_tokens,
                    usage.reasoning_tokens,
                    outcome.cost.nano,
                    listed,
                    outcome.estimated,
                    outcome.model,
                    reservation.id,
                ),
            ).fetchone()
            if changed is None:
                return False
            self._add(reservation.windows, outcome.cost.nano - changed[0])
            return True

    def recover(self) -> Recovered:
        """Turn the reservations of processes that are gone into ``lost`` rows that keep their worst case."""
        self._owner.sweep()
        with self._reading():
            owners = [
                row[0]
                for row in self._db.execute("SELECT DISTINCT owner FROM calls WHERE status = 'reserved'")
            ]
        count, nano = 0, 0
        for owner in owners:
            if self._owner.is_alive(owner):
                continue
            with self._transaction():
                rows = self._db.execute(
                    "UPDATE calls SET status = 'lost', estimated = 1 WHERE status = 'reserved' AND owner = ?"
                    " RETURNING reserved_nano",
                    (owner,),
                ).fetchall()
            count += len(rows)
            nano += sum(row[0] for row in rows)
        return Recovered(count, from_nano(nano))

    def set_limit(self, scope: Scope, usd: Decimal | None) -> None:
        """Store a limit in US dollars that every run obeys, or take it away with None.

        Raises:
            ValueError: the scope does not exist or the amount is negative.
        """
        if scope not in SCOPES:
            raise ValueError(f"scope: {scope!r} is not one of {', '.join(SCOPES)}")
        if usd is not None and (not usd.is_finite() or usd < 0):
            raise ValueError(f"{scope}: {usd} is not an amount of dollars")
        with self._transaction():
            if usd is None:
                self._db.execute("DELETE FROM limits WHERE scope = ?", (scope,))
            else:
                self._db.execute(
                    "INSERT INTO limits VALUES (?, ?) ON CONFLICT DO UPDATE SET nano = excluded.nano",
                    (scope, limit_nano(usd)),
                )

    def limits(self) -> Budget:
        """The stored limits."""
        with self._reading():
            return Budget(**self._stored_limits())

    def spent(self, scope: Scope, key: str) -> Decimal:
        """US dollars that count in a window, for example ``spent("day", "2026-11-23")``; reservations included."""
        with self._reading():
            return from_nano(self._total(scope, key))

    def context_tokens(self, response_id: str) -> int | None:
        """Tokens that a call continuing this response will read of it, or None if the ledger never saw it."""
        with self._reading():
            row = self._db.execute(
                "SELECT input_tokens + output_tokens FROM calls WHERE response_id = ? ORDER BY started DESC",
                (response_id,),
            ).fetchone()
        return None if row is None else int(row[0])

    def query(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Rows of a SELECT over ``calls``, ``totals`` and ``limits``; for reports.

        Raises:
            ValueError: anything but a SELECT.
            SettingsError: the file cannot be read.
        """
        if not sql.lstrip().upper().startswith(("SELECT", "WITH")):
            raise ValueError("only SELECT")
        with self._reading():
            return self._db.execute(sql, parameters).fetchall()

    def _stored_limits(self) -> dict[Scope, Decimal]:
        return {scope: from_nano(nano) for scope, nano in self._db.execute("SELECT scope, nano FROM limits")}

    def _total(self, scope: str, key: str) -> int:
        row = self._db.execute("SELECT nano FROM totals WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return 0 if row is None else int(row[0])

    def _add(self, windows: Windows, nano: int) -> None:
        self._db.executemany(
            "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET nano = nano + excluded.nano",
            [(scope, key, nano) for scope, key in windows.each()],
        )


class _Owner:
    """This process's claim on its reservations: a locked file, which the system unlocks however the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: tuple[int, str, FileLock] | None = None
        self._guard = threading.Lock()

    def token(self) -> str:
        """The name of the claim, made at the first call and anew in a forked child."""
        with self._guard:
            if self._held is None or self._held[0] != os.getpid():
                self._folder.mkdir(parents=True, exist_ok=True)
                token = uuid.uuid4().hex
                lock = FileLock(self._folder / token, thread_local=False)
                lock.acquire(timeout=0)
                self._held = (os.getpid(), token, lock)
            return self._held[1]

    def is_alive(self, token: str) -> bool:
        """Whether some process holds this claim. The file of a dead one is removed."""
        with self._guard:
            if self._held is not None and self._held[1] == token:
                return True
        path = self._folder / token
        if not path.exists():
            return False
        probe = FileLock(path, thread_local=False)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        probe.release()
        return False

    def sweep(self) -> None:
        """Remove the files of dead processes that left no reservation.

        Only those older than a day: a younger one may be about to be locked.
        """
        with suppress(OSError):  # no folder yet, or files that go away meanwhile
            for path in self._folder.iterdir():
                if time.time() - path.stat().st_mtime > _DAY:
                    self.is_alive(path.name)

    def release(self) -> None:
        """Give the claim up, if it is this process's."""
        with self._guard:
            if self._held is not None and self._held[0] == os.getpid():
                _, token, lock = self._held
                lock.release()
                (self._folder / token).unlink(missing_ok=True)
            self._held = None
