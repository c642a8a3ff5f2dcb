"""The classes of defect that the scorecard's truth speaks of, and which of a reviewer's classes name each.

The truth is finer than what a reviewer says: ``security`` names an SQL injection, ``readability`` does not name an
off-by-one. The table was fixed before the first run and does not follow what a reviewer happens to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BUG = frozenset({"bug"})
_SECURITY = frozenset({"security"})
_BUG_OR_PRACTICE = frozenset({"bug", "practice"})

CLASSES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "boundary": _BUG,
        "condition": _BUG,
        "operator": _BUG,
        "wrong-variable": _BUG,
        "wrong-default": _SECURITY | _BUG,
        "none-check": _BUG,
        "type": _BUG,
        "integer": _BUG,
        "float-equality": _BUG_OR_PRACTICE,
        "timezone": _BUG_OR_PRACTICE,
        "state": _BUG,
        "mutable-default": _BUG_OR_PRACTICE,
        "unreachable": _BUG_OR_PRACTICE,
        "error-handling": _BUG_OR_PRACTICE,
        "swallowed-exception": _BUG_OR_PRACTICE,
        "lost-await": _BUG,
        "race": _BUG,
        "resource-leak": _BUG_OR_PRACTICE | {"performance"},
        "sql-injection": _SECURITY,
        "shell-injection": _SECURITY,
        "html-injection": _SECURITY,
        "path-traversal": _SECURITY,
        "secret": _SECURITY,
        "unsafe-deserialisation": _SECURITY,
    }
)
"""Truth class -> the reviewer's classes that count as naming it."""
