"""How the database is reached; the only place with settings of psycopg and of a session of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, cast
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import Buffer
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import NumericBinaryLoader, NumericLoader
from psycopg.types.string import StrDumperUnknown, TextBinaryLoader, TextLoader

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.postgres.failures import translate
from kodo.server.store.sql import POSTGRES, Dialect, SqlConnection, SqlCursor, for_postgres

CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 30
"""A statement that takes longer is ended, and is a StoreFailed."""
LOCK_SECONDS: Final = 10
"""How long a statement waits for another transaction."""
IDLE_SECONDS: Final = 10
"""A transaction that does nothing for so long is ended by the server: a paused node holds nobody up."""
_ESCAPE: Final = "\uf8ff"
"""Private use: stands before a character that says what was there."""


def escape(text: str) -> str:
    """Text that PostgreSQL takes: it refuses U+0000, which SQLite keeps and clients may send in an id."""
    if "\0" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, f"{_ESCAPE}1").replace("\0", f"{_ESCAPE}0")
    return text


def unescape(text: str) -> str:
    """The inverse of :func:`escape`."""
    if _ESCAPE in text:
        return text.replace(f"{_ESCAPE}0", "\0").replace(f"{_ESCAPE}1", _ESCAPE)
    return text


class _EscapingDumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escape(obj))


class _UnescapingLoader(TextLoader):
    def load(self, data: Buffer) -> str:
        return unescape(cast(str, super().load(data)))


class _UnescapingBinaryLoader(TextBinaryLoader):
    def load(self, data: Buffer) -> str:
        return unescape(cast(str, super().load(data)))


def _plain(number: Decimal) -> int | float:
    """A sum of whole numbers, which PostgreSQL gives as NUMERIC, as SQLite has it."""
    return int(number) if number == number.to_integral_value() else float(number)


class _SumLoader(NumericLoader):
    def load(self, data: Buffer) -> int | float:  # type: ignore[override]  # what this package asks for are sums
        return _plain(super().load(data))


class _SumBinaryLoader(NumericBinaryLoader):
    def load(self, data: Buffer) -> int | float:  # type: ignore[override]
        return _plain(super().load(data))


class _SentCursor(SqlCursor):
    """The result of a statement that was sent, and may not be answered yet."""

    def __init__(self, cursor: psycopg.Cursor[Any], sync: Callable[[], None]) -> None:
        self.sent = cursor
        self._sync = sync

    @property
    def rowcount(self) -> int:
        """See ``SqlCursor``."""
        self._sync()
        return self.sent.rowcount

    def fetchone(self) -> Any:
        """See ``SqlCursor``."""
        return self.sent.fetchone()

    def fetchall(self) -> list[Any]:
        """See ``SqlCursor``."""
        return self.sent.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sent.fetchall())


class PostgresConnection(SqlConnection):
    """A connection of psycopg that takes the statements of this package."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.put_off: list[Any] | None = None
        self.raw = connection
        self._pipeline: psycopg.Pipeline | None = None
        self._believed: list[_SentCursor] = []

    @property
    def dialect(self) -> Dialect:
        """See ``SqlConnection``."""
        return POSTGRES

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> SqlCursor:
        """See ``SqlConnection``."""
        return self._answered(self.raw.execute(for_postgres(sql), parameters or None, binary=True))

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> SqlCursor:
        """See ``SqlConnection``."""
        cursor = self.raw.cursor(binary=True)
        if parameters:
            cursor.executemany(for_postgres(sql), parameters)
        return self._answered(cursor)

    def changed(self, cursor: SqlCursor, /) -> bool:
        """See ``SqlConnection``."""
        if not isinstance(cursor, _SentCursor):
            return cursor.rowcount > 0
        self._believed.append(cursor)
        return True

    @contextmanager
    def pipelined(self) -> Iterator[None]:
        """Statements are sent, and waited for only where a result is read, at :meth:`settle`, and at the end."""
        self._believed.clear()
        try:
            with self.raw.pipeline() as self._pipeline:
                yield
        finally:
            self._pipeline = None

    def settle(self) -> bool:
        """Wait for all answers; whether what :meth:`changed` said has turned out to be true.

        Raises:
            psycopg.Error: a statement failed.
        """
        self._sync()
        return all(cursor.sent.rowcount > 0 for cursor in self._believed)

    def _answered(self, cursor: psycopg.Cursor[Any]) -> SqlCursor:
        return cursor if self._pipeline is None else _SentCursor(cursor, self._sync)

    def _sync(self) -> None:
        if self._pipeline is not None:
            self._pipeline.sync()


@contextmanager
def snapshot(connection: SqlConnection) -> Iterator[None]:
    """Several statements that see one and the same commit."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        connection.execute("COMMIT")  # of a transaction that failed: ROLLBACK


def arguments(url: str, *, epoch: int | None = None, slot: int = 0, role: str = "read") -> dict[str, Any]:
    """What ``psycopg.connect`` takes for a database's address; ``epoch``: of the node whose connection it is; ``slot``: which of those
    that write.

    Raises:
        StoreFailed: the address cannot be read.
    """
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise StoreFailed(
            "Setting database: not an address of PostgreSQL (postgresql://user:password@host:5432/name)."
        ) from None
    session = {
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
        "TimeZone": "UTC",
    }
    if epoch is not None:
        session |= {"kodo.epoch": str(epoch), "kodo.shard": str((epoch * 8 + slot) % 64)}
    given = str(found.get("options") or "")
    options = " ".join([*(f"-c {name}={value}" for name, value in session.items()), given]).strip()
    merged: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": IDLE_SECONDS * 1000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": f"kodo {role}",
        **found,
        "options": options,
    }
    return {"conninfo": make_conninfo("", **merged), "autocommit": True}


def configure(connection: psycopg.Connection[Any]) -> None:
    """Teach a connection to keep U+0000, and to give sums as Python's numbers."""
    connection.adapters.register_dumper(str, _EscapingDumper)
    for kind in ("text", "varchar"):
        connection.adapters.register_loader(kind, _UnescapingLoader)
        connection.adapters.register_loader(kind, _UnescapingBinaryLoader)
    connection.adapters.register_loader("numeric", _SumLoader)
    connection.adapters.register_loader("numeric", _SumBinaryLoader)
    connection.prepare_threshold = 2


def connect(url: str, *, epoch: int | None = None, slot: int = 0, role: str = "write") -> PostgresConnection:
    """A connection. Transactions begin and end where the code says so.

    Raises:
        psycopg.Error, StoreFailed: it cannot be had.
    """
    connection = psycopg.connect(**arguments(url, epoch=epoch, slot=slot, role=role))
    configure(connection)
    return PostgresConnection(connection)


def shown(url: str) -> str:
    """An address without the user's password, for messages to the operator."""
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return urlsplit(url).hostname or "the database"
    place = found.get("host") or found.get("hostaddr") or "localhost"
    return f"the database '{found.get('dbname') or ''}' at {place}:{found.get('port') or 5432}"


@contextmanager
def open_snapshot(url: str) -> Iterator[SqlConnection]:
    """A connection of its own that reads one commit, however long that takes. Raises StoreFailed."""
    try:
        connection = connect(url, role="copy")
        try:
            connection.raw.execute("SET statement_timeout = 0")
            connection.raw.execute("SET idle_in_transaction_session_timeout = 0")
            with snapshot(connection):
                yield connection
        finally:
            connection.raw.close()
    except psycopg.Error as error:
        raise translate(error) from error
