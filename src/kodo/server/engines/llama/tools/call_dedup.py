"""Whether a further call of the same tool in one turn says anything new.

A verbatim repetition never does. A small model, whose tools kodo chooses, repeats itself with made-up values besides; so
its further calls must take up something of the question that the earlier ones left: ``Paris``, then ``Tokyo``.

Knows names and arguments as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any


class CallDedup:
    """The calls of one turn. ``question``: what further calls must take up; None: whatever they like."""

    def __init__(self, question: str | None) -> None:
        self._question = None if question is None else question.casefold()
        self.calls: list[tuple[str, str]] = []
        self.last_refused = False
        """Whether the last call was refused because it says nothing new."""

    def arguments_of(self, title: str) -> list[str]:
        """The arguments of a tool's calls."""
        return [arguments for name, arguments in self.calls if name == title]

    def add(self, title: str, arguments: str) -> bool:
        """Take a call; False if it says nothing new."""
        earlier = self.arguments_of(title)
        new = _parsed(arguments) not in [_parsed(one) for one in earlier]
        if new and earlier and self._question is not None:
            taken = {value for one in earlier for value in _values(one)}
            new = any(self._is_mentioned(value) for value in _values(arguments) if value not in taken)
        self.last_refused = not new
        if new:
            self.calls.append((title, arguments))
        return new

    def _is_mentioned(self, value: str) -> bool:
        """Whether the question names a value, as whole words where it has such."""
        question = self._question or ""
        if not value.isascii():
            return value in question
        return (
            bool(value) and re.search(rf"(?<![a-z0-9]){re.escape(value)}(?![a-z0-9])", question) is not None
        )


def _parsed(arguments: str) -> Any:
    """Arguments whatever their spaces."""
    try:
        return json.loads(arguments)
    except ValueError:  # a custom tool's own text
        return arguments


def _values(arguments: str) -> set[str]:
    """The texts and numbers in arguments."""
    return {str(value).strip().casefold() for value in _leaves(_parsed(arguments))}


def _leaves(value: Any) -> Iterator[str | int | float]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value
