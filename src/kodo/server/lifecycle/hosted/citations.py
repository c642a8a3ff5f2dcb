"""Citations: markers that the model writes are cut from its text, and become annotations at their places."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kodo.server.lifecycle.retrieval.terms import query_terms

CONTAINER_FILE: Final = "container_file_citation"
MAX_NAMED: Final = 20
"""Places at which one file is cited."""
MIN_SHARED: Final = 3
MIN_OVERLAP: Final = 0.5
"""Words that a text without markers shares with a passage that it cites, at least, and their part of all its words."""
_SENTENCE_END: Final = re.compile(r"[.!?]+(?=\s|$)|[。！？]+|$")


class MarkerFilter:
    """Cuts markers from a message's text while it is written. Positions are characters of the text without them.

    A source may have ``evidence``, the text that it stands for; it is no part of the annotation.
    """

    def __init__(self, sources: Mapping[str, dict[str, Any]]) -> None:
        self._files = {path: one for path, one in sources.items() if one.get("type") == CONTAINER_FILE}
        """Files of containers: no markers, but named by the text."""
        self._sources = {marker: one for marker, one in sources.items() if marker not in self._files}
        self._held = ""
        self._length = 0
        self._start = self._end = 0
        """The words that the last citation belongs to: those since the one before it."""
        self._marked: set[str] = set()
        self._longest = max(map(len, self._sources), default=0)

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
        """The citations of a whole text beside its markers: the pages whose URLs it has; and where it has no citation at
        all, as small models write it, the files that it names, else the source whose passages have most of its words."""
        found = [
            {**_public(source), "start_index": begin, "end_index": end}
            for marker, source in self._sources.items()
            if source.get("type") == "url_citation" and marker not in self._marked
            for begin, end in _urls(text, str(source["url"]))
        ]
        if found or self._marked or not text.strip():
            return found
        words = set(query_terms(text))
        scores: dict[str, float] = {}
        for marker, source in self._sources.items():
            evidence = source.get("evidence")
            if isinstance(evidence, str):
                shared = words & set(query_terms(evidence, limit=None))
                scores[marker] = len(shared) / len(words) if len(shared) >= MIN_SHARED else 0.0
        named = [marker for marker in scores if str(self._sources[marker].get("filename", "\0")) in text]
        best = [marker for marker, score in scores.items() if score == max(scores.values()) >= MIN_OVERLAP]
        return [self._annotation(marker) for marker in named] or [
            self._of_words(marker, text) for marker in best[:1]
        ]

    def _of_words(self, marker: str, text: str) -> dict[str, Any]:
        """The citation of a source by its words: it belongs to the sentences that have some of them."""
        source = self._sources[marker]
        if source.get("type") == "url_citation":
            known = set(query_terms(str(source["evidence"]), limit=None))
            spans = [
                (begin, end)
                for begin, end in _sentences(text)
                if known & set(query_terms(text[begin:end], limit=None))
            ]
            if spans:
                return {**_public(source), "start_index": spans[0][0], "end_index": spans[-1][1]}
        return self._annotation(marker)

    def named(self, text: str) -> list[dict[str, Any]]:
        """The citations of the files of containers that a whole text names, by path or by name; their places are those words."""
        found: dict[int, dict[str, Any]] = {}
        for path, source in self._files.items():
            whole, name = re.escape(path), re.escape(path.rpartition("/")[2])
            pattern = rf"(?:sandbox:)?{whole}(?![\w-]|\.\w)|(?<![\w./-]){name}(?![\w-]|\.\w)"
            for match in itertools.islice(re.finditer(pattern, text), MAX_NAMED):
                found[match.start()] = {**source, "start_index": match.start(), "end_index": match.end()}
        return [found[start] for start in sorted(found)]

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
        self._marked.add(marker)
        source = _public(self._sources[marker])
        if source.get("type") in ("file_citation", "file_path"):
            return {**source, "index": self._length}
        if self._end < self._length:  # else: one more source of the same words
            self._start, self._end = self._end, self._length
        return {**source, "start_index": self._start, "end_index": self._length}


def _public(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != "evidence"}


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text begin and end."""
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[begin : match.end()]
        if sentence.strip():
            yield begin + len(sentence) - len(sentence.lstrip()), begin + len(sentence.rstrip())
        begin = match.end()


def _urls(text: str, url: str) -> Iterator[tuple[int, int]]:
    """Where a URL stands in a text: the whole link, where it is one of Markdown."""
    for match in re.finditer(rf"(?:\[[^\[\]\n]{{0,300}}\]\()?({re.escape(url)})(?![\w/?#&=%-])(\))?", text):
        is_link = match[0].startswith("[") and match[2]
        yield match.span(0) if is_link else match.span(1)
