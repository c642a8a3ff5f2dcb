"""Plans: the body, its bounds, and the guess at its tokens."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.prices import Cost
from kodo.client.request_plan import (
    TEMPLATE_TOKENS,
    Plan,
    build_body,
    count_body,
    guess_tokens,
    input_bound,
    sdk_arguments,
    texts,
)


def body(prompt: object, **options: object) -> dict[str, object]:
    return build_body(prompt, options, model="m", masking=True)[0]  # type: ignore[arg-type]


@given(st.text(min_size=1), st.text())
def test_no_tokenizer_can_pass_the_bound(text: str, instructions: str) -> None:
    """The bound is at least the UTF-8 bytes of all text, and a token is at least one byte."""
    made = body(text, instructions=instructions)
    assert input_bound(made) >= len(text.encode()) + len(instructions.encode()) + TEMPLATE_TOKENS
    assert input_bound(made, 1000) == input_bound(made) + 1000


@given(st.text())
def test_a_guess_is_between_nothing_and_the_bytes(text: str) -> None:
    """The guess is never negative, 0 only for nothing, and never above the bound of bytes by more than one."""
    guess = guess_tokens(text)
    assert (guess == 0) == (text == "")
    assert guess <= len(text.encode()) + 1


def test_the_guess_is_within_a_third_of_measured_counts() -> None:
    """Against what SmolLM2's tokenizer makes of English and of Python."""
    measured = {
        "The quick brown fox jumps over the lazy dog. " * 20: 201,
        "def add(a: int, b: int) -> int:\n    return a + b\n" * 20: 400,
    }
    for text, counted in measured.items():
        assert abs(guess_tokens(text) - counted) <= counted / 3, text[:20]


def test_nothing_to_say_is_an_error() -> None:
    """An empty input is refused and named."""
    with pytest.raises(ValueError, match="input"):
        body("")


def test_options_that_are_none_are_not_sent() -> None:
    """None means not given."""
    assert body("hi", temperature=None, model=None) == {"model": "m", "input": "hi"}
    assert body("hi", temperature=0)["temperature"] == 0


def test_a_format_that_is_complete_is_sent_as_it_is() -> None:
    """A json_object format, or a whole json_schema one, is not wrapped again."""
    assert body("hi", text_format={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}


def test_what_the_sdk_does_not_name_goes_as_extra() -> None:
    """Known fields are arguments of responses.create, others are extra_body."""
    sent = {"model": "m", "input": "hi", "other": 1, "new_field": 2}
    free = Cost(Decimal(0), None)
    plan = Plan(sent, "m", "", 1.0, (), 0, None, free)
    assert sdk_arguments(plan) == {"model": "m", "input": "hi", "extra_body": {"other": 1, "new_field": 2}}
    keyed = replace(plan, body={"model": "m", "input": "hi"}, idempotency_key="k")
    assert sdk_arguments(keyed)["extra_headers"] == {"Idempotency-Key": "k"}


def test_only_what_is_counted_is_sent_to_be_counted() -> None:
    """Sampling and storage do not go to input_tokens."""
    assert count_body({"model": "m", "input": "x", "temperature": 1, "store": True}) == {
        "model": "m",
        "input": "x",
    }


def test_texts_are_found_at_any_depth() -> None:
    """Every string of an input counts."""
    items = [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]
    assert sorted(texts(items)) == ["a", "input_text", "user"]


def test_bodies_are_plain_json(tmp_path: Path) -> None:
    """What is built can be encoded as it is."""
    made = body(
        [{"role": "user", "content": "x"}], tools=[{"type": "function", "name": "f"}], metadata={"a": "b"}
    )
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
