"""Scores of a reviewer: what its remarks are worth against the truth of the review sets. Pure arithmetic.

Definitions. A remark hits a truth when the file is the same, the lines are at most :data:`NEAR` apart and the
remark's class names the truth's (:mod:`bench.scorecard.classes`). Precision is hits over all remarks of both
sets, so an alarm on a clean change counts against it; a second remark on a truth that is already hit counts neither
way. Recall is truths hit over truths. Knows nothing of how the remarks came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from bench.scorecard.cases import ReviewCase, Truth
from bench.scorecard.classes import CLASSES

NEAR = 3
"""Lines that a remark may be away from the truth."""

INCOMPLETE = frozenset({"failed", "partial"})
"""States of a review that left something out."""

Threshold = Literal["info", "warning", "error"]
_RANK = {"info": 0, "warning": 1, "error": 2}


class Remark(msgspec.Struct, frozen=True):
    """One remark of any reviewer, in the words of the scorecard; lines are after the change."""

    path: str
    line: int
    end_line: int
    category: str
    severity: Threshold
    rule: str
    fingerprint: str = ""
    opinion: bool = False
    """Whether it rests on a model's word alone."""


class Reviewed(msgspec.Struct, frozen=True):
    """What one reviewer said of one case, twice: of the change, and of the change pushed again with lines moved."""

    case: str
    remarks: tuple[Remark, ...]
    again: tuple[Remark, ...]
    state: str
    seconds: float
    requests: int = 0
    """How often a model was asked about the first push."""
    accepted: int = 0
    """How many of its opinions became remarks."""


@dataclass(frozen=True)
class ReviewScore:
    """Counts over both sets, and the figures that follow from them."""

    seeded: int
    clean: int
    hits: int
    """Truths that were hit."""
    hits_by_opinion: int
    """Truths that nothing but an opinion hit."""
    strays: int
    """Remarks on seeded changes that hit nothing."""
    alarms: int
    """Remarks on clean changes."""
    alarms_by_opinion: int
    repeated: int
    """Remarks of the second push that would be told again as new, their fingerprint being new."""
    told: int
    """Remarks of the second push on lines that the first push already had."""
    incomplete: int
    """Cases that the reviewer could not review, or not whole."""
    requests: int
    """How often a model was asked."""
    accepted: int
    """How many of its opinions became remarks."""

    @property
    def precision(self) -> float | None:
        """Hits over all remarks; None where nothing was said."""
        said = self.hits + self.strays + self.alarms
        return self.hits / said if said else None

    @property
    def recall(self) -> float | None:
        """Truths hit over truths; None without seeded cases."""
        return self.hits / self.seeded if self.seeded else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; 0 where nothing was hit, None where nothing was seeded."""
        if self.recall is None:
            return None
        precision = self.precision or 0.0
        total = precision + self.recall
        return 2 * precision * self.recall / total if total else 0.0

    @property
    def alarms_per_clean(self) -> float | None:
        """Remarks for each clean change."""
        return self.alarms / self.clean if self.clean else None


def hits(truth: Truth, remark: Remark) -> bool:
    """Whether the remark names the truth: file, line within :data:`NEAR` of its first line, class."""
    return (
        remark.path == truth.path
        and abs(remark.line - truth.line) <= NEAR
        and remark.category in CLASSES[truth.kind]
    )


def score(
    cases: Iterable[ReviewCase], reviewed: Iterable[Reviewed], threshold: Threshold = "info"
) -> ReviewScore:
    """The score over the cases that were reviewed, counting remarks at or above ``threshold``.

    Raises KeyError when a review is of none of the cases.
    """
    by_name = {case.name: case for case in cases}
    count = dict.fromkeys(ReviewScore.__dataclass_fields__, 0)
    for item in reviewed:
        case = by_name[item.case]
        remarks = [remark for remark in item.remarks if _RANK[remark.severity] >= _RANK[threshold]]
        count["requests"] += item.requests
        count["accepted"] += item.accepted
        count["incomplete"] += item.state in INCOMPLETE
        if case.truth:
            count["seeded"] += 1
            _count_seeded(count, case.truth, remarks)
        else:
            count["clean"] += 1
            count["alarms"] += len(remarks)
            count["alarms_by_opinion"] += sum(remark.opinion for remark in remarks)
        told = [remark for remark in item.again if _RANK[remark.severity] >= _RANK[threshold]]
        known = {remark.fingerprint for remark in remarks}
        count["told"] += len(told)
        count["repeated"] += sum(remark.fingerprint not in known for remark in told)
    return ReviewScore(**count)


def _count_seeded(count: dict[str, int], truths: Sequence[Truth], remarks: Sequence[Remark]) -> None:
    for truth in truths:
        found = [remark for remark in remarks if hits(truth, remark)]
        count["hits"] += bool(found)
        count["hits_by_opinion"] += bool(found) and all(remark.opinion for remark in found)
    count["strays"] += sum(not any(hits(truth, remark) for truth in truths) for remark in remarks)
