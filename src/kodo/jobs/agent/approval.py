"""Who may call what: a rule is asked before a call of a tool that changes something. Reading needs no approval."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kodo.jobs.agent.tool import Tool

Approve = Callable[[Tool, Mapping[str, Any]], bool]
"""Whether this call may run. Called for ``write`` tools only, once a call, in the order of the calls."""


def deny_writes(tool: Tool, arguments: Mapping[str, Any]) -> bool:
    """The default rule: no call that changes something."""
    return False


def allow(names: Collection[str], otherwise: Approve = deny_writes) -> Approve:
    """A rule that approves these tools, or every tool where ``*`` is among the names, and asks ``otherwise`` for the rest."""
    allowed = frozenset(names)

    def approve(tool: Tool, arguments: Mapping[str, Any]) -> bool:
        return tool.name in allowed or "*" in allowed or otherwise(tool, arguments)

    return approve
