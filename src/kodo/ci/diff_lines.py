"""Which lines of a diff can carry a comment: those that a hunk shows on the side after the change.

Anything else is refused by the forge (422), and the whole review with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line after the change: its hunk's index, and its number before the change (0: the line was added)."""

    hunk: int
    old_line: int


def shown_lines(patch: str) -> dict[int, ShownLine]:
    """The lines after the change that a file's patch shows, by number from 1. Hunks only, without file headers."""
    shown: dict[int, ShownLine] = {}
    hunk, old, new = -1, 0, 0
    for line in patch.split("\n"):
        if found := _HUNK.match(line):
            hunk, old, new = hunk + 1, int(found[1]), int(found[2])
        elif hunk < 0 or line.startswith("\\"):
            continue
        elif line.startswith("+"):
            shown[new] = ShownLine(hunk, 0)
            new += 1
        elif line.startswith("-"):
            old += 1
        elif line.startswith(" "):
            shown[new] = ShownLine(hunk, old)
            old, new = old + 1, new + 1
    return shown


def commentable_range(shown: dict[int, ShownLine], start: int, end: int) -> tuple[int, int] | None:
    """``start`` to ``end`` where all of it is in one hunk; else ``start`` alone; None where that is not shown."""
    if start not in shown:
        return None
    same = all(
        line in shown and shown[line].hunk == shown[start].hunk
        for line in range(start, min(end, start + 500) + 1)
    )
    return (start, end) if same and end - start <= 500 else (start, start)
