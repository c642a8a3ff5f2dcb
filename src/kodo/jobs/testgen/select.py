"""Choose the calls that make the suite: each kept one covers an arc or kills a mutant that was left.

Greedy set cover. Documented calls are asked first, so that where a documented and a random call do the
same, the documented one is in the file. Pure: sets of numbers in, calls out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kodo.jobs.execution.model import Call

Arc = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A call, and what it added when it was chosen."""

    call: Call
    new_arcs: frozenset[Arc]
    kills: frozenset[int]


def choose(
    calls: Sequence[Call],
    arcs: Mapping[int, frozenset[Arc]],
    kills: Mapping[int, frozenset[int]],
    covered: frozenset[Arc] = frozenset(),
    killed: frozenset[int] = frozenset(),
) -> list[Chosen]:
    """The calls to keep, given the arcs and mutants that the suite so far has; by number.

    Of calls that add as much, the one earlier in ``calls`` is taken.
    """
    left_arcs, left_mutants = set[Arc](covered), set[int](killed)
    out: list[Chosen] = []

    def gain(call: Call) -> tuple[frozenset[Arc], frozenset[int]]:
        return arcs.get(call.id, frozenset()) - left_arcs, kills.get(call.id, frozenset()) - left_mutants

    def take(call: Call) -> None:
        new_arcs, new_kills = gain(call)
        if new_arcs or new_kills:
            out.append(Chosen(call, new_arcs, new_kills))
            left_arcs.update(new_arcs)
            left_mutants.update(new_kills)

    for call in calls:
        if call.origin in ("example", "claim"):
            take(call)
    rest = [call for call in calls if call.origin not in ("example", "claim")]
    while rest:
        scored = [(sum(map(len, gain(call))), -at) for at, call in enumerate(rest)]
        best, at = max(scored)
        if best == 0:
            break
        take(rest.pop(-at))
        rest = [
            call
            for call, (score, _) in zip(rest, [row for row in scored if row[1] != at], strict=True)
            if score > 0
        ]
    return sorted(out, key=lambda one: one.call.id)
