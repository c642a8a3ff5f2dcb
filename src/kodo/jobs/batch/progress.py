"""How far a batch is: figures only, for a progress bar and for the report at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from kodo.client.usage import Usage


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. Times are seconds, amounts US dollars."""

    total: int
    """Requests in the input."""
    before: int
    """Of these, how many had a result when the run began."""
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: Decimal = Decimal(0)
    """Charged in this run."""
    list_usd: Decimal = Decimal(0)
    """List price of the same tokens, where it is known."""
    seconds: float = 0.0
    """Since the run began."""

    @property
    def done(self) -> int:
        """Requests that need no further work in this run."""
        return self.before + self.succeeded + self.failed

    @property
    def rate(self) -> float:
        """Requests a second in this run so far."""
        return (self.succeeded + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until the end at this rate; None before the first result."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None
