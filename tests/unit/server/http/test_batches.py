"""Batches through the SDK: every request one result, whatever is wrong, cancelled, late or stopped on the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import Batch
from tests.serving import MODEL, MovedClock, Served, script, served, settings
from tests.unit.server.http.test_access import make_key
from tests.unit.server.http.test_files import on_disk

from kodo.server.engines.scripted import Script, ScriptedEngine
from kodo.server.http.batches import input_file
from kodo.server.http.batches.results import ResultFiles
from kodo.server.lifecycle.errors import EngineFailed, EngineUnavailable, StoreFailed
from kodo.server.store.blobs.folder import FolderBlobs
from kodo.server.wire.batches import LineError, ResultLine

RESPONSES = "/v1/responses"
FINAL = ("completed", "failed", "expired", "cancelled")


def line(custom_id: str, url: str = RESPONSES, **body: Any) -> dict[str, Any]:
    """A line of the input; without a body, an input of its own."""
    body = body or {"input": f"say {custom_id}"}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": MODEL, **body}}


def jsonl(*lines: dict[str, Any] | str) -> bytes:
    """Lines as a file; text stands as it is."""
    return b"".join((one if isinstance(one, str) else json.dumps(one)).encode() + b"\n" for one in lines)


async def submit(sdk: openai.AsyncOpenAI, data: bytes, endpoint: str = RESPONSES, **options: Any) -> Batch:
    """Upload and create."""
    file = await sdk.files.create(file=("in.jsonl", data), purpose="batch")
    return await sdk.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]  # a str
        completion_window="24h",
        **options,
    )


async def finished(sdk: openai.AsyncOpenAI, batch_id: str) -> Batch:
    """The batch, once it is over; its strict type is checked."""
    while (batch := await sdk.batches.retrieve(batch_id)).status not in FINAL:
        await asyncio.sleep(0.02)
    return Batch.model_validate_json(batch.to_json(), strict=True)


async def lines_of(sdk: openai.AsyncOpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    """The lines of a file by custom_id, which must be different."""
    if file_id is None:
        return {}
    found = [json.loads(raw) for raw in (await sdk.files.content(file_id)).text.splitlines()]
    assert set(Counter(one["custom_id"] for one in found).values()) <= {1}
    return {one["custom_id"]: one for one in found}


def text_of(one: dict[str, Any]) -> str:
    """What a Response in a line says."""
    return str(one["response"]["body"]["output"][0]["content"][0]["text"])


async def leaves(server: Served, file_id: str | None) -> None:
    """Of a batch this file stays alone. The copy of its input goes after the end is stored, which a client can see first."""
    async with asyncio.timeout(10):
        while on_disk(server) != [file_id]:
            await asyncio.sleep(0.01)


async def test_every_request_gets_its_result(tmp_path: Path) -> None:
    """Answers by custom_id, counts, usage, times and metadata; the files are purpose batch_output, the input may go."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        ids = [f"request-{n}" for n in range(30)]
        batch = await submit(sdk, jsonl(*map(line, ids)) + b"\n\n", metadata={"job": "nightly"})
        assert (batch.status, batch.endpoint, batch.completion_window) == ("validating", RESPONSES, "24h")
        assert batch.expires_at == batch.created_at + 24 * 3600
        await sdk.files.delete(batch.input_file_id)
        done = await finished(sdk, batch.id)
        assert (done.status, done.error_file_id, done.model) == ("completed", None, MODEL)
        assert done.metadata == {"job": "nightly"}
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 30, "completed": 30, "failed": 0}
        assert done.in_progress_at is not None
        assert done.finalizing_at is not None
        assert done.completed_at is not None
        found = await lines_of(sdk, done.output_file_id)
        assert {id_: text_of(one) for id_, one in found.items()} == {id_: f"say {id_}" for id_ in ids}
        bodies = [one["response"]["body"] for one in found.values()]
        assert done.usage is not None
        for name in ("input_tokens", "output_tokens", "total_tokens"):
            assert getattr(done.usage, name) == sum(body["usage"][name] for body in bodies)
        one = found[ids[0]]
        assert (one["error"], one["response"]["status_code"]) == (None, 200)
        assert one["id"].startswith("batch_req_")
        assert one["response"]["request_id"].startswith("req_")
        assert (await sdk.responses.retrieve(bodies[0]["id"])).output_text
        assert done.output_file_id is not None
        file = await sdk.files.retrieve(done.output_file_id)
        assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
        await leaves(server, done.output_file_id)


async def test_a_byte_order_mark_in_front_of_the_file_is_skipped(tmp_path: Path) -> None:
    """Editors on Windows write one; the first request is read like the others, also with CRLF."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        data = b"\xef\xbb\xbf" + jsonl(line("a"), line("b")).replace(b"\n", b"\r\n")
        done = await finished(sdk, (await submit(sdk, data)).id)
        assert done.status == "completed", done.errors
        found = await lines_of(sdk, done.output_file_id)
        assert {id_: text_of(one) for id_, one in found.items()} == {"a": "say a", "b": "say b"}


@pytest.mark.parametrize(
    ("endpoint", "body", "answer"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}, "hi"),
        ("/v1/completions", {"prompt": "hi"}, "hi"),
        ("/v1/embeddings", {"input": ["hi", "hi"]}, None),
    ],
)
async def test_each_endpoint_answers_in_a_batch_as_over_http(
    tmp_path: Path, endpoint: str, body: dict[str, Any], answer: str | None
) -> None:
    """The body of a line is what the endpoint answers, but for its id and time."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        sdk = server.sdk()
        over_http = (await http.post(endpoint, json={"model": MODEL, **body})).json()
        batch = await submit(sdk, jsonl(line("a", endpoint, **body)), endpoint)
        done = await finished(sdk, batch.id)
        in_batch = (await lines_of(sdk, done.output_file_id))["a"]["response"]["body"]
        for value in (over_http, in_batch):
            for name in ("id", "created"):
                value.pop(name, None)
        assert in_batch == over_http
        assert answer is None or answer in json.dumps(in_batch)
        assert done.usage is not None
        assert done.usage.total_tokens == over_http["usage"]["total_tokens"] > 0


async def test_a_request_that_is_refused_is_a_line_of_the_error_file(tmp_path: Path) -> None:
    """With the status and envelope that HTTP would have; the others are not held up."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        data = jsonl(
            line("good"),
            line("typo", input="x", temperatur=1),
            line("hot", input="x", temperature=9),
            line("stream", input="x", stream=True),
            line("none", input="x", previous_response_id="resp_none"),
            line("deep", input=[json.loads("[" * 150 + "]" * 150)]),
            line("long", input="x" * 200_000),
        )
        done = await finished(sdk, (await submit(sdk, data)).id)
        assert done.status == "completed"
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 7, "completed": 1, "failed": 6}
        assert set(await lines_of(sdk, done.output_file_id)) == {"good"}
        errors = await lines_of(sdk, done.error_file_id)
        found = {
            id_: (one["response"]["status_code"], one["response"]["body"]["error"]["param"])
            for id_, one in errors.items()
        }
        assert found == {
            "typo": (400, "temperatur"),
            "hot": (400, "temperature"),
            "stream": (400, "stream"),
            "none": (400, "previous_response_id"),
            "deep": (400, None),
            "long": (400, "input"),
        }


BAD = {
    "not json": ("{", "invalid_json_line", None),
    "not an object": ("[]", "invalid_type", None),
    "no custom_id": (
        json.dumps({"method": "POST", "url": RESPONSES, "body": {"model": MODEL}}),
        "missing_required_parameter",
        "custom_id",
    ),
    "empty custom_id": (json.dumps(line("")), "empty_string", "custom_id"),
    "the same custom_id": (json.dumps(line("good")), "duplicate_custom_id", "custom_id"),
    "another method": (json.dumps({**line("a"), "method": "GET"}), "invalid_method", "method"),
    "another url": (json.dumps(line("a", "/v1/embeddings")), "invalid_url", "url"),
    "no model": (
        json.dumps({**line("a"), "body": {"input": "x"}}),
        "missing_required_parameter",
        "body.model",
    ),
    "another model": (json.dumps(line("a", model="gpt-9")), "mismatched_model", "body.model"),
    "half a character": (
        json.dumps(line("a", input="MARK")).replace("MARK", "\\ud800"),
        "invalid_json_line",
        None,
    ),
    "deep": ('{"custom_id":"d","body":' + "[" * 100_000 + "}", "invalid_json_line", None),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_line_that_is_wrong_fails_the_batch_and_is_named(tmp_path: Path, case: str) -> None:
    """Before anything is run: code, line and field; the SDK's strict type holds for the errors too."""
    raw, code, param = BAD[case]
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        batch = await finished(sdk, (await submit(sdk, jsonl(line("good"), "", raw))).id)
        assert batch.status == "failed"
        assert batch.failed_at is not None
        assert batch.errors is not None
        (error,) = batch.errors.data or []
        assert (error.line, error.code, error.param) == (3, code, param)
        assert batch.output_file_id is None
        await leaves(server, batch.input_file_id)


async def test_an_input_without_requests_or_for_a_model_that_is_not_here_fails(tmp_path: Path) -> None:
    """Both are told at once, not request by request."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        for data, code, number in (
            (b"\n \n", "empty_file", None),
            (jsonl(line("a", model="gpt-9")), "model_not_found", 1),
        ):
            batch = await finished(sdk, (await submit(sdk, data)).id)
            assert batch.errors is not None
            assert [(one.code, one.line) for one in batch.errors.data or []] == [(code, number)]


async def test_limits_of_lines_and_requests_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests than allowed, and a line that is too long, which does not fill the memory."""
    monkeypatch.setattr(input_file, "MAX_REQUESTS", 3)
    path = tmp_path / "in.jsonl"

    def errors() -> list[tuple[str, int | None]]:
        found = input_file.validate(path, endpoint=RESPONSES, models=[MODEL], max_line_bytes=1000)
        return [(one.code, one.line) for one in found.errors]

    path.write_bytes(jsonl(*(line(str(n)) for n in range(3))))
    assert errors() == []
    path.write_bytes(jsonl(*(line(str(n)) for n in range(4))))
    assert errors() == [("too_many_requests", None)]
    path.write_bytes(jsonl(line("a"), line("b", input="x" * 5000), "{"))
    assert errors() == [("line_too_long", 2), ("invalid_json_line", 3)]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"completion_window": "7d"}, 400, "completion_window"),
        ({"endpoint": "/v1/videos"}, 400, "endpoint"),
        ({"input_file_id": "file-none"}, 404, "input_file_id"),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
        ({"priority": "high"}, 400, "priority"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int, param: str
) -> None:
    """With the field that is wrong."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        file = await server.sdk().files.create(file=("f", b"{}"), purpose="batch")
        good = {"input_file_id": file.id, "endpoint": RESPONSES, "completion_window": "24h"}
        answer = await http.post("/v1/batches", json={**good, **body})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_a_file_for_something_else_is_no_input(tmp_path: Path) -> None:
    """Its purpose must be batch."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        file = await sdk.files.create(file=("f", jsonl(line("a"))), purpose="user_data")
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.batches.create(input_file_id=file.id, endpoint=RESPONSES, completion_window="24h")
        assert caught.value.param == "input_file_id"


def slow(tmp_path: Path, seconds: float = 30.0) -> Any:
    """A model that answers at once what begins with "say", and other things after a while."""
    return script(
        tmp_path,
        {"match": "^say", "steps": [{"type": "text", "text": "said"}]},
        {"match": "", "steps": [{"type": "delay", "seconds": seconds}, {"type": "text", "text": "late"}]},
    )


async def _partly(sdk: openai.AsyncOpenAI, batch_id: str, done: int) -> Batch:
    while True:
        batch = await sdk.batches.retrieve(batch_id)
        if batch.request_counts is not None and batch.request_counts.completed >= done:
            return batch
        await asyncio.sleep(0.02)


async def test_a_cancelled_batch_hands_over_what_was_finished(tmp_path: Path) -> None:
    """Cancelling, then cancelled: results of what was done, and a line that says so for what was not."""
    async with served(settings(tmp_path / "home", slow(tmp_path))) as server:
        sdk = server.sdk()
        data = jsonl(line("a"), line("b"), *(line(f"late-{n}", input="wait") for n in range(300)))
        batch = await submit(sdk, data)
        await _partly(sdk, batch.id, 2)
        assert (await sdk.batches.cancel(batch.id)).status == "cancelling"
        done = await finished(sdk, batch.id)
        assert done.status == "cancelled"
        assert done.cancelling_at is not None
        assert done.cancelled_at is not None
        assert set(await lines_of(sdk, done.output_file_id)) == {"a", "b"}
        errors = await lines_of(sdk, done.error_file_id)
        assert set(errors) == {f"late-{n}" for n in range(300)}
        assert {(one["response"], one["error"]["code"]) for one in errors.values()} == {
            (None, "batch_cancelled")
        }
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 302, "completed": 2, "failed": 0}
        with pytest.raises(openai.ConflictError):
            await sdk.batches.cancel(batch.id)


async def test_a_batch_that_expires_hands_over_what_was_finished(tmp_path: Path) -> None:
    """At the end of its window nothing more is run, and each request that was not has a line that says so."""
    clock = MovedClock()
    async with served(settings(tmp_path / "home", slow(tmp_path)), clock) as server:
        sdk = server.sdk()
        batch = await submit(sdk, jsonl(line("a"), line("b", input="wait"), line("c", input="wait")))
        await _partly(sdk, batch.id, 1)
        clock.moved = 24 * 3600
        done = await finished(sdk, batch.id)
        assert done.status == "expired"
        assert done.expired_at is not None
        assert set(await lines_of(sdk, done.output_file_id)) == {"a"}
        errors = await lines_of(sdk, done.error_file_id)
        assert {id_: one["error"]["code"] for id_, one in errors.items()} == {
            "b": "batch_expired",
            "c": "batch_expired",
        }


async def test_output_files_expire_when_they_were_told_to(tmp_path: Path) -> None:
    """``output_expires_after`` counts from when the file was made."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        batch = await submit(
            sdk, jsonl(line("a")), output_expires_after={"anchor": "created_at", "seconds": 3600}
        )
        done = await finished(sdk, batch.id)
        assert done.output_file_id is not None
        file = await sdk.files.retrieve(done.output_file_id)
        assert file.expires_at == file.created_at + 3600


async def test_batches_belong_to_the_keys_project_and_are_listed_in_pages(tmp_path: Path) -> None:
    """Another project's key finds none of them, nor their files; the SDK's paging walks them, newest first."""
    async with served(settings(tmp_path)) as server:
        mine, other = server.sdk(await make_key(server, "mine")), server.sdk(await make_key(server, "other"))
        made = [await submit(mine, jsonl(line("a"))) for _ in range(3)]
        ids = [batch.id for batch in made]
        assert [batch.id async for batch in mine.batches.list(limit=2)] == ids[::-1]
        assert [batch.id async for batch in other.batches.list()] == []
        done = await finished(mine, ids[0])
        for call in (
            other.batches.retrieve(ids[0]),
            other.batches.cancel(ids[0]),
            other.files.content(done.output_file_id or ""),
            other.batches.create(
                input_file_id=made[0].input_file_id, endpoint=RESPONSES, completion_window="24h"
            ),
        ):
            with pytest.raises(openai.NotFoundError):
                await call


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """Requests with a result are not run again, those without are; the metrics of the new server count one."""
    given = settings(tmp_path / "home", slow(tmp_path))
    async with served(given) as server:
        batch = await submit(server.sdk(), jsonl(line("a"), line("b"), line("c", input="wait")))
        await _partly(server.sdk(), batch.id, 2)
    quick = script(tmp_path, {"match": "", "steps": [{"type": "text", "text": "now"}]})
    async with served(settings(tmp_path / "home", quick)) as server, server.http() as http:
        done = await finished(server.sdk(), batch.id)
        found = await lines_of(server.sdk(), done.output_file_id)
        assert {id_: text_of(one) for id_, one in found.items()} == {"a": "said", "b": "said", "c": "now"}
        assert done.request_counts is not None
        assert done.request_counts.to_dict() == {"total": 3, "completed": 3, "failed": 0}
        assert done.usage is not None
        assert done.usage.output_tokens == 3
        counted = f'kodo_responses_total{{model="{MODEL}",status="completed"}} 1.0'
        assert counted in (await http.get("/metrics")).text


async def test_a_batch_stands_back_for_interactive_requests_and_still_finishes(tmp_path: Path) -> None:
    """With one place in the engine, a question does not wait for the request that runs, nor for those behind it."""
    async with served(settings(tmp_path / "home", script(tmp_path, pace=0.01))) as server:
        server.state.models[MODEL].admission.parallel = 1
        sdk = server.sdk()
        texts = {f"{n}": f"{n} {'word ' * 80}" for n in range(8)}
        batch = await submit(sdk, jsonl(*(line(id_, input=text) for id_, text in texts.items())))
        before = await _partly(sdk, batch.id, 1)
        for _ in range(5):
            await sdk.responses.create(model=MODEL, input="hello")
        between = await sdk.batches.retrieve(batch.id)
        assert before.request_counts is not None
        assert between.request_counts is not None
        assert between.status == "in_progress"
        assert between.request_counts.completed - before.request_counts.completed < 5
        done = await finished(sdk, batch.id)
        found = await lines_of(sdk, done.output_file_id)
        assert {id_: text_of(one) for id_, one in found.items()} == texts


async def test_no_more_of_the_input_is_in_memory_than_the_engine_can_use(tmp_path: Path) -> None:
    """However many batches there are, their requests in hand together are twice what the engine works on."""
    async with served(settings(tmp_path / "home", slow(tmp_path))) as server:
        admission = server.state.models[MODEL].admission
        admission.parallel = 3
        sdk = server.sdk()
        batches = [
            await submit(sdk, jsonl(*(line(str(n), input="wait") for n in range(50)))) for _ in range(4)
        ]
        while admission.running + admission.waiting < 6:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert (admission.running, admission.waiting) == (3, 3)
        for batch in batches:
            await sdk.batches.cancel(batch.id)
            assert (await finished(sdk, batch.id)).status == "cancelled"


class Flaky(ScriptedEngine):
    """An engine that breaks off, or is away, so many times before it answers."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(Script())
        self._errors = errors

    async def prepare(self, prompt: Any) -> Any:
        if self._errors:
            raise self._errors.pop()
        return await super().prepare(prompt)


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        ([EngineUnavailable("starting", retry_after=0.01)] * 5, 200),
        ([EngineFailed("broke")] * 2, 200),
        ([EngineFailed("broke")] * 3, 503),
        ([RuntimeError("a bug")], 500),
    ],
)
async def test_an_engine_that_is_away_is_waited_for_and_one_that_breaks_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[Exception], status: int
) -> None:
    """Being away is no result; breaking off three times is, and so is a bug, of which nothing is told."""

    async def build(*_: object) -> Flaky:
        return Flaky(list(errors))

    monkeypatch.setattr("kodo.server.http.backends.build", build)
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        done = await finished(sdk, (await submit(sdk, jsonl(line("a")))).id)
        assert done.status == "completed"
        found = await lines_of(sdk, done.output_file_id) | await lines_of(sdk, done.error_file_id)
        assert found["a"]["response"]["status_code"] == status
        assert "a bug" not in json.dumps(found)


async def test_a_full_disk_stops_a_batch_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A result that could not be written is no result: the request is run again, once, and nothing is lost. The log has a
    line for each time, and no traceback."""
    monkeypatch.setattr("kodo.server.http.batches.worker._RETRY_DELAYS", (0.05, 0.05))
    add = ResultFiles.add
    refused = []

    async def full(self: ResultFiles, one: ResultLine) -> None:
        if one.custom_id == "b" and len(refused) < 2:
            refused.append(one)
            raise StoreFailed("no space")
        await add(self, one)

    monkeypatch.setattr(ResultFiles, "add", full)
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        done = await finished(sdk, (await submit(sdk, jsonl(line("a"), line("b"), line("c")))).id)
        assert done.status == "completed"
        assert set(await lines_of(sdk, done.output_file_id)) == {"a", "b", "c"}
        assert len(refused) == 2
    put_off = [record for record in caplog.records if "is put off" in record.message]
    assert [record.message.endswith("no space") for record in put_off] == [True, True]
    assert not any(record.exc_info for record in put_off)


# --- results on disk -------------------------------------------------------------------------------------------------


def _result(custom_id: str) -> ResultLine:
    return ResultLine(id="batch_req_1", custom_id=custom_id, error=LineError(code="c", message="m" * 100))


async def test_results_survive_a_torn_line_wherever_it_is_torn(tmp_path: Path) -> None:
    """Cut at every byte of its last line, a file keeps the lines before it, takes the lost one again, and is whole."""
    blobs, errors = FolderBlobs(tmp_path), tmp_path / "file-b0"
    results = await ResultFiles.open(blobs, "file-a0", "file-b0")
    await asyncio.gather(*(results.add(_result(id_)) for id_ in ("a", "b", "a")))
    await results.close()
    whole = errors.read_bytes()
    first = whole.index(b"\n") + 1
    assert whole.count(b"\n") == 2
    for cut in range(first, len(whole)):
        errors.write_bytes(whole[:cut])
        results = await ResultFiles.open(blobs, "file-a0", "file-b0")
        assert results.finished == {input_file.custom_id_digest("a")}
        await results.add(_result("b"))
        await results.add(_result("a"))
        await results.close()
        assert errors.read_bytes() == whole


async def test_results_that_are_closed_or_broken_take_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that failed may have left half a line: only opening anew, which cuts it off, goes on."""
    results = await ResultFiles.open(FolderBlobs(tmp_path), "file-a0", "file-b0")

    def failing(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", failing)
        with pytest.raises(StoreFailed, match="No space"):
            await results.add(_result("a"))
    with pytest.raises(StoreFailed):
        await results.add(_result("b"))
    await results.close()
    with pytest.raises(StoreFailed, match=r"closed|No space"):
        await results.add(_result("c"))
