"""The value of a literal: what is none is refused in one way, whatever Python says of it."""

from __future__ import annotations

import ast

import pytest

from kodo.jobs.execution.worker.literal_value import NoLiteral, is_literal, literal_value


@pytest.mark.parametrize(
    "source", ["1", "-2.5", "'a'", "b'a'", "None", "True", "...", "[1, {'a': (2,)}]", "{1, 2}", "1+2j"]
)
def test_a_literal_has_its_value(source: str) -> None:
    """As a text, and as an expression that was read."""
    assert literal_value(source) == eval(source) == literal_value(ast.parse(source, mode="eval").body)
    assert is_literal(source)


@pytest.mark.parametrize(
    "source",
    [
        "f(1)",
        "a",
        "1 +",
        "",
        "007",
        "{[]: 1}",
        "datetime.datetime(2002, 10, 27, tzinfo=<DstTzInfo 'US/Eastern'>)",
        "'\0",
        "[" * 500 + "]" * 500,
        "-" * 20_000 + "1",
    ],
)
def test_anything_else_is_refused_in_one_way(source: str) -> None:
    """No syntax, a name, a key that cannot be one, too deep."""
    with pytest.raises(NoLiteral):
        literal_value(source)
    assert not is_literal(source)
