"""Code that awaits: mocks that answer with something to await, and calls that need a running event loop."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from kodo.jobs.execution.awaited_calls import awaited_calls
from kodo.jobs.execution.calls import command
from kodo.jobs.execution.candidates import CandidateGenerator
from kodo.jobs.execution.model import IN_LOOP, Arg, Call
from kodo.jobs.execution.target import load
from kodo.jobs.execution.worker.outcome import Outcome, outcome_of

SOURCE = '''
import asyncio
from wires import Wire

class Shop:
    def __init__(self, wire: Wire, hub):
        self._wire = wire
        self.hub = hub

    async def order(self, number: int) -> int:
        """Send an order."""
        line = await self._wire.open("x")
        await asyncio.wait_for(line.send(number), 1)
        await self.hub.tell(number)
        return number + 1

class Gate:
    def __init__(self, width: int):
        self.width = width
        self.opened = asyncio.get_running_loop().create_future()

    def wide(self) -> int:
        return self.width * 2

    async def enter(self) -> str:
        self.opened.set_result("in")
        return await self.opened

    def twice(self, number: int) -> int:
        return number * 2
'''
WIRES = "class Wire:\n    def __init__(self, port):\n        self.port = port\n    async def open(self, name): ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module that awaits, and the one that it imports a class of."""
    (tmp_path / "wires.py").write_text(WIRES)
    (tmp_path / "m.py").write_text(SOURCE)
    return tmp_path


def _outcomes(folder: Path, name: str, count: int = 40) -> list[tuple[Call, Outcome]]:
    module = load(folder / "m.py")
    calls = CandidateGenerator(module, 0, deep=True, mocked=True).calls(module.every_function[name], count)
    space: dict[str, object] = {"__name__": "m"}
    sys.path.insert(0, str(folder))
    try:
        exec(SOURCE, space)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("wires", None)
    return [(call, outcome_of(call, space, space, 5.0, str(folder))) for call in calls]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("await one.get(1)", ("get",)),
        ("await one.files.get(1)", ("files.get",)),
        ("line = await one.open()\nawait line.send()", ("open", "open.return_value.send")),
        ("line = one.open()\nawait line.send()", ("open.return_value.send",)),
        ("async with one.lock() as held:\n    await held.wait()", ("lock.return_value.__aenter__.return_value.wait",)),
        ("asyncio.create_task(one.run())", ("run",)),
        ("await asyncio.gather(one.run(), other.run())", ("run",)),
        ("one.get(1)\nawait other.get()", ()),
    ],
)  # fmt: skip
def test_awaited_calls_of_a_parameter(text: str, found: tuple[str, ...]) -> None:
    """An object is followed through variables, blocks and functions that await for others."""
    body = ast.parse(
        "async def f(one, other):\n" + "\n".join(f"    {line}" for line in text.splitlines())
    ).body
    assert awaited_calls("one", body) == found


def test_what_a_constructor_keeps_is_awaited_in_other_methods(folder: Path) -> None:
    """Each object that the constructor is given is one whose awaited calls can be awaited."""
    ran = [(call, outcome) for call, outcome in _outcomes(folder, "Shop.order") if outcome.kind == "value"]
    assert any(outcome.parts["result"] == str(int(call.args[0].source) + 1) for call, outcome in ran)
    assert any("send" in name or "tell" in name for _, one in ran for name in one.parts.values())


def test_inputs_that_need_a_loop_are_made_in_one(folder: Path) -> None:
    """A constructor that asks for the running loop can be called, and so can methods, awaited or not."""
    for name in ("Gate.wide", "Gate.enter", "Gate.twice"):
        ran = [outcome for _, outcome in _outcomes(folder, name) if outcome.kind == "value"]
        assert ran, name
        assert {one.wrap for one in ran} == {IN_LOOP}


def test_the_command_for_a_call_in_a_loop_prints_its_result(folder: Path) -> None:
    """It is one that a shell runs, with the loop in it."""
    call = Call(
        0, "Gate.enter", "gate.enter()", (Arg("width", "3"),), ("gate = Gate(_0)",), "gate", "boundary"
    )
    text = command(call, "m", ["Gate"], ".", IN_LOOP).replace("python -c", f"{sys.executable} -c", 1)
    done = subprocess.run(text, shell=True, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "'in'\n"


def test_the_command_for_an_asynchronous_iterator_reads_it(folder: Path) -> None:
    """It is read as the call's outcome was, so that an error on the way shows."""
    (folder / "m.py").write_text(
        "async def upto(end):\n    for one in range(end):\n        yield 6 // (2 - one)\n"
    )
    for end, shown in (("2", "[3, 6]\n"), ("3", "ZeroDivisionError")):
        text = command(Call(0, "upto", "upto(_0)", (Arg("end", end),)), "m", ["upto"], ".", "async list")
        text = text.replace("python -c", f"{sys.executable} -c", 1)
        done = subprocess.run(text, shell=True, cwd=folder, capture_output=True, text=True, check=False)
        assert shown in done.stdout + done.stderr


def test_an_error_of_a_call_that_does_not_fit_is_told_from_one_inside(folder: Path) -> None:
    """Also where the call is made in a loop: the first says nothing of what the code does."""
    gate = ("gate = Gate(1)",)
    calls = [
        Call(0, "Gate.twice", "gate.twice()", (), gate, "gate", "boundary"),
        Call(1, "Gate.twice", "gate.twice(None)", (), gate, "gate", "boundary"),
    ]
    space: dict[str, object] = {"__name__": "m"}
    exec(SOURCE.replace("from wires import Wire", "Wire = object"), space)
    missing, inside = (outcome_of(call, space, space, 5.0, str(folder)) for call in calls)
    assert (missing.parts["raises"], missing.unbound) == ("TypeError", True)
    assert (inside.parts["raises"], inside.unbound) == ("TypeError", False)
