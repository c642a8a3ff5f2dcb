"""Reasoning efforts that a server refuses: which ones it has is up to the model behind it, and the refusal names them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from kodo.server.engines.upstream.refusal import UpstreamRefusal

LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
_LIST: Final = re.compile(
    r"(?is)(?:must be one of|input should be|(?:supported|allowed|valid) (?:values|options)(?: are)?|expected(?: one of)?)"
    r"(?P<values>.*)"
)
"""Groq: "must be one of `none` or `default`"; Cerebras and FastAPI: "Input should be 'low', 'medium' or 'high'"; OpenAI:
"Supported values are: 'none', 'low', 'medium', and 'high'."."""


def offered_efforts(refusal: UpstreamRefusal) -> tuple[str, ...]:
    """The efforts that a refusal of one names; none, if it is about something else."""
    if refusal.status not in (400, 422) or "effort" not in f"{refusal.message} {refusal.param}":
        return ()
    found = _LIST.search(refusal.message)
    words = re.findall(r"[a-z]+", found["values"]) if found else []
    return tuple(word for word in words if word in (*LEVELS, "none", "default"))


def nearest_effort(wanted: str, offered: Collection[str]) -> str:
    """The effort that comes nearest to the wanted one, the lower one of two; ``default`` where the server only thinks or
    does not. ``offered``: at least one."""
    if wanted in offered:
        return wanted
    levels = [level for level in LEVELS if level in offered]
    if not levels:
        return "default" if "default" in offered else next(iter(offered))
    place = LEVELS.index(wanted) if wanted in LEVELS else 0
    return min(levels, key=lambda level: abs(LEVELS.index(level) - place))


def effort_at(body: dict[str, Any], path: str) -> str | None:
    """The effort in a body; ``path``: names with dots between them."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def with_effort(body: dict[str, Any], path: str, effort: str) -> dict[str, Any]:
    """The body with another effort."""
    name, _, rest = path.partition(".")
    return {**body, name: with_effort(body[name], rest, effort) if rest else effort}
