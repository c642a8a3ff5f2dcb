"""Calls near one that runs a changed line: at the boundary of a comparison, and with arguments of other calls."""

from __future__ import annotations

import importlib
import random
import sys
from itertools import islice
from pathlib import Path

from kodo.jobs.execution.model import Arg, Call, Expectation
from kodo.jobs.execution.worker import load as worker_load
from kodo.jobs.execution.worker.jobs import ModuleLocation
from kodo.jobs.execution.worker.operands import Sides
from kodo.jobs.testgen.near_calls import crossed, with_operands
from kodo.jobs.testgen.worker import note_operands
from kodo.jobs.testgen.worker.jobs import NoteOperands

METHOD = Call(7, "Box.fits", "box.fits(_0)", (Arg("size", "3"),), ("box = Box('a', 10)",), "box")


def test_the_boundary_is_tried_in_the_arguments_and_in_what_the_receiver_is_made_of():
    """Of the comparison in the changed line first; what was stated of the call is not asked of another one."""
    call = Call(
        1, "f", "f(_0)", (Arg("n", "3"),), origin="example",
        expect=Expectation("value", "1", "example", "f(3)"),
    )  # fmt: skip
    first = next(with_operands(call, (Sides(1, "3", "50"), Sides(9, "3", "8")), 9))
    assert (first.args, first.expect, first.origin) == ((Arg("n", "8"),), None, "near example")
    found = list(with_operands(METHOD, (Sides(4, "3", "10"),), 4))
    assert (METHOD.setup, (Arg("size", "10"),)) in [(one.setup, one.args) for one in found]
    assert (("box = Box('a', 3)",), METHOD.args) in [(one.setup, one.args) for one in found]
    assert all(len(one.args) == 1 for one in found)


def test_an_argument_or_the_receiver_of_another_call_takes_its_place():
    """Each alone was tried before; what they do together was not."""
    other = Call(8, "Box.fits", "box.fits(_0)", (Arg("size", "99"),), ("box = Box('b', 1)",), "box")
    found = {(one.setup, one.args) for one in islice(crossed(METHOD, [METHOD, other], random.Random(0)), 20)}
    assert found == {(METHOD.setup, other.args), (other.setup, METHOD.args)}


def test_a_call_with_nothing_to_take_is_not_crossed():
    """No other call differs from it."""
    assert list(crossed(METHOD, [METHOD], random.Random(0))) == []


def test_what_a_function_compares_is_noted_call_by_call(tmp_path: Path, monkeypatch):
    """By the worker, in a child of which the functions alone are changed."""
    source = "LIMIT = 12\n\ndef small(n):\n    return n < LIMIT\n"
    (tmp_path / "comparing.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    for one in (note_operands, worker_load):
        monkeypatch.setattr(one, "project", lambda: tmp_path)
    module = importlib.import_module("comparing")
    where = ModuleLocation("comparing.py", ".", "comparing", source, ("small",))
    calls = tuple(Call(at, "small", "small(_0)", (Arg("n", text),)) for at, text in enumerate("37"))
    try:
        found = list(note_operands.run_note_operands(NoteOperands(where, calls, ("small",), 30.0), module))
    finally:
        del sys.modules["comparing"]
    assert [(one.call, one.pairs) for one in found] == [
        (0, (Sides(4, "3", "12"),)),
        (1, (Sides(4, "7", "12"),)),
    ]
