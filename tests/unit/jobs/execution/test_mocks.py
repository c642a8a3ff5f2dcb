"""Objects that code talks to: where a mock takes their place, and the calls it recorded are compared."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from pathlib import Path
from unittest import mock

import pytest

from kodo.jobs.execution.calls import command, written
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.mocks import asked_answers, holding, is_talked_to, late_attributes
from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.difference import rank, tells
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of

SOURCE = """
from wires import Wire
import wires

class Line:
    def __init__(self, channel, wire: Wire, hub: "wires.Hub", limit: int = 3):
        self.channel = channel
        self.wire = wire
        self.hub = hub
        self.upgraded = None
        self.closed = False
        self.size = 0

    def send(self, text: str):
        if self.channel.is_open():
            self.channel.write(text)

    def finish(self):
        if self.closed and not self.wire.busy() and self.upgraded.method != "HEAD":
            self.wire.write("end")
"""
WIRES = """
class Wire:
    def __init__(self, number):
        self.number = number

class Hub:
    def __init__(self, ports):
        self.ports = ports
"""


def _calls(folder: Path, name: str, *, mocked: bool = True) -> list[Call]:
    (folder / "wires.py").write_text(WIRES)
    (folder / "m.py").write_text(SOURCE)
    module = load(folder / "m.py")
    return CandidateGenerator(module, 0, mocked=mocked).calls(module.every_function[name], 200)


def _class() -> ast.ClassDef:
    return next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.ClassDef))


def test_a_constructor_gets_stand_ins_for_what_it_talks_to(tmp_path: Path) -> None:
    """For what it keeps and calls methods of, for a class it imports, and for one that it names through a module."""
    made = {call.setup[0] for call in _calls(tmp_path, "Line.send")}
    assert any("Line(mock.MagicMock()," in one for one in made)
    assert any("mock.MagicMock(__class__=Wire)" in one for one in made)
    assert any("mock.MagicMock(__class__=Hub)" in one for one in made)
    assert any("Wire(" in one.replace("__class__=Wire", "") for one in made)  # a real one is tried as well


def test_tests_for_people_have_no_stand_ins(tmp_path: Path) -> None:
    """Who does not ask for them gets none."""
    assert not [call for call in _calls(tmp_path, "Line.finish", mocked=False) if "mock." in written(call)]


def test_what_another_call_would_set_is_set(tmp_path: Path) -> None:
    """What the constructor leaves at None or False, with what it is compared with; and an answer is no, where one decides."""
    found = late_attributes(_class(), _class().body[-1])
    assert found == {"closed": ("True",), "upgraded": ("mock.MagicMock()", "mock.MagicMock(method='HEAD')")}
    assert asked_answers(_class().body[-1]) == ("wire.busy",)
    lines = {line for call in _calls(tmp_path, "Line.finish") for line in call.setup}
    assert {
        "line.closed = True",
        "line.upgraded = mock.MagicMock(method='HEAD')",
        "line.wire.busy.return_value = False",
    } <= lines


def test_what_is_only_calculated_with_is_not_talked_to() -> None:
    """A name that says nothing, and a body that calls no method of it."""
    body = ast.parse("y = amount + 1").body
    assert not is_talked_to("amount", body)
    assert is_talked_to("amount", ast.parse("amount.pay(1)").body)
    assert is_talked_to("http_request", body)


@pytest.mark.parametrize(
    "use",
    [
        "x = {0} + 1",
        "x = {0} < 3",
        "x = {0}['path']",
        "x = known[{0}]",
        "for one in {0}: pass",
        "x = f'{{{0}}}'",
        "[a for a in {0}]",
    ],
)
def test_what_is_computed_with_is_no_object_to_talk_to_whatever_its_name(use: str) -> None:
    """The use decides; the name counts where the body only hands the parameter on or keeps it."""
    assert not is_talked_to("request", ast.parse(use.format("request")).body)
    assert is_talked_to("request", ast.parse(use.format("request") + "\nrequest.send()").body)
    assert is_talked_to("request", ast.parse("self.request = request").body)


DAY = """class Day:
    def __init__(self):
        self.at = self.text = self.items = self.kind = self.other = None

    def set(self, other):
        self.at = len(self.items) - 1
        self.text = f"{self.at}"
        self.items = []
        self.kind = "leap"
        self.other = other

    def shown(self):
        return self.at, self.text, self.items, self.kind, self.other
"""


def test_an_attribute_that_another_method_sets_is_of_the_kind_that_it_sets_it_to() -> None:
    """A number where it is counted, a text where one is written; of what is handed in, nothing is known."""
    owner = ast.parse(DAY).body[0]
    assert isinstance(owner, ast.ClassDef)
    found = late_attributes(owner, owner.body[-1])
    assert found == {
        "at": ("0", "1", "2", "-1"),
        "text": ("''", "'a'", "'1'"),
        "items": ("[]", "[1]", "['a', 'b']"),
        "kind": ("'leap'",),
        "other": (),
    }


def _outcome(call: Call, space: dict[str, object]) -> Outcome:
    return outcome_of(call, space, {}, 5.0, os.sep + "nowhere")


def _send(channel: mock.MagicMock, text: str) -> None:
    channel.get_state()
    channel.write(text)


def test_what_a_stand_in_was_told_is_part_of_the_outcome() -> None:
    """Of an argument and of an attribute of the receiver; the calls of the setup and questions are left out."""
    call = Call(0, "send", "send(_0, _1)", (Arg("channel", "mock.MagicMock()"), Arg("text", "'a'")))
    assert _outcome(call, {"send": _send}).parts["after: _0.mock_calls"] == "[call.write('a')]"
    line = type("Line", (), {"__init__": lambda self, channel: setattr(self, "channel", channel)})
    setup = ("line = Line(mock.MagicMock())", "line.channel.write('before')")
    call = Call(0, "Line.send", "send(line.channel, 'b')", (), setup, "line")
    parts = _outcome(call, {"send": _send, "Line": line}).parts
    assert parts["after: line.channel.mock_calls"] == "[call.write('b')]"


def test_a_stand_in_looks_alike_wherever_it_is() -> None:
    """Its number is its place in memory."""
    call = Call(0, "same", "same(_0)", (Arg("x", "mock.MagicMock()"),))
    assert "id=" not in "".join(_outcome(call, {"same": lambda x: [x, x.y()]}).parts.values())


def test_the_command_imports_what_the_call_names() -> None:
    """The module for mocks, and a class of another module."""
    call = Call(0, "f", "f(_0, _1)", (Arg("x", "mock.MagicMock()"), Arg("y", "Wire(1)")))
    text = command(call, "m", {"f"}, "", classes={"Wire": "wires", "Hub": "wires"})
    assert "from unittest import mock" in text and "from wires import Wire" in text and "Hub" not in text
    assert sys.modules["unittest.mock"] is mock


def test_a_class_that_is_named_through_a_module_is_known(tmp_path: Path) -> None:
    """In an annotation, also in quotes, and as a base, whose constructor is inherited."""
    (tmp_path / "wires.py").write_text(WIRES)
    (tmp_path / "m.py").write_text(
        "import wires\n\nclass Best(wires.Hub):\n    pass\n\ndef f(x: 'wires.Wire'):\n    return x\n"
    )
    module = load(tmp_path / "m.py")
    assert module.imported == {"Hub": "wires", "Wire": "wires"}
    assert [one.name for one in module.classes["Best"].init] == ["ports"]
    assert module.every_function["f"].params[0].type.text == "Wire"


def test_a_plain_instance_stands_on_stand_ins(tmp_path: Path) -> None:
    """What it is made of may raise for what it is given; a mock does not."""
    plain = [call.setup[0] for call in _calls(tmp_path, "Line.send") if call.origin != "random"]
    assert plain and not [one for one in plain if "Hub(" in one.replace("__class__=Hub", "")]


def test_a_state_that_is_not_expected_is_looked_at_last() -> None:
    """An assertion that fails in one version alone shows less than two other results."""
    value, other = (Outcome(0, "value", {"result": text}) for text in ("1", "2"))
    failed, raised = (Outcome(0, "raises", {"raises": name}) for name in ("AssertionError", "ValueError"))
    assert rank(value, other) < rank(value, raised) < rank(value, failed)


def test_a_known_instance_is_not_all_there_is(tmp_path: Path) -> None:
    """How a test makes one may raise here, so that a mock is tried too."""
    (tmp_path / "wires.py").write_text(WIRES)
    (tmp_path / "m.py").write_text(SOURCE)
    module = load(tmp_path / "m.py")
    maker = CandidateGenerator(module, 0, instances={"Wire": ("Wire(7)",)}, mocked=True)
    made = {call.setup[0] for call in maker.calls(module.every_function["Line.send"], 200)}
    assert any("Wire(7)" in one for one in made) and any("__class__=Wire" in one for one in made)


_TAKERS = """
def below(one): return 1 < one
def get(one): return one.get("a")
async def take(one): return await one.get()
"""


@pytest.mark.parametrize(
    ("expression", "is_of_mock"),
    [
        ("below(mock.MagicMock().size)", True),
        ("asyncio.run(take(mock.MagicMock()))", True),
        ("get(mock.ANY)", True),
        ("below('a')", False),
        ("below(None)", False),
    ],
)
def test_an_operation_that_fails_on_a_mock_tells_nothing(expression: str, *, is_of_mock: bool) -> None:
    """One version asks more of an object than a mock can answer; a real one may."""
    space: dict[str, object] = {"asyncio": asyncio}
    exec(_TAKERS, space)
    failed = outcome_of(Call(0, "f", expression, origin="boundary"), space, {}, 5.0, "")
    assert (failed.parts["raises"] in ("TypeError", "AttributeError")) and failed.of_mock is is_of_mock
    assert tells(Outcome(0, "value", {"result": "1"}), failed) is not is_of_mock


KEYS = """
def keys(app):
    found = [app.secret]
    if more := app.config["OLDER"]:
        found.extend(more)
    app.log.debug(app.config.get("LEVEL"))
    return found
"""


def test_a_mock_holds_what_is_read_of_it():
    """A dict with the keys that are asked for, and a text; what is called answers by itself."""
    (node,) = ast.parse(KEYS).body
    sources = holding("app", node.body, "object")
    assert "log" not in sources[0] and all(
        one.startswith("mock.MagicMock(__class__=object") for one in sources
    )
    made = eval(holding("app", node.body)[0], {"mock": mock})
    assert (made.secret, made.config) == ("a", {"OLDER": ["b", "c"], "LEVEL": ["b", "c"]})
    assert holding("other", node.body) == ()


def test_a_function_is_given_such_a_mock(tmp_path):
    """Any other mock answers each key with a further mock, which holds nothing."""
    (tmp_path / "m.py").write_text(KEYS)
    module = load(tmp_path / "m.py")
    calls = CandidateGenerator(module, 0, deep=True, mocked=True).calls(module.every_function["keys"], 200)
    assert any("'OLDER': ['b', 'c']" in arg.source for call in calls for arg in call.args)
