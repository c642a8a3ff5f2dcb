"""A batch through /v1/files and /v1/batches: what is reserved, noted and settled."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.faults.server import FaultServer

from kodo.client.answer import AnswerFailedError
from kodo.client.async_session import AsyncSession
from kodo.client.budget import Budget
from kodo.client.errors import BudgetExceededError, RequestRefusedError
from kodo.client.ledger import Ledger
from kodo.client.retry import RetryPolicy
from kodo.client.settings import ClientSettings, PriceSettings
from kodo.jobs.batch import submit
from kodo.jobs.batch.lines import BatchInputError
from kodo.jobs.batch.submit import state_path, submit_batch


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An input of four requests, an output that is not there yet, and no pauses between polls."""
    monkeypatch.setattr(submit, "POLL_SECONDS", (0.0, 0.0))
    source = tmp_path / "in.jsonl"
    lines = [
        {"custom_id": f"r{n}", "body": {"input": f"word {n}", "max_output_tokens": 10}} for n in range(4)
    ]
    source.write_text("\n".join(map(json.dumps, lines)))
    return source, tmp_path / "out.jsonl"


def session(server: FaultServer, ledger: Ledger, budget: Budget | None = None) -> AsyncSession:
    settings = ClientSettings(
        base_url=server.base_url,
        api_key="k",
        model="m",
        free=False,
        prices={"m": PriceSettings(input=Decimal(1000), output=Decimal(1000))},
    )
    policy = RetryPolicy(1, base_delay=0, max_delay=0)
    return AsyncSession(settings, ledger=ledger, retry=policy, budget=budget, job="batch", repository="")


async def test_a_batch_is_one_row_in_the_ledger_at_half_the_price(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Its usage is the sum of its results'; the Batch API bills half."""
    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger) as used:
            report = await submit_batch(used, *files)
            lines = [f"word {n}" for n in range(4)]
            estimates = [await used.estimate(line, ask_server=False, max_output_tokens=10) for line in lines]
        rows = ledger.query("SELECT status, input_tokens, output_tokens, cost_nano, response_id FROM calls")
        ((reserved,),) = ledger.query("SELECT reserved_nano FROM calls")
    assert report.complete
    assert reserved == sum(estimate.worst.nano for estimate in estimates) / 2
    assert rows == [("completed", 8, 8, 16 * 1_000_000_000 // 1000 // 2, "batch_0")]
    assert report.progress.usd == Decimal("0.008")


async def test_a_worst_case_above_the_budget_is_not_submitted(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Nothing is uploaded, nothing is noted."""
    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger, Budget(run=Decimal("0.01"))) as used:
            with pytest.raises(BudgetExceededError):
                await submit_batch(used, *files)
        assert ledger.query("SELECT count(*) FROM calls") == [(0,)]
    assert server.batches.files == {}
    assert not state_path(files[1]).exists()


async def test_secrets_are_masked_in_the_uploaded_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The same filter as for a call."""
    secret = "ghp_" + "a1B2" * 9
    line = {"custom_id": "a", "body": {"input": f"use {secret}"}}
    files[0].write_text(json.dumps(line))
    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger) as used:
            await submit_batch(used, *files)
    assert all(secret.encode() not in content for content in server.batches.files.values())


async def test_a_refused_submission_costs_nothing_and_leaves_no_note(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run starts afresh."""
    from openai.resources.batches import AsyncBatches

    async def refuse(self: AsyncBatches, **given: Any) -> None:
        raise openai.BadRequestError("no", response=_response(400), body=None)

    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger) as used:
            with monkeypatch.context() as patch:
                patch.setattr(AsyncBatches, "create", refuse)
                with pytest.raises(RequestRefusedError):
                    await submit_batch(used, *files)
            assert not state_path(files[1]).exists()
            assert ledger.query("SELECT status, cost_nano FROM calls") == [("failed", 0)]
            assert (await submit_batch(used, *files)).complete


async def test_an_answer_that_is_lost_does_not_submit_twice(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server took the batch but the connection broke: the retry finds it by its token."""
    from openai.resources.batches import AsyncBatches

    real, lost = AsyncBatches.create, []

    async def lose_first(self: AsyncBatches, **given: Any) -> Any:
        made = await real(self, **given)
        if not lost:
            lost.append(made)
            raise openai.APIConnectionError(request=_response(200).request)
        return made

    monkeypatch.setattr(AsyncBatches, "create", lose_first)
    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger) as used:
            report = await submit_batch(used, *files)
    assert report.complete
    assert len(server.batches.batches) == 1


async def test_a_batch_that_failed_as_a_whole_is_told_with_its_lines(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation errors of the server are the message."""

    def fail(batch: dict[str, Any]) -> None:
        problem = {"code": "invalid", "line": 2, "message": "bad line", "param": None}
        batch.update(status="failed", errors={"object": "list", "data": [problem]})

    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        monkeypatch.setattr(server.batches, "_finish", fail)
        async with session(server, ledger) as used:
            report = await submit_batch(used, *files)
    assert isinstance(report.stopped_by, AnswerFailedError)
    assert "line 2: bad line" in str(report.stopped_by)
    assert not report.complete


async def test_a_note_that_is_no_note_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A damaged note is not silently replaced: the batch it stood for may be under way."""
    state_path(files[1]).write_text("x")
    with FaultServer() as server, Ledger(tmp_path / "l.db") as ledger:
        async with session(server, ledger) as used:
            with pytest.raises(BatchInputError, match=r"batch\.json"):
                await submit_batch(used, *files)
    assert server.batches.batches == {}


def _response(status: int) -> Any:
    import httpx2

    return httpx2.Response(status, request=httpx2.Request("POST", "http://test.invalid/v1/batches"))
