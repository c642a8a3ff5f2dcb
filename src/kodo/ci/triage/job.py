"""Triage of one issue: read what the repository knows, judge, and plan the allowed writes.

``judge`` and ``plan`` are pure. What a text orders changes nothing: labels come from the repository's own list by the words that describe the
issue, and every write is of a kind that the policy allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kodo.ci.forge import Comment, Forge, Issue
from kodo.ci.marker import has_named_marker, named_marker
from kodo.ci.policy import Policy, parse_policy
from kodo.ci.triage import owners, templates
from kodo.ci.triage.duplicates import Duplicate, DuplicateFinder
from kodo.ci.triage.labels import LabelChoice, LabelClassifier
from kodo.ci.triage.severity import severity_words
from kodo.ci.triage.templates import IssueTemplate
from kodo.ci.writes import AddLabels, Assign, CreateComment, UpdateComment, Write
from kodo.client.i18n import Catalogue
from kodo.jobs.report.markdown import code_span, escaped
from kodo.jobs.report.visible import one_line

MAX_ISSUES = 1_000
"""Issues of the repository that are read."""
MARKER = "triage"

WORDS = Catalogue(
    {
        "duplicates": ("Possibly the same as:", "類似している可能性のある issue:"),
        "similarity": ("similarity {score:.2f}", "類似度 {score:.2f}"),
        "missing": (
            "The template asks for more; please add: {names}",
            "テンプレートの必須項目が未記入です。追記してください: {names}",
        ),
        "severity": ("Words on severity: {words}", "重大度に関する語: {words}"),
        "summary": ("Summary by a model, not checked: {text}", "モデルによる要約（未確認）: {text}"),
        "footer": (
            "written by kodo from word statistics, without a model; nothing was closed",
            "kodo が語の統計のみで作成しました（モデルは不使用）。issue はクローズしていません",
        ),
        "footer_model": (
            "written by kodo; all but the summary is from word statistics, without a model; nothing was closed",
            "kodo が作成しました。要約以外は語の統計のみによるものです（モデルは不使用）。issue はクローズしていません",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a repository knows: its labels, issues, templates and owners."""

    labels: Sequence[str]
    issues: Sequence[Issue]
    templates: Sequence[IssueTemplate] = ()
    codeowners: str = ""


@dataclass(frozen=True, slots=True)
class Triage:
    """The judgement of one issue. ``label`` is None below the threshold: then nobody can tell, and a person decides."""

    label: LabelChoice | None
    considered: LabelChoice | None
    duplicates: tuple[Duplicate, ...]
    missing: tuple[str, ...]
    severity: str
    severity_words: tuple[str, ...]
    owners: tuple[str, ...]
    summary: str = ""
    """Markdown of one line, by a model; it moves nothing else here."""


Summarise = Callable[[Issue, Policy], str]


def triage_issue(
    forge: Forge, number: int, *, dry_run: bool = False, summarise: Summarise | None = None
) -> tuple[Triage, tuple[Write, ...]]:
    """Triage an issue; returns the judgement and what was (or would be) written. Raises ForgeError, PolicyError.

    ``summarise`` asks a model about an issue, and gives an empty text where it has nothing to say or the policy wants none.
    It is asked last, about an issue that gets a comment only for it too.
    """
    issue = forge.issue(number)
    policy = parse_policy(forge.file_at("pyproject.toml", ""))
    knowledge = learn(forge)
    judged = judge(issue, knowledge, policy)
    if summarise is not None and issue.is_open and "comment" in policy.triage.actions:
        judged = replace(judged, summary=summarise(issue, policy))
    writes = plan(issue, judged, policy, forge.comments(number, on_issue=True)) if issue.is_open else ()
    if not dry_run:
        for write in writes:
            forge.write(write)
    return judged, writes


def learn(forge: Forge) -> Knowledge:
    """Read what the repository knows. Raises ForgeError."""
    found = [
        made
        for path in templates.NAMES
        if (text := forge.file_at(path, "")) is not None
        and (made := templates.parse_template(path, text)) is not None
    ]
    texts = (forge.file_at(path, "") for path in owners.FILES)
    codeowners = next((text for text in texts if text is not None), "")
    return Knowledge(forge.labels(), list(forge.issues(MAX_ISSUES)), found, codeowners)


def judge(issue: Issue, knowledge: Knowledge, policy: Policy) -> Triage:
    """What can be said of an issue."""
    wanted = policy.triage
    classifier = LabelClassifier(knowledge.labels, knowledge.issues, wanted.labels, wanted.exclude_labels)
    choice = classifier.choose(issue)
    sure = choice is not None and choice.confidence >= wanted.min_confidence
    finder = DuplicateFinder(knowledge.issues)
    level, words = severity_words(f"{issue.title}\n{issue.body}")
    return Triage(
        label=choice if sure else None,
        considered=choice,
        duplicates=tuple(finder.similar(issue, wanted.max_duplicates, wanted.min_similarity)),
        missing=templates.missing_information(issue.body, list(knowledge.templates)),
        severity=level,
        severity_words=words,
        owners=owners.owners_of(issue.body, knowledge.codeowners),
    )


def plan(issue: Issue, judged: Triage, policy: Policy, comments: Sequence[Comment] = ()) -> tuple[Write, ...]:
    """The writes that the policy allows: at most a label, an assignment and one comment, which is updated."""
    allowed = policy.triage.actions
    writes: list[Write] = []
    if "label" in allowed and judged.label is not None and judged.label.label not in issue.labels:
        writes.append(AddLabels(issue.number, (judged.label.label,)))
    if "assign" in allowed and judged.owners:
        writes.append(Assign(issue.number, judged.owners))
    body = render(judged, policy)
    if "comment" in allowed and body:
        ours = next((item for item in comments if item.is_ours and has_named_marker(item.body, MARKER)), None)
        if ours is None:
            writes.append(CreateComment(issue.number, body, on_issue=True))
        elif ours.body.strip() != body.strip():
            writes.append(UpdateComment(issue.number, ours.id, body, on_issue=True))
    return tuple(writes)


def render(judged: Triage, policy: Policy) -> str:
    """The comment; empty where there is nothing that the author should know."""
    lang = policy.lang
    lines: list[str] = []
    if judged.summary:
        lines += [WORDS.say(lang, "summary", text=judged.summary), ""]
    if judged.duplicates:
        lines += [WORDS.say(lang, "duplicates"), ""]
        for item in judged.duplicates:
            score = WORDS.say(lang, "similarity", score=item.similarity)
            lines.append(f"- #{item.number} {escaped(one_line(item.title))[:200]} ({score})")
        lines.append("")
    if judged.missing:
        names = ", ".join(code_span(one_line(name)) for name in judged.missing)
        lines += [WORDS.say(lang, "missing", names=names), ""]
    if judged.severity == "high" and lines:
        words = ", ".join(code_span(word) for word in judged.severity_words[:5])
        lines += [WORDS.say(lang, "severity", words=words), ""]
    if not lines:
        return ""
    footer = WORDS.say(lang, "footer_model" if judged.summary else "footer")
    return "\n".join([named_marker(MARKER), *lines, f"<sub>{footer}</sub>"]) + "\n"
