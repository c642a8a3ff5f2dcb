"""Finds the code in a model's text: the first fenced block, or the whole text without a fence (CommonMark 4.5)."""

from __future__ import annotations

import re
from typing import Literal

_OPEN = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})[^`]*$")


class CodeFilter:
    """Passes on the code of a text that arrives in pieces.

    Text before the first fence is held back, because it may turn out to be chatter; what follows the closing fence
    is dropped. A text without a fence comes out whole, at the end.
    """

    def __init__(self) -> None:
        self._state: Literal["before", "code", "after"] = "before"
        self._line = ""
        self._held: list[str] = []
        self._fence = ""

    @property
    def fenced(self) -> bool:
        """Whether a fence has been seen."""
        return self._state != "before"

    def feed(self, piece: str) -> str:
        """Take a piece in; the code that is certain by now."""
        out: list[str] = []
        self._line += piece
        while "\n" in self._line:
            line, _, self._line = self._line.partition("\n")
            out.append(self._take(line + "\n"))
        return "".join(out)

    def finish(self) -> str:
        """The text is through; the rest of the code."""
        out = self._take(self._line) if self._line else ""
        self._line = ""
        if self._state == "before":
            return "".join(self._held).strip("\n")
        return out

    def _take(self, line: str) -> str:
        bare = line.rstrip("\r\n")
        if self._state == "before":
            opening = _OPEN.match(bare)
            if opening is None:
                self._held.append(line)
            else:
                self._state, self._fence = "code", opening["fence"]
            return ""
        if self._state == "code":
            if self._closes(bare):
                self._state = "after"
                return ""
            return line
        return ""

    def _closes(self, line: str) -> bool:
        stripped = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        return indent <= 3 and len(stripped) >= len(self._fence) and set(stripped) == {self._fence[0]}


def extract_code(text: str) -> str | None:
    """The first fenced block of a text, without its fences; None without a fence.

    A block that is never closed goes to the end.
    """
    found = CodeFilter()
    code = found.feed(text) + found.finish()
    return code if found.fenced else None
