"""Status machines: which status of an object may follow which, and which are final.

:data:`RESPONSE_STATUS` is the machine of responses. Source: Open Responses 2026-04-24 and the behaviour of the hosted service.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final, Generic, TypeVar

from kodo.server.wire.response import Status

S = TypeVar("S", bound=str)


class StatusMachine(Generic[S]):
    """The allowed transitions of one kind of object. A status that nothing follows is final.

    Args:
        transitions: every status, with those that may follow it.
    """

    def __init__(self, transitions: Mapping[S, Set[S]]) -> None:
        self.transitions: Final = transitions
        self.final: Final[tuple[S, ...]] = tuple(status for status, after in transitions.items() if not after)
        self.unfinished: Final[tuple[S, ...]] = tuple(
            status for status, after in transitions.items() if after
        )

    def allows(self, old: S, new: S) -> bool:
        """Whether ``new`` may follow ``old``."""
        return new in self.transitions[old]

    def transition(self, old: S, new: S) -> S:
        """``new``, if it may follow ``old``.

        Raises:
            ValueError: it may not; a bug in the caller.
        """
        if not self.allows(old, new):
            raise ValueError(f"the status cannot change from {old} to {new}")
        return new


RESPONSE_STATUS: Final = StatusMachine[Status](
    {
        "queued": {"in_progress", "cancelled", "failed"},
        "in_progress": {"completed", "incomplete", "failed", "cancelled"},
        "completed": set(),
        "incomplete": set(),
        "failed": set(),
        "cancelled": set(),
    }
)
FINAL: Final[frozenset[str]] = frozenset(RESPONSE_STATUS.final)
"""The final statuses of a response."""
