"""Whether a text goes round in a loop: its end is the same words again and again.

Knows characters; knows nothing of tokens or grammars.
"""

from __future__ import annotations

MIN_LOOP = 60
"""Characters of a loop, all its rounds together, at least."""
MIN_ROUNDS = 3
MAX_ROUND = 400
"""Characters of one round at most."""
MAX_LOOP_TAIL = MAX_ROUND * MIN_ROUNDS
"""Characters of a text's end that are looked at."""
MIN_SHORT_ROUNDS = 12
"""Rounds of fewer than ``_SHORT`` characters: rules, dots and indents repeat in good text too."""
_SHORT = 8


def loop_length(text: str, *, min_loop: int = MIN_LOOP) -> int:
    """Characters of one round of the loop that a text ends with; 0 where it ends with none."""
    tail = text[-MAX_LOOP_TAIL:]
    for size in range(1, min(MAX_ROUND, len(tail) // MIN_ROUNDS) + 1):
        rounds = max(MIN_ROUNDS if size >= _SHORT else MIN_SHORT_ROUNDS, -(-min_loop // size))
        if len(tail) < rounds * size or tail[-1] != tail[-1 - size]:
            continue
        unit = tail[-size:]
        if not unit.strip() or not any(character.isalnum() for character in unit):
            continue
        if tail.endswith(unit * rounds):
            return size
    return 0
