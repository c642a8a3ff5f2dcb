"""``kodo tests``: tests that were seen to run, to be stable and to add something.

Public: ``testgen``, ``generate_tests``, ``Options``, ``TestReport``. Loaded on first use, because the worker in the
sandbox imports this package too and needs none of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kodo.jobs.testgen.job import generate_tests, testgen
    from kodo.jobs.testgen.model import Options, TestgenError, TestReport

__all__ = ["Options", "TestReport", "TestgenError", "generate_tests", "testgen"]

_HOME = {
    "testgen": "job",
    "generate_tests": "job",
    "Options": "model",
    "TestReport": "model",
    "TestgenError": "model",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
