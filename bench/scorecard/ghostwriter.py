"""Hypothesis's ghostwriter as a writer of tests: the yardstick for test generation.

It imports the module it writes for, so it runs in the sandbox. It needs black, which kodo itself does not: where black
is missing the contestant is left out, and the page says so.
"""

from __future__ import annotations

import importlib.util

from kodo.sandbox import FILES, PYTHON, TMP, ResourceLimits, Sandbox

_SCRIPT = """
import importlib, shutil, sys, warnings
warnings.simplefilter("ignore")
shutil.copy(sys.argv[1], ".")
sys.path.insert(0, ".")
from hypothesis.extra import ghostwriter
print(ghostwriter.magic(importlib.import_module(sys.argv[2]), annotate=False))
"""


class GhostwriterError(Exception):
    """The ghostwriter wrote nothing; the message is its own last line."""


def available() -> bool:
    """Whether the ghostwriter can run here."""
    return importlib.util.find_spec("black") is not None


def write(sandbox: Sandbox, filename: str, source: str) -> str:
    """The ghostwriter's pytest file for one module. Raises :class:`GhostwriterError` when it has nothing to say."""
    outcome = sandbox.run(
        [PYTHON, "-I", "-c", _SCRIPT, f"{FILES}/{filename}", filename.removesuffix(".py")],
        files={filename: source},
        limits=ResourceLimits(wall_seconds=60, cpu_seconds=60),
        cwd=TMP,
    )
    if not outcome.ok:
        raise GhostwriterError((outcome.stderr.strip() or f"status {outcome.status}").splitlines()[-1])
    return outcome.stdout
