"""What the server remembers about its responses for people to look at: one line each, and sums by minute, hour and day.

The store keeps both in the transaction that begins or finishes a response, so that an overview of a million responses
reads some thousand rows. Sums outlive the responses they count. This module knows no SQL and no page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from kodo.server.lifecycle.ports import Usage, Value
from kodo.server.lifecycle.records import DocumentRow, Timing

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 24 * HOUR
WIDTHS: Final = (MINUTE, HOUR, DAY)
"""Seconds of the spans that sums are kept for, in UTC."""
MINUTES_KEPT: Final = 2 * HOUR
"""How long the sums of minutes are kept; the others stay."""
TITLE_CHARS: Final = 160
"""Characters of a request's last text that its line shows."""
MAX_SEARCHED: Final = 50_000
"""Lines, the newest ones, in which a text is looked for."""
BUCKETS_PER_OCTAVE: Final = 4
"""Times to the first token are counted in buckets whose bounds grow by the fourth root of two, from a millisecond."""


class Activity(Value, frozen=True, kw_only=True):
    """One response, in a line. Times in seconds."""

    seq: int
    id: str
    owner: str
    key_id: str | None
    created_at: float
    model: str
    status: str
    background: bool
    parent: str | None
    """``previous_response_id``."""
    conversation: str | None
    title: str
    """The beginning of the last text it was given."""
    usage: Usage
    timing: Timing


class ActivityFilter(Value, frozen=True, kw_only=True):
    """Which lines are wanted; None: any. ``text`` is looked for in titles, or is the beginning of an id."""

    owner: str | None = None
    status: str | None = None
    model: str | None = None
    since: float | None = None
    until: float | None = None
    text: str | None = None
    before: int | None = None
    """Lines with a smaller ``seq`` only: the next page."""


class ActivitySums(Value, frozen=True, kw_only=True):
    """Counts of the responses that ended in a span of time, for one model. ``start`` in seconds since the epoch."""

    start: int
    model: str
    requests: int
    failed: int
    incomplete: int
    cancelled: int
    usage: Usage
    decode_tokens: int
    """Tokens of answers whose decoding was timed."""
    decode_seconds: float


class FirstTokenCount(Value, frozen=True, kw_only=True):
    """How many answers had their first token in the time of a bucket."""

    start: int
    bucket: int
    count: int


class ActivityReader(Protocol):
    """Reads what is remembered. ``owner`` None means every project: only for those who may see them all."""

    async def activities(self, wanted: ActivityFilter, limit: int) -> Sequence[Activity]:
        """Lines, the newest first."""

    async def activity(self, response_id: str) -> Activity | None:
        """One line, of any owner."""

    async def children(self, response_id: str, limit: int) -> Sequence[Activity]:
        """The responses that continue this one, the oldest first."""

    async def sums(
        self, width: int, since: float, owner: str | None, step: int | None = None
    ) -> Sequence[ActivitySums]:
        """Sums of spans of ``width`` seconds that begin at ``since`` or later, in order of time; ``step``, a multiple of
        the width: added up to spans of so many seconds."""

    async def first_tokens(
        self, width: int, since: float, owner: str | None, step: int | None = None
    ) -> Sequence[FirstTokenCount]:
        """Times to the first token of the same spans."""

    async def unfinished_count(self, owner: str | None) -> int:
        """The number of stored responses that are not over."""

    async def owners(self) -> Sequence[str]:
        """Every project that has made something."""

    async def models(self) -> Sequence[str]:
        """Every model that was asked in the time that sums are kept for."""

    async def documents(
        self, kind: str, owner: str | None, *, before: int | None, limit: int
    ) -> Sequence[tuple[int, DocumentRow]]:
        """Documents of a kind that stand in no other, the newest first, with their numbers for the next page."""

    async def find_document(self, kind: str, document_id: str) -> DocumentRow | None:
        """A document of any owner."""


def bucket_of(seconds: float) -> int:
    """The bucket of a time to the first token."""
    return max(0, math.ceil(BUCKETS_PER_OCTAVE * math.log2(max(seconds * 1000, 1.0))))


def upper_bound(bucket: int) -> float:
    """The longest time in a bucket, in seconds."""
    return float(2 ** (bucket / BUCKETS_PER_OCTAVE)) / 1000
