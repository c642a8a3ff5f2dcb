"""What a method did is asked of its instance afterwards, by the methods that give something back."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.jobs.execution.model import Arg, Call, Observed
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.arcs import Arcs
from kodo.jobs.execution.worker.call import observe
from kodo.jobs.testgen import render
from kodo.jobs.testgen.queries import queried
from kodo.jobs.testgen.trials import Trials

SOURCE = """
class Readable:
    def tell(self):
        return self._at

class Tape(Readable):
    def __init__(self, text=""):
        self._text, self._at = text, 0

    def write(self, text):
        self._text += text

    def seek(self, at):
        self._at = at

    @property
    def rest(self):
        return self._text[self._at :]

    def find(self, text):
        return self._text.find(text)

    def close(self):
        self._text = ""

    def __len__(self):
        return len(self._text)

    def __contains__(self, text):
        return text in self._text

    def __lt__(self, other):
        return self._text < other._text

    def lines(self):
        yield from self._text.split()
"""
NAMED = ("self._text += text", "return 'ab'", "return len")
WRITE = Call(3, "Tape.write", "tape.write(_0)", (Arg("text", "'ab'"),), ("tape = Tape()",), "tape")


def asked(tmp_path: Path, call: Call, seen: Observed | None = None) -> list[Call]:
    """The queries after a call of the module's class."""
    path = tmp_path / "tape.py"
    path.write_text(SOURCE)
    return list(queried(call, seen or Observed(call.id, "value", "None"), load(path)))


def test_all_that_gives_something_back_is_asked(tmp_path):
    """Properties, protocols, methods without arguments, those of a base class too, and with the argument of the call."""
    found = asked(tmp_path, WRITE)
    assert {one.expression for one in found} == {
        "tape.rest", "len(tape)", "tape.tell()", "tape.lines()", "_0 in tape", "tape.find(_0)",
    }  # fmt: skip
    assert {one.setup for one in found} == {("tape = Tape()", "tape.write(_0)")}


def test_a_query_is_a_test_that_reads_like_one(tmp_path):
    """The call is a statement of its own, with its argument."""
    (one,) = [one for one in asked(tmp_path, WRITE) if one.expression == "_0 in tape"]
    lines = render.body(one, Observed(one.id, "value", "True"), "pytest")
    assert lines == ["tape = Tape()", "tape.write('ab')", "assert 'ab' in tape"]


def test_what_a_constructor_made_is_asked_too(tmp_path):
    """By a name of its own."""
    found = asked(tmp_path, Call(4, "Tape.__init__", "Tape(_0)", (Arg("text", "'x'"),)))
    assert ("made = Tape(_0)",) in {one.setup for one in found}
    assert "made.rest" in {one.expression for one in found}


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (WRITE, Observed(3, "raises", "TypeError")),
        (Call(5, "Tape.lines", "tape.lines()", (), ("tape = Tape()",), "tape"), Observed(5, "value", "[]", "list")),
        (
            Call(6, "Tape.__lt__", "tape < _0", (Arg("other", "Tape()"),), ("tape = Tape()",), "tape"),
            Observed(6, "value", "False"),
        ),
    ],
)  # fmt: skip
def test_what_did_nothing_to_the_instance_is_no_statement(tmp_path, call, seen):
    """An error, a generator that nobody reads, and a comparison that stands alone."""
    assert asked(tmp_path, call, seen) == []


def test_a_query_runs_what_the_call_before_it_ran(tmp_path, monkeypatch):
    """A mutant of the method is tried on the query: its setup runs the method, and its argument another function."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    path = tmp_path / "tape.py"
    source = f"{SOURCE}\ndef word():\n    return 'ab'\n"
    space: dict[str, object] = {"__name__": "tape"}
    exec(compile(source, str(path), "exec"), space)
    call = Call(9, "Tape.write", "len(tape)", (Arg("text", "word()"),), ("tape = Tape()", "tape.write(_0)"))
    seen = observe(call, space, {}, (), 2.0, Arcs(str(path)))
    lines = {name: line for line, text in enumerate(source.split("\n"), 1) for name in NAMED if name in text}
    assert {lines["self._text += text"], lines["return 'ab'"]} <= set(seen.setup_lines)
    assert lines["return len"] not in seen.setup_lines
    trials = Trials((call,), {9: seen}, {}, 1, 1)
    assert {lines[name] for name in NAMED} <= trials.lines[9]
