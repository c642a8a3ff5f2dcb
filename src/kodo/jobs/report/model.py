"""The values of a review's result: findings with a place and evidence, and the report that holds them.

All are frozen; JSON is these values encoded by msgspec, so a field renamed here is a change of the public
format. This module does not know how a finding came about or how it is shown.
"""

from enum import StrEnum

import msgspec


class Category(StrEnum):
    """What kind of harm a finding is about; called ``class`` in every output."""

    BUG = "bug"
    SECURITY = "security"
    PERFORMANCE = "performance"
    READABILITY = "readability"
    PRACTICE = "practice"


class Severity(StrEnum):
    """How bad it is: ``error`` is wrong now, ``warning`` probably is, ``info`` is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def weight(self) -> int:
        """3 for error, 2 for warning, 1 for info; for sorting and thresholds."""
        return _WEIGHT[self]


_WEIGHT = {Severity.ERROR: 3, Severity.WARNING: 2, Severity.INFO: 1}


class EvidenceKind(StrEnum):
    """What a finding rests on. Only the first two may fail a build unless opinions are asked to."""

    RULE = "rule"
    EXECUTION = "execution"
    OPINION = "opinion"


class State(StrEnum):
    """How a review ended. ``clean`` means that everything was read and nothing was found."""

    CLEAN = "clean"
    FINDINGS = "findings"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    FAILED = "failed"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines ``line`` to ``end_line`` of ``path`` (after the change), counted from 1, both included.

    ``column`` and ``end_column`` count characters from 1, the end excluded; 0 means the whole line.
    ``path`` is relative to the reviewed root, with forward slashes.
    """

    path: str
    line: int
    end_line: int
    column: int = 0
    end_column: int = 0


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a finding may be believed: ``source`` names the analyser or model, ``detail`` its own words."""

    kind: EvidenceKind
    source: str
    detail: str = ""


class Fix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A replacement of whole lines that was tried on a copy.

    Lines ``line`` to ``end_line`` become ``text`` (which ends in a newline, or is empty to delete them).
    ``checked`` says what the changed copy passed: ``parses``, ``analysers``, ``tests``.
    """

    line: int
    end_line: int
    text: str
    checked: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One finding about one place, which was verified to be in the reviewed lines."""

    fingerprint: str
    rule: str
    category: Category = msgspec.field(name="class")
    severity: Severity
    place: Place
    message: str
    evidence: Evidence
    code: str = ""
    definition: str = ""
    related: tuple[Place, ...] = ()
    fix: Fix | None = None


class Suppressed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that a comment silenced; ``by`` is the comment, ``in_change`` whether the change added it."""

    finding: Finding
    by: str
    in_change: bool


class Unreviewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was not looked at, and why. A ``gap`` should have been reviewed, so the report is partial."""

    path: str
    reason: str
    gap: bool
    line: int = 0
    end_line: int = 0


class Reviewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that was looked at: its language, how many of its lines, and by what."""

    path: str
    language: str
    lines: int
    analysers: tuple[str, ...]


class ModelUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was asked, and what became of its answers; token counts are as the server said."""

    model: str
    size: str
    requests: int
    accepted: int
    rejected: dict[str, int]
    input_tokens: int = 0
    output_tokens: int = 0


class Executed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was run in both versions: functions, inputs, calls that differ, and what could not be run and why.

    ``recorded`` counts the inputs that the project's running tests gave. ``unstable`` counts calls that differ from run to
    run and so say nothing. Seconds are wall time; ``budget`` is the
    most that was allowed.
    """

    functions: tuple[str, ...] = ()
    inputs: int = 0
    recorded: int = 0
    differences: int = 0
    unstable: int = 0
    not_run: tuple[str, ...] = ()
    seconds: float = 0.0
    budget: float = 0.0


class ReviewReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole result of one review. Findings are sorted by path, line and rule."""

    state: State
    source: str
    findings: tuple[Finding, ...] = ()
    known: tuple[Finding, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    unreviewed: tuple[Unreviewed, ...] = ()
    reviewed: tuple[Reviewed, ...] = ()
    model: ModelUse | None = None
    executed: Executed | None = None
    notes: tuple[str, ...] = ()
    lang: str = "en"
    kodo: str = ""

    @property
    def gaps(self) -> tuple[Unreviewed, ...]:
        """What should have been reviewed and was not."""
        return tuple(item for item in self.unreviewed if item.gap)

    def failing(self, threshold: Severity | None, *, opinions: bool = False) -> tuple[Finding, ...]:
        """The findings at or over ``threshold`` that count against a build; empty if ``threshold`` is None."""
        if threshold is None:
            return ()
        return tuple(
            finding
            for finding in self.findings
            if finding.severity.weight >= threshold.weight
            and (opinions or finding.evidence.kind is not EvidenceKind.OPINION)
        )
