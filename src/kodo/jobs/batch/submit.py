"""The same job through the Batch API: upload the requests, submit them, wait, collect. Half the price, up to a day.

What was submitted is noted beside the output, before and after the submission, so that a run that is stopped or
killed at any moment is taken up by the next one and nothing is submitted twice: a batch carries its note's token
in its metadata, and one whose id was not noted any more is found by that.

In the ledger a batch is one row: its worst case is set aside before it is submitted and settled when its results are
there. Where the process ends in between, the row keeps the worst case, marked as lost.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from kodo.client.answer import AnswerFailedError
from kodo.client.async_session import AsyncSession
from kodo.client.error_translation import translate
from kodo.client.errors import KodoError, MalformedAnswerError
from kodo.client.ledger import CallOutcome, Reservation
from kodo.client.prices import Cost
from kodo.client.usage import Usage
from kodo.jobs.batch.job import BatchReport, ErrorFile, count_done, errors_path
from kodo.jobs.batch.lines import RESPONSES, BatchInputError, ResultLine, read_requests, scan_input
from kodo.jobs.batch.progress import Progress
from kodo.jobs.batch.results import ResultFile

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

POLL_SECONDS = (0.5, 30.0)
"""First and longest pause between two looks at a submitted batch."""

_TOKEN = "kodo_batch"  # noqa: S105 - the name of a metadata field, not a secret
_LISTED = 100
_FINAL = frozenset({"completed", "failed", "expired", "cancelled"})


class SubmissionState(msgspec.Struct, frozen=True):
    """What is noted beside the output while a batch is under way."""

    token: str
    batch_id: str | None = None


def state_path(out: Path) -> Path:
    """Where the batch under way for this output is noted."""
    return out.with_name(f"{out.name}.batch.json")


async def submit_batch(
    session: AsyncSession,
    source: Path,
    out: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> BatchReport:
    """Answer every request of ``source`` that has no result in ``out``, through /v1/files and /v1/batches.

    A batch that was submitted for this output before is waited for and collected instead of a new one. Partial
    results of one that expired or was cancelled are kept. Raises as ``run_batch`` does, and KodoError where the
    server refuses the file or the batch, or a budget its worst case.
    """
    import openai

    model = session.settings.model
    total = (await asyncio.to_thread(scan_input, source, model)).requests
    with ResultFile(out) as results, ErrorFile(errors_path(out)) as errors:
        before = await asyncio.to_thread(count_done, source, model, results)
        start = Progress(total=total, before=before)
        state = _read_state(state_path(out))
        if state is None and before == total:
            return BatchReport(start, errors.path)
        client = await session.client()
        run = _Submission(session, client, results, errors, start, on_progress)
        try:
            batch = None if state is None else await run.find(state)
            if batch is None:
                batch = await run.submit(source, out)
            batch = await run.wait(batch)
            await run.collect(batch)
        except openai.OpenAIError as error:
            raise translate(error) from error
        finally:
            if not run.sent:
                run.settle()
        run.settle()
        results.sync()
        state_path(out).unlink(missing_ok=True)
        return BatchReport(run.progress, errors.path, _stopped(batch))


@dataclass
class _Submission:
    """One batch, from the pending requests to their results."""

    session: AsyncSession
    client: openai.AsyncOpenAI
    results: ResultFile
    errors: ErrorFile
    progress: Progress
    on_progress: Callable[[Progress], None]
    reservation: Reservation | None = None
    sent: bool = False
    """Whether the server may have the batch; from then on only its results say what it cost."""
    batch_id: str = ""
    _began: float = field(default_factory=time.monotonic)

    async def find(self, state: SubmissionState) -> Batch | None:
        """The batch that a state speaks of, or None if it was never submitted."""
        if state.batch_id is not None:
            return await self.client.batches.retrieve(state.batch_id)
        async for batch in self.client.batches.list(limit=_LISTED):
            if (batch.metadata or {}).get(_TOKEN) == state.token:
                return batch
        return None

    async def submit(self, source: Path, out: Path) -> Batch:
        """Upload the requests without a result, reserve their worst case, and submit them as one batch."""
        import openai

        with tempfile.TemporaryFile() as pending:
            self.reservation = await asyncio.to_thread(self._write_pending, source, pending)

            async def upload() -> str:
                pending.seek(0)
                return (await self.client.files.create(file=("in.jsonl", pending), purpose="batch")).id

            file_id = await self.session.retry.acall("upload", upload)
        state, tries = SubmissionState(uuid.uuid4().hex), 0
        _write_state(state_path(out), state)

        async def create() -> Batch:
            nonlocal tries
            tries += 1
            found = (
                await self.find(state) if tries > 1 else None
            )  # the answer to the first try may have been lost
            return found or await self.client.batches.create(
                input_file_id=file_id,
                endpoint=RESPONSES,
                completion_window="24h",
                metadata={_TOKEN: state.token},
            )

        self.sent = True
        try:
            batch = await self.session.retry.acall("submit", create)
        except openai.APIStatusError as error:
            if error.status_code < 500 and tries == 1:  # refused for certain: there is no batch to resume
                self.sent = False
                state_path(out).unlink()
            raise
        _write_state(state_path(out), SubmissionState(state.token, batch.id))
        return batch

    def _write_pending(self, source: Path, pending: IO[bytes]) -> Reservation:
        """Write the requests to send, masked and capped, and set their worst case aside.

        Raises BudgetExceededError and UnknownPriceError.
        """
        account, endpoint = self.session.account, self.session.endpoint()
        worst, listed, model = Decimal(0), Decimal(0), self.session.settings.model
        for _, line in read_requests(source, model):
            if line.custom_id in self.results:
                continue
            rest = {name: value for name, value in line.body.items() if name != "input"}
            plan = account.plan(line.body["input"], {"extra": rest}, endpoint, batch=True)
            worst += plan.worst.usd
            listed += plan.worst.list_usd or Decimal(0)
            model = plan.model
            pending.write(msgspec.json.encode(msgspec.structs.replace(line, body=dict(plan.body))) + b"\n")
        return account.ledger.reserve(
            Cost(worst, listed),
            model=model,
            endpoint=endpoint.base_url,
            run=account.run_id,
            job=account.job,
            repository=account.repository,
            budget=account.budget,
        )

    async def wait(self, batch: Batch) -> Batch:
        """Look at the batch until it has ended, in growing pauses."""
        self.batch_id = batch.id
        pause, longest = POLL_SECONDS
        while batch.status not in _FINAL:
            counts = batch.request_counts
            if counts is not None:
                waiting = max(0, counts.total - counts.completed - counts.failed)
                self._notify(succeeded=counts.completed, failed=counts.failed, in_flight=waiting)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)
            batch = await self.session.retry.acall(
                "poll", lambda: self.client.batches.retrieve(self.batch_id)
            )
        self.progress = replace(self.progress, succeeded=0, failed=0, in_flight=0)
        return batch

    async def collect(self, batch: Batch) -> None:
        """Read the batch's files line by line into the results and the errors."""
        decoder = msgspec.json.Decoder(ResultLine)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            async with self.client.files.with_streaming_response.content(file_id) as content:
                async for raw in content.iter_lines():
                    if raw.strip():
                        self._take(_decoded(decoder, raw))

    def _take(self, line: ResultLine) -> None:
        answer = line.response
        if answer is None or answer.status_code >= 400 or answer.body.get("status") == "failed":
            self.errors.add(line)
            self._notify(failed=self.progress.failed + 1)
            return
        self.results.add(line)
        account = self.session.account
        usage = Usage.from_wire(answer.body.get("usage")) or Usage()
        book = replace(account.settings.price_book(limited=False), unknown="zero")
        free = account.is_free(self.session.endpoint())
        cost = book.charge(str(answer.body.get("model")), usage, free=free, batch=True)
        self._notify(
            succeeded=self.progress.succeeded + 1,
            usage=self.progress.usage + usage,
            usd=self.progress.usd + cost.usd,
            list_usd=self.progress.list_usd + (cost.list_usd or Decimal(0)),
        )

    def settle(self) -> None:
        """Write what the batch has cost over its reservation; without results that cost is 0. Once is enough."""
        if self.reservation is None:
            return
        got = self.progress
        outcome = CallOutcome(
            status="completed" if got.succeeded else "failed",
            cost=Cost(got.usd, got.list_usd),
            usage=got.usage,
            latency=time.monotonic() - self._began,
            response_id=self.batch_id,
        )
        self.session.ledger.settle(self.reservation, outcome)

    def _notify(self, **changed: Any) -> None:
        self.progress = replace(self.progress, **changed, seconds=time.monotonic() - self._began)
        self.on_progress(self.progress)


def _decoded(decoder: msgspec.json.Decoder[ResultLine], raw: str) -> ResultLine:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise MalformedAnswerError(f"a line of the batch's results is invalid: {error}") from error


def _stopped(batch: Batch) -> KodoError | None:
    """Why the batch has no results at all, where that is so; one that expired or was cancelled has partial ones."""
    if batch.status != "failed":
        return None
    problems = (batch.errors.data if batch.errors else None) or []
    detail = (
        "; ".join(f"line {problem.line}: {problem.message}" for problem in problems[:3]) or "no reason given"
    )
    return AnswerFailedError(
        f"the batch {batch.id} failed: {detail}", code=problems[0].code if problems else None
    )


def _read_state(path: Path) -> SubmissionState | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=SubmissionState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BatchInputError(path, 1, "", f"does not describe a batch: {error}") from error


def _write_state(path: Path, state: SubmissionState) -> None:
    """Write a state so that it is whole whenever it is there."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(path)
