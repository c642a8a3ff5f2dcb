"""Tokens that calls used, as the Responses API counts them. Knows nothing of money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call or many, as the Responses API counts them.

    ``cached_tokens`` and ``cache_write_tokens`` are parts of ``input_tokens``; ``reasoning_tokens`` of
    ``output_tokens``.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @classmethod
    def from_wire(cls, usage: object) -> Usage | None:
        """Read the ``usage`` object of a Response, an SDK object or its JSON; None where the server sent none.

        Parts a server leaves out count 0, so older servers without ``cache_write_tokens`` are read too.
        """
        if usage is None:
            return None
        input_details = _get(usage, "input_tokens_details")
        output_details = _get(usage, "output_tokens_details")
        return cls(
            input_tokens=_count(usage, "input_tokens"),
            cached_tokens=_count(input_details, "cached_tokens"),
            cache_write_tokens=_count(input_details, "cache_write_tokens"),
            output_tokens=_count(usage, "output_tokens"),
            reasoning_tokens=_count(output_details, "reasoning_tokens"),
        )


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _count(value: object, name: str) -> int:
    number = _get(value, name)
    return number if isinstance(number, int) and number > 0 else 0
