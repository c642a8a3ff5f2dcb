"""Values by which a private function shows a difference, put into the public calls that go through it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from kodo.jobs.execution.calls import filled, filled_setup
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.carried_values import CarriedValues
from kodo.jobs.execution.worker.compare import Compare, CompareAnswer
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE, ModuleLocation

_PUBLIC = Call(
    7, "test", "m.read(_0, _1)", (Arg("a", "{'name': 'x', 'age': 3}"), Arg("b", "'text'")), ("import m",), origin="test"
)  # fmt: skip


def _made(values: CarriedValues, *seeds: Call) -> set[str]:
    return {filled(call) for call in values.calls(seeds)}


def test_a_value_takes_the_place_of_one_of_its_type() -> None:
    """A dict goes in beside what is there as well; a number where a dict has it by the name of the argument."""
    values = CarriedValues()
    values.show(Call(1, "_check", "_check(_0, _1)", (Arg("data", "{'name': []}"), Arg("age", "2.5"))))
    assert _made(values, _PUBLIC) == {
        "m.read({'name': [], 'age': 3}, 'text')",
        "m.read({'name': []}, 'text')",
        "m.read({'name': 'x', 'age': 2.5}, 'text')",
    }
    assert not _made(values, _PUBLIC)


def test_only_what_callers_can_call_gets_them() -> None:
    """A private call stays; and nothing is made where no private call showed anything, or none with a literal."""
    values = CarriedValues()
    assert not _made(values, _PUBLIC)
    values.show(Call(1, "_check", "_check(_0)", (Arg("data", "Data(1)"),)))
    assert not _made(values, _PUBLIC)
    values.show(Call(1, "_check", "_check(_0)", (Arg("data", "{}"),)))
    assert not _made(values, msgspec.structs.replace(_PUBLIC, expression="m._read(_0, _1)"))


_MODULE = """class Reader:
    def read(self, text):
        data = dict(pair.split("=") for pair in text.split(";"))
        data["kind"] = "a"
        return self._check({{**data, **self.more}})

    def __init__(self, more):
        self.more = more

    def _check(self, data):
        if data.get("audience") == {value}:
            return "refused"
        return "fine"
"""


def test_a_private_difference_is_shown_by_a_public_call(tmp_path: Path) -> None:
    """The test reads with other values; those that matter are known of the private method alone."""
    for name, value in ((BEFORE, "object()"), (AFTER, "[7]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(_MODULE.format(value=value))
    where = ModuleLocation("m.py", ".", "m", "", ("Reader",))
    setup = ("import m", "reader = m.Reader(_0)")
    test = Call(
        1, "t", "reader.read(_1)", (Arg("a", "{'audience': 'x'}"), Arg("b", "'a=1'")), setup, origin="test"
    )
    inside = Call(
        2, "Reader._check", "reader._check(_0)", (Arg("data", "{'audience': [7]}"),), ("reader = Reader({})",), "reader"
    )  # fmt: skip
    root = "Reader._check"
    job = Compare(where, where, ((root, (inside,)),), 1.0, time.monotonic() + 20.0, (test,), (root,))
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    here = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker", "job.json"],
        cwd=tmp_path,
        env={**os.environ, "KODO_PROJECT": here, "KODO_FILES": here, "HOME": here, "TMPDIR": here},
        capture_output=True,
        check=True,
    )
    answers = [msgspec.json.decode(line, type=CompareAnswer) for line in done.stdout.splitlines()]
    found = [each.call for one in answers if isinstance(one, Compared) for each in one.differences]
    public = [call for call in found if call.expression == "reader.read(_1)"]
    assert public and any("'audience': [7]" in line for line in filled_setup(public[0]))
