"""Text that may be the beginning of a stop string, kept back until that is decided.

Knows deltas and strings; knows nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from kodo.server.lifecycle.ports import TextDelta


class StopBuffer:
    """Keeps back deltas that may be the beginning of a stop string."""

    def __init__(self, stop: Sequence[str], opening: Sequence[str] = ()) -> None:
        self._stop = tuple(one for one in stop if one)
        self._opening = tuple(one for one in opening if one)
        self._held: list[TextDelta] = []
        self.stopped_by: str | None = None

    def add(self, delta: TextDelta) -> list[TextDelta]:
        """Take a delta; returns the deltas that are certain to be text."""
        if not self._stop and not self._opening:
            return [delta]
        self._held.append(delta)
        text = "".join(one.text for one in self._held)
        if self._opening:
            words = text.lstrip()
            found = [stop for stop in self._opening if words.startswith(stop)]
            if found:
                self.stopped_by = found[0]
                return self._until(0)
            if any(stop.startswith(words) for stop in self._opening):
                return []
            self._opening = ()
        found_at = [(text.find(stop), stop) for stop in self._stop if stop in text]
        if found_at:
            end, self.stopped_by = min(found_at)
            return self._until(end)
        return self._until(len(text) - longest_partial_match(text, self._stop), whole=True)

    def flush(self, textless: tuple[int, ...] = ()) -> list[TextDelta]:
        """The deltas still held, at the end of the text; ``textless`` are ids without text."""
        held, self._held = self._held, []
        return [*held, TextDelta(text="", tokens=textless)] if textless else held

    def _until(self, end: int, *, whole: bool = False) -> list[TextDelta]:
        """Deltas up to a position of the held text; the one across it is cut, or kept if ``whole``."""
        ready: list[TextDelta] = []
        position = 0
        for index, delta in enumerate(self._held):
            if position + len(delta.text) <= end:
                ready.append(delta)
                position += len(delta.text)
                continue
            if not whole and end > position:
                text = delta.text[: end - position]
                ready.append(TextDelta(text=text, tokens=delta.tokens, logprobs=delta.logprobs))
            self._held = self._held[index:] if whole else []
            return ready
        self._held = []
        return ready


def longest_partial_match(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of ``text`` with which one of ``marks`` begins, whole marks apart."""
    return max(
        (
            size
            for mark in marks
            for size in range(min(len(mark) - 1, len(text)), 0, -1)
            if text.endswith(mark[:size])
        ),
        default=0,
    )
