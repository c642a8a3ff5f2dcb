"""What a project wants of kodo in its pipeline: ``[tool.kodo.ci]`` of the pyproject.toml on the base branch.

The base branch, so that a change cannot alter the rules it is judged by. An unknown key or a value of the wrong kind
is an error that names it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from kodo.ci.change import Change

Seconds = Annotated[float, msgspec.Meta(gt=0, le=21_600)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=200)]
Choice = Literal["review", "skip"]


class PolicyError(ValueError):
    """``[tool.kodo.ci]`` is wrong; the message names the key."""


class TriagePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tool.kodo.ci.triage]``.

    Attributes:
        min_confidence: a label below this (0 to 1) is not given.
        min_similarity: an issue is named as a possible duplicate from this similarity (0 to 1).
        max_duplicates: how many are named.
        actions: what may be written: ``label``, ``comment``, ``assign``.
        labels: keywords for labels, in addition to the built-in ones: ``{ "ui" = ["button", "画面"] }``.
        exclude_labels: labels that are never given.
        summary: a model may add a summary of the issue to the comment; it chooses nothing. ``max_cost`` bounds it.
    """

    min_confidence: Share = 0.5
    min_similarity: Share = 0.35
    max_duplicates: Count = 3
    actions: tuple[Literal["label", "comment", "assign"], ...] = ("label", "comment")
    labels: dict[str, tuple[str, ...]] = {}
    exclude_labels: tuple[str, ...] = ()
    summary: bool = False


class FixPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tool.kodo.ci.fix]``: what ``/kodo fix`` may do.

    Attributes:
        labels: only an issue or a change with one of these is fixed; empty: every one. ``skip_labels`` forbid it.
        max_attempts: on one issue or change.
        max_open: requests with fixes by kodo that are open at the same time.
        model: ask a model; ``max_cost`` bounds it. Without, only fixes of findings that need none are made.
        seconds, steps: of the agent's work, and answers of the model.
    """

    labels: tuple[str, ...] = ()
    max_attempts: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    max_open: Annotated[int, msgspec.Meta(ge=0, le=50)] = 3
    model: bool = False
    seconds: Seconds = 900.0
    steps: Annotated[int, msgspec.Meta(ge=1, le=200)] = 40


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[tool.kodo.ci]``.

    Attributes:
        drafts, bots: ``review`` or ``skip`` such changes.
        skip_labels: a change with one of these is not reviewed.
        require_labels: only a change with one of these is reviewed; empty: every change.
        fail_on: findings of this severity and above fail the check; ``never``: none does.
        seconds: wall time of the whole review; after it, the review could not be done.
        run_seconds: of these, for running the changed functions in both versions.
        tests: run the project's tests in the sandbox, before and after.
        model: ask a model too (job 1 needs a server for that); ``max_cost`` in US dollars and ``max_requests`` bound it.
        max_comments: comments on lines in one run; the rest is in the one comment on the change.
        lang: of what is written, ``en`` or ``ja``.
        commands: obey ``/kodo`` commands in comments by people who may write to the repository.
        triage, fix: see :class:`TriagePolicy` and :class:`FixPolicy`.
    """

    drafts: Choice = "review"
    bots: Choice = "review"
    skip_labels: tuple[str, ...] = ("no-kodo",)
    require_labels: tuple[str, ...] = ()
    fail_on: Literal["error", "warning", "info", "never"] = "warning"
    seconds: Seconds = 900.0
    run_seconds: Seconds = 60.0
    tests: bool = False
    model: bool = False
    max_cost: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.5
    max_requests: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 40
    max_comments: Count = 20
    lang: Literal["en", "ja"] = "en"
    commands: bool = True
    triage: TriagePolicy = TriagePolicy()
    fix: FixPolicy = FixPolicy()

    def reason_to_skip(self, change: Change) -> str:
        """Why this change is not to be reviewed, in a few words; empty if it is."""
        if change.draft and self.drafts == "skip":
            return "the change is a draft"
        if change.author_is_bot and self.bots == "skip":
            return "the author is a bot"
        labels = set(change.labels)
        if found := labels.intersection(self.skip_labels):
            return f"the change has the label {min(found)}"
        if self.require_labels and not labels.intersection(self.require_labels):
            return f"the change has none of the labels {', '.join(self.require_labels)}"
        return ""


def parse_policy(pyproject: str | None) -> Policy:
    """The policy in the text of a pyproject.toml; the defaults where there is none.

    Raises:
        PolicyError: it is not TOML, a key is unknown, or a value is of the wrong kind or out of range.
    """
    if pyproject is None:
        return Policy()
    try:
        data: object = tomllib.loads(pyproject)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"pyproject.toml: {error}") from error
    for key in ("tool", "kodo", "ci"):
        data = data.get(key, {}) if isinstance(data, Mapping) else {}
    try:
        return msgspec.convert(data, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(_named(str(error))) from error


def _named(error: str) -> str:
    """msgspec's message with the key in front, and the words that it may be."""
    words, _, path = error.partition(" - at `$")
    key = path.strip("`")
    name = key.rpartition(".")[2].partition("[")[0]
    kinds = [
        field.type.item_type if isinstance(field.type, msgspec.inspect.VarTupleType) else field.type
        for struct in (Policy, TriagePolicy, FixPolicy)
        for field in msgspec.inspect.type_info(struct).fields  # type: ignore[attr-defined]  # they are structs
        if field.name == name
    ]
    choices = next((kind.values for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType)), ())
    known = f"; choose from {', '.join(map(str, choices))}" if choices else ""
    return f"tool.kodo.ci{key}: {words}{known}"


def lenient_policy(pyproject: str | None) -> Policy:
    """As :func:`parse_policy`; the defaults for one that is wrong, where another job has failed over it."""
    try:
        return parse_policy(pyproject)
    except PolicyError:
        return Policy()
