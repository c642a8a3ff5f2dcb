"""The words of findings in the reader's language.

English is what the checks and analysers say themselves. Japanese comes from ``messages_ja.toml``, by rule; a rule
without an entry (most of ruff's are self-explaining code names) keeps its English words after the class.
"""

from functools import cache

from kodo.client.phrases import read_table
from kodo.jobs.report.reasons import in_lang
from kodo.jobs.report.words import word
from kodo.jobs.review.behaviour_remarks import CONTRADICTS
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import rules


@cache
def japanese() -> dict[str, str]:
    """Rule to message, ``{0}`` and so on standing for the candidate's values."""
    return read_table("kodo.jobs.review", "messages_ja.toml")


def localised(candidate: Candidate, lang: str) -> str:
    """The candidate's message in ``lang`` (``en`` or ``ja``)."""
    if lang != "ja":
        return candidate.message
    own = rules().get(candidate.rule)
    template = own.ja if own else japanese().get(candidate.rule)
    if template is None:
        return f"{word(candidate.category, lang)}: {candidate.message}"
    values = candidate.values
    if candidate.rule == CONTRADICTS:
        values = (*values[:-1], in_lang(values[-1], lang))
    return template.format(*values) if values else template
