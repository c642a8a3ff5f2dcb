"""What the jobs share: a model's text is not a result until something has verified it.

A job returns :class:`Verified` or :class:`Rejected`, never a bare string from a model, so that unverified text cannot
be printed as a finding. Knows nothing of any particular job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from kodo.client.answer import Answer

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A value that was checked. ``how`` says by what, in a few words; ``answers`` are the model calls behind it."""

    value: T
    how: str
    answers: tuple[Answer, ...] = ()

    def map(self, change: Callable[[T], U]) -> Verified[U]:
        """The same verdict over another form of the value."""
        return Verified(change(self.value), self.how, self.answers)


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a model wrote did not pass. ``reason`` is one line for the user; ``text`` is what was written."""

    reason: str
    text: str = ""
    answers: tuple[Answer, ...] = ()


Result: TypeAlias = Verified[T] | Rejected
"""What a job returns for one piece of work."""
