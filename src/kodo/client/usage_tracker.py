"""The usage of many calls added up in memory, by model, and what it costs at list price."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from kodo.client.answer import Answer
from kodo.client.prices import PriceBook
from kodo.client.usage import Usage


@dataclass
class UsageTracker:
    """Adds up the usage of calls by model and says what they cost. Safe to share between threads.

    It holds sums in memory only; the ledger is the lasting record.
    """

    prices: PriceBook | None = None
    _by_model: dict[str, Usage] = field(default_factory=dict, init=False)
    _calls: dict[str, int] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def add_usage(self, usage: Usage | Answer | object, model: str | None = None) -> None:
        """Count one call.

        Args:
            usage: a :class:`Usage`, an :class:`~kodo.client.answer.Answer`, or the ``usage`` of an SDK response.
            model: the model's name; not needed with an Answer.

        Raises:
            ValueError: no model was named.
        """
        if isinstance(usage, Answer):
            model, usage = model or usage.model, usage.usage
        if not model:
            raise ValueError("model is required unless an Answer is given")
        counted = usage if isinstance(usage, Usage) else Usage.from_wire(usage) or Usage()
        with self._lock:
            self._by_model[model] = self._by_model.get(model, Usage()) + counted
            self._calls[model] = self._calls.get(model, 0) + 1

    @property
    def total(self) -> Usage:
        """The sum over all models."""
        with self._lock:
            return sum(self._by_model.values(), Usage())

    def get_estimated_cost(self, model: str | None = None) -> Decimal:
        """US dollars at list price, of one model or of all. A model with no known price counts 0.

        An estimate, because prices that depend on the size of a single request are applied to the sum.
        """
        book = self.prices or PriceBook()
        with self._lock:
            chosen = {name: use for name, use in self._by_model.items() if model in (None, name)}
        return sum((book.list_price(name, use) or Decimal(0) for name, use in chosen.items()), Decimal(0))

    def report(self) -> str:
        """A plain table, one line a model and a total: calls, tokens, US dollars at list price."""
        with self._lock:
            rows = sorted(self._by_model.items())
            calls = dict(self._calls)
        lines = [f"{'model':<28}{'calls':>7}{'input':>11}{'cached':>11}{'output':>11}{'USD':>13}"]
        for name, use in rows:
            lines.append(_line(name, calls[name], use, self.get_estimated_cost(name)))
        lines.append(_line("total", sum(calls.values()), self.total, self.get_estimated_cost()))
        return "\n".join(lines)


def _line(name: str, calls: int, use: Usage, cost: Decimal) -> str:
    return f"{name:<28}{calls:>7}{use.input_tokens:>11}{use.cached_tokens:>11}{use.output_tokens:>11}{cost:>13.6f}"
