"""Prices: exact sums, worst cases that hold, and what happens where no price is known."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kodo.client.errors import UnknownPriceError
from kodo.client.prices import Price, PriceBook, from_nano, to_nano
from kodo.client.usage import Usage

MILLION = 1_000_000


def test_codex_mini_latest_costs_what_its_page_said() -> None:
    """$1.50 input, $0.375 cached input, $6.00 output a million tokens."""
    book = PriceBook()
    assert book.list_price("codex-mini-latest", Usage(input_tokens=MILLION)) == Decimal("1.50")
    assert book.list_price("codex-mini-latest", Usage(MILLION, cached_tokens=MILLION)) == Decimal("0.375")
    assert book.list_price("codex-mini-latest", Usage(output_tokens=MILLION)) == Decimal("6.00")
    mixed = Usage(input_tokens=1000, cached_tokens=400, output_tokens=50)
    assert book.list_price("codex-mini-latest", mixed) == Decimal("0.00135")


def test_public_prices_are_known_offline() -> None:
    """genai-prices answers for models of today, also behind a provider's prefix."""
    assert PriceBook().list_price("gpt-4.1-mini", Usage(MILLION, output_tokens=MILLION)) == Decimal("2.0")
    assert PriceBook().list_price("openai/gpt-4.1-mini", Usage(MILLION)) == Decimal("0.4")


def test_an_entry_of_ones_own_comes_first() -> None:
    """A price in the settings outranks both tables."""
    book = PriceBook(own={"codex-mini-latest": Price(Decimal(2), Decimal(3))})
    assert book.list_price("codex-mini-latest", Usage(MILLION, output_tokens=MILLION)) == Decimal(5)


def test_a_batch_costs_half() -> None:
    """The Batch API's price is half of the list price, in the charge and in the worst case."""
    book = PriceBook()
    usage = Usage(input_tokens=MILLION)
    assert book.charge("codex-mini-latest", usage, free=False, batch=True).usd == Decimal("0.75")
    assert book.worst_case("codex-mini-latest", MILLION, 0, free=False, batch=True).usd == Decimal("0.75")
    local = book.charge("some-local-model", usage, free=True, batch=True)
    assert (local.usd, local.list_usd) == (0, Decimal("0.75"))


def test_a_local_model_costs_nothing_and_shows_the_list_price() -> None:
    """Free calls are charged $0; the list price is the model's own, or codex-mini-latest's where it has none."""
    usage = Usage(input_tokens=MILLION)
    assert PriceBook().charge("gpt-4.1-mini", usage, free=True).list_usd == Decimal("0.4")
    local = PriceBook(unknown="refuse").charge("smollm2-135m-instruct", usage, free=True)
    assert (local.usd, local.list_usd, local.known) == (0, Decimal("1.50"), True)


def test_an_unknown_price_follows_the_policy() -> None:
    """refuse raises and names the model, warn counts 0 and is marked, zero counts 0."""
    with pytest.raises(UnknownPriceError, match="no-such-model"):
        PriceBook(unknown="refuse").worst_case("no-such-model", 1, 1, free=False)
    warned = PriceBook(unknown="warn").charge("no-such-model", Usage(1), free=False)
    assert (warned.usd, warned.list_usd, warned.known) == (0, None, False)
    assert PriceBook(unknown="zero").charge("no-such-model", Usage(1), free=False).known


TOKENS = st.integers(0, 5_000_000)


@given(
    model=st.sampled_from(
        ["codex-mini-latest", "gpt-5", "gpt-4.1", "o3", "anthropic/claude-sonnet-4-5", "mine"]
    ),
    input_tokens=TOKENS,
    cached=TOKENS,
    written=TOKENS,
    output=TOKENS,
    spare=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
def test_no_call_costs_more_than_its_worst_case(
    model: str, input_tokens: int, cached: int, written: int, output: int, spare: tuple[int, int]
) -> None:
    """However the input is split between plain, cached and cache writes, the worst case holds."""
    book = PriceBook(own={"mine": Price(Decimal(1), Decimal(2), Decimal("0.1"), Decimal("1.25"))})
    cached = min(cached, input_tokens)
    usage = Usage(input_tokens, cached, min(written, input_tokens - cached), output)
    worst = book.worst_list_price(model, input_tokens + spare[0], output + spare[1])
    price = book.list_price(model, usage)
    assert price is not None
    assert worst is not None
    assert 0 <= price <= worst


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=10))
def test_the_price_of_a_sum_is_the_sum_of_the_prices(calls: list[tuple[int, int]]) -> None:
    """A flat price is exact: no rounding gets lost between calls."""
    price = Price(Decimal("1.50"), Decimal("6.00"), Decimal("0.375"))
    usages = [Usage(input_tokens=read, cached_tokens=read // 3, output_tokens=wrote) for read, wrote in calls]
    assert price.of(sum(usages, Usage())) == sum((price.of(usage) for usage in usages), Decimal(0))


@given(st.decimals(0, 10_000, places=12))
def test_nano_dollars_round_up(usd: Decimal) -> None:
    """What is stored is never less than the amount, and less than a nano-dollar more."""
    assert usd <= from_nano(to_nano(usd)) < usd + Decimal("1e-9")
