"""The model's part, after everything else: inputs for what is still alive or not covered."""

from dataclasses import dataclass

from kodo.client.session import Session
from kodo.toolkit.testgen.candidates import Maker
from kodo.toolkit.testgen.pipeline import Pipeline, Tried
from kodo.toolkit.testgen.select import Arc, Chosen


@dataclass(frozen=True, slots=True)
class TopUp:
    """What the model added."""

    tried: Tried
    chosen: tuple[Chosen, ...]
    model: str
    notes: tuple[str, ...]


def top_up(
    pipeline: Pipeline, session: Session, maker: Maker, covered: frozenset[Arc], dead: frozenset[int]
) -> TopUp:
    """Ask for inputs and choose among them as among all others."""
    return TopUp(Tried((), {}, {}, 0, 0), (), "", ())
