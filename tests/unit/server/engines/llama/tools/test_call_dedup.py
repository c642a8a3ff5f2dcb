"""Repeated calls in one turn."""

from __future__ import annotations

from kodo.server.engines.llama.tools.call_dedup import CallDedup


def test_a_further_call_says_something_new() -> None:
    """Never the same twice, whatever its spaces; a small model's takes up what was asked, and was not yet."""
    free = CallDedup(None)
    assert [free.add("f", text) for text in ('{"a": 1}', '{"a":1}', '{"a": 2}')] == [True, False, True]
    assert free.add("g", '{"a": 1}')
    asked = CallDedup("The weather in Paris, Tokyo and 東京の天気?")
    said = [
        ("Oslo", True),
        ("Rome", False),
        ("tokyo", True),
        ("Paris", True),
        ("paris", False),
        ("Par", False),
    ]
    assert [asked.add("f", f'{{"city": "{city}", "days": 3}}') for city, _ in said] == [
        new for _, new in said
    ]
    assert asked.add("f", '{"city": "東京"}')
    assert not asked.add("f", '{"city": "東京", "unit"')
