"""What kodo remembers between two runs on one change: a hidden comment in Markdown, in kodo's own comments.

The one comment on a change holds a :class:`ReviewMarker`: which base and head were reviewed, and what is still open.
A comment on a line holds the fingerprint of its finding. Markers count only in comments that the forge says are ours;
one that does not decode is no marker, and the next review is a full one.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

import msgspec

from kodo.jobs.report.model import Category, Severity

MAX_OPEN = 100
"""Open findings that a marker holds; with more, the next review is a full one."""
MAX_IGNORED = 50
_MAX_ENCODED = 60_000
_REVIEW = re.compile(r"<!-- kodo:review:v1 ([A-Za-z0-9_=-]+) -->")
_FINDING = re.compile(r"<!-- kodo:(finding|resolved):v1 ([0-9a-f]{8,64}) -->")
_ANSWER = re.compile(r"<!-- kodo:answer:v1 ([0-9]{1,20})(?: ([A-Za-z][A-Za-z0-9_./:-]{0,119}))? -->")
_NAMED = re.compile(r"<!-- kodo:([a-z]+):v1 ")

Sha = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}([0-9a-f]{24})?)?$")]
Fingerprint = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8,64}$")]
RuleName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_./:-]{0,119}$")]
Line = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]


class OpenFinding(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One finding as far as a later run needs it, to list it again without looking at its file."""

    fingerprint: Fingerprint
    path: Annotated[str, msgspec.Meta(max_length=1024)]
    line: Line
    severity: Severity
    category: Category
    rule: Annotated[str, msgspec.Meta(max_length=120)]
    message: Annotated[str, msgspec.Meta(max_length=400)]
    counts: bool
    """Whether it may fail a check: opinions may not."""


class ReviewMarker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The state after a review.

    ``base`` is the commit where the change left its target branch, ``complete`` whether ``open`` holds everything,
    ``ignored`` the rules that people with write access do not want to hear of on this change, ``tests_wanted`` whether
    they asked for tests, which the next review will write.
    """

    base: Sha
    head: Sha
    target: Annotated[str, msgspec.Meta(max_length=300)]
    complete: bool
    open: Annotated[tuple[OpenFinding, ...], msgspec.Meta(max_length=MAX_OPEN)] = ()
    ignored: Annotated[tuple[RuleName, ...], msgspec.Meta(max_length=MAX_IGNORED)] = ()
    tests_wanted: bool = False


def write_review_marker(marker: ReviewMarker) -> str:
    """The marker as a Markdown comment; what it holds cannot end the comment."""
    if len(marker.open) > MAX_OPEN:
        marker = msgspec.structs.replace(marker, open=marker.open[:MAX_OPEN], complete=False)
    encoded = base64.urlsafe_b64encode(msgspec.json.encode(marker)).decode()
    if len(encoded) > _MAX_ENCODED // 2:
        small = msgspec.structs.replace(marker, open=(), complete=False)
        encoded = base64.urlsafe_b64encode(msgspec.json.encode(small)).decode()
    return f"<!-- kodo:review:v1 {encoded} -->"


def replace_review_marker(body: str, marker: ReviewMarker) -> str:
    """A comment of ours with another state and the same text."""
    return _REVIEW.sub(lambda _: write_review_marker(marker), body, count=1)


def is_review_comment(body: str) -> bool:
    """Whether a comment of ours is the one on the change."""
    return body.startswith("<!-- kodo:review:v1 ")


def read_review_marker(body: str) -> ReviewMarker | None:
    """The marker of our comment on a change; None if it has none that can be read."""
    found = _REVIEW.match(body[: _MAX_ENCODED + 100])
    if found is None:
        return None
    try:
        raw = base64.b64decode(found[1], altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=ReviewMarker)
    except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def finding_marker(fingerprint: str, *, resolved: bool = False) -> str:
    """The marker of a comment on a line."""
    return f"<!-- kodo:{'resolved' if resolved else 'finding'}:v1 {fingerprint} -->"


def read_finding_marker(body: str) -> tuple[str, bool] | None:
    """The fingerprint that a comment of ours on a line is about and whether it is resolved; None if it is not about one."""
    found = _FINDING.match(body)
    return (found[2], found[1] == "resolved") if found else None


def answer_marker(comment: int, ignored: str = "") -> str:
    """The marker of the answer to a command in the comment with that id, of which there is one; ``ignored`` is a rule.

    That a rule is ignored stands in the answer, which nobody writes again, so that no two commands overwrite each other's.
    """
    return f"<!-- kodo:answer:v1 {comment}{' ' if ignored else ''}{ignored} -->"


def is_answer(body: str, comment: int) -> bool:
    """Whether a comment of ours is the answer to that command."""
    found = _ANSWER.match(body)
    return found is not None and int(found[1]) == comment


def read_ignored_rule(body: str) -> str:
    """The rule that an answer of ours says is ignored; empty for any other comment."""
    found = _ANSWER.match(body)
    return (found[2] or "") if found is not None else ""


def named_marker(name: str) -> str:
    """A marker for a comment of which an issue has one, such as ``triage``."""
    return f"<!-- kodo:{name}:v1 -->"


def has_named_marker(body: str, name: str) -> bool:
    """Whether a comment of ours begins with that marker."""
    found = _NAMED.match(body)
    return found is not None and found[1] == name
