"""The settings of limits on connections, requests and keys."""

from __future__ import annotations

from pydantic import Field

from kodo.server.config.tables import Frozen


class LimitSettings(Frozen):
    """Limits on connections and requests. ``[limits]``; docs/reference/limits.md lists every limit."""

    connections: int | None = Field(default=None, ge=1)
    """Open connections; None: 2,000, or fewer where the process may have too few descriptors."""
    header_bytes: int = Field(default=64 * 2**10, ge=1024)
    headers: int = Field(default=256, ge=8)
    """Size and number of a request's headers."""
    header_seconds: float = Field(default=20, gt=0)
    """From a request's first byte to the end of its headers; also for the first byte of a new connection."""
    body_seconds: float = Field(default=30, gt=0)
    """How long a body may make no progress."""
    idle_seconds: float = Field(default=75, gt=0)
    """How long a connection is kept open between two requests."""
    write_seconds: float = Field(default=60, gt=0)
    """How long a client may read nothing of an answer that waits for it."""
    body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """A request's body, before and after it is decompressed; also a WebSocket's message."""
    sealed_items: int = Field(default=1000, ge=1)
    opened_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Sealed items (``encrypted_content``) that one request may have opened, and their size together when opened."""
    held_body_bytes: int = Field(default=256 * 2**20, ge=1024)
    """The bodies of all requests together; the next large one is answered 503."""
    queue: int = Field(default=256, ge=1)
    """Requests that may wait for the engine; the next one is answered 503."""
    background: int = Field(default=10_000, ge=1)
    background_per_key: int = Field(default=2000, ge=1)
    """Background responses that are not over, in all (the next one is answered 503) and of a key (429)."""
    uploads: int = Field(default=1000, ge=1)
    uploads_per_key: int = Field(default=100, ge=1)
    """Uploads that are open, in all (the next one is answered 503) and of a key (429)."""
    upload_bytes: int = Field(default=64 * 2**30, ge=1024)
    upload_bytes_per_key: int = Field(default=16 * 2**30, ge=1024)
    """Bytes of the parts of open uploads, in all (503) and of a key (429)."""
    session_items: int = Field(default=1000, ge=1)
    session_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Items of a realtime session's conversation, and their size together; also the size of those that a connection of the
    Responses API remembers."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent_requests: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1, lt=2**53)
    tokens_per_month: int | None = Field(default=None, ge=1, lt=2**53)
    usd_per_day: float | None = Field(default=None, gt=0, le=1e6)
    usd_per_month: float | None = Field(default=None, gt=0, le=1e6)
    """Per key; None means unlimited. A key created with its own limits has those instead. Days and months are UTC's."""
