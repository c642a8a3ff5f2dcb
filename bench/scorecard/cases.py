"""The scorecard's sets: reads the case files under ``data/`` and says what is in them.

A case file is one text. Headers (``name: value``), a blank line, then one section a file, ``=== path``, whose lines
all carry a mark in the first column, as a diff with its whole context would:

- ``" "`` on both sides (an empty line is an empty line on both sides), ``-`` before only, ``+`` after only;
- ``!class text`` (review sets): the truth, about the line above it, on the after side;
- ``=== oracle`` (test-generation sets): the hidden oracle, verbatim Python.

So both sides, the diff and the truth's line numbers come out of one text and cannot drift apart. Knows nothing of the
jobs that are scored, of models, or of scores.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.scorecard.classes import CLASSES

ORACLE = "oracle"


class CaseError(ValueError):
    """A case file that breaks the format; the message names the file and the line."""


@dataclass(frozen=True)
class Truth:
    """One seeded defect: where it is on the after side, and what it is."""

    path: str
    line: int
    kind: str
    """A name of :data:`bench.scorecard.classes.CLASSES`."""
    text: str


@dataclass(frozen=True)
class SourceFile:
    """One file on both sides; ``None`` where it does not exist."""

    path: str
    before: str | None
    after: str | None

    def diff(self) -> str:
        """The unified diff of this file with three lines of context, as git prints it; empty when nothing changed."""
        if self.before == self.after:
            return ""
        old = f"a/{self.path}" if self.before is not None else "/dev/null"
        new = f"b/{self.path}" if self.after is not None else "/dev/null"
        head = f"diff --git a/{self.path} b/{self.path}\n"
        if self.before is None:
            head += "new file mode 100644\n"
        if self.after is None:
            head += "deleted file mode 100644\n"
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            old,
            new,
        )
        return head + "".join(lines)


@dataclass(frozen=True)
class ReviewCase:
    """One change for review; clean when it has no truth."""

    name: str
    title: str
    language: str
    linter: bool
    """Whether ruff or bandit is expected to see the defect; False for every clean case."""
    files: tuple[SourceFile, ...]
    truth: tuple[Truth, ...]

    @property
    def diff(self) -> str:
        """The whole change as one unified diff."""
        return "".join(file.diff() for file in self.files)


@dataclass(frozen=True)
class ModuleCase:
    """One Python module with a good and a bad version, for test generation."""

    name: str
    title: str
    bug: str
    """What is wrong with the bad version, in words."""
    rests_on: str
    """What the bug contradicts: ``docstring``, ``example`` or ``types``."""
    filename: str
    good: str
    bad: str
    oracle: str
    """Python text that imports the module by its name and asserts; passes on good, fails on bad."""


def review_cases(kind: Literal["seeded", "clean"]) -> tuple[ReviewCase, ...]:
    """The review set ``kind`` in the order of the file names. Raises :class:`CaseError` on a malformed file."""
    return tuple(parse_review(name, text) for name, text in _texts(f"review/{kind}"))


def module_cases() -> tuple[ModuleCase, ...]:
    """The test-generation set in the order of the file names. Raises :class:`CaseError` on a malformed file."""
    return tuple(parse_module(name, text) for name, text in _texts("tests"))


def parse_review(name: str, text: str) -> ReviewCase:
    """Parse one case of a review set."""
    headers, sections = _split(name, text, {"title", "language", "linter"})
    files: list[SourceFile] = []
    truth: list[Truth] = []
    for path, lines in sections:
        file, found = _sides(name, path, lines)
        files.append(file)
        truth += found
    if all(file.before == file.after for file in files):
        raise CaseError(f"{name}: nothing changes")
    return ReviewCase(
        name, headers["title"], headers["language"], headers["linter"] == "yes", tuple(files), tuple(truth)
    )


def parse_module(name: str, text: str) -> ModuleCase:
    """Parse one case of the test-generation set: ``-`` is the good side, ``+`` the bad one."""
    headers, sections = _split(name, text, {"title", "bug", "rests-on"})
    oracle = "".join(f"{line}\n" for path, lines in sections if path == ORACLE for _, line in lines)
    modules = [(path, lines) for path, lines in sections if path != ORACLE]
    if len(modules) != 1 or not oracle:
        raise CaseError(f"{name}: one module and one oracle are wanted")
    file, _ = _sides(name, *modules[0])
    if file.before is None or file.after is None or file.before == file.after:
        raise CaseError(f"{name}: a good and a bad version are wanted")
    return ModuleCase(
        name,
        headers["title"],
        headers["bug"],
        headers["rests-on"],
        file.path,
        file.before,
        file.after,
        oracle,
    )


def _texts(folder: str) -> Iterator[tuple[str, str]]:
    for entry in sorted((Path(__file__).parent / "data" / folder).glob("*.case")):
        yield entry.stem, entry.read_text("utf-8")


def _split(
    name: str, text: str, wanted: set[str]
) -> tuple[dict[str, str], list[tuple[str, list[tuple[int, str]]]]]:
    """The headers and the sections, each a path and its numbered lines."""
    headers: dict[str, str] = {}
    sections: list[tuple[str, list[tuple[int, str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("=== "):
            sections.append((line[4:].strip(), []))
        elif sections:
            sections[-1][1].append((number, line))
        elif line.strip():
            key, colon, value = line.partition(":")
            if not colon or key not in wanted:
                raise CaseError(f"{name}:{number}: not a header: {line!r}")
            headers[key] = value.strip()
    if missing := wanted - headers.keys():
        raise CaseError(f"{name}: missing headers: {', '.join(sorted(missing))}")
    if not sections:
        raise CaseError(f"{name}: no section")
    return headers, sections


def _sides(name: str, path: str, lines: list[tuple[int, str]]) -> tuple[SourceFile, list[Truth]]:
    """One section as a file on both sides; a side without a single line does not exist."""
    before: list[str] = []
    after: list[str] = []
    truth: list[Truth] = []
    for number, line in _without_last_blanks(lines):
        mark, rest = line[:1], line[1:]
        if mark == "!":
            kind, _, text = rest.partition(" ")
            if kind not in CLASSES or not after:
                raise CaseError(f"{name}:{number}: {kind!r} is no class, or there is no line above it")
            truth.append(Truth(path, len(after), kind, text))
        elif mark in ("", " "):
            before.append(rest)
            after.append(rest)
        elif mark == "-":
            before.append(rest)
        elif mark == "+":
            after.append(rest)
        else:
            raise CaseError(f"{name}:{number}: a line starts with ' ', '-', '+' or '!', not {mark!r}")
    return SourceFile(path, _joined(before), _joined(after)), truth


def _without_last_blanks(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    end = len(lines)
    while end and not lines[end - 1][1].strip():
        end -= 1
    return lines[:end]


def _joined(lines: list[str]) -> str | None:
    return "".join(f"{line}\n" for line in lines) if lines else None
