"""Whole cases as a capable model writes them: read, checked, counted, and made into calls.

Pure. A case is never trusted: it becomes a call with an expectation, and the expectation counts as
documented only where the words it quotes are in the docstring and at least two samples agree on it.
"""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Basis, Call, Expectation

_AGREE = 2
_SHORTEST_QUOTE = 10
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "title": "cases",
    "additionalProperties": False,
    "required": ["cases"],
    "properties": {
        "cases": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["setup", "call", "expected", "raises", "rests_on", "quote"],
                "properties": {
                    "setup": {"type": "array", "items": {"type": "string"}},
                    "call": {"type": "string"},
                    "expected": {"type": ["string", "null"]},
                    "raises": {"type": ["string", "null"]},
                    "rests_on": {"type": "string", "enum": ["docstring", "example", "code"]},
                    "quote": {"type": "string"},
                },
            },
        }
    },
}


class ModelCase(msgspec.Struct, frozen=True):
    """One case as a capable model writes it."""

    setup: list[str]
    call: str
    expected: str | None
    raises: str | None
    rests_on: str
    quote: str


class CaseList(msgspec.Struct, frozen=True):
    """An answer of a capable model."""

    cases: list[ModelCase]


def read(text: str, function: Function) -> tuple[list[ModelCase], list[str]]:
    """The cases that can be used, and what is wrong with the others."""
    try:
        cases = msgspec.json.decode(text, type=CaseList).cases
    except msgspec.DecodeError as error:
        return [], [f"the answer is not JSON of the form asked for: {error}"]
    good: list[ModelCase] = []
    problems: list[str] = []
    for case in cases:
        wrong = _wrong(case, function)
        if wrong:
            problems.append(f"{case.call[:200]}: {wrong}")
        else:
            good.append(case)
    return good, problems


def _wrong(case: ModelCase, function: Function) -> str:
    """Why a case cannot be used; empty if it can."""
    try:
        tree = ast.parse(case.call, mode="eval")
        for line in case.setup:
            ast.parse(line)
        if case.expected is not None:
            ast.parse(case.expected, mode="eval")
    except (SyntaxError, ValueError) as error:
        return f"it does not parse: {error}"
    name = function.owner if function.name == "__init__" else function.name
    named = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    if name not in named and not name.startswith("__"):
        return f"it does not call {name}"
    if (case.expected is None) == (case.raises is None):
        return "exactly one of expected and raises must be given"
    if case.raises is not None and not case.raises.replace(".", "").isidentifier():
        return "raises must be the name of an exception"
    return ""


def _key(case: ModelCase) -> tuple[object, ...]:
    return tuple(case.setup), case.call, case.expected, case.raises


def _votes(cases: Sequence[ModelCase]) -> Counter[tuple[object, ...]]:
    return Counter(map(_key, cases))


def calls(cases: Sequence[ModelCase], function: Function) -> list[Call]:
    """One call for each different case, its votes counted."""
    votes = _votes(cases)
    return [_call(case, function, votes[key]) for key, case in {_key(case): case for case in cases}.items()]


def _call(case: ModelCase, function: Function, votes: int) -> Call:
    """A call with the model's expectation; it counts as documented only if the quote is there and samples agree."""
    quoted = len(case.quote) > _SHORTEST_QUOTE and " ".join(case.quote.split()) in " ".join(
        function.doc.split()
    )
    founded = quoted and votes >= _AGREE and case.rests_on in ("docstring", "example")
    basis: Basis = ("example" if case.rests_on == "example" else "docstring") if founded else "code"
    if case.raises is not None:
        expect = Expectation("raises", case.raises.rsplit(".", 1)[-1], basis, case.quote)
    else:
        expect = Expectation("value", case.expected or "None", basis, case.quote)
    receiver = (
        case.setup[0].split("=")[0].strip() if case.setup and function.owner and "=" in case.setup[0] else ""
    )
    return Call(
        0,
        function.qualname,
        case.call,
        (),
        tuple(case.setup),
        receiver if receiver.isidentifier() else "",
        "model",
        expect,
    )
