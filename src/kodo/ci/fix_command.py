"""``/kodo fix``: whether an attempt may begin. Asked when the command is given, when the job begins, and before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kodo.ci.forge import Comment, Forge, Issue, Pull
from kodo.ci.marker import has_named_marker, read_review_marker
from kodo.ci.policy import Policy
from kodo.ci.publication import ChangeState
from kodo.ci.writes import CreateComment, StartFix, Write
from kodo.client.i18n import Catalogue

FIX = "fix"
"""The marker of the comment that each attempt leaves."""
FIX_BRANCH = "kodo/fix-"
MAX_OPEN_REQUESTS = 300
"""Open requests that are looked through for our branches."""

FIX_WORDS = Catalogue(
    {
        "no_fix_fork": ("this change comes from a fork", "この変更はフォークからのものです"),
        "no_fix_closed": ("it is closed", "クローズ済みです"),
        "no_fix_label": ("it has the label {label}", "ラベル {label} が付いています"),
        "no_fix_unlabelled": (
            "it has none of the labels {labels}",
            "ラベル {labels} のいずれも付いていません",
        ),
        "no_fix_attempts": ("{count} attempts were made already", "すでに {count} 回試みました"),
        "no_fix_open": (
            "{count} requests with fixes by kodo are open already",
            "kodo による修正のリクエストがすでに {count} 件開いています",
        ),
        "no_fix_finding": (
            "name an open finding of this change by its identifier, which its comment shows",
            "コメントに表示されている識別子で、この変更の未解決の指摘を指定してください",
        ),
        "no_fix": ("kodo does not look for a fix: {reason}.", "修正は試みません: {reason}。"),
    }
)


@dataclass(frozen=True, slots=True)
class FixTarget:
    """What is to be fixed: an issue, or a finding on a change."""

    labels: tuple[str, ...]
    is_open: bool
    fork: bool
    comments: tuple[Comment, ...]

    @classmethod
    def of_issue(cls, issue: Issue, comments: Sequence[Comment]) -> FixTarget:
        """An issue, by what its text says."""
        return cls(issue.labels, issue.is_open, False, tuple(comments))

    @classmethod
    def of_change(cls, pull: Pull, comments: Sequence[Comment]) -> FixTarget:
        """A change, by one of its findings."""
        return cls(pull.labels, pull.is_open, pull.fork, tuple(comments))


def why_not(forge: Forge, target: FixTarget, policy: Policy, own: str = "") -> str:
    """Why no attempt may begin, in a few words; empty if one may. Raises ForgeError.

    ``own`` is the branch of the attempt itself, which may be open already where an answer was lost.
    """
    lang, wanted = policy.lang, policy.fix
    if target.fork:
        return FIX_WORDS.say(lang, "no_fix_fork")
    if not target.is_open:
        return FIX_WORDS.say(lang, "no_fix_closed")
    labels = set(target.labels)
    if found := labels.intersection(policy.skip_labels):
        return FIX_WORDS.say(lang, "no_fix_label", label=min(found))
    if wanted.labels and not labels.intersection(wanted.labels):
        return FIX_WORDS.say(lang, "no_fix_unlabelled", labels=", ".join(wanted.labels))
    attempts = sum(1 for item in target.comments if item.is_ours and has_named_marker(item.body, FIX))
    if attempts >= wanted.max_attempts:
        return FIX_WORDS.say(lang, "no_fix_attempts", count=attempts)
    branches = forge.own_branches(MAX_OPEN_REQUESTS)
    count = sum(1 for branch in branches if branch.startswith(FIX_BRANCH) and branch != own)
    if count >= wanted.max_open:
        return FIX_WORDS.say(lang, "no_fix_open", count=count)
    return ""


def plan_fix_of_issue(
    forge: Forge, issue: Issue, comments: Sequence[Comment], policy: Policy
) -> tuple[Write, ...]:
    """The writes for the command on an issue. Raises ForgeError."""
    reason = why_not(forge, FixTarget.of_issue(issue, comments), policy)
    if reason:
        return (_refusal(issue.number, policy, reason, on_issue=True),)
    return (StartFix(issue.number),)


def plan_fix_of_finding(forge: Forge, state: ChangeState, finding: str) -> tuple[Write, ...]:
    """The writes for the command on a change. Raises ForgeError."""
    pull, policy = state.pull, state.policy
    reason = why_not(forge, FixTarget.of_change(pull, state.comments), policy)
    if not reason and full_fingerprint(state.comments, finding) is None:
        reason = FIX_WORDS.say(policy.lang, "no_fix_finding")
    if reason:
        return (_refusal(pull.number, policy, reason),)
    return (StartFix(pull.number, finding),)


def full_fingerprint(comments: Sequence[Comment], finding: str) -> str | None:
    """The fingerprint of the one open finding that begins so, by our comment on the change."""
    if not finding:
        return None
    for item in comments:
        marker = read_review_marker(item.body) if item.is_ours else None
        if marker is not None:
            found = {one.fingerprint for one in marker.open if one.fingerprint.startswith(finding)}
            return found.pop() if len(found) == 1 else None
    return None


def _refusal(number: int, policy: Policy, reason: str, *, on_issue: bool = False) -> Write:
    return CreateComment(number, FIX_WORDS.say(policy.lang, "no_fix", reason=reason) + "\n", on_issue)
