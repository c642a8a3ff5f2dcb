"""``/kodo`` commands in comments on a change: from people who may write to the repository, as the forge says when asked.

A command is the whole first line of a comment; nothing else of the comment is read. What a command can do is a closed list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from kodo.ci.fix_command import plan_fix_of_finding, plan_fix_of_issue
from kodo.ci.forge import Forge, PermissionLevel, Pull
from kodo.ci.marker import MAX_IGNORED, replace_review_marker
from kodo.ci.policy import lenient_policy
from kodo.ci.publication import ChangeState, read_state
from kodo.ci.writes import CreateComment, RunReview, UpdateComment, Write
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


def obey(
    forge: Forge, number: int, account: str, body: str, *, dry_run: bool = False, on_issue: bool = False
) -> tuple[Write, ...] | None:
    """Carry out the command of a comment; returns what was (or would be) written, None where it was not obeyed.

    It is not obeyed where the comment is no command (on an issue: another one than ``fix``), the base's policy does not want
    commands, or the forge does not say that the account may write. Raises ForgeError.
    """
    command = parse_command(body)
    if command is None or (on_issue and command != CommentCommand(Verb.FIX)):
        return None
    if forge.permission(account) is not PermissionLevel.WRITE:
        return None
    writes = _on_issue(forge, number) if on_issue else _on_change(forge, number, command)
    if not dry_run:
        for write in writes or ():
            forge.write(write)
    return writes


def _on_issue(forge: Forge, number: int) -> tuple[Write, ...] | None:
    policy = lenient_policy(forge.file_at("pyproject.toml", ""))
    return plan_fix_of_issue(forge, forge.issue(number), policy) if policy.commands else None


def _on_change(forge: Forge, number: int, command: CommentCommand) -> tuple[Write, ...] | None:
    state = read_state(forge, number)
    if not state.policy.commands or not state.pull.is_open:
        return None
    if command.verb is Verb.FIX:
        return plan_fix_of_finding(forge, state, command.finding)
    return plan_command(state, command)


def plan_command(state: ChangeState, command: CommentCommand) -> tuple[Write, ...]:
    """The writes of a command that is no ``fix``."""
    if command.verb is Verb.REVIEW:
        return (_again(state.pull),)
    lang, number = state.policy.lang, state.pull.number
    sticky, marker = state.sticky, state.marker
    if sticky is None or marker is None:
        return (CreateComment(number, WORDS.say(lang, "no_review") + "\n"),)
    if command.verb is Verb.TESTS:
        body = replace_review_marker(sticky.body, msgspec.structs.replace(marker, tests_wanted=True))
        return (UpdateComment(number, sticky.id, body), _again(state.pull))
    rules = tuple(dict.fromkeys((*marker.ignored, command.rule)))
    if len(rules) > MAX_IGNORED:
        return (CreateComment(number, WORDS.say(lang, "full") + "\n"),)
    body = replace_review_marker(sticky.body, msgspec.structs.replace(marker, ignored=rules))
    answer = WORDS.say(lang, "ignoring", rule=code_span(command.rule)) + "\n"
    return (UpdateComment(number, sticky.id, body), CreateComment(number, answer), _again(state.pull))


def _again(pull: Pull) -> RunReview:
    return RunReview(pull.number, pull.head_sha)
