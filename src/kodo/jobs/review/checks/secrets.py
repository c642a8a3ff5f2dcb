"""Credentials in any kind of text: formats that mean one thing only, never a guess from entropy alone."""

import re
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate, Subject
from kodo.jobs.review.checks.catalogue import report_line
from kodo.jobs.review.languages import is_test

_FORMATS = (
    ("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")),
    ("GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b")),
    ("GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}\b")),
    ("Slack token", re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{20,}\b")),
    ("OpenAI key", re.compile(r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}\b")),
    ("Stripe key", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16,}\b")),
    ("Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("private key", re.compile(r"-----BEGIN (?:RSA |EC |OPENSSH |DSA |PGP )?PRIVATE KEY(?: BLOCK)?-----")),
    (
        "password in a URL",
        re.compile(r"\b[a-z][a-z0-9+.-]+://[^\s:/@'\"{}$<>]+:[^\s:/@'\"{}$<>*]{3,}@[\w.-]+"),
    ),
)
_ASSIGNED = re.compile(
    r"""(?ix) (?<![\w.]) ['"]?( (?:[\w-]*[_-])? (?:api_?key|secret(?:_?key)?|client_?secret|access_?token|auth_?token|passw(?:or)?d|private_?key) )['"]?
    \s*[:=]\s* (['"])([^'"\s]{8,})\2"""
)
_PLACEHOLDER = re.compile(
    r"(?i)example|secret@|%|user:pass|change|your|dummy|placeholder|xxx|\*\*\*|<.*>|\$\{|\{\{|%\(|test|fake|sample|redacted|insert|todo|none|null|localhost|password|process\.env|getenv"
)


def run(subject: Subject) -> Iterator[Candidate]:
    """A candidate for each line that holds a credential; a line is reported once. Tests may hold made-up ones."""
    if is_test(subject.path):
        return
    python = subject.language == "python"  # ruff's S105 to S107 look at names there
    for number, line in enumerate(subject.text.split("\n"), 1):
        if len(line) > 2000:
            continue
        for what, pattern in _FORMATS:
            match = pattern.search(line)
            if match and not _PLACEHOLDER.search(match[0]):
                yield report_line(number, "credential", what, column=match.start() + 1)
                break
        else:
            assigned = None if python else _ASSIGNED.search(line)
            if assigned and not _PLACEHOLDER.search(assigned[3]) and _mixed(assigned[3]):
                yield report_line(number, "credential", assigned[1], column=assigned.start(1) + 1)


def _mixed(value: str) -> bool:
    """Whether a value looks like a secret and not like a word or a path."""
    return bool(re.search(r"\d", value) and re.search(r"[A-Za-z]", value)) and "/" not in value[:2]
