"""The worker is told every name that calls use, also those that are found after its first job."""

from __future__ import annotations

from kodo.jobs.execution.target import load
from kodo.jobs.testgen.sandboxed import Worker
from kodo.sandbox import Isolation, Sandbox


def test_a_name_that_is_found_later_is_imported_too(tmp_path):
    """A call out of the README names a function of the package that the module does not import."""
    path = tmp_path / "mod.py"
    path.write_text("def f():\n    return 1\n", encoding="utf-8")
    names: dict[str, str] = {}
    worker = Worker(Sandbox(), load(path), Isolation("full", "bubblewrap", (), (), ""), names)
    assert worker.where.imported == {}
    names["parse"] = "package"
    assert worker.where.imported == {"parse": "package"}
