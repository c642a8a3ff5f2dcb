"""Three hundred faults, each met by a call of its own: the right outcome, the right number of requests, one charge.

A case is a fault, how many times in a row it happens, and a way of calling (plain or streamed, sync or async).
What is right follows from three tables: what may be retried, what may not, and what comes too late to be retried
because a first event has already arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from tests.faults.faults import Cut, FailEvent, Fault, Refuse, Reset, Stall, StallStream, WrongBody
from tests.faults.server import Call, FaultServer

from kodo.client.answer import Answer, AnswerFailedError
from kodo.client.async_session import AsyncSession
from kodo.client.errors import (
    AuthenticationFailedError,
    CallError,
    CallTimeoutError,
    MalformedAnswerError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    StreamCutError,
    UnreachableError,
)
from kodo.client.ledger import Ledger
from kodo.client.retry import RetryEvent, RetryPolicy
from kodo.client.session import Session
from kodo.client.settings import ClientSettings, PriceSettings

RETRIES = 3
PATIENCE = 1.0
"""Seconds of silence that a call to a stalling server allows; others allow 30."""
ALWAYS = 99

Mode = Literal["plain", "stream", "async plain", "async stream"]
MODES: tuple[Mode, ...] = ("plain", "stream", "async plain", "async stream")


def limited(status: int = 429, code: str | None = "rate_limit_exceeded", **headers: str) -> Refuse:
    """A refusal with headers; `_` stands for `-` in their names."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Refuse(status, code, named, kind="rate_limit_error")


RETRIED: dict[str, tuple[Fault, type[CallError]]] = {
    "429": (limited(), RateLimitedError),
    "429 retry-after-ms": (limited(retry_after_ms="20"), RateLimitedError),
    "429 retry-after seconds": (limited(retry_after="0.02"), RateLimitedError),
    "429 both": (limited(retry_after_ms="20", retry_after="60"), RateLimitedError),
    "429 date gone by": (limited(retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), RateLimitedError),
    "429 retry-after zero": (limited(retry_after="0"), RateLimitedError),
    "429 retry-after negative": (limited(retry_after="-5"), RateLimitedError),
    "429 retry-after nan": (limited(retry_after="nan"), RateLimitedError),
    "429 retry-after infinite": (limited(retry_after="inf"), RateLimitedError),
    "429 retry-after words": (limited(retry_after="soon"), RateLimitedError),
    "429 should retry": (limited(x_should_retry="true"), RateLimitedError),
    "408": (limited(408, None), CallTimeoutError),
    "409 should retry": (limited(409, None, x_should_retry="true"), RequestRefusedError),
    "500": (Refuse(500), ServerFailedError),
    "502": (Refuse(502), ServerFailedError),
    "503": (Refuse(503), ServerFailedError),
    "503 retry-after": (Refuse(503, headers=(("retry-after", "0.02"),)), ServerFailedError),
    "504": (Refuse(504), ServerFailedError),
    "reset": (Reset(), UnreachableError),
}
"""Faults after which the call is made again, and the error when they do not end."""

REFUSED: dict[str, tuple[Fault, type[CallError]]] = {
    "400": (Refuse(400, "bad"), RequestRefusedError),
    "400 should retry": (limited(400, "bad", x_should_retry="true"), RequestRefusedError),
    "401": (Refuse(401, "invalid_api_key"), AuthenticationFailedError),
    "401 should retry": (limited(401, None, x_should_retry="true"), AuthenticationFailedError),
    "403": (Refuse(403), AuthenticationFailedError),
    "404": (Refuse(404, "model_not_found"), RequestRefusedError),
    "404 should retry": (limited(404, None, x_should_retry="true"), RequestRefusedError),
    "409": (Refuse(409), RequestRefusedError),
    "413": (Refuse(413), RequestRefusedError),
    "422": (Refuse(422), RequestRefusedError),
    "429 no quota": (limited(code="insufficient_quota"), QuotaExhaustedError),
    "429 no quota, should retry": (
        limited(code="insufficient_quota", x_should_retry="true"),
        QuotaExhaustedError,
    ),
    "429 should not retry": (limited(x_should_retry="false"), RateLimitedError),
    "429 waits too long": (limited(retry_after="121"), RateLimitedError),
    "500 should not retry": (limited(500, None, x_should_retry="false"), ServerFailedError),
}
"""Faults after which the same call is not made again: one request."""

PLAIN_ONLY: dict[str, tuple[Fault, type[CallError], bool]] = {
    "body cut by reset": (Cut(reset=True), UnreachableError, True),
    "body cut short": (Cut(reset=False), UnreachableError, True),
    "empty body": (WrongBody(b""), MalformedAnswerError, False),
    "not JSON": (WrongBody(b"<html>busy</html>"), MalformedAnswerError, False),
    "half JSON": (WrongBody(b'{"id": "resp_1", "out'), MalformedAnswerError, False),
    "HTML": (WrongBody(b"<html>busy</html>", "text/html"), MalformedAnswerError, False),
    "another object": (WrongBody(b'{"hello": 1}'), MalformedAnswerError, False),
    "a list": (WrongBody(b"[]"), MalformedAnswerError, False),
    "null": (WrongBody(b"null"), MalformedAnswerError, False),
    "failed response": (FailEvent(), AnswerFailedError, False),
}
"""For plain calls: the fault, the error, and whether it is retried."""

STREAM_ONLY: dict[str, tuple[Fault, type[CallError], bool]] = {
    "reset before the first event": (Cut(events=0, reset=True), UnreachableError, True),
    "ended before the first event": (Cut(events=0, reset=False), UnreachableError, True),
    **{
        f"cut after {events} by {'reset' if reset else 'end'}": (Cut(events, reset), StreamCutError, False)
        for events, reset in product(range(1, 10), (True, False))
    },
    "failed event": (FailEvent(), AnswerFailedError, False),
    "event that is not JSON": (
        WrongBody(b"data: {nope\n\n", "text/event-stream"),
        MalformedAnswerError,
        False,
    ),
    "error event": (
        WrongBody(
            b'event: error\ndata: {"type":"error","code":"server_error","message":"x","param":null,"sequence_number":0}\n\n',
            "text/event-stream",
        ),
        AnswerFailedError,
        False,
    ),
}
"""For streams: once an event has arrived, what the user has seen cannot be taken back."""


@dataclass(frozen=True)
class Case:
    """One call and what must come of it."""

    name: str
    mode: Mode
    fault: Fault
    times: int
    error: type[CallError]
    retried: bool

    @property
    def recovers(self) -> bool:
        """Whether the fault ends before the retries do."""
        return self.retried and self.times <= RETRIES

    @property
    def requests(self) -> int:
        """How many requests the server must see."""
        if not self.retried:
            return 1
        return self.times + 1 if self.recovers else RETRIES + 1

    def __str__(self) -> str:
        return f"{self.mode}: {self.name} x{'n' if self.times == ALWAYS else self.times}"


def all_cases() -> Iterator[Case]:
    """Every case; each table says for which ways of calling it holds."""
    for (name, (fault, error)), times, mode in product(RETRIED.items(), (1, 3, ALWAYS), MODES):
        if times == 3 and mode.startswith("async"):
            continue
        yield Case(name, mode, fault, times, error, retried=True)
    for (name, (fault, error)), mode in product(REFUSED.items(), MODES):
        yield Case(name, mode, fault, ALWAYS, error, retried=False)
    for table, modes in ((PLAIN_ONLY, MODES[::2]), (STREAM_ONLY, MODES[1::2])):
        for (name, (fault, error, retried)), mode in product(table.items(), modes):
            for times in (1, ALWAYS) if retried else (ALWAYS,):
                yield Case(name, mode, fault, times, error, retried)
    for mode in MODES:
        yield Case("stall", mode, Stall(), 1, CallTimeoutError, retried=True)
    for mode in MODES[::3]:
        yield Case("stall", mode, Stall(), ALWAYS, CallTimeoutError, retried=True)
    for mode in MODES[1::2]:
        yield Case("stall in the stream", mode, StallStream(3), ALWAYS, StreamCutError, retried=False)


CASES = tuple(all_cases())


@dataclass
class Bench:
    """What all cases share: one server, one ledger, one price."""

    server: FaultServer
    ledger: Ledger
    settings: ClientSettings
    plans: dict[str, Case]
    delays: list[float] = field(default_factory=list)

    @property
    def retry(self) -> RetryPolicy:
        """No pauses but those that the server asks for."""
        return RetryPolicy(RETRIES, base_delay=0.0, max_delay=0.0, on_retry=(self._told,))

    def _told(self, event: RetryEvent) -> None:
        self.delays.append(event.delay)

    def call(self, case: Case, text: str) -> Answer:
        """Make the call of a case. Raises what the client raises."""
        slow = isinstance(case.fault, Stall | StallStream)
        timeout = PATIENCE if slow else 30.0
        if case.mode.startswith("async"):
            return asyncio.run(self._call_async(case, text, timeout))
        with Session(self.settings, ledger=self.ledger, retry=self.retry, repository="") as session:
            if case.mode == "plain":
                return session.respond(text, timeout=timeout)
            with session.stream(text, timeout=timeout) as pieces:
                assert "".join(pieces) == f"echo: {text}"
                return pieces.answer

    async def _call_async(self, case: Case, text: str, timeout: float) -> Answer:
        async with AsyncSession(
            self.settings, ledger=self.ledger, retry=self.retry, repository=""
        ) as session:
            if case.mode == "async plain":
                return await session.respond(text, timeout=timeout)
            async with await session.stream(text, timeout=timeout) as pieces:
                assert "".join([piece async for piece in pieces]) == f"echo: {text}"
                return pieces.answer


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server that meets each input text with the fault of its case, and money that is not free."""
    plans: dict[str, Case] = {}

    def plan(call: Call) -> Fault | None:
        case = plans[call.text]
        return case.fault if call.attempt < case.times else None

    folder: Path = tmp_path_factory.mktemp("faults")
    with FaultServer(plan) as server, Ledger(folder / "ledger.db") as ledger:
        settings = ClientSettings(
            base_url=server.base_url,
            api_key="sk-test",
            model="m",
            free=False,
            max_output_tokens=50,
            prices={"m": PriceSettings(input=Decimal(1), output=Decimal(1))},
        )
        yield Bench(server, ledger, settings, plans)


def rows_since(ledger: Ledger, before: int) -> list[tuple[object, ...]]:
    return ledger.query(
        "SELECT status, input_tokens, output_tokens, cost_nano, reserved_nano, attempts, estimated"
        " FROM calls ORDER BY rowid LIMIT -1 OFFSET ?",
        (before,),
    )


def test_there_are_three_hundred_faults_or_more() -> None:
    """The tables have not been thinned out, and no case is there twice."""
    assert len(CASES) >= 300
    assert len({str(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_outcome_is_right_and_charged_once(case: Case, bench: Bench) -> None:
    """Answer or error as the tables say, as many requests as they say, one row in the ledger, charged once."""
    text = f"case {CASES.index(case)}"
    bench.plans[text] = case
    bench.delays.clear()
    ((before,),) = bench.ledger.query("SELECT count(*) FROM calls")
    assert isinstance(before, int)

    if case.recovers:
        answer = bench.call(case, text)
        assert answer.text == f"echo: {text}"
        assert answer.attempts == case.requests
    else:
        with pytest.raises(CallError) as caught:
            bench.call(case, text)
        assert type(caught.value) is case.error, caught.value
        assert caught.value.attempts == case.requests

    assert sum(call.text == text for call in bench.server.record.calls) == case.requests
    assert all(delay == pytest.approx(waited(case.fault), rel=0.11) for delay in bench.delays)
    ((status, read, written, cost, reserved, attempts, estimated),) = rows_since(bench.ledger, before)
    assert attempts == case.requests
    assert isinstance(cost, int)
    assert isinstance(reserved, int)
    if case.recovers:
        assert (status, read, written, estimated) == ("completed", 2, 2, 0)
        assert cost == (2 + 2) * 1000, "the answer's own tokens, at one dollar a million, once"
    elif isinstance(case.fault, Refuse):
        assert (status, cost) == ("failed", 0), "an error of the server costs nothing"
    else:
        assert status in ("failed", "cut")
        assert 0 <= cost <= reserved, "an estimate, never above what was set aside"


def waited(fault: Fault) -> float:
    """Seconds that the server asked to wait; a tenth more is allowed."""
    headers = dict(fault.headers) if isinstance(fault, Refuse) else {}
    asked = "retry-after-ms" in headers or headers.get("retry-after") == "0.02"
    return 0.02 * 1.05 if asked else 0.0


def test_all_charges_together_are_what_the_server_delivered(bench: Bench) -> None:
    """After all cases of this process: the tokens of completed calls are those of the delivered answers."""
    ((read, written),) = bench.ledger.query(
        "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM calls WHERE status = 'completed'"
    )
    assert (read, written) == bench.server.record.tokens_delivered()
