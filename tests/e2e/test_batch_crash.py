"""A batch on the installed server, under ``kill -9`` and SIGTERM: one result a custom_id, nothing finished is run again."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openai
import pytest
from openai.types import Batch
from tests.e2e.conftest import Server
from tests.e2e.kodo_command import Kodo
from tests.unit.server.store.test_failures import integrity

from kodo.cli.exit_codes import ExitCode

Serve = Callable[..., Server]
MODEL = "codex-mini-latest"
LINES = int(os.environ.get("KODO_CRASH_LINES", "300"))
KILLS = int(os.environ.get("KODO_CRASH_KILLS", "4"))
IN_HAND = 2 * 64
"""Requests that a batch may have begun: twice what the scripted engine works on."""
FINAL = ("completed", "failed", "expired", "cancelled")


def config(home: Path) -> str:
    """A scripted model that takes some milliseconds for an answer."""
    home.mkdir(parents=True, exist_ok=True)
    script = home / "script.json"
    script.write_text(json.dumps({"pace": 0.005}))
    return f'[models."{MODEL}"]\nengine = "scripted"\ntarget = "{script}"\n'


def submit(sdk: openai.OpenAI, count: int) -> Batch:
    """So many requests, each to be echoed."""
    lines = (
        {
            "custom_id": f"r{n}",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": f"word {n}"},
        }
        for n in range(count)
    )
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = sdk.files.create(file=("in.jsonl", data), purpose="batch")
    return sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")


def on_disk(home: Path) -> dict[str, bytes]:
    """Whole lines by custom_id in the files of JSON that are no input: the results, handed over or not."""
    found: dict[str, bytes] = {}
    for path in (home / "files").glob("file-*"):
        for raw in path.read_bytes().splitlines(keepends=True):
            if raw.startswith(b"{") and raw.endswith(b"\n") and b'"url"' not in raw:
                custom_id = json.loads(raw)["custom_id"]
                assert custom_id not in found, custom_id
                found[custom_id] = raw
    return found


def results(sdk: openai.OpenAI, batch: Batch) -> dict[str, bytes]:
    """The lines of a batch's output file by custom_id."""
    assert batch.output_file_id is not None
    lines = sdk.files.content(batch.output_file_id).read().splitlines(keepends=True)
    found = {json.loads(raw)["custom_id"]: raw for raw in lines}
    assert len(found) == len(lines), "one result for each custom_id"
    return found


def text(raw: bytes) -> str:
    """What the Response in a line says."""
    return str(json.loads(raw)["response"]["body"]["output"][0]["content"][0]["text"])


def finished(sdk: openai.OpenAI, batch_id: str) -> Batch:
    """The batch, once it is over."""
    while (batch := sdk.batches.retrieve(batch_id)).status not in FINAL:
        time.sleep(0.02)
    return batch


def counted(sdk: openai.OpenAI, batch_id: str, least: int) -> None:
    """Wait until so many have a result."""
    while (counts := sdk.batches.retrieve(batch_id).request_counts) is None or counts.completed < least:
        time.sleep(0.002)


@pytest.mark.crash
def test_killed_again_and_again_there_is_one_result_for_each_request(serve: Serve, tmp_path: Path) -> None:
    """Lines that were on the disk at a kill stand unchanged in the output; only what was in hand is run twice.

    The long form is ``make crash-batch-api``.
    """
    home = tmp_path / "home"
    settings = config(home)
    server = serve(config=settings)
    batch_id = submit(server.sdk(), LINES).id
    stops = [0, *sorted(random.sample(range(1, LINES + 1), KILLS - 1))]
    before: dict[str, bytes] = {}
    for stop in stops:
        counted(server.sdk(), batch_id, stop)
        server.stop(signal.SIGKILL)
        assert integrity(home) == "ok"
        kept = on_disk(home)
        assert kept.items() >= before.items()
        before = kept
        server = serve(config=settings)
    done = finished(server.sdk(), batch_id)
    assert (done.status, done.error_file_id) == ("completed", None)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": LINES, "completed": LINES, "failed": 0}
    found = results(server.sdk(), done)
    assert found.items() >= before.items()
    assert {id_: text(raw) for id_, raw in found.items()} == {f"r{n}": f"word {n}" for n in range(LINES)}
    server.stop()
    with closing(sqlite3.connect(home / "kodo.db")) as database:
        (runs,) = database.execute("SELECT count(*) FROM responses").fetchone()
    assert LINES <= runs <= LINES + len(stops) * IN_HAND


def test_a_batch_that_is_stopped_politely_goes_on_at_the_next_start(serve: Serve, tmp_path: Path) -> None:
    """SIGTERM does not wait for the batch, ends with 0, and no request gets an error for it."""
    settings = config(tmp_path / "home")
    server = serve(config=settings)
    batch_id = submit(server.sdk(), 1000).id
    counted(server.sdk(), batch_id, 1)
    code, said = server.stop()
    assert code == 0, said
    assert "Traceback" not in said
    before = on_disk(tmp_path / "home")
    assert 1 <= len(before) < 1000
    server = serve(config=settings)
    done = finished(server.sdk(), batch_id)
    assert (done.status, done.error_file_id) == ("completed", None)
    found = results(server.sdk(), done)
    assert found.items() >= before.items()
    assert len(found) == 1000


def test_a_cancellation_survives_a_kill(serve: Serve, tmp_path: Path) -> None:
    """Once it was answered, no request is begun any more, whatever happens to the server."""
    settings = config(tmp_path / "home")
    server = serve(config=settings)
    batch_id = submit(server.sdk(), 1000).id
    counted(server.sdk(), batch_id, 1)
    assert server.sdk().batches.cancel(batch_id).status == "cancelling"
    server.stop(signal.SIGKILL)
    server = serve(config=settings)
    sdk = server.sdk()
    done = finished(sdk, batch_id)
    assert done.status == "cancelled"
    assert done.error_file_id is not None
    codes = [json.loads(raw) for raw in sdk.files.content(done.error_file_id).text.splitlines()]
    assert {line["error"]["code"] for line in codes} == {"batch_cancelled"}
    assert len(codes) + len(results(sdk, done)) == 1000


def test_the_toolkits_batch_command_uses_it_as_any_other(serve: Serve, tmp_path: Path) -> None:
    """`kodo batch run --via batch-api` submits, waits and collects: answers by custom_id, errors apart."""
    server = serve(config=config(tmp_path / "home"))
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"custom_id": f"r{n}", "body": {"model": MODEL, "input": f"word {n}"}} for n in range(20)]
    rows.append({"custom_id": "hot", "body": {"model": MODEL, "input": "x", "temperature": 9}})
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kodo = Kodo(tmp_path / "toolkit", f"{server.url}/v1")
    kodo.home.mkdir()
    done = kodo.run("batch", "run", str(source), str(out), "--via", "batch-api")
    assert done.returncode == ExitCode.PARTIAL, done.stderr
    lines = out.read_bytes().splitlines()
    assert {json.loads(raw)["custom_id"]: text(raw) for raw in lines} == {
        f"r{n}": f"word {n}" for n in range(20)
    }
    (error,) = (tmp_path / "out.jsonl.errors.jsonl").read_text().splitlines()
    assert json.loads(error)["custom_id"] == "hot"
