"""A finding before verification: what an analyser or a model proposes about one file.

``verification`` turns a candidate into a ``Finding``, or says why not. Nothing else may make a finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kodo.jobs.report.model import Category, EvidenceKind, Severity


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of the text between two places; lines and columns count from 1, the end is excluded."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposal. ``line`` to ``end_line`` are lines after the change; columns count characters from 1, 0 means the whole line.

    ``symbol`` is the name that the candidate is about: it finds the hunk that caused a candidate outside of every hunk.
    ``values`` fill in the message, also for the same message in another language.
    """

    rule: str
    category: Category
    severity: Severity
    line: int
    message: str
    source: str
    end_line: int = 0
    column: int = 0
    end_column: int = 0
    detail: str = ""
    kind: EvidenceKind = EvidenceKind.RULE
    symbol: str = ""
    values: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def last(self) -> int:
        """The last line, which is the first one unless ``end_line`` says otherwise."""
        return max(self.line, self.end_line)


@dataclass(frozen=True, slots=True)
class Subject:
    """One text for an analyser: ``path`` names it in messages and decides what kind of file it is."""

    path: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class AnalyserResult:
    """What one analyser reports about a list of subjects, by their index.

    ``failures`` are subjects that it should have looked at and could not; they make a review partial.
    """

    candidates: Mapping[int, list[Candidate]]
    looked_at: frozenset[int]
    failures: Mapping[int, str] = field(default_factory=dict)
