"""What a planned call would read and cost, for a dry run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kodo.client import request_plan
from kodo.client.prices import Cost
from kodo.client.request_plan import Plan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A call that was not made.

    Attributes:
        input_tokens: what it would read: the server's count, or a guess without a tokenizer (``method`` says which;
            for how good a guess is see :func:`kodo.client.request_plan.guess_tokens`).
        input_bound: what it can read at most.
        output_bound: the cap on what it can write; None without a cap, and ``worst`` then counts no output.
        worst: the most it can cost, in US dollars; this is what a budget would set aside.
        masked: kinds of secrets that would be masked.
    """

    model: str
    input_tokens: int
    input_bound: int
    output_bound: int | None
    worst: Cost
    method: Literal["server", "guess"]
    masked: tuple[str, ...]


def estimate_plan(plan: Plan, counted: int | None) -> Estimate:
    """The estimate for a plan, with the server's own count where it gave one."""
    guessed = sum(
        request_plan.guess_tokens(text) for text in request_plan.texts(request_plan.count_body(plan.body))
    )
    return Estimate(
        model=plan.model,
        input_tokens=guessed if counted is None else counted,
        input_bound=plan.input_bound,
        output_bound=plan.output_bound,
        worst=plan.worst,
        method="guess" if counted is None else "server",
        masked=plan.masked,
    )


def parse_token_count(answer: object) -> int | None:
    """The count in an answer of ``POST /responses/input_tokens``, None where it holds none."""
    count = answer.get("input_tokens") if isinstance(answer, dict) else None
    return count if isinstance(count, int) else None
