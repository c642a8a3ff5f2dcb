"""Calls handed to a running comparison as they are found: a file of JSON lines that grows, and an empty line at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from kodo.jobs.execution.model import Call


class Outgoing:
    """Writes those calls to a file that ``keeps`` says yes to; whoever reads them may be another user. For one thread at a
    time.
    """

    def __init__(self, path: Path, keeps: Callable[[Call], bool]) -> None:
        self._file = path.open("ab", buffering=0)
        self._keeps = keeps
        path.chmod(0o644)

    def add(self, call: Call) -> None:
        """Hand over one more call."""
        if self._keeps(call):
            self._file.write(msgspec.json.encode(call) + b"\n")

    def end(self) -> None:
        """Say that no more will come; nothing else may be called after it."""
        self._file.write(b"\n")
        self._file.close()


class Incoming:
    """Reads the calls of files ``names`` in a folder, each of which may still be missing."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._folder = folder
        self._places = dict.fromkeys(names, 0)
        self._open = set(self._places)

    @property
    def ended(self) -> bool:
        """Whether every file came to its end, and all of its calls were read."""
        return not self._open

    def read(self) -> Iterator[tuple[str, list[Call]]]:
        """The calls that came since the last time, by the name of their file; none for a file that has no more of them."""
        for name in self._places:
            if name in self._open and (calls := self._read(name)):
                yield name, calls

    def _read(self, name: str) -> list[Call]:
        path = self._folder / name
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._places[name])
            *lines, _ = file.read().split(
                b"\n"
            )  # what follows the last end of a line is not there as a whole yet
        self._places[name] += sum(len(line) + 1 for line in lines)
        if b"" in lines:
            self._open.discard(name)
        return [msgspec.json.decode(line, type=Call) for line in lines if line]
