"""The code under review as lines: each file after the change, before it, and which lines the change touched.

Lines end at LF only, as in git; text is kept as it is. This module does not know where the text came from.
"""

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from itertools import islice, pairwise

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as PatchHunk
from unidiff.patch import PatchSet

from kodo.client.i18n import LocalizedError

_HUNK = re.compile(r"^@@ -", re.MULTILINE)
_COUNTS = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_SECTION = re.compile(r"^diff --git ", re.MULTILINE)


MOVED = 0.5
"""The share of lines that a file has from another one, which is gone, to be the same file under another name."""

MAX_COMPARISONS = 25_000_000
"""Old lines times new ones that may be compared for a diff; a second or two of work."""


class DiffError(LocalizedError, ValueError):
    """The text is not a unified diff that can be read."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Lines that the change took away; ``anchor`` is the line after the change that now stands in their place."""

    anchor: int
    old_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk, in lines after the change: ``start`` to ``end``, both included (``end`` < ``start`` if nothing is left)."""

    start: int
    end: int
    added: frozenset[int]
    removals: tuple[Removal, ...]
    context: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class ChangedFile:
    """One file under review. ``before`` is None for a new file, and for a file reviewed whole."""

    path: str
    language: str
    after: str
    before: str | None = None
    hunks: tuple[Hunk, ...] = ()
    whole: bool = False
    old_path: str = ""
    complete: bool = field(default=True)
    """False: the diff is all there is, lines between the hunks are not known (they are empty)."""

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines without their LF; line n is ``lines[n - 1]``."""
        return split_lines(self.after)

    @cached_property
    def added(self) -> frozenset[int]:
        """The lines that are new or altered."""
        if self.whole:
            return frozenset(range(1, len(self.lines) + 1))
        return frozenset().union(*(hunk.added for hunk in self.hunks))

    @cached_property
    def removals(self) -> tuple[Removal, ...]:
        """Everything the change took away, in order."""
        return tuple(removal for hunk in self.hunks for removal in hunk.removals)

    @cached_property
    def touched(self) -> frozenset[int]:
        """The lines a finding may stand on: added ones, and those that stand where others were removed."""
        return self.added | {removal.anchor for removal in self.removals}

    def touches(self, start: int, end: int) -> bool:
        """Whether any line from ``start`` to ``end`` was touched."""
        at = bisect_left(self._touched_in_order, start)
        return at < len(self._touched_in_order) and self._touched_in_order[at] <= end

    def touched_between(self, start: int, end: int) -> list[int]:
        """The touched lines from ``start`` to ``end``, in order."""
        lines = self._touched_in_order
        return lines[bisect_left(lines, start) : bisect_left(lines, end + 1)]

    @cached_property
    def _touched_in_order(self) -> list[int]:
        return sorted(self.touched)

    @cached_property
    def removals_at(self) -> dict[int, list[Removal]]:
        """What was taken away, by the line that stands in its place."""
        found: dict[int, list[Removal]] = {}
        for removal in self.removals:
            found.setdefault(removal.anchor, []).append(removal)
        return found

    def removed_between(self, start: int, end: int) -> tuple[Removal, ...]:
        """What was taken away from the old lines from ``start`` to ``end``."""
        found = self._removals_in_order
        at = max(0, bisect_left(found, start, key=lambda removal: removal.old_line) - 1)
        stop = bisect_left(found, end + 1, key=lambda removal: removal.old_line)
        return tuple(removal for removal in found[at:stop] if removal.old_line + len(removal.lines) > start)

    @cached_property
    def _removals_in_order(self) -> list[Removal]:
        return sorted(self.removals, key=lambda removal: removal.old_line)

    @cached_property
    def lines_before(self) -> list[str]:
        """The lines of the text before the change; none for a new file."""
        return split_lines(self.before or "")


def split_lines(text: str) -> list[str]:
    """The lines of ``text`` without LF; a final LF begins no further line."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines


def moved_files(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Path of a new file -> path of the one that is gone and has most of its lines, as git sees a rename (50 %)."""
    gone = {path: Counter(split_lines(before[path])) for path in before.keys() - after.keys()}
    shares: list[tuple[float, str, str]] = []
    for path in after.keys() - before.keys():
        lines = Counter(split_lines(after[path]))
        for old, its in gone.items():
            longer = max(lines.total(), its.total())
            if longer and (share := (lines & its).total() / longer) >= MOVED:
                shares.append((-share, path, old))
    moved: dict[str, str] = {}
    for _, path, old in sorted(shares):
        if path not in moved and old not in moved.values():
            moved[path] = old
    return moved


def hunks_of(section: str, total: int) -> tuple[Hunk, ...]:
    """The hunks of one file's part of a diff; ``total`` is the number of lines after the change.

    Raises DiffError where counts and lines disagree.
    """
    return tuple(_hunk(hunk, total) for hunk in _parsed(section))


def _parsed(section: str) -> list[PatchHunk]:
    """The hunks of one file's part of a diff, whatever its headers say (paths in them may be quoted)."""
    first = _HUNK.search(section)
    if first is None:
        return []
    try:
        patch = PatchSet(StringIO("--- a/x\n+++ b/x\n" + section[first.start() :], newline="\n"))
    except (UnidiffParseError, ValueError) as error:  # ValueError: a number of thousands of digits
        raise DiffError(f"diff: {error}", f"差分を読めません（{error}）") from error
    return [hunk for file in patch for hunk in file]


def _hunk(hunk: PatchHunk, total: int) -> Hunk:
    added: set[int] = set()
    context: list[tuple[int, str]] = []
    removals: list[Removal] = []
    gone: list[str] = []
    gone_from = 0
    start = hunk.target_start
    length = hunk.target_length
    if length and start < 1:
        raise DiffError(
            f"diff: a hunk begins at line {start}",
            f"差分を読めません（ハンクが {start} 行目から始まっています）",
        )
    following = start if length else start + 1

    def close() -> None:
        if gone:
            removals.append(Removal(max(1, min(following, total)), gone_from, tuple(gone)))
            gone.clear()

    for line in hunk:
        if line.is_removed:
            if not gone:
                gone_from = line.source_line_no or 0
            gone.append(line.value.removesuffix("\n"))
            continue
        if line.target_line_no is None:  # the "no newline at end of file" marker
            continue
        close()
        following = line.target_line_no + 1
        if line.is_added:
            added.add(line.target_line_no)
        context.append((line.target_line_no, line.value.removesuffix("\n")))
    close()
    return Hunk(start, start + length - 1, frozenset(added), tuple(removals), tuple(context))


def unified(before: str, after: str) -> str:
    """A unified diff of two texts with three lines of context, without file headers.

    Where very much differs, all between the first and the last difference is one hunk: to look for what is alike in it
    would take time with the square of its size.
    """
    old, new = split_lines(before), split_lines(after)
    first = _common(old, new)
    last = _common(old[first:][::-1], new[first:][::-1])
    gone, come = old[first : len(old) - last], new[first : len(new) - last]
    if len(gone) * len(come) > MAX_COMPARISONS:
        start = f"@@ -{first + 1},{len(gone)} +{first + 1},{len(come)} @@"
        lines: Iterable[str] = [start, *(f"-{line}" for line in gone), *(f"+{line}" for line in come)]
    else:
        lines = islice(difflib.unified_diff(old, new, n=3, lineterm=""), 2, None)
    return "".join(line + "\n" for line in lines)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def with_plain_headers(diff: str) -> str:
    """A diff whose header lines end with LF alone, as ``git`` writes them; the lines inside of hunks are kept.

    A diff that went through a tool that writes CRLF everywhere (or CR alone) has them in its headers, where no file's
    content stands; so its hunk lines have lost them too if every one ends so.
    """
    if "\r" not in diff:
        return diff
    if "\n" not in diff:
        diff = diff.replace("\r", "\n")
    out: list[str] = []
    old = new = 0
    converted = False
    for line in diff.split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] in ("", " ", "-", "\r")
            new -= line[:1] in ("", " ", "+", "\r")
            out.append(line.removesuffix("\r") if converted else line)
            continue
        plain = line.removesuffix("\r")
        if found := _COUNTS.match(plain):
            old, new = (1 if count is None else int(count) for count in found.groups())
            converted = plain != line
        out.append(plain)
    return "\n".join(out)


def has_hunk(diff: str) -> bool:
    """Whether a line begins a hunk."""
    return any(_COUNTS.match(line) for line in diff.splitlines())


def sections(diff: str) -> list[str]:
    """The parts of a ``git diff``, one for each file, in order."""
    starts = [match.start() for match in _SECTION.finditer(diff)]
    return [diff[start:end] for start, end in pairwise([*starts, len(diff)])]


def patched(lines: list[str], section: str, *, reverse: bool = False) -> list[str] | None:
    """The lines on the other side of a diff: after it, or with ``reverse`` before it; None where it does not fit."""
    result: list[str] = []
    at = 0
    for hunk in _parsed(section):
        first, length = hunk.source_start, hunk.source_length
        if reverse:
            first, length = hunk.target_start, hunk.target_length
        start = first - 1 if length else first
        result.extend(lines[at:start])
        at = start
        for line in hunk:
            given, made = (line.is_added, line.is_removed) if reverse else (line.is_removed, line.is_added)
            text = line.value.removesuffix("\n")
            if line.is_context or given:
                if at >= len(lines) or lines[at] != text:
                    return None
                at += 1
            if line.is_context or made:
                result.append(text)
    result.extend(lines[at:])
    return result
