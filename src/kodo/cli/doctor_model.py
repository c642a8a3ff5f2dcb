"""What a check of ``kodo doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kodo.cli.exit_codes import ExitCode

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. ``code`` is the exit code that a failure asks for."""

    name: str
    state: State
    detail: str
    code: ExitCode = ExitCode.DONE
