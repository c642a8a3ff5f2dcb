"""The rows that the stores of :mod:`kodo.server.lifecycle.store_ports` take and give back."""

from __future__ import annotations

from typing import Literal

from kodo.server.lifecycle.ports import ContextItem, Value


class ItemRow(Value, frozen=True, kw_only=True):
    """An item with its place. ``id`` is unique inside its owner and container."""

    id: str
    context: ContextItem


class Timing(Value, frozen=True, kw_only=True):
    """How long the parts of a response took, in seconds from its beginning; None: not known."""

    queued: float | None = None
    """Until the engine took it up."""
    first_token: float | None = None
    total: float | None = None
    """Until its end; tools and waiting included."""


class LimitUse(Value, frozen=True, kw_only=True):
    """What one server has used of the limits by the minute of an account (a key, or all that have none)."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    """The limits."""
    requests: int
    tokens: int
    """Used since the server began: said twice, it counts once."""
    requests_told: int
    tokens_told: int
    """What of these is known to be counted, for a database that has forgotten it in a crash."""
    running: int
    """Requests that it is answering now."""


class SharedLimits(Value, frozen=True, kw_only=True):
    """What is left of the limits of an account over all servers."""

    requests: float | None
    tokens: float | None
    """The levels of the buckets; None: no limit."""
    running_elsewhere: int


class KeySpending(Value, frozen=True):
    """What a key has spent. ``nano_usd``: billionths of a US dollar, so that sums are exact."""

    tokens: int = 0
    nano_usd: int = 0


class KeyCharge(Value, frozen=True, kw_only=True):
    """What one answer adds to what a key has spent on a day (counted from the epoch, UTC)."""

    key_id: str
    day: int
    spending: KeySpending
    id: str = ""
    """By which a store knows again a charge that it may have taken already; empty: the row that it comes with says so."""
    at: float = 0.0
    """When one with an id was made, in seconds since the epoch: it is known again for as long as an idempotency key."""


class ResponseRow(Value, frozen=True, kw_only=True):
    """A stored response. JSON is kept as bytes: it was checked once, on the way in."""

    id: str
    owner: str
    status: str
    created_at: float
    parent: str | None = None
    """``previous_response_id``."""
    conversation: str | None = None
    background: bool = False
    request: bytes
    """The accepted request, without its input items."""
    response: bytes
    """The wire Response as it was last written (its ``output`` left out while it is not final)."""
    timing: Timing = Timing()
    """Written with the end, for :mod:`kodo.server.lifecycle.activity`; not read back with the row."""
    charge: KeyCharge | None = None
    """Added to what its key has spent, with the end and once, whichever server writes that; not read back with the row."""


class DocumentRow(Value, frozen=True, kw_only=True):
    """An object of a sibling API (conversation, thread, file, batch, assistant, stored chat completion …)."""

    kind: str
    id: str
    owner: str
    parent: str | None = None
    """The container, for lists inside one (a thread's messages)."""
    created_at: float
    version: int = 0
    """Grows with each update: an update of a stale version is a Conflict."""
    status: str | None = None
    """For finding the unfinished ones after a restart."""
    body: bytes


class Unless(Value, frozen=True, kw_only=True):
    """A condition on a change of a container: it is refused while a document of this kind inside it is in one of these
    states. The store checks it in the transaction of the change, so of two servers one is refused."""

    kind: str
    statuses: tuple[str, ...]


class Page(Value, frozen=True, kw_only=True):
    """A window into a list, by id, as the contract's list calls have it."""

    after: str | None = None
    before: str | None = None
    limit: int = 20
    order: Literal["asc", "desc"] = "desc"


class RetentionRule(Value, frozen=True, kw_only=True):
    """Documents that are pruned: of a kind, created before a time (seconds since the epoch), and so is everything that
    stands directly inside them."""

    kind: str
    before: float
    statuses: tuple[str, ...] | None = None
    """Only those in one of these states; None means any."""


class KeyRow(Value, frozen=True, kw_only=True):
    """An API key. Only its hash is stored."""

    id: str
    name: str
    project: str
    hash: bytes
    """SHA-256 of the key: keys are random, 256 bits, so a fast hash is enough."""
    hint: str
    """The first and last characters, to tell keys apart."""
    created_at: float
    revoked_at: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    usd_per_day: float | None = None
    usd_per_month: float | None = None
    role: Literal["project", "admin"] = "project"
    """What it sees in the dashboard: its project, or everything, keys and models too. To the API both are the same."""


class ReplayRow(Value, frozen=True, kw_only=True):
    """What an ``Idempotency-Key`` stands for. ``status`` is None while the first request runs."""

    digest: bytes
    """SHA-256 of method, path and body."""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    created_at: float = 0.0
    elsewhere: bool = False
    """Whether the first request runs on another server."""
