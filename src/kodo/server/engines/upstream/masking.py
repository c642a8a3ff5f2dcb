"""What a server says about a refusal, without secrets and addresses: they are for the operator, not for every caller."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_REASON_CHARACTERS: Final = 400
MIN_KEY_CHARACTERS: Final = 4
"""A shorter value of the settings is not taken for a key: it would be found in words."""
_PATTERNS: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}"), r"\1 [key]"),
    (re.compile(r"\b(?:sk|pk|rk)-[-_A-Za-z0-9.*]{4,}"), "[key]"),
    (re.compile(r"\b(?:sk|pk|rk|key|hf|gsk|xai|or|api|AIza|ghp|glpat|eyJ)[-_A-Za-z0-9.*]{8,}"), "[key]"),
    (re.compile(r"(?i)\b(api[-_ ]?key|token|secret|password)(['\"]?\s*[:=]\s*['\"]?)[^\s'\",;]{4,}"), r"\1\2[key]"),
    (re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s'\"<>)]+"), "[address]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
    (re.compile(r"(?i)\[[0-9a-f:]*:[0-9a-f:]+\](?::\d+)?"), "[address]"),
    (re.compile(r"(?i)\b(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+):\d{2,5}\b"), "[address]"),
    (re.compile(r"(?i)\b(?:[a-z0-9-]+\.)+(?:local|internal|lan|corp|svc|cluster)\b"), "[address]"),
    (re.compile(r"(?<![\w/])(?:~|[A-Za-z]:)?[\\/](?:[\w.@+-]+[\\/])+[\w.@+-]*"), "[path]"),
    (re.compile(r"\b(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_-]{32,}\b"), "[key]"),
)  # fmt: skip


class HiddenValues(NamedTuple):
    """Values of the settings that must not be in a message, whatever they look like."""

    keys: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


NOTHING_HIDDEN: Final = HiddenValues()


def mask(text: str, secrets: HiddenValues = NOTHING_HIDDEN) -> str:
    """A text with keys, addresses and paths replaced, on one line and cut to ``MAX_REASON_CHARACTERS``.

    Args:
        text: what the server said.
        secrets: of the settings, besides what looks like one.
    """
    for key in sorted(secrets.keys, key=len, reverse=True):
        if len(key) >= MIN_KEY_CHARACTERS:
            text = text.replace(key, "[key]")
    for address in secrets.addresses:
        text = re.sub(rf"(?i)(?<![\w.-]){re.escape(address)}(?![\w-])", "[address]", text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = " ".join(text.split())
    if len(text) > MAX_REASON_CHARACTERS:
        text = text[:MAX_REASON_CHARACTERS].rstrip() + "…"
    return text
