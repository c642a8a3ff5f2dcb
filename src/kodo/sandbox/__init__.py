"""Run generated code where it can do no harm, and say how strong the isolation is.

    sandbox = Sandbox()
    sandbox.require()                     # refuses unless the isolation is full
    result = sandbox.run([PYTHON, "-c", "print(1)"], project=Path("."))

The public names of this folder. The other packages use these names and no others.
"""

from kodo.sandbox.model import (
    FILES,
    LIB,
    PROJECT,
    PYTHON,
    TMP,
    Isolation,
    IsolationRefused,
    Launch,
    Level,
    ProcessResult,
    ResourceLimits,
    SandboxError,
)
from kodo.sandbox.process import end_all
from kodo.sandbox.sandbox import Sandbox

__all__ = [
    "FILES",
    "LIB",
    "PROJECT",
    "PYTHON",
    "TMP",
    "Isolation",
    "IsolationRefused",
    "Launch",
    "Level",
    "ProcessResult",
    "ResourceLimits",
    "Sandbox",
    "SandboxError",
    "end_all",
]
