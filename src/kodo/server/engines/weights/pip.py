"""Run pip quietly and say in one line why it failed.

pip is the only way to the package index: its mirrors, proxies, certificates and wheel folders, from pip.conf
or the environment, work as they are, and kodo never passes an address of its own. This module uses the
standard library only and does not know what is being installed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TICK_SECONDS = 0.1

# The first pattern found in pip's output is the reason, so the order is from the surest sign to the vaguest.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full: free some space and run it again",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded file is not the locked one (its sha256 differs) and was refused: "
        "run `pip cache purge` and try again, or use another package mirror",
    ),
    (
        r"Read-only file system|Permission denied",
        "a folder cannot be written: run it as the owner of the checkout, or on a writable disk",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the package index's certificate is not trusted: set PIP_CERT to your certificate bundle",
    ),
    (
        r"connection broken by|NewConnectionError|Max retries exceeded|Read timed out|Connection aborted"
        r"|IncompleteRead|ProxyError",
        "the package index cannot be reached: check the network and pip's settings (`pip config list`), "
        "then run it again",
    ),
    (
        r"No module named pip\b",
        "this Python has no pip: run `python3 -m ensurepip`",
    ),
)
_NOT_FOUND = re.compile(r"No matching distribution found for (\S+)")
_LAST_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


class PipError(Exception):
    """pip failed; the message is one line that says what to do."""


def explain(output: str) -> str:
    """Return one line for the output of a failed run: the cause, and what the user can do."""
    for pattern, advice in _CAUSES:
        if re.search(pattern, output):
            return advice
    if missing := _NOT_FOUND.search(output):
        return (
            f"the package index has no {missing[1]} for this Python and platform, or cannot be reached: "
            "use Python 3.11 to 3.13, and check pip's settings (`pip config list`)"
        )
    errors = _LAST_ERROR.findall(output)
    return f"pip failed: {errors[-1]}" if errors else "pip failed without a word"


def run(
    python: Path | str,
    arguments: Sequence[str],
    log: Path,
    *,
    tick: Callable[[str], None] = lambda output: None,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run `python -m pip ARGUMENTS` to its end, its output in the file `log`.

    `tick` is called about ten times a second with the output so far, to show progress. `environment` is added
    to this process's own. pip is stopped when this call is interrupted. Raises PipError, or OSError where the
    log cannot be written.
    """
    quiet = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"}
    # Where pip knows it (25.1), an interrupted download is resumed; older ones ignore it.
    resume = {"PIP_RESUME_RETRIES": "5"}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(python), "-m", "pip", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **quiet, **resume, **(environment or {})},
            pass_fds=tuple(pass_fds),
        )
        try:
            while True:
                try:
                    status = process.wait(_TICK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    tick(log.read_text(errors="replace"))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        raise PipError(explain(log.read_text(errors="replace")))
