"""The way to the model for one review: one request at a time, counted, up to the review's limit.

Knows neither the code under review nor what is asked about it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kodo.jobs.execution.time_limit import Deadline, OutOfTime, time_limit
from kodo.jobs.review.options import ReviewOptions

if TYPE_CHECKING:
    from kodo.client.answer import Answer
    from kodo.client.session import Session


class RequestLimitError(Exception):
    """The review has used all the requests, or all the time, that it may use; the message says which."""


@dataclass
class ModelAsker:
    """Sends the requests of one review and counts them, their tokens and the answers that were rejected.

    Mutable, because it counts.
    """

    session: Session
    options: ReviewOptions
    deadline: Deadline
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""
    rejected: Counter[str] = field(default_factory=Counter)

    def ask(self, instructions: str, text: str, *, schema: dict[str, object] | None, tokens: int) -> Answer:
        """Ask the model once, with at most ``tokens`` tokens of answer.

        Raises:
            RequestLimitError: the review has made ``options.max_requests`` requests already, or its time is up.
            KodoError: whatever ``Session.respond`` raises.
        """
        if self.requests >= self.options.max_requests:
            raise RequestLimitError(
                f"the model was asked {self.options.max_requests} times, which is the limit"
            )
        if self.deadline.up:
            raise RequestLimitError("the time of the review was up")
        self.requests += 1
        try:
            with time_limit(self.deadline.left):
                answer = self.session.respond(
                    text,
                    instructions=instructions,
                    model=self.options.model or None,
                    max_output_tokens=tokens,
                    temperature=0.0,
                    text_format=schema,
                    store=False,
                    timeout=max(1.0, self.deadline.left),
                    job="review",
                )
        except OutOfTime:
            if not self.deadline.up:  # the limit of whoever called the review
                raise
            raise RequestLimitError("the time of the review was up, and the model had not answered") from None
        self.input_tokens += answer.usage.input_tokens
        self.output_tokens += answer.usage.output_tokens
        self.model = answer.model
        return answer
