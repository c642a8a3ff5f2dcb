"""Foreign text on its way to the model: fenced, so that it is read as data, and without what people do not see."""

from __future__ import annotations

import re
from typing import Final

TAGS: Final = ("passage", "result", "page", "match")
"""The fences that tools use; no text from outside can open or close one."""
_FENCE: Final = re.compile(rf"<(/?)(?=(?:{'|'.join(TAGS)})\b)", re.IGNORECASE)
_CHAT_MARK: Final = re.compile(r"<(?=\|)|<(?=/?s>)")
"""Where the marks of chat templates begin (``<|im_start|>``), which an upstream server could take for its own."""
_UNSEEN: Final = re.compile(
    "[\U000e0000-\U000e0fff\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
"""Tag characters, zero-width characters and marks of direction: text that is shown to nobody."""


def plain(text: str) -> str:
    """A text without invisible characters and without fences or chat marks of its own."""
    seen = _UNSEEN.sub("", text)
    return _CHAT_MARK.sub("< ", _FENCE.sub(r"<_\1", seen))


def attribute(text: str, most: int = 300) -> str:
    """A text as the value of an attribute of a fence: one line, without quotes and angles."""
    line = " ".join(_UNSEEN.sub("", text).replace('"', "'").replace("<", "(").replace(">", ")").split())
    return line if len(line) <= most else f"{line[:most]}…"


def fenced(tag: str, text: str, **attributes: str) -> str:
    """A text inside a fence."""
    names = "".join(f' {name}="{attribute(value, 2048)}"' for name, value in attributes.items())
    return f"<{tag}{names}>\n{plain(text)}\n</{tag}>"
