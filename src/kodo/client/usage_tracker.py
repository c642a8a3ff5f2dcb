"""The usage of many calls added up in memory, by model, and what it costs at list price."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import overload

from kodo.client.answer import Answer
from kodo.client.prices import PriceBook
from kodo.client.settings import DEFAULT_MODEL
from kodo.client.usage import Usage


@dataclass
class UsageTracker:
    """Adds up the usage of calls by model and says what they cost. Safe to share between threads.

    It holds sums in memory only; the ledger is the lasting record.
    """

    prices: PriceBook | None = None
    default_model: str = DEFAULT_MODEL
    _by_model: dict[str, Usage] = field(default_factory=dict, init=False)
    _calls: dict[str, int] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @overload
    def add_usage(self, usage: Usage | Answer | object, model: str | None = None, /) -> None: ...

    @overload
    def add_usage(self, input_tokens: int, output_tokens: int, model: str | None = None) -> None: ...

    def add_usage(
        self,
        input_tokens: int | Usage | Answer | object,
        output_tokens: int | str | None = None,
        model: str | None = None,
    ) -> None:
        """Count one call, by its usage or by two numbers.

        ``add_usage(answer)``, ``add_usage(response.usage)`` and ``add_usage(usage, "gpt-5")`` count what the first
        argument holds; ``add_usage(input_tokens, output_tokens)`` counts the numbers. Calls whose model is not named
        are counted for ``default_model``.

        Raises:
            ValueError: a number of tokens is negative, or there is no number of output tokens.
        """
        if isinstance(output_tokens, str):  # add_usage(usage, "model")
            output_tokens, model = None, output_tokens
        if isinstance(input_tokens, int):
            if output_tokens is None or input_tokens < 0 or output_tokens < 0:
                raise ValueError("add_usage: two numbers of tokens, 0 or more, are needed")
            counted = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        elif isinstance(input_tokens, Answer):
            model, counted = model or input_tokens.model, input_tokens.usage
        elif isinstance(input_tokens, Usage):
            counted = input_tokens
        else:
            counted = Usage.from_wire(input_tokens) or Usage()
        model = model or self.default_model
        with self._lock:
            self._by_model[model] = self._by_model.get(model, Usage()) + counted
            self._calls[model] = self._calls.get(model, 0) + 1

    @property
    def total(self) -> Usage:
        """The sum over all models."""
        with self._lock:
            return sum(self._by_model.values(), Usage())

    def list_price(self, model: str | None = None) -> Decimal:
        """US dollars at list price, of one model or of all, exactly. A model with no known price counts 0.

        An estimate, because prices that depend on the size of a single request are applied to the sum.
        """
        book = self.prices or PriceBook()
        with self._lock:
            chosen = {name: use for name, use in self._by_model.items() if model in (None, name)}
        return sum((book.list_price(name, use) or Decimal(0) for name, use in chosen.items()), Decimal(0))

    def get_estimated_cost(self, model: str | None = None) -> float:
        """As :meth:`list_price`, as a float for arithmetic and formatting: ``f"${cost:.4f}"``."""
        return float(self.list_price(model))

    def table(self) -> str:
        """A plain table, one line a model and a total: calls, tokens, US dollars at list price."""
        with self._lock:
            rows = sorted(self._by_model.items())
            calls = dict(self._calls)
        lines = [f"{'model':<28}{'calls':>7}{'input':>11}{'cached':>11}{'output':>11}{'USD':>13}"]
        for name, use in rows:
            lines.append(_line(name, calls[name], use, self.list_price(name)))
        lines.append(_line("total", sum(calls.values()), self.total, self.list_price()))
        return "\n".join(lines)

    def report(self) -> None:
        """Print :meth:`table`."""
        print(self.table())  # noqa: T201 - printing is what it is for


def _line(name: str, calls: int, use: Usage, cost: Decimal) -> str:
    return f"{name:<28}{calls:>7}{use.input_tokens:>11}{use.cached_tokens:>11}{use.output_tokens:>11}{cost:>13.6f}"
