"""The values the sandbox takes and gives: limits, isolation, result, and its errors.

Knows no mechanism: nothing here names bubblewrap, Landlock or a system call.

    SandboxError
      IsolationRefused    the isolation is not good enough for what was asked
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["full", "partial", "none"]

# Places inside the sandbox. They may stand anywhere in an argument or an environment value and are
# replaced by the real path, which differs from level to level.
PROJECT = "@project@"
"""The project, read-only."""
FILES = "@files@"
"""The files given to this run, read-only."""
TMP = "@tmp@"
"""A private, empty, writable folder of this run; also the working directory and HOME."""
LIB = "@lib@"
"""A read-only folder that holds the ``kodo`` package, for PYTHONPATH."""
PYTHON = "@python@"
"""The interpreter."""

MIB = 1024 * 1024


class SandboxError(Exception):
    """The sandbox could not be set up or used; the message is one line for the user."""


class IsolationRefused(SandboxError):
    """Generated code was not run, because the isolation is weaker than was asked for."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What one run may use. Bytes and seconds; memory is address space for each process."""

    wall_seconds: float = 60.0
    cpu_seconds: int = 60
    memory_bytes: int = 2048 * MIB
    processes: int = 64
    file_bytes: int = 64 * MIB
    tmp_bytes: int = 256 * MIB
    open_files: int = 256
    output_bytes: int = 16 * MIB

    def __post_init__(self) -> None:
        """Refuse a limit that is not positive."""
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"limits.{name} must be above 0")


@dataclass(frozen=True, slots=True)
class Isolation:
    """How strong the isolation was found to be, by trying what must fail.

    ``open`` names the attempts that succeeded (see ``inside/probes.py`` for each name), ``blocked`` those that
    failed as they must. ``why`` says what keeps the level from being better; empty at ``full``.
    """

    level: Level
    mechanism: str
    blocked: tuple[str, ...]
    open: tuple[str, ...]
    why: str = ""

    def line(self) -> str:
        """One line for a terminal or a report."""
        text = f"isolation: {self.level} ({self.mechanism}; {len(self.blocked)} escape probes blocked"
        text += f"; open: {', '.join(self.open)})" if self.open else ")"
        return f"{text}; {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts a command in the sandbox: the whole environment, and descriptors to hand on."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    fds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """What one run did. ``status`` is the exit status, or minus the signal that ended it."""

    status: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with status 0."""
        return self.status == 0 and not self.timed_out
