"""The rule of Chat Completions that tool messages stand right behind the calls that they answer.

The words are those of the hosted API, because clients tell these errors by their message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kodo.server.lifecycle.errors import UnpairedCall


def check_tool_messages(messages: Sequence[dict[str, Any]]) -> None:
    """Check messages whose shape is known to be right.

    Raises:
        UnpairedCall: a call has no tool message, or a tool message no call.
    """
    calls: set[str] = set()
    waiting: dict[str, str] = {}
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in calls:
                raise UnpairedCall(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"{path}.tool_call_id",
                )
            waiting.pop(message["tool_call_id"], None)
            continue
        _check_answered(waiting)
        waiting = {call["id"]: f"{path}.tool_calls" for call in message.get("tool_calls") or ()}
        calls = set(waiting)
    _check_answered(waiting)


def _check_answered(waiting: Mapping[str, str]) -> None:
    """Check that no call waits. ``waiting``: the place of each one that does."""
    if waiting:
        raise UnpairedCall(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=next(iter(waiting.values())),
        )
