"""The value of a literal. Whatever a text is that was said to be one, it is refused in one way."""

import ast
from typing import Any


class NoLiteral(ValueError):
    """A text or an expression that is no literal."""


def literal_value(source: str | ast.expr) -> Any:
    """The value of a literal: a number, a text, bytes, a truth value, None, ``...``, or a list, tuple, set or dict of such.

    Raises:
        NoLiteral: it is anything else: another expression, no expression at all, a key that cannot be one, too deep or too long.
    """
    try:
        return ast.literal_eval(source)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise NoLiteral("no literal") from error


def is_literal(source: str | ast.expr) -> bool:
    """Whether it is a literal as :func:`literal_value` takes one."""
    try:
        literal_value(source)
    except NoLiteral:
        return False
    return True
