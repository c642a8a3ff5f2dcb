"""How a model's chat template marks reasoning, and which of its variables carry an effort.

Knows the text of templates; what a model writes between the marks is
:mod:`kodo.server.engines.llama.decoding.reasoning_splitter`'s.
"""

from __future__ import annotations

import re
from typing import Any

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"
START, CHANNEL, MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
CHANNEL_MARKS = (START, CHANNEL, MESSAGE, "<|end|>", "<|return|>", "<|constrain|>")
"""The control tokens that gpt-oss frames a message with."""
TAGS_CLOSING = f"\n{CLOSE_TAG}\n\n"
CHANNEL_CLOSING = f"<|end|>{START}assistant{CHANNEL}final{MESSAGE}"
"""What ends the reasoning, where kodo ends it."""
CHANNEL_CALL_CLOSING = f"<|end|>{START}assistant"
"""The same in front of a call, which names its own channel."""
_BUDGETS = {"none": 0, "minimal": 256, "low": 1024, "medium": 4096, "high": 16_384}
"""Tokens of reasoning that an effort allows; a higher effort has no limit."""


def supports_reasoning(chat_template: str) -> bool:
    """Whether a model with this chat template marks its reasoning."""
    return CLOSE_TAG in chat_template or OPEN_TAG in chat_template or uses_channels(chat_template)


def uses_channels(chat_template: str) -> bool:
    """Whether a model with this chat template reasons in a channel, as gpt-oss does."""
    return f"{CHANNEL}analysis" in chat_template


def reasoning_budget(chat_template: str, effort: str | None) -> int | None:
    """Tokens that an effort allows for the reasoning; None: no limit.

    A template that reads ``reasoning_effort`` leaves the amount to the model. One that only has a switch, or nothing at
    all, is held to a number of tokens.
    """
    if effort is None or re.search(r"\breasoning_effort\b", chat_template):
        return None
    return _BUDGETS.get(effort)


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

    ``enable_thinking`` is Qwen3's, ``thinking`` DeepSeek's, ``reasoning_effort`` (low, medium, high) gpt-oss's.
    """
    arguments: dict[str, Any] = {}
    if effort is None:
        return arguments
    if re.search(r"\benable_thinking\b", chat_template):
        arguments["enable_thinking"] = effort not in ("none", "minimal")
    if re.search(r"\bthinking is defined\b", chat_template):
        arguments["thinking"] = effort not in ("none", "minimal")
    if re.search(r"\breasoning_effort\b", chat_template):
        arguments["reasoning_effort"] = _LEVELS.get(effort, "medium")
    return arguments
