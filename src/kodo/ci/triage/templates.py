"""What an issue leaves out that the repository's template asks for: issue forms (YAML) and Markdown templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

FOLDER = ".github/ISSUE_TEMPLATE"
_STEMS = ("bug_report", "bug", "bug-report", "feature_request", "feature", "feature-request", "question")
NAMES = (
    *(f"{FOLDER}/{name}.{ending}" for name in _STEMS for ending in ("yml", "yaml", "md")),
    ".github/ISSUE_TEMPLATE.md",
)
"""Where templates are looked for."""
MAX_TEMPLATE_CHARACTERS = 100_000
_HEADING = re.compile(r"^#{2,4}\s+(.+?)\s*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EMPTY = frozenset({"", "_no response_", "n/a", "none", "-", "..."})


@dataclass(frozen=True, slots=True)
class IssueTemplate:
    """The headings of a template; ``required`` are those that must have something under them."""

    path: str
    headings: tuple[str, ...]
    required: tuple[str, ...]


def parse_template(path: str, text: str) -> IssueTemplate | None:
    """A template; None for a file that is none. Of a Markdown template, every heading is required."""
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        return None
    if path.endswith(".md"):
        headings = tuple(_HEADING.findall(_COMMENT.sub("", text)))
        return IssueTemplate(path, headings, headings) if headings else None
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    fields = data.get("body") if isinstance(data, Mapping) else None
    headings_, required = [], []
    for field in fields if isinstance(fields, list) else ():
        label = _label(field)
        if label:
            headings_.append(label)
            validations = field.get("validations")
            if isinstance(validations, Mapping) and validations.get("required") is True:
                required.append(label)
    return IssueTemplate(path, tuple(headings_), tuple(required)) if headings_ else None


def missing_information(body: str, templates: list[IssueTemplate]) -> tuple[str, ...]:
    """The required headings of the template that the issue was written with, under which nothing stands.

    Empty where the issue shares no heading with any template: nobody can say then which one was meant.
    """
    sections = _sections(body)
    used = max(templates, key=lambda one: len(sections.keys() & _keys(one.headings)), default=None)
    if used is None or not sections.keys() & _keys(used.headings):
        return ()
    return tuple(name for name in used.required if sections.get(_key(name), "") in _EMPTY)


def _label(field: object) -> str:
    attributes = field.get("attributes") if isinstance(field, Mapping) else None
    label = attributes.get("label") if isinstance(attributes, Mapping) else None
    kind = field.get("type") if isinstance(field, Mapping) else None
    return label if isinstance(label, str) and kind != "markdown" and len(label) < 200 else ""


def _sections(body: str) -> dict[str, str]:
    """The headings of a body, and what stands under each, in small letters."""
    parts = _HEADING.split(_COMMENT.sub("", body[:MAX_TEMPLATE_CHARACTERS]))
    return {_key(name): text.strip().lower() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _keys(names: tuple[str, ...]) -> set[str]:
    return {_key(name) for name in names}


def _key(name: str) -> str:
    return " ".join(name.lower().split()).rstrip(":：?？*")
