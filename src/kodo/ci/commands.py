"""``/kodo`` commands in comments on a change: from people who may write to the repository, as the forge says when asked.

A command is the whole first line of a comment; nothing else of the comment is read. What a command can do is a closed list.
An answer carries the id of the comment it answers, so that obeying the same comment again answers it once, and the rule
that is to be ignored, so that commands at the same time do not overwrite each other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from kodo.ci.environment import CommentEvent
from kodo.ci.fix_command import plan_fix_of_finding, plan_fix_of_issue
from kodo.ci.forge import Comment, Forge, PermissionLevel, Pull
from kodo.ci.marker import MAX_IGNORED, answer_marker, is_answer, replace_review_marker
from kodo.ci.policy import lenient_policy
from kodo.ci.publication import ChangeState, read_state
from kodo.ci.writes import CreateComment, RunReview, StartFix, UpdateComment, Write
from kodo.client.i18n import Catalogue
from kodo.jobs.report.markdown import code_span

WORDS = Catalogue(
    {
        "ignoring": (
            "Findings of {rule} are ignored on this change from the next review on.",
            "次回のレビューから、この変更では {rule} の指摘を無視します。",
        ),
        "no_review": (
            "There is no review on this change yet.",
            "この変更にはまだレビューがありません。",
        ),
        "full": ("Too many rules are ignored already.", "無視するルールが多すぎます。"),
    }
)
_COMMAND = re.compile(
    r"/kodo[ \t]+(?:(review|tests)|(ignore)[ \t]+([A-Za-z][A-Za-z0-9_./:-]{0,119})|(fix)(?:[ \t]+([0-9a-f]{8,64}))?)[ \t]*"
)


class Verb(StrEnum):
    """What a command does."""

    REVIEW = "review"
    TESTS = "tests"
    IGNORE = "ignore"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class CommentCommand:
    """A command; ``rule`` is that of ``ignore``, ``finding`` the beginning of a fingerprint, that of ``fix``; else empty."""

    verb: Verb
    rule: str = ""
    finding: str = ""


def parse_command(body: str) -> CommentCommand | None:
    """The command on the first line of a comment; None where that is anything else."""
    found = _COMMAND.fullmatch(body.split("\n", 1)[0].removesuffix("\r"))
    if found is None:
        return None
    return CommentCommand(Verb(found[1] or found[2] or found[4]), found[3] or "", found[5] or "")


def obey(forge: Forge, comment: CommentEvent, *, dry_run: bool = False) -> tuple[Write, ...] | None:
    """Carry out the command of a comment; returns what was (or would be) written, None where it was not obeyed.

    It is not obeyed where the comment is no command (on an issue: another one than ``fix``), the base's policy does not want
    commands, or the forge does not say that the account may write. Raises ForgeError.
    """
    command = parse_command(comment.body)
    if command is None or (comment.on_issue and command != CommentCommand(Verb.FIX)):
        return None
    if forge.permission(comment.account) is not PermissionLevel.WRITE:
        return None
    planned = _on_issue(forge, comment) if comment.on_issue else _on_change(forge, comment, command)
    if not dry_run:
        for write in planned or ():
            forge.write(write)
    return planned


def _on_issue(forge: Forge, comment: CommentEvent) -> tuple[Write, ...] | None:
    policy = lenient_policy(forge.file_at("pyproject.toml", ""))
    if not policy.commands:
        return None
    comments = forge.comments(comment.number, on_issue=True)
    planned = plan_fix_of_issue(forge, forge.issue(comment.number), comments, policy)
    return tuple(_left_to_do(planned, comment, comments, ""))


def _on_change(forge: Forge, comment: CommentEvent, command: CommentCommand) -> tuple[Write, ...] | None:
    state = read_state(forge, comment.number)
    if not state.policy.commands or not state.pull.is_open:
        return None
    if command.verb is Verb.FIX:
        planned = plan_fix_of_finding(forge, state, command.finding)
    else:
        planned = plan_command(state, command)
    is_ignored = any(isinstance(write, RunReview) for write in planned)
    return tuple(_left_to_do(planned, comment, state.comments, command.rule if is_ignored else ""))


def _left_to_do(
    planned: Iterable[Write], comment: CommentEvent, comments: Iterable[Comment], ignored: str
) -> Iterator[Write]:
    """The writes under the command's name, without what an earlier attempt at the same command did."""
    ours = {item.id: item.body for item in comments if item.is_ours}
    marker = answer_marker(comment.id, ignored)
    is_answered = any(is_answer(body, comment.id) for body in ours.values())
    for write in planned:
        match write:
            case CreateComment():
                if not is_answered:
                    yield msgspec.structs.replace(write, body=f"{marker}\n{write.body}")
            case UpdateComment():
                if ours.get(write.comment, "").strip() != write.body.strip():
                    yield write
            case StartFix():
                yield msgspec.structs.replace(write, command=comment.id)
            case _:
                yield write


def plan_command(state: ChangeState, command: CommentCommand) -> tuple[Write, ...]:
    """The writes of a command that is no ``fix``."""
    if command.verb is Verb.REVIEW:
        return (_again(state.pull),)
    lang, number = state.policy.lang, state.pull.number
    marker = state.marker
    if state.sticky is None or marker is None:
        return (CreateComment(number, WORDS.say(lang, "no_review") + "\n"),)
    if command.verb is Verb.TESTS:
        body = replace_review_marker(state.sticky.body, msgspec.structs.replace(marker, tests_wanted=True))
        return (UpdateComment(number, state.sticky.id, body), _again(state.pull))
    if command.rule not in state.ignored and len(state.ignored) >= MAX_IGNORED:
        return (CreateComment(number, WORDS.say(lang, "full") + "\n"),)
    answer = WORDS.say(lang, "ignoring", rule=code_span(command.rule)) + "\n"
    return (CreateComment(number, answer), _again(state.pull))


def _again(pull: Pull) -> RunReview:
    return RunReview(pull.number, pull.head_sha)
