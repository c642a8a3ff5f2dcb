"""The calls that mocks recorded, as one text that two versions can be compared by."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kodo.jobs.execution.model import Call
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


def mock_calls(call: Call, space: Mapping[str, object]) -> dict[str, str]:
    """Each mock that recorded calls since, and these."""
    out: dict[str, str] = {}
    for name, one in mocks(call, space):
        calls = [each for each in one.mock_calls if not (_QUESTION.search(each[0]) or _INNER.search(each[0]))]
        if calls:
            out[f"{name}.mock_calls"] = printed(repr(calls[:_MAX_CALLS]), "")
    return out
