"""What is handed to a running comparison as it is found: a file of JSON lines that grows, and an empty line at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from kodo.jobs.execution.model import Call

T = TypeVar("T")


class Outgoing(Generic[T]):
    """Writes those items to a file that ``keeps`` says yes to; whoever reads them may be another user. For one thread at a
    time.
    """

    def __init__(self, path: Path, keeps: Callable[[T], bool] = lambda item: True) -> None:
        self._file = path.open("ab", buffering=0)
        self._keeps = keeps
        path.chmod(0o644)

    def add(self, item: T) -> None:
        """Hand over one more."""
        if self._keeps(item):
            self._file.write(msgspec.json.encode(item) + b"\n")

    def end(self) -> None:
        """Say that no more will come; nothing else may be called after it."""
        self._file.write(b"\n")
        self._file.close()


class Incoming(Generic[T]):
    """Reads the items, each an ``item_type``, of files ``names`` in a folder, each of which may still be missing."""

    def __init__(self, folder: Path, names: Iterable[str], item_type: type[T] | Any = Call) -> None:
        self._folder = folder
        self._decoder = msgspec.json.Decoder(item_type)
        self._places = dict.fromkeys(names, 0)
        self._open = set(self._places)

    @property
    def ended(self) -> bool:
        """Whether every file came to its end, and all of its items were read."""
        return not self._open

    def read(self) -> Iterator[tuple[str, list[T]]]:
        """What came since the last time, by the name of its file; nothing for a file that has no more."""
        for name in self._places:
            if name in self._open and (items := self._read(name)):
                yield name, items

    def _read(self, name: str) -> list[T]:
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
        return [self._decoder.decode(line) for line in lines if line]
