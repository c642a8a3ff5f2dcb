"""The exit status of every ``kodo`` command, and the one exception that carries it.

Scripts branch on these numbers, so they are part of the public contract: docs/reference/cli.md documents them and a
test compares the two. This module does not know any command or any message.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the shell.

    2 is what the option parser itself answers to a wrong option, 130 and 141 are the shell's own 128 + SIGINT and
    128 + SIGPIPE, and 70 is ``EX_SOFTWARE`` of sysexits.h, so that a crash of kodo is never mistaken for a finding (1).
    """

    DONE = 0
    """Everything that was asked for is done, and nothing was found."""
    FINDINGS = 1
    """The job ran to its end and found something (review, tests)."""
    BAD_INPUT = 2
    """An option, a file or a request was wrong; nothing can be done without changing it."""
    PARTIAL = 3
    """Some of the work is done and kept, some failed; running it again can do the rest."""
    BUDGET = 4
    """A budget stopped the work before, or in the middle of, it."""
    SERVER = 5
    """The server could not be reached or did not answer, also after the retries."""
    INTERNAL = 70
    """A defect of kodo itself; a traceback is on stderr."""
    INTERRUPTED = 130
    """Ctrl-C. What was finished before is kept."""
    OUTPUT_CLOSED = 141
    """Whoever read the output has gone, such as ``head``; the rest was not done."""


class CommandError(Exception):
    """A failure that the user can act on: ``main`` prints ``message`` as one line on stderr and exits with ``code``."""

    def __init__(self, message: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
