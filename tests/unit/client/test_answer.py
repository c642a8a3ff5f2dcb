"""Reading a response: whatever a server sends with status 200 is an answer or one clear error."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.responses import Response

from kodo.client.answer import ensure_response, field_of, text_of
from kodo.client.errors import MalformedAnswerError
from kodo.client.usage import Usage

WHOLE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "one ", "annotations": []},
                {"type": "refusal", "refusal": "no"},
                {"type": "output_text", "text": "two", "annotations": []},
            ],
        },
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2},
    "error": None,
    "incomplete_details": None,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def built(body: object) -> object:
    """The body as the SDK builds it: without validating."""
    return construct_type(value=body, type_=Response)


def test_the_text_is_all_text_parts() -> None:
    """Reasoning and refusals are not text."""
    assert text_of(ensure_response(built(WHOLE))) == "one two"


@pytest.mark.parametrize(
    "body", [{}, [], "text", None, 3, {"id": "resp_1"}, {**WHOLE, "output": None}, {**WHOLE, "id": 5}]
)
def test_what_is_no_response_is_refused(body: object) -> None:
    """Without an id, a status and a list of output there is nothing to go on."""
    with pytest.raises(MalformedAnswerError):
        ensure_response(built(body))


PATHS: list[tuple[Any, ...]] = [
    ("output", 0),
    ("output", 1),
    ("output", 1, "content"),
    ("output", 1, "content", 0),
    ("output", 1, "content", 0, "text"),
    ("usage",),
    ("usage", "input_tokens"),
    ("usage", "input_tokens_details"),
    ("error",),
    ("incomplete_details",),
    ("status",),
    ("model",),
]


@given(path=st.sampled_from(PATHS), value=JSON)
def test_a_wrong_part_never_breaks_the_reading(path: tuple[Any, ...], value: object) -> None:
    """Any JSON in the place of any part gives an answer or a MalformedAnswerError, never another exception."""
    body = copy.deepcopy(WHOLE)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    try:
        raw = ensure_response(built(body))
    except MalformedAnswerError:
        return
    assert isinstance(text_of(raw), str)
    usage = Usage.from_wire(raw.usage)
    assert usage is None or usage.total_tokens >= 0
    for part, name in ((raw.error, "message"), (raw.error, "code"), (raw.incomplete_details, "reason")):
        assert isinstance(field_of(part, name), str | None)
