"""The accounts of a session: what is set aside before a call and written down after it. No input or output but the
ledger's, so the sync and the async session share it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kodo.client import request_plan
from kodo.client.answer import TERMINAL, Answer, AnswerFailedError, field_of, text_of
from kodo.client.budget import Budget
from kodo.client.endpoint import Endpoint
from kodo.client.error_translation import translate
from kodo.client.errors import CallError, ReplayError, StreamCutError
from kodo.client.i18n import CLIENT, Lang
from kodo.client.ledger import CallOutcome, CallStatus, Ledger, Reservation
from kodo.client.prices import Cost
from kodo.client.request_plan import CallOptions, Input, Plan
from kodo.client.settings import ClientSettings
from kodo.client.usage import Usage

if TYPE_CHECKING:
    from openai.types.responses import Response

Note = Callable[[str], None]
"""Takes a sentence for the user: what was masked, capped, started, retried."""


def repository_of(folder: Path | None = None) -> str:
    """The path of the git work tree a folder is in (default: the current one), or an empty string."""
    here = (folder or Path.cwd()).absolute()
    for place in (here, *here.parents):
        if (place / ".git").exists():
            return str(place)
    return ""


@dataclass
class Account:
    """Plans calls, reserves and settles them for one session."""

    settings: ClientSettings
    ledger: Ledger
    budget: Budget
    lang: Lang
    note: Note
    job: str = ""
    repository: str = ""
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _noted: set[str] = field(default_factory=set)

    @property
    def limited(self) -> bool:
        """Whether any limit on spending is in force."""
        return any(self.budget.limits()) or any(self.ledger.limits().limits())

    def notify(self, key: str, *, once: bool = False, **values: object) -> None:
        """Say a message of the catalogue to the user, in the session's language."""
        text = CLIENT.say(self.lang, key, **values)
        if once and text in self._noted:
            return
        self._noted.add(text)
        self.note(text)

    def is_free(self, endpoint: Endpoint) -> bool:
        """Whether calls to this endpoint cost nothing."""
        return endpoint.local if self.settings.free is None else self.settings.free

    def plan(self, input: Input, options: CallOptions, endpoint: Endpoint, *, batch: bool = False) -> Plan:
        """Make a call ready: mask it, cap it where a limit needs a cap, work out its worst case.

        Raises:
            TypeError, ValueError: an option that does not exist, an empty input.
            UnknownPriceError: no price is known and the policy is to refuse.
        """
        settings, limited, free = self.settings, self.limited, self.is_free(endpoint)
        body, masked = request_plan.build_body(input, options, model=settings.model, masking=settings.mask)
        if masked:
            self.notify("masked", kinds=", ".join(sorted(set(masked))))
        if body.get("max_output_tokens") is None:
            cap = settings.max_output_tokens
            if cap is None and limited and not free:
                cap = settings.budget_output_tokens
                self.notify("output_cap", once=True, tokens=cap)
            if cap is not None:
                body["max_output_tokens"] = cap
        cap = body.get("max_output_tokens")
        model = str(body["model"])
        book = settings.price_book(limited=limited)
        history = self._history(body)
        bound = request_plan.input_bound(body, history or 0)
        if limited and not free and (history is None or request_plan.has_external_input(body)):
            bound = max(bound, book.context_window(model))
        worst = book.worst_case(model, bound, cap or 0, free=free, batch=batch)
        if not worst.known:
            self.notify("unknown_price", once=True, model=model)
        return Plan(
            body=body,
            model=model,
            job=options.get("job") or self.job,
            timeout=options.get("timeout") or settings.timeout,
            masked=masked,
            input_bound=bound,
            output_bound=cap,
            worst=worst,
            idempotency_key=options.get("idempotency_key"),
        )

    def _history(self, body: Mapping[str, Any]) -> int | None:
        """Tokens of the conversation that a call continues; None if the ledger has not seen it."""
        previous = body.get("previous_response_id")
        return self.ledger.context_tokens(previous) if isinstance(previous, str) else 0

    def reserve(self, plan: Plan, endpoint: Endpoint, *, batch: bool = False) -> ReservedCall:
        """Reserve the worst case.

        Raises:
            BudgetExceededError: it does not fit; nothing may be sent.
        """
        reservation = self.ledger.reserve(
            plan.worst,
            model=plan.model,
            endpoint=endpoint.base_url,
            run=self.run_id,
            job=plan.job,
            repository=self.repository,
            budget=self.budget,
        )
        return ReservedCall(self, plan, reservation, self.is_free(endpoint), batch)


@dataclass
class ReservedCall:
    """A reserved call that has not ended. Exactly one of ``complete``, ``fail`` and ``cancel`` ends it."""

    account: Account
    plan: Plan
    reservation: Reservation
    free: bool
    batch: bool = False
    attempts: int = 0
    started_at: float = field(default_factory=time.monotonic)

    def complete(self, raw: Response, request_id: str | None = None) -> Answer:
        """Settle with what the server sent and return it. ``request_id``: where the response does not carry it.

        Raises:
            AnswerFailedError: its status is failed or cancelled; its usage is charged.
        """
        answer = self._read(raw, request_id)
        if raw.status in ("failed", "cancelled"):
            failure = _failure(answer)
            self._settle_answer("failed" if raw.status == "failed" else "cancelled", answer, failure)
            raise failure
        self._settle_answer("incomplete" if raw.status == "incomplete" else "completed", answer)
        return answer

    def fail(self, error: Exception, received: str = "") -> CallError:
        """Settle a call that ended in an error, and return the error of our tree to raise.

        An HTTP error costs nothing, nor does a connection that was never made. Where the connection or the stream
        broke, or the answer is not a Response, the server may have worked: an estimate is charged, of the input and of
        the text that arrived.

        Raises:
            Exception: ``error`` itself, settled, if it is a fault of the program, not a failure of the call.
        """
        try:
            translated = translate(error, self.attempts)
        except Exception:
            self._settle("failed", self._guess(received), estimated=True)
            raise
        if (translated.status or 0) >= 400 or isinstance(translated, ReplayError) or _never_sent(error):
            self._settle("failed", Usage(), error=translated)
        else:
            status: CallStatus = "cut" if isinstance(translated, StreamCutError) else "failed"
            self._settle(status, self._guess(received), estimated=True, error=translated)
        return translated

    def cancel(self, received: str = "") -> None:
        """Settle a call the user gave up, with an estimate."""
        self._settle("cancelled", self._guess(received), estimated=True)

    def _read(self, raw: Response, request_id: str | None) -> Answer:
        usage = Usage.from_wire(raw.usage)
        text = text_of(raw)
        cost = self._cost(usage if usage is not None else self._guess(text))
        return Answer(
            text=text,
            usage=usage or Usage(),
            response_id=raw.id,
            model=str(raw.model or self.plan.model),
            status=str(raw.status),
            request_id=request_id or getattr(raw, "_request_id", None),
            latency=time.monotonic() - self.started_at,
            cost=cost,
            raw=raw,
            incomplete_reason=field_of(raw.incomplete_details, "reason"),
            usage_known=usage is not None,
            attempts=max(self.attempts, 1),
            masked=self.plan.masked,
        )

    def _cost(self, usage: Usage) -> Cost:
        settings = self.account.settings
        # The price policy was applied when the call was planned; what was let through then is not refused now.
        book = replace(settings.price_book(limited=False), unknown="zero")
        return book.charge(self.plan.model, usage, free=self.free, batch=self.batch)

    def _guess(self, received: str) -> Usage:
        if self.attempts == 0:
            return Usage()
        sent = sum(request_plan.guess_tokens(text) for text in request_plan.texts(dict(self.plan.body)))
        return Usage(
            input_tokens=min(sent, self.plan.input_bound), output_tokens=request_plan.guess_tokens(received)
        )

    def _settle(
        self, status: CallStatus, usage: Usage, *, estimated: bool = False, error: CallError | None = None
    ) -> None:
        outcome = CallOutcome(
            status=status,
            cost=self._cost(usage),
            usage=usage,
            latency=time.monotonic() - self.started_at,
            attempts=self.attempts,
            request_id=error.request_id if error else None,
            error=None
            if error is None
            else f"{type(error).__name__}: {error.code or error.status or ''}".rstrip(": "),
            estimated=estimated,
        )
        self.account.ledger.settle(self.reservation, outcome)

    def _settle_answer(self, status: CallStatus, answer: Answer, error: CallError | None = None) -> None:
        usage = answer.usage if answer.usage_known else self._guess(answer.text)
        outcome = CallOutcome(
            status=status,
            cost=answer.cost,
            usage=usage,
            latency=answer.latency,
            attempts=answer.attempts,
            response_id=answer.response_id,
            request_id=answer.request_id,
            error=None if error is None else f"{type(error).__name__}: {error.code or ''}".rstrip(": "),
            estimated=not answer.usage_known,
            model=answer.model,
        )
        self.account.ledger.settle(self.reservation, outcome)


def _failure(answer: Answer) -> AnswerFailedError:
    problem = answer.raw.error
    error = AnswerFailedError(
        f"the response {answer.status}: {field_of(problem, 'message') or 'no reason given'}",
        code=field_of(problem, "code"),
        request_id=answer.request_id,
        attempts=answer.attempts,
    )
    error.answer = answer
    return error


def _never_sent(error: BaseException) -> bool:
    """Whether the connection could not even be made, so that nothing reached a server."""
    import httpx2

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
            return True
        cause = cause.__cause__
    return False


def is_done(raw: Response) -> bool:
    """Whether nothing more will come of a response."""
    return raw.status in TERMINAL
