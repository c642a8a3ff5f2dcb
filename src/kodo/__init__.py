"""kodo: the Codex API on your own machine, and the automation built on it.

Importing this package is cheap; names of the toolkit are loaded when first used. ``kodo.aio`` has the same names for
async code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from kodo.client.answer import Answer
    from kodo.client.async_session import AsyncSession
    from kodo.client.budget import Budget
    from kodo.client.errors import (
        BudgetExceededError,
        CallError,
        KodoError,
        UnknownPriceError,
    )
    from kodo.client.estimate import Estimate
    from kodo.client.ledger import Ledger
    from kodo.client.prices import Cost, Price, PriceBook
    from kodo.client.retry import RetryEvent, RetryPolicy, exponential_backoff_retry, retry_with_backoff
    from kodo.client.session import Session
    from kodo.client.settings import ClientSettings
    from kodo.client.usage import Usage
    from kodo.client.usage_tracker import UsageTracker
    from kodo.jobs.generate import aio
    from kodo.jobs.generate.chat import Chat, Turn
    from kodo.jobs.generate.code import generate_code, generate_code_stream
    from kodo.jobs.generate.job import UnusableCodeError
    from kodo.jobs.generate.many import generate_batch
    from kodo.jobs.review.code import review_code
    from kodo.jobs.testgen.job import generate_tests

_HOMES = {
    "Answer": "kodo.client.answer",
    "AsyncSession": "kodo.client.async_session",
    "Budget": "kodo.client.budget",
    "BudgetExceededError": "kodo.client.errors",
    "CallError": "kodo.client.errors",
    "Chat": "kodo.jobs.generate.chat",
    "ClientSettings": "kodo.client.settings",
    "Cost": "kodo.client.prices",
    "Estimate": "kodo.client.estimate",
    "KodoError": "kodo.client.errors",
    "Ledger": "kodo.client.ledger",
    "Price": "kodo.client.prices",
    "PriceBook": "kodo.client.prices",
    "RetryEvent": "kodo.client.retry",
    "RetryPolicy": "kodo.client.retry",
    "Session": "kodo.client.session",
    "Turn": "kodo.jobs.generate.chat",
    "UnknownPriceError": "kodo.client.errors",
    "UnusableCodeError": "kodo.jobs.generate.job",
    "Usage": "kodo.client.usage",
    "UsageTracker": "kodo.client.usage_tracker",
    "exponential_backoff_retry": "kodo.client.retry",
    "generate_batch": "kodo.jobs.generate.many",
    "generate_code": "kodo.jobs.generate.code",
    "generate_code_stream": "kodo.jobs.generate.code",
    "generate_tests": "kodo.jobs.testgen.job",
    "retry_with_backoff": "kodo.client.retry",
    "review_code": "kodo.jobs.review.code",
}

__all__ = [
    "Answer",
    "AsyncSession",
    "Budget",
    "BudgetExceededError",
    "CallError",
    "Chat",
    "ClientSettings",
    "Cost",
    "Estimate",
    "KodoError",
    "Ledger",
    "Price",
    "PriceBook",
    "RetryEvent",
    "RetryPolicy",
    "Session",
    "Turn",
    "UnknownPriceError",
    "UnusableCodeError",
    "Usage",
    "UsageTracker",
    "__version__",
    "aio",
    "exponential_backoff_retry",
    "generate_batch",
    "generate_code",
    "generate_code_stream",
    "generate_tests",
    "retry_with_backoff",
    "review_code",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name == "aio":
        return importlib.import_module("kodo.jobs.generate.aio")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kodo' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
