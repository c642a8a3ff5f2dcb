"""What tokens cost. Offline: genai-prices' table, and one of our own before it. Knows no calls and no budgets.

Money is ``Decimal`` US dollars here and whole nano-dollars (1e-9 $) in the ledger, so sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from kodo.client.errors import UnknownPriceError
from kodo.client.usage import Usage

UnknownPrice = Literal["refuse", "warn", "zero"]
"""What to do where no price is known: refuse the call, count 0 and say so, or count 0."""

NANO = Decimal(10) ** 9
_MILLION = Decimal(10) ** 6
BATCH_FACTOR = Decimal("0.5")
"""The Batch API bills half of the list price (OpenAI's pricing page)."""


MAX_CONTEXT_WINDOW = 10_000_000
"""Input tokens of the largest context window in genai-prices' table (2026-11)."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a million tokens. ``cached_input`` and ``cache_write`` default to the input price."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    def of(self, usage: Usage) -> Decimal:
        """The price of these tokens in US dollars, exact."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        plain = usage.input_tokens - cached - written
        return (
            plain * self.input
            + cached * (self.input if self.cached_input is None else self.cached_input)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + usage.output_tokens * self.output
        ) / _MILLION

    def ceiling(self, input_tokens: int, output_tokens: int) -> Decimal:
        """The most this many tokens can cost, whatever part of the input is cached or written to a cache."""
        dearest = max(self.input, self.cached_input or Decimal(0), self.cache_write or Decimal(0))
        return (input_tokens * dearest + output_tokens * self.output) / _MILLION


OWN_PRICES: Mapping[str, Price] = {
    # Removed from the hosted API in February 2026, so tables of current prices may drop it.
    "codex-mini-latest": Price(input=Decimal("1.50"), cached_input=Decimal("0.375"), output=Decimal("6.00")),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs. ``usd`` is charged; ``list_usd`` is what the list price would have been (None if unknown)."""

    usd: Decimal
    list_usd: Decimal | None
    known: bool = True
    """False: no price is known and ``usd`` is 0 by policy."""

    @property
    def nano(self) -> int:
        """``usd`` in nano-dollars, rounded up."""
        return to_nano(self.usd)


def to_nano(usd: Decimal) -> int:
    """Whole nano-dollars, rounded up, so that a limit is never passed by a rounding."""
    return int((usd * NANO).to_integral_value(rounding=ROUND_CEILING))


def limit_nano(usd: Decimal) -> int:
    """A limit in whole nano-dollars, rounded down for the same reason."""
    return int((usd * NANO).to_integral_value(rounding=ROUND_FLOOR))


def from_nano(nano: int) -> Decimal:
    """US dollars of a whole number of nano-dollars."""
    return Decimal(nano) / NANO


@dataclass(frozen=True)
class PriceBook:
    """Prices by model name.

    Args:
        own: entries that come first, before :data:`OWN_PRICES` and genai-prices.
        unknown: the policy where none of them knows the model.
        list_model: the model whose list price is shown for a local model of unknown price.
    """

    own: Mapping[str, Price] = field(default_factory=dict)
    unknown: UnknownPrice = "warn"
    list_model: str = "codex-mini-latest"

    def list_price(self, model: str, usage: Usage) -> Decimal | None:
        """List price in US dollars, or None where no table knows the model."""
        price = self.own.get(model) or OWN_PRICES.get(model)
        return price.of(usage) if price else _public_price(model, usage)

    def worst_list_price(self, model: str, input_tokens: int, output_tokens: int) -> Decimal | None:
        """The most that this many tokens can cost at list price, or None where no table knows the model.

        The input is priced as plain, as all cached and as all written to a cache, and the dearest is taken.
        """
        price = self.own.get(model) or OWN_PRICES.get(model)
        if price:
            return price.ceiling(input_tokens, output_tokens)
        variants = [
            _public_price(model, Usage(input_tokens, cached, written, output_tokens))
            for cached, written in ((0, 0), (input_tokens, 0), (0, input_tokens))
        ]
        known = [cost for cost in variants if cost is not None]
        return max(known) if known else None

    def context_window(self, model: str) -> int:
        """The most input tokens one request to a model can have; :data:`MAX_CONTEXT_WINDOW` where no table knows it."""
        from genai_prices.data_snapshot import get_snapshot

        provider, _, name = model.rpartition("/")
        try:
            _, found = get_snapshot().find_provider_model(name, None, provider or "openai", None)
        except LookupError:
            return MAX_CONTEXT_WINDOW
        return found.context_window or MAX_CONTEXT_WINDOW

    def charge(self, model: str, usage: Usage, *, free: bool, batch: bool = False) -> Cost:
        """What these tokens cost; ``free`` for a local model, ``batch`` for the Batch API's half price.

        Raises:
            UnknownPriceError: no price is known and the policy is ``refuse``.
        """
        return self._decide(model, self.list_price(model, usage), usage, free=free, batch=batch)

    def worst_case(
        self, model: str, input_tokens: int, output_tokens: int, *, free: bool, batch: bool = False
    ) -> Cost:
        """The most a call can cost that reads and writes at most this many tokens.

        Raises:
            UnknownPriceError: no price is known and the policy is ``refuse``.
        """
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        worst = self.worst_list_price(model, input_tokens, output_tokens)
        return self._decide(model, worst, usage, free=free, batch=batch)

    def _decide(self, model: str, listed: Decimal | None, usage: Usage, *, free: bool, batch: bool) -> Cost:
        if listed is None and free:
            listed = self.list_price(self.list_model, usage)
        if listed is not None and batch:
            listed *= BATCH_FACTOR
        if free:
            return Cost(usd=Decimal(0), list_usd=listed)
        if listed is not None:
            return Cost(usd=listed, list_usd=listed)
        if self.unknown == "refuse":
            raise UnknownPriceError(
                f"model {model!r}: no price is known; give one under [client.prices] in config.toml, "
                'or set unknown_price to "warn" or "zero"'
            )
        return Cost(usd=Decimal(0), list_usd=None, known=self.unknown == "zero")


def _public_price(model: str, usage: Usage) -> Decimal | None:
    """genai-prices' answer. The import is here because it takes 0.14 s and local calls with own prices need none."""
    from genai_prices import Usage as PublicUsage
    from genai_prices import calc_price

    cached = min(usage.cached_tokens, usage.input_tokens)
    public = PublicUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
        output_tokens=usage.output_tokens,
    )
    provider, _, name = model.rpartition("/")
    try:
        return calc_price(public, name, provider_id=provider or "openai").total_price
    except LookupError:
        return None
