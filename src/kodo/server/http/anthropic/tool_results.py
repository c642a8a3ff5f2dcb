"""The rule of the Messages API that the results of calls stand in the user's turn right behind them.

The words are those of the hosted API, because clients tell these errors by their message. Messages of one role in a row are
one turn; the system's do not end it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kodo.server.lifecycle.errors import UnpairedCall


def check_tool_results(messages: Sequence[dict[str, Any]]) -> None:
    """Check messages whose shape is known to be right.

    Raises:
        UnpairedCall: a call has no result, or a result no call.
    """
    calls: dict[str, str] = {}
    waiting: dict[str, str] = {}
    turn = ""
    for index, message in enumerate(messages):
        path, role, content = f"messages[{index}]", message["role"], message["content"]
        if role == "system":
            continue
        if role == "assistant" and turn != "assistant":
            _check_answered(waiting)
            calls, waiting = {}, {}
        turn = role
        for number, block in enumerate(content if isinstance(content, list) else ()):
            if block["type"] == "tool_use":
                calls[block["id"]] = waiting[block["id"]] = path
            elif block["type"] == "tool_result":
                if block["tool_use_id"] not in calls:
                    raise UnpairedCall(
                        f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}. Each "
                        "`tool_result` block must have a corresponding `tool_use` block in the previous message.",
                        param=f"{path}.content[{number}]",
                    )
                waiting.pop(block["tool_use_id"], None)
    _check_answered(waiting)


def _check_answered(waiting: Mapping[str, str]) -> None:
    """Check that no call waits. ``waiting``: the message of each one that does."""
    if waiting:
        raise UnpairedCall(
            "`tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(waiting)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message.",
            param=next(iter(waiting.values())),
        )
