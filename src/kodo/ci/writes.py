"""Everything that kodo can do to a forge, as values.

They exist before they are made, so that they can be listed (``--dry-run``), counted and limited: there is none that
merges, approves, deletes, closes an issue or a request, or touches a branch that was there before.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Conclusion(StrEnum):
    """How a check on the head ends. ``neutral``: it is not a verdict; never shown as passed."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class CreateComment(msgspec.Struct, frozen=True, tag=True):
    """Write a new comment on a request, or on an issue."""

    number: int
    body: str
    on_issue: bool = False


class UpdateComment(msgspec.Struct, frozen=True, tag=True):
    """Replace the text of a comment of ours."""

    number: int
    comment: int
    body: str
    on_issue: bool = False


class LineNote(msgspec.Struct, frozen=True):
    """The text for lines ``start`` to ``line`` of a file after the change, both in one hunk of the diff.

    ``old_line`` is the line's number before the change where the line is context, else 0. ``suggestion`` is what these
    lines could become; the adapter writes it in the forge's own form.
    """

    path: str
    start: int
    line: int
    body: str
    old_line: int = 0
    suggestion: str | None = None


class AddLineComments(msgspec.Struct, frozen=True, tag=True):
    """Write comments on lines, as one review where the forge has such a thing."""

    number: int
    head_sha: str
    notes: tuple[LineNote, ...]


class ResolveLineComment(msgspec.Struct, frozen=True, tag=True):
    """Say in a line comment of ours that its finding is gone, and resolve its thread where the forge lets us."""

    number: int
    comment: int
    thread: str
    body: str


class SetCheck(msgspec.Struct, frozen=True, tag=True):
    """Set kodo's check on a head."""

    number: int
    head_sha: str
    conclusion: Conclusion
    title: str
    summary: str


class AddLabels(msgspec.Struct, frozen=True, tag=True):
    """Give an issue labels that the repository has."""

    number: int
    labels: tuple[str, ...]


class Assign(msgspec.Struct, frozen=True, tag=True):
    """Assign an issue to accounts that CODEOWNERS names."""

    number: int
    accounts: tuple[str, ...]


class RunReview(msgspec.Struct, frozen=True, tag=True):
    """Run job 1 again on a request's present head."""

    number: int
    head_sha: str


class StartFix(msgspec.Struct, frozen=True, tag=True):
    """Start the pipeline that looks for a fix: of an issue, or of a finding on a change (its fingerprint).

    ``command`` is the id of the comment that asks for it, by which a start in doubt is found again.
    """

    number: int
    finding: str = ""
    command: int = 0


class FixedFile(msgspec.Struct, frozen=True):
    """A file as a fix leaves it; ``text`` is None for one that it removes."""

    path: str
    text: str | None
    executable: bool = False


class OpenFix(msgspec.Struct, frozen=True, tag=True):
    """Make a branch with one commit on ``parent``, and a draft request to merge it into ``target``."""

    number: int
    branch: str
    target: str
    parent: str
    title: str
    body: str
    files: tuple[FixedFile, ...]


Write = (
    CreateComment
    | UpdateComment
    | AddLineComments
    | ResolveLineComment
    | SetCheck
    | AddLabels
    | Assign
    | RunReview
    | StartFix
    | OpenFix
)
"""Everything that kodo can do to a forge."""
