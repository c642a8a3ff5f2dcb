"""Patches in the V4A form, which models of the Codex family write: parsed and applied to texts. No files here.

    *** Begin Patch
    *** Update File: src/cart.py
    @@ class Cart
     def total(self):
    -    return sum(self.items)
    +    return sum(item.price for item in self.items)
    *** Add File: notes.txt
    +a line
    *** Delete File: old.py
    *** End Patch

A hunk is placed by its own lines (context and removed ones); the texts after ``@@`` narrow the place down: the hunk
comes after a line that has this text. A hunk that fits in two places, or only with other white space in several, is refused.
Source: the format's description in the OpenAI cookbook's GPT-4.1 prompting guide and Codex CLI's own instructions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BEGIN, END, LAST = "*** Begin Patch", "*** End Patch", "*** End of File"
_ADD, _UPDATE, _DELETE, _MOVE = "*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "


class PatchError(ValueError):
    """The patch is not in the form, or does not fit; the message says where."""


@dataclass
class PatchHunk:
    """Lines that are replaced: ``old`` by ``new``, after the lines that ``anchors`` name; ``last`` at the file's end."""

    anchors: tuple[str, ...] = ()
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    last: bool = False


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a patch does to one file: ``text`` for a new one, ``hunks`` for a changed one, neither for a deleted one."""

    path: str
    text: str | None = None
    hunks: tuple[PatchHunk, ...] = ()
    moved_to: str | None = None


def parse(patch: str) -> list[FilePatch]:
    """The changes of a patch.

    Raises:
        PatchError: it is not in the form, or names a file twice.
    """
    lines = patch.strip("\n").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if not lines or lines[0].strip() != BEGIN:
        raise PatchError(f"the first line must be {BEGIN!r}")
    if lines[-1].strip() != END:
        raise PatchError(f"the last line must be {END!r}")
    changes = list(_changes(lines[1:-1]))
    if not changes:
        raise PatchError("the patch changes no file")
    names = [change.path for change in changes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PatchError(f"{sorted(twice)[0]} is named more than once")
    return changes


def _changes(lines: Sequence[str]) -> Iterator[FilePatch]:
    at = 0
    while at < len(lines):
        head = lines[at]
        end = next((n for n in range(at + 1, len(lines)) if _is_head(lines[n])), len(lines))
        body = lines[at + 1 : end]
        if head.startswith(_ADD):
            yield FilePatch(head.removeprefix(_ADD).strip(), text=_added(body))
        elif head.startswith(_DELETE):
            if any(line.strip() for line in body):
                raise PatchError(f"{head!r} is followed by lines")
            yield FilePatch(head.removeprefix(_DELETE).strip())
        elif head.startswith(_UPDATE):
            moved = body[0].removeprefix(_MOVE).strip() if body and body[0].startswith(_MOVE) else None
            hunks = tuple(_hunks(body[1:] if moved else body))
            if not hunks and moved is None:
                raise PatchError(f"{head!r} has no hunk")
            yield FilePatch(head.removeprefix(_UPDATE).strip(), hunks=hunks, moved_to=moved)
        else:
            raise PatchError(f"expected a file's line (*** Update File: PATH), found {head[:80]!r}")
        at = end


def _is_head(line: str) -> bool:
    return line.startswith((_ADD, _UPDATE, _DELETE))


def _added(body: Sequence[str]) -> str:
    for line in body:
        if not line.startswith("+"):
            raise PatchError(f"each line of a new file begins with +, found {line[:80]!r}")
    return "".join(line[1:] + "\n" for line in body)


def _hunks(body: Sequence[str]) -> Iterator[PatchHunk]:
    hunk, started = PatchHunk(), False
    for line in body:
        if line.startswith("@@"):
            if started:
                yield hunk
                hunk, started = PatchHunk(), False
            anchor = line[2:].strip().removesuffix("@@").strip()
            if anchor:
                hunk.anchors += (anchor,)
            continue
        started = True
        if line.strip() == LAST:
            hunk.last = True
        elif line.startswith("+"):
            hunk.new.append(line[1:])
        elif line.startswith("-"):
            hunk.old.append(line[1:])
        elif line.startswith(" ") or line == "":
            hunk.old.append(line[1:])
            hunk.new.append(line[1:])
        else:
            raise PatchError(f"a line of a hunk begins with a space, + or -, found {line[:80]!r}")
    if started:
        yield hunk


def apply(changes: Sequence[FilePatch], texts: Mapping[str, str | None]) -> dict[str, str | None]:
    """The new texts of the files that the changes touch; None for a file that is gone.

    Args:
        changes: of :func:`parse`.
        texts: the present text of each named file; None or absent where there is no file.

    Raises:
        PatchError: a new file is there already, another is not, or a hunk does not fit in exactly one place.
    """
    found: dict[str, str | None] = {}
    for change in changes:
        present = texts.get(change.path)
        if change.text is not None:
            if present is not None:
                raise PatchError(f"{change.path}: the file is there already; use *** Update File")
            found[change.path] = change.text
            continue
        if present is None:
            raise PatchError(f"{change.path}: there is no such file")
        if not change.hunks and change.moved_to is None:
            found[change.path] = None
            continue
        text = _patched(change, present)
        if change.moved_to is not None:
            if texts.get(change.moved_to) is not None:
                raise PatchError(f"{change.moved_to}: the file is there already")
            found[change.path] = None
        found[change.moved_to or change.path] = text
    return found


def _patched(change: FilePatch, text: str) -> str:
    ends = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    at = 0
    for number, hunk in enumerate(change.hunks, 1):
        where = f"{change.path}: hunk {number}"
        start = _after_anchors(lines, hunk, at, where)
        place = _place(lines, hunk, start, where)
        lines[place : place + len(hunk.old)] = hunk.new
        at = place + len(hunk.new)
    return ends.join(lines)


def _after_anchors(lines: Sequence[str], hunk: PatchHunk, at: int, where: str) -> int:
    for anchor in hunk.anchors:
        found = next((n for n in range(at, len(lines)) if anchor in lines[n]), None)
        if found is None:
            raise PatchError(f"{where}: no line has the text after @@: {anchor[:80]!r}")
        at = found
    return at


def _place(lines: Sequence[str], hunk: PatchHunk, start: int, where: str) -> int:
    """The line a hunk begins at: exact lines first, then with other white space at the ends of lines."""
    if not hunk.old:
        if hunk.last or not hunk.anchors:
            return len(lines) - 1 if lines and lines[-1] == "" else len(lines)
        return start + 1
    for same in (str, str.rstrip):
        wanted = [same(line) for line in hunk.old]
        fits = [
            at
            for at in range(start, len(lines) - len(wanted) + 1)
            if [same(line) for line in lines[at : at + len(wanted)]] == wanted
        ]
        if hunk.last:
            fits = fits[-1:]
        if len(fits) > 1 and not hunk.anchors:
            raise PatchError(
                f"{where}: its lines are there {len(fits)} times; add context or a line after @@"
            )
        if fits:
            return fits[0]
    shown = next((line for line in hunk.old if line.strip()), hunk.old[0])
    raise PatchError(f"{where}: its lines are not in the file: {shown[:120]!r}")
