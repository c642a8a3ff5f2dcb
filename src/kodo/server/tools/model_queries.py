"""What a model's call searches for. Small models write queries that have no word of the question; the question helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kodo.server.lifecycle.hosted.ports import HostedCall
from kodo.server.lifecycle.hosted.quotes import MAX_QUESTION_CHARS, last_question
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.wire.foreign_json import NotJson, read_json

MAX_QUERIES: Final = 8
MAX_QUERY_CHARS: Final = MAX_QUESTION_CHARS


def arguments_of(call: HostedCall) -> dict[str, object]:
    """The call's arguments; none where they are no JSON object."""
    try:
        value = read_json(call.arguments or "{}")
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def texts(value: object) -> list[str]:
    """The texts of an argument that is a text or a list of them, each once."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    found = [one.strip()[:MAX_QUERY_CHARS] for one in listed if isinstance(one, str) and one.strip()]
    return list(dict.fromkeys(found))[:MAX_QUERIES]


def joined_by_question(queries: list[str], items: Sequence[ContextItem]) -> list[str]:
    """The model's queries; and the user's own words, where those have none of them, or are a smaller part of them."""
    question = last_question(items)
    asked, sought = set(query_terms(question)), {term for one in queries for term in query_terms(one)}
    is_scrap = sought <= asked and 2 * len(sought) < len(asked)
    if question and (is_scrap or not asked & sought):
        return [*queries[: MAX_QUERIES - 1], question]
    return queries
