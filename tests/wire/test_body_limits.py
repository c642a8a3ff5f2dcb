"""What a body may be made of: its values are counted before anything dear is done with them."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.server.wire import decode

TEXTS = st.text(st.sampled_from(list('[]{}:,"\\é a')), max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Twelve values are enough to count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "MAX_VALUES", 12)
        yield


def _count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) + sum(_count(part) for part in inner)


@given(st.dictionaries(TEXTS, VALUES, max_size=6), st.booleans())
def test_a_body_with_too_many_values_is_refused_and_no_other(body: dict[str, Any], escaped: bool) -> None:
    """Whatever stands in its texts and keys: brackets, quotes and backslashes there count as nothing."""
    data = json.dumps(body, ensure_ascii=escaped).encode()
    if _count(body) <= 12:
        assert decode.json_object(data) == body
        return
    with pytest.raises(decode.BadBody, match="more than 12 values") as caught:
        decode.json_object(data)
    assert (caught.value.param, caught.value.code) == (None, "invalid_json")


@pytest.mark.parametrize("end", [b'"', b"\\", b'\\"', b""])
def test_a_text_that_does_not_end_is_no_json(end: bytes) -> None:
    """Not too many values: what it holds is text."""
    with pytest.raises(decode.BadBody, match="not valid JSON"):
        decode.json_object(b'{"a": "' + b'[{\\":' * 100 + end)


@pytest.mark.parametrize("body", [b'{"a": 1}', b"{", b"[]", b'{"a": [' + b"[]," * 20 + b"[]]}"])
def test_the_garbage_collector_runs_afterwards(body: bytes) -> None:
    """Whether the body was taken or not."""
    with contextlib.suppress(decode.BadBody):
        decode.json_object(body)
    assert gc.isenabled()
