"""The calls that mocks recorded, as one text that two versions can be compared by."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker import literal
from kodo.jobs.execution.worker.describe import printed

if TYPE_CHECKING:
    from unittest.mock import NonCallableMock

_MAX_CALLS = 30
_QUESTION = re.compile(r"(?:^|\.|\))(?:__\w+__|(?:is|has|can|get)(?:_\w+)?|closed|done|fileno)$")
"""Calls that only ask for something: asking once more is no other behaviour."""
_INNER = re.compile(r"(?:^|\.)_(?!_)")
"""Calls of what an object keeps to itself: where a mock stands for one of the project's own, that is no behaviour either."""


def mocks(call: Call, space: Mapping[str, object]) -> Iterator[tuple[str, NonCallableMock]]:
    """The mocks among a call's arguments and in the attributes of its receiver, by what they are called in the call."""
    module: Any = sys.modules.get("unittest.mock")
    if module is None:
        return
    places = {f"_{at}": space.get(f"_{at}") for at in range(len(call.args))}
    receiver = space.get(call.receiver) if call.receiver else None
    attributes = getattr(receiver, "__dict__", {})
    if not isinstance(receiver, module.NonCallableMock) and isinstance(attributes, dict):
        places |= {f"{call.receiver}.{name}": value for name, value in attributes.items()}
    for name, value in places.items():
        if isinstance(value, module.NonCallableMock):
            yield name, value


def forget(call: Call, space: Mapping[str, object]) -> None:
    """Let the mocks forget what they recorded until now."""
    for _, one in mocks(call, space):
        one.reset_mock()


def recorded(call: Call, space: Mapping[str, object], defined: Mapping[str, object]) -> dict[str, str]:
    """Each mock that recorded calls, and the source that equals these, as ``[mock.call.write(b'a')]``; none where a value in them has no source."""
    out: dict[str, str] = {}
    for name, one in mocks(call, space):
        with contextlib.suppress(literal.NoSource):
            calls = [
                _call_source(str(each[0]), each[1], each[2], defined)
                for each in one.mock_calls[: _MAX_CALLS + 1]
            ]
            if 0 < len(calls) <= _MAX_CALLS:
                out[f"{name}.mock_calls"] = f"[{', '.join(calls)}]"
    return out


def _call_source(
    name: str, args: tuple[object, ...], named: Mapping[str, object], defined: Mapping[str, object]
) -> str:
    """The source of what a mock has for a call of it, or of what it answered.

    Raises:
        NoSource: it is a call of an operator, or an argument has none.
    """
    if "__" in name:
        raise literal.NoSource("a call of an operator is none that the code names")
    given = [literal.source(one, defined) for one in args]
    given += [f"{key}={literal.source(one, defined)}" for key, one in named.items()]
    path = "".join(f".{part}" for part in name.split(".") if part).replace(".()", "()")
    return f"mock.call{path}({', '.join(given)})"


def answer(result: object, call: Call, space: Mapping[str, object]) -> str:
    """Where a mock holds a result that is a mock, as ``stream.read.return_value``; "" for any other result."""
    for name, one in mocks(call, space):
        for path, _, _ in [("", (), {}), *one.mock_calls[:_MAX_CALLS]]:
            found: Any = one
            steps = [part for part in path.replace("()", ".return_value").split(".") if part]
            for step in steps:
                found = getattr(found, step, None)
            if found is result:
                return ".".join((name, *steps))
            if found is not None and steps and found.return_value is result:
                return ".".join((name, *steps, "return_value"))
    return ""


def is_mock(value: object) -> bool:
    """Whether a value is a mock, of which its attributes say nothing."""
    module: Any = sys.modules.get("unittest.mock")
    return module is not None and isinstance(value, module.NonCallableMock)


def mock_calls(call: Call, space: Mapping[str, object]) -> dict[str, str]:
    """Each mock that recorded calls since, and these."""
    out: dict[str, str] = {}
    for name, one in mocks(call, space):
        calls = [each for each in one.mock_calls if not (_QUESTION.search(each[0]) or _INNER.search(each[0]))]
        if calls:
            out[f"{name}.mock_calls"] = printed(repr(calls[:_MAX_CALLS]), "")
    return out
