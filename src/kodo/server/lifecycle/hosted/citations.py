"""Citations: markers that the model writes are cut from its text, and become annotations at their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MarkerFilter:
    """Cuts markers from a message's text while it is written. Positions are characters of the text without them."""

    def __init__(self, sources: Mapping[str, dict[str, Any]]) -> None:
        self._sources = sources
        self._held = ""
        self._length = 0
        self._start = self._end = 0
        """The words that the last citation belongs to: those since the one before it."""
        self._longest = max(map(len, sources))

    def feed(self, text: str) -> list[str | dict[str, Any]]:
        """More of the text: what of it is certain, cut at the citations in it. What could begin a marker is held back."""
        found: list[str | dict[str, Any]] = []
        rest = self._held + text
        while True:
            place, marker = self._first(rest)
            if marker is None:
                break
            self._add(rest[:place], found)
            found.append(self._annotation(marker))
            rest = rest[place + len(marker) :]
        keep = self._undecided(rest)
        self._add(rest[: len(rest) - keep], found)
        self._held = rest[len(rest) - keep :]
        return found

    def end(self) -> str:
        """The text that was held back and is no marker."""
        held, self._held = self._held, ""
        self._length += len(held)
        return held

    def _add(self, text: str, found: list[str | dict[str, Any]]) -> None:
        if text:
            found.append(text)
            self._length += len(text)

    def _first(self, text: str) -> tuple[int, str | None]:
        places = [
            (place, -len(marker), marker) for marker in self._sources if (place := text.find(marker)) >= 0
        ]
        if not places:
            return -1, None
        place, _, marker = min(places)
        return place, marker

    def _undecided(self, text: str) -> int:
        """Characters at the end of a text that could begin a marker."""
        for count in range(min(len(text), self._longest - 1), 0, -1):
            end = text[-count:]
            if any(marker.startswith(end) for marker in self._sources):
                return count
        return 0

    def _annotation(self, marker: str) -> dict[str, Any]:
        source = self._sources[marker]
        if source.get("type") in ("file_citation", "file_path"):
            return {**source, "index": self._length}
        if self._end < self._length:  # else: one more source of the same words
            self._start, self._end = self._end, self._length
        return {**source, "start_index": self._start, "end_index": self._length}
