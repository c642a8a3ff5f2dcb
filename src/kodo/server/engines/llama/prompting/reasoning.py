"""How a model's chat template marks reasoning, and which of its variables carry an effort.

Knows the text of templates; what a model writes between the marks is
:mod:`kodo.server.engines.llama.decoding.reasoning_splitter`'s.
"""

from __future__ import annotations

import re
from typing import Any

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


def supports_reasoning(chat_template: str) -> bool:
    """Whether a model with this chat template marks its reasoning."""
    return CLOSE_TAG in chat_template or OPEN_TAG in chat_template


_LEVELS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def template_variables(chat_template: str, effort: str | None) -> dict[str, Any]:
    """The template variables that carry an effort, of those that the template reads; none: it has no effect.

    ``enable_thinking`` is Qwen3's, ``reasoning_effort`` (low, medium, high) gpt-oss's.
    """
    arguments: dict[str, Any] = {}
    if effort is None:
        return arguments
    if re.search(r"\benable_thinking\b", chat_template):
        arguments["enable_thinking"] = effort not in ("none", "minimal")
    if re.search(r"\breasoning_effort\b", chat_template):
        arguments["reasoning_effort"] = _LEVELS.get(effort, "medium")
    return arguments
