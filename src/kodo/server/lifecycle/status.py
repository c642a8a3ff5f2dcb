"""The table of allowed status moves of a response: the only place that knows them.

Source: Open Responses 2026-04-24 and the behaviour of the hosted service.
"""

from __future__ import annotations

from kodo.server.wire.response import Status

TRANSITIONS: dict[Status, frozenset[Status]] = {
    "queued": frozenset({"in_progress", "cancelled", "failed"}),
    "in_progress": frozenset({"completed", "incomplete", "failed", "cancelled"}),
    "completed": frozenset(),
    "incomplete": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
FINAL: frozenset[Status] = frozenset(status for status, moves in TRANSITIONS.items() if not moves)


def transition(old: Status, new: Status) -> Status:
    """``new``, if a response may go there from ``old``.

    Raises:
        ValueError: it may not; a bug in the caller.
    """
    if new not in TRANSITIONS[old]:
        raise ValueError(f"a response cannot go from {old} to {new}")
    return new
