"""Where a free text may end when it has reached the server's own cap: behind a sentence, a list item or a code block.

The cap is not the client's, so what it ends counts as finished and should read so. From three quarters of the cap on, the
first such place ends the text; at the cap the next gap between words does. A code block may take twice the cap to be
closed; then it is closed behind a line.

Knows words and marks; knows nothing of engines or events.
"""

from __future__ import annotations

FENCES = ("```", "~~~")
_SENTENCE_ENDS = ".!?。!?…:"
_CLOSERS = "\"')]*_`”’」』）"
_FULL_WIDTH = "。!?」』）"
_CODE_SHARE = 2
"""Times the cap that an open code block may take."""


class SoftLanding:
    """Follows a text, and says where it ends. ``cap`` in tokens."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._fence = ""
        """The mark of the code block that is open; empty: none."""
        self._line = ""
        self._text_ends = ""
        """The text's last few characters."""

    def add(self, text: str) -> None:
        """More of the text."""
        for line in text.splitlines(keepends=True):
            self._line += line
            self._text_ends = (self._text_ends + line)[-8:]
            if line.endswith("\n"):
                self._end_line()

    def ends(self, tokens: int) -> bool:
        """Whether the text ends here, after ``tokens`` tokens."""
        if tokens < self._cap * 3 // 4:
            return False
        if self._fence:
            if self._line.strip() == self._fence and self._closes(self._line):
                return True
            return tokens >= self._cap * _CODE_SHARE and not self._line.strip()
        if tokens >= self._cap:
            return self._is_gap() or tokens >= self._cap + self._cap // 8
        return self._is_finished()

    @property
    def closing(self) -> str:
        """What must still be written for the text to be whole: the mark of an open code block."""
        if not self._fence or self._closes(self._line):
            return ""
        return self._fence if not self._line else f"\n{self._fence}"

    def _end_line(self) -> None:
        mark = next((fence for fence in FENCES if self._line.lstrip().startswith(fence)), "")
        if not self._fence:
            self._fence = mark
        elif self._closes(self._line):
            self._fence = ""
        self._line = ""

    def _closes(self, line: str) -> bool:
        return bool(self._fence) and line.strip().startswith(self._fence) and not line.strip(" \n`~")

    def _is_gap(self) -> bool:
        """Between two words, or behind a whole one of a language without gaps."""
        return self._text_ends[-1:].isspace() or self._is_finished() or not self._text_ends[-1:].isascii()

    def _is_finished(self) -> bool:
        """Behind a sentence or a line."""
        ends = self._text_ends
        if not ends.strip():
            return False
        if ends[-1:].isspace():
            stripped = ends.rstrip().rstrip(_CLOSERS)
            return "\n" in ends[len(ends.rstrip()) :] or stripped[-1:] in tuple(_SENTENCE_ENDS)
        return ends[-1:] in tuple(_FULL_WIDTH)


def closing_fence(text: str) -> str:
    """What closes the code block that a text leaves open; empty where none is."""
    landing = SoftLanding(1)
    landing.add(text)
    return landing.closing
