"""What is found out about a database that several servers share."""

from __future__ import annotations

from msgspec import Struct


class ServerReport(Struct, frozen=True, kw_only=True):
    """A server that is registered. ``age``, ``lease``: seconds since its start, and that its lease has left (below 0: it is over)."""

    name: str
    role: str
    version: str
    age: float
    lease: float
    folder: str | None
    """The id of the shared folder that it sees; None: an older version does not say."""


class DatabaseReport(Struct, frozen=True, kw_only=True):
    """A database that answers."""

    place: str
    version: str
    """PostgreSQL's."""
    schema: int
    newest: int
    ahead: int
    """Versions of kodo's tables: there, known here, and how many more there may be."""
    connections: int
    max_connections: int
    """In use, and that a user without rights may have in all."""
    connections_each: int
    """That one server has at most."""
    clock_ahead: float
    """Seconds that its clock is ahead of this machine's."""
    pgvector: str | None
    """Its version; ``""``: it could be created, None: it is not installed on that machine."""
    servers: tuple[ServerReport, ...]
