"""Batches under kills: every request has one result, and none that has one is run again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
from tests.crash.load import Load, Told
from tests.e2e.test_batch_crash import on_disk
from tests.serving import MODEL

REQUESTS = 60
OVER = ("completed", "failed", "expired", "cancelled")


async def batching(load: Load) -> None:
    """Batches; the next begins when the last is over."""
    while True:
        texts = [load.text(30) for _ in range(REQUESTS)]
        lines = [
            {
                "custom_id": text,
                "method": "POST",
                "url": "/v1/responses",
                "body": {"model": MODEL, "input": text},
            }
            for text in texts
        ]
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        answer = await load.http.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", data)}
        )
        assert answer.status_code == 200, answer.text
        body = {"input_file_id": answer.json()["id"], "endpoint": "/v1/responses", "completion_window": "24h"}
        batch, _ = await load.post("/v1/batches", body)
        load.told.batches[batch["id"]] = texts
        while batch["status"] not in OVER:
            await asyncio.sleep(0.01)
            batch = await load.get(f"/v1/batches/{batch['id']}")
            load.told.results[batch["id"]] = batch["request_counts"]["completed"]


def look_at_the_disk(told: Told, home: Path) -> None:
    """While no server runs: results that were there at an earlier kill stand unchanged, and their requests were not
    run since; what was counted as completed is there."""
    found = on_disk(home)
    with closing(sqlite3.connect(home / "kodo.db")) as database:
        asked = database.execute(
            "SELECT json_extract(CAST(item AS TEXT), '$.content[0].text'), count(*) FROM items "
            "WHERE response IS NOT NULL AND output = 0 GROUP BY 1"
        )
        runs = dict(asked.fetchall())
    for texts in told.batches.values():
        for text in texts:
            if text in found:
                now = found[text], runs[text]
                assert told.kept.setdefault(text, now) == now, text
    assert told.kept.keys() <= found.keys()
    for name, count in told.results.items():
        assert sum(text in found for text in told.batches[name]) >= count


async def look(told: Told, http: httpx2.AsyncClient, name: str) -> None:
    """The batch ends, as completed, with exactly one result for each request."""
    while (batch := (await http.get(f"/v1/batches/{name}")).json())["status"] not in OVER:
        await asyncio.sleep(0.02)
    texts = told.batches[name]
    assert (batch["status"], batch["error_file_id"]) == ("completed", None)
    assert batch["request_counts"] == {"total": len(texts), "completed": len(texts), "failed": 0}
    content = await http.get(f"/v1/files/{batch['output_file_id']}/content")
    lines = [json.loads(raw) for raw in content.text.splitlines()]
    assert sorted(line["custom_id"] for line in lines) == sorted(texts)
    for line in lines:
        (item,) = line["response"]["body"]["output"]
        assert item["content"][0]["text"] == line["custom_id"]
    told.results[name] = len(texts)
