"""Citations: markers that the model writes are cut from its text, and become annotations at their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kodo.server.lifecycle.retrieval.terms import query_terms

MIN_SHARED: Final = 3
MIN_OVERLAP: Final = 0.5
"""Words that a text without markers shares with a passage that it cites, at least, and their part of all its words."""


class MarkerFilter:
    """Cuts markers from a message's text while it is written. Positions are characters of the text without them.

    A source may have ``evidence``, the text that it stands for; it is no part of the annotation.
    """

    def __init__(self, sources: Mapping[str, dict[str, Any]]) -> None:
        self._sources = sources
        self._held = ""
        self._length = 0
        self._start = self._end = 0
        """The words that the last citation belongs to: those since the one before it."""
        self._marked = False
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

    def unmarked(self, text: str) -> list[dict[str, Any]]:
        """The citations of a whole text without any marker, as small models write it: the files that it names, else the one
        whose passages have most of its words."""
        if self._marked or not text.strip():
            return []
        words = set(query_terms(text))
        scores: dict[str, float] = {}
        for marker, source in self._sources.items():
            evidence = source.get("evidence")
            if isinstance(evidence, str) and source.get("type") == "file_citation":
                shared = words & set(query_terms(evidence, limit=None))
                scores[marker] = len(shared) / len(words) if len(shared) >= MIN_SHARED else 0.0
        named = [marker for marker in scores if str(self._sources[marker]["filename"]) in text]
        best = [marker for marker, score in scores.items() if score == max(scores.values()) >= MIN_OVERLAP]
        return [self._annotation(marker) for marker in named or best[:1]]

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
        self._marked = True
        source = {name: value for name, value in self._sources[marker].items() if name != "evidence"}
        if source.get("type") in ("file_citation", "file_path"):
            return {**source, "index": self._length}
        if self._end < self._length:  # else: one more source of the same words
            self._start, self._end = self._end, self._length
        return {**source, "start_index": self._start, "end_index": self._length}
