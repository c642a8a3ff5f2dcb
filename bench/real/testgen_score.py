"""What test generation was worth on real modules: the counts of each, the judged accusations, and the table.

Pure but for one file read: what a person found each "may be a bug" to be. An accusation is known by package,
function and the words it rests on, so a judgement outlives a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import msgspec

Key = tuple[str, str, str]


class Accusation(msgspec.Struct, frozen=True):
    """One "may be a bug" of a report."""

    package: str
    function: str
    call: str
    expected: str
    got: str
    quote: str

    @property
    def key(self) -> Key:
        """By which a judgement is found again."""
        return self.package, self.function, self.quote


class Judgement(msgspec.Struct, frozen=True):
    """What a person found: whether documentation and code differ as the report says, and why."""

    package: str
    function: str
    quote: str
    right: bool
    why: str


@dataclass(frozen=True, slots=True)
class JudgementFile:
    """The file of judgements, a JSON list."""

    path: Path

    def judged(self) -> dict[Key, Judgement]:
        """Every judgement by its key."""
        found = msgspec.json.decode(self.path.read_bytes(), type=list[Judgement])
        return {(one.package, one.function, one.quote): one for one in found}


JUDGEMENTS = JudgementFile(Path(__file__).parent / "data" / "accusations.json")


class ModuleScore(msgspec.Struct, frozen=True):
    """What came out for one module. Rates are 0 to 1, of the module's file with the kept tests alone."""

    name: str
    half: str
    functions: int = 0
    kept: int = 0
    green: int = 0
    red: int = 0
    lines: float = 0.0
    branches: float = 0.0
    mutation: float = 0.0
    characterisation: int = 0
    accusations: tuple[Accusation, ...] = ()
    seconds: float = 0.0
    error: str = ""


def markdown(scores: Sequence[ModuleScore], judged: Mapping[Key, Judgement]) -> str:
    """A row for each module, a row of means for each half, and the accusations with their judgements."""
    head = (
        "| package | functions | tests kept | green | lines | branches | mutation score | may be a bug | s |"
    )
    lines = [head, "| --- " * 9 + "|", *map(_row, scores)]
    halves = dict.fromkeys(one.half for one in scores)
    lines += [_summary(half, [one for one in scores if one.half == half]) for half in halves]
    accusations = [one for score in scores for one in score.accusations]
    verdicts = [judged.get(one.key) for one in accusations]
    wrong = sum(one is not None and not one.right for one in verdicts)
    lines += [
        "",
        f"May be a bug: {len(accusations)} reports, {wrong} false, {verdicts.count(None)} not judged yet.",
        "",
    ]
    lines += [_judged(one, verdict) for one, verdict in zip(accusations, verdicts, strict=True)]
    return "\n".join([*lines, *(f"- {one.name}: {one.error}" for one in scores if one.error)]) + "\n"


def _row(score: ModuleScore) -> str:
    rates = " | ".join(f"{rate:.2f}" for rate in (score.lines, score.branches, score.mutation))
    green = f"{score.green} of {score.green + score.red}"
    return (
        f"| {score.name} | {score.functions} | {score.kept} | {green} | {rates} | {len(score.accusations)} "
        f"| {score.seconds:.0f} |"
    )


def _summary(half: str, scores: Sequence[ModuleScore]) -> str:
    """Means of the rates over the modules, sums of the counts, and the median of the seconds."""
    rates = " | ".join(
        f"{fmean(getattr(one, name) for one in scores):.2f}" for name in ("lines", "branches", "mutation")
    )
    green, red = sum(one.green for one in scores), sum(one.red for one in scores)
    functions, kept = sum(one.functions for one in scores), sum(one.kept for one in scores)
    accused = sum(len(one.accusations) for one in scores)
    seconds = median(one.seconds for one in scores)
    row = (
        f"| **{half}**, {len(scores)} | {functions} | {kept} | {green} of {green + red} | {rates} | {accused}"
    )
    return f"{row} | {seconds:.0f} |"


def _judged(one: Accusation, verdict: Judgement | None) -> str:
    judged = "not judged" if verdict is None else f"{'right' if verdict.right else 'false'}: {verdict.why}"
    return f"- {one.package}, `{one.function}`: `{one.call}` is documented as {one.expected}, was {one.got} ({judged})"
