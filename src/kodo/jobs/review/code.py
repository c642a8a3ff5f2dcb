"""``review_code``: a piece of code in, a review as text out."""

from __future__ import annotations

from kodo.client.session import Session
from kodo.jobs.report import markdown
from kodo.jobs.review.job import review
from kodo.jobs.review.languages import suffix_of
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.source import TextSource


def review_code(
    code: str,
    language: str = "python",
    *,
    session: Session | None = None,
    options: ReviewOptions | None = None,
) -> str:
    """Review a piece of code; returns the report as Markdown. Every finding states its evidence.

    Args:
        code: the code, all of it under review.
        language: its language, by any usual name; the report says so where kodo has no analyser for it.
        session: the way to a model, whose remarks are added; default: no model is asked.
        options: see :class:`~kodo.jobs.review.options.ReviewOptions`; its ``lang`` is that of the messages.
    """
    source = TextSource(code, f"code{suffix_of(language)}")
    return markdown.render(review(source, options or ReviewOptions(), session))
