"""Results that outlive an interrupted run: one JSON line each, found again by what they depend on.

The key of a result is a digest of the case's text, the contestant, its options and its code, so a result is never
taken for that of another version. A line that a crash cut short is ignored and computed anew. Knows no job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

import kodo.jobs

T = TypeVar("T")

SCORECARD = Path(__file__).parent
"""The scorecard's own code."""
JOBS = Path(kodo.jobs.__file__).parent
"""The code of the jobs that are scored."""


class _Line(msgspec.Struct, frozen=True):
    key: str
    value: msgspec.Raw


class Results:
    """A file of results; opened, read whole, and appended to as results come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, bytes] = {}
        if path.exists():
            for text in path.read_bytes().split(b"\n"):
                try:
                    line = msgspec.json.decode(text, type=_Line)
                except msgspec.DecodeError:
                    continue
                self._known[line.key] = bytes(line.value)

    def get(self, key: str, type_: type[T], compute: Callable[[], T]) -> T:
        """The result under this key; computed and written down where there is none."""
        if key in self._known:
            return msgspec.json.decode(self._known[key], type=type_)
        value = compute()
        encoded = msgspec.json.encode(value)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as stream:
            stream.write(b"\n" + msgspec.json.encode(_Line(key, msgspec.Raw(encoded))) + b"\n")
        self._known[key] = encoded
        return value

    def __contains__(self, key: str) -> bool:
        return key in self._known


def digest(*parts: str) -> str:
    """A key made of these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def code_of(*paths: Path) -> str:
    """A digest of these files and folders, so that changed code makes new results."""
    total = hashlib.sha256()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                name = f"{path.name}/{file.relative_to(path).as_posix()}"
                total.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]
