"""The values of a fix: what is asked, how it may be done, and the report. JSON is these values encoded by msgspec."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from kodo.jobs.agent import AgentLimits

NO_MODEL = "no model was asked (--no-model), and no fix without one could be proven"
"""The note of a report without a model; the renderers for people say it in their language."""

NOT_COMPARED = "the patch was not run outside of pytest and with other values, because the test checks in a loop, or has no values of its own that could be others"
"""Why a model's patch is not proven where that part of the proof is missing; the note of a report without a model's patch."""


class Verdict(StrEnum):
    """What was shown of the patch.

    ``proven``: a frozen test failed before and passes after, nothing else is worse. ``unproven``: there is a patch and a
    part of the proof is missing. ``none``: there is no patch.
    """

    PROVEN = "proven"
    UNPROVEN = "unproven"
    NONE = "none"


class FixError(Exception):
    """Nothing can be done without another request: the test passes, the finding is not there, the project has no tests.

    The message says why in English, ``ja`` in Japanese.
    """

    def __init__(self, message: str, ja: str = "") -> None:
        super().__init__(message)
        self.ja = ja or message


class FixRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be fixed; one of ``text``, ``test`` and ``finding`` is given.

    ``project`` is the root of the project, ``text`` an issue in words, ``test`` a test that fails, as a pytest node id or a dotted name, ``finding``
    the fingerprint (or its beginning) of a finding of ``kodo review``. ``allowed`` holds patterns of paths that may be
    patched; empty allows Python files but tests and test settings.
    """

    project: str
    text: str = ""
    test: str = ""
    finding: str = ""
    allowed: tuple[str, ...] = ()


class FixOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a fix may be done. ``limits`` are those of the agent, ``rounds`` how often a failed proof goes back to it."""

    limits: AgentLimits = AgentLimits()
    rounds: int = 3
    run_seconds: float = 20.0
    test_seconds: float = 120.0
    model: str = ""
    lang: str = "en"


class FrozenTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The test that the fix has to make pass. ``sha256`` is of its file; ``written`` says that the agent wrote it."""

    name: str
    path: str
    sha256: str
    failure_before: str
    written: bool


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tests of the project: how many passed before and with the patch, and which are worse."""

    passed_before: int
    passed_after: int
    worse: tuple[str, ...] = ()


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agent did. ``cost`` is in US dollars; ``refused`` are calls that were not allowed, a line each."""

    model: str
    stop: str
    steps: int
    calls: int
    refused: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cost: str


class FixReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The result of one fix.

    Attributes:
        run: its id, for ``--resume``.
        reasons: why it is not proven; empty where it is.
        how: what made the patch: a proposal that needs no model, or the model.
        patch: a unified diff for ``git apply``; it holds a test that the agent wrote.
        behaviour: what else the patch changes, as a review that runs both versions says it.
        isolation: how strong the sandbox was.
    """

    run: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    how: str = ""
    test: FrozenTest | None = None
    patch: str = ""
    files: tuple[str, ...] = ()
    suite: Suite | None = None
    behaviour: tuple[str, ...] = ()
    work: Work | None = None
    notes: tuple[str, ...] = ()
    isolation: str = ""
    kodo: str = ""


def run_folder(home: Path, run: str) -> Path:
    """Where a run is kept."""
    return home / "fixes" / run
