"""Names and ids in the forms that Chat Completions servers take: letters, digits, dashes, a limited length.

And back: which tool a model means that writes its name a little otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

MAX_FUNCTION_NAME: Final = 64
MAX_CALL_ID: Final = 64
"""Characters of a call's id in the contract of kodo's own API."""
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_PREFIXES: Final = ("functions.", "functions__", "default_api.", "default_api:", "tools.")
_NUMBERED: Final = re.compile(r":\d+$")
"""Kimi's models write ``functions.NAME:0``."""


def function_name(name: str, namespace: str | None) -> str:
    """The name of a tool where there are no namespaces; the same each time for the same tool."""
    title = _UNFIT.sub("_", f"{namespace}__{name}" if namespace else name)
    if len(title) > MAX_FUNCTION_NAME:
        digest = hashlib.sha256(title.encode()).hexdigest()[:8]
        title = f"{title[: MAX_FUNCTION_NAME - 9]}_{digest}"
    return title


def short_call_id(id_: str, length: int) -> str:
    """An id of at most ``length`` characters that stands for a longer one, always the same."""
    return f"call_{hashlib.sha256(id_.encode()).hexdigest()}"[:length]


def exact_call_id(id_: str, length: int) -> str:
    """An id of exactly ``length`` letters and digits that stands for another one, always the same."""
    if len(id_) == length and id_.isascii() and id_.isalnum():
        return id_
    return hashlib.sha256(id_.encode()).hexdigest()[:length]


def nearest_name(name: str, offered: Iterable[str]) -> str | None:
    """The offered name that a model means: ``name`` itself, or one that differs by a prefix (``functions.x``), case,
    dashes, or a mark of gpt-oss' channels behind it. None: there is none, or there are several."""
    names = list(offered)
    if name in names:
        return name
    found = [title for title in names if _plain(title) == _plain(name)]
    return found[0] if len(found) == 1 else None


def _plain(text: str) -> str:
    text = _NUMBERED.sub("", text.partition("<|")[0].strip(" \n\"'"))
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text.replace("-", "_").lower()
