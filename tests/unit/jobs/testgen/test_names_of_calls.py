"""The worker is told every name that calls use, also those that are found after its first job."""

from __future__ import annotations

from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import Arg, Entered
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


def test_what_a_function_was_given_and_is_no_python_is_made_anew(tmp_path):
    """The text of a value of foreign code may hold that of another object."""
    path = tmp_path / "mod.py"
    path.write_text("def f(when):\n    return when\n", encoding="utf-8")
    module = load(path)
    row = Entered("f", (Arg("when", "datetime.datetime(2024, 1, 1, tzinfo=<Zone>)"),))
    calls = CandidateGenerator(module, 0, deep=True).from_entered(module.every_function["f"], [row])
    assert not any("<Zone>" in arg.source for call in calls for arg in call.args)
