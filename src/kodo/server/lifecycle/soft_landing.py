"""Where a free text may end when it has reached the server's own cap: behind a sentence, a list item or a code block.

The cap is not the client's, so what it ends counts as finished and should read so. From three quarters of the cap on, the
first such place ends the text; at the cap the next gap between words does, and an ellipsis is put there. A code block may
take twice the cap to be closed; then it is closed behind a line, or an eighth of the cap later inside one that has no end.

Knows words and marks; knows nothing of engines or events.
"""

from __future__ import annotations

FENCES = ("```", "~~~")
_SENTENCE_ENDS = ".!?。!?…"
_CLOSERS = "\"')]*_`”’」』）"
_FULL_WIDTH = "。!?」』）"
ELLIPSIS = "…"
"""Behind a text that is ended in the middle of a sentence."""
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
            return self._is_over(tokens, self._cap * _CODE_SHARE, at_gap=not self._line.strip())
        if tokens >= self._cap:
            return self._is_over(tokens, self._cap, at_gap=self._is_gap())
        return self.is_finished

    def ends_before(self, coming: str, tokens: int) -> bool:
        """Whether the text of ``tokens`` tokens ends before a piece that comes: white space shows that a word or sentence is over."""
        if tokens < self._cap * 3 // 4 or self._fence or not coming[:1].isspace():
            return False
        return tokens >= self._cap or self.is_finished_before(coming)

    @property
    def closing(self) -> str:
        """What must still be written for the text to be whole: the mark of an open code block, or an ellipsis."""
        if not self._fence:
            return "" if self._reads_as_ended() else ELLIPSIS
        if self._closes(self._line):
            return ""
        return self._fence if not self._line else f"\n{self._fence}"

    def _is_over(self, tokens: int, cap: int, *, at_gap: bool) -> bool:
        """At ``cap`` a gap ends the text, and an eighth of the server's cap later anything does."""
        return tokens >= cap and (at_gap or tokens >= cap + self._cap // 8)

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
        return self._text_ends[-1:].isspace() or self.is_finished or not self._text_ends[-1:].isascii()

    def is_finished_before(self, coming: str) -> bool:
        """Whether a sentence is over where ``coming`` follows."""
        return coming[:1].isspace() and self._is_behind_sentence

    @property
    def is_finished(self) -> bool:
        """Behind a sentence or a line; a colon announces what follows."""
        ends = self._text_ends
        gap = ends[len(ends.rstrip()) :]
        if not gap:  # until one comes, a full stop may be that of a number or a name
            return ends[-1:] in tuple(_FULL_WIDTH)
        if "\n" in gap:
            return bool(ends.strip()) and not ends.rstrip().endswith((":", "："))
        return self._is_behind_sentence

    def _reads_as_ended(self) -> bool:
        """Nothing was written, or what was ends behind a sentence, a line, a code block or a row of a table."""
        return self.is_finished or self._mark in ("", "|", ":", "：", *_SENTENCE_ENDS)

    @property
    def _is_behind_sentence(self) -> bool:
        """Behind its mark; the number of a list item has one too, and is no sentence."""
        return self._mark in tuple(_SENTENCE_ENDS) and not self._line.strip().rstrip(".)").isdigit()

    @property
    def _mark(self) -> str:
        """The last character that is no white space and closes nothing."""
        return self._text_ends.rstrip().rstrip(_CLOSERS)[-1:]
