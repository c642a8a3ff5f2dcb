"""What ``/metrics`` says, and docs/reference/metrics.md."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.paths import DOCS
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_batches import finished, jsonl, line, submit

from kodo.server.config import ModelSettings
from kodo.server.http.loop_counter import LoopHistogram

DOC = DOCS / "reference" / "metrics.md"


async def metric(http: httpx2.AsyncClient, name: str) -> dict[str, float]:
    """A metric's values by its one label."""
    text = (await http.get("/metrics")).text
    rows = re.findall(rf'^{name}\{{\w+="(\w+)"\}} (\S+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in rows}


async def test_the_table_names_every_metric_and_no_other(tmp_path: Path) -> None:
    """Name, kind and labels, as Prometheus reads them."""
    models = {
        MODEL: ModelSettings(engine="scripted", target=""),
        "upstream": ModelSettings(engine="upstream", target="m", base_url="http://127.0.0.1:9/v1"),
    }
    async with served(settings(tmp_path, models=models)) as server, server.http() as http:
        sdk = server.sdk()
        tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}]
        await sdk.responses.create(model=MODEL, input="hello", tools=tools)  # type: ignore[arg-type]
        await finished(sdk, (await submit(sdk, jsonl(line("a")))).id)
        text = (await http.get("/metrics")).text
    found = {
        family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", DOC.read_text(), re.MULTILINE)
    assert {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows} == found


async def test_batches_are_counted_by_status_and_their_requests_by_result(tmp_path: Path) -> None:
    """While they run and when they are over; what a batch gives back without running it is no result."""
    turns = [
        {"match": "wait", "steps": [{"type": "delay", "seconds": 30}]},
        {"match": "", "steps": [{"type": "text", "text": "said"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server, server.http() as http:
        sdk = server.sdk()
        assert set((await metric(http, "kodo_batches")).values()) == {0.0}
        done = await submit(sdk, jsonl(line("a"), line("b"), line("hot", temperature=9, input="x")))
        assert (await finished(sdk, done.id)).status == "completed"
        wrong = await submit(sdk, b"no JSON\n")
        assert (await finished(sdk, wrong.id)).status == "failed"
        assert await metric(http, "kodo_batch_requests_total") == {"completed": 2.0, "failed": 1.0}
        assert await metric(http, "kodo_batches_ended_total") == {"completed": 1.0, "failed": 1.0}
        running = await submit(sdk, jsonl(line("c"), line("d", input="wait")))
        while (await metric(http, "kodo_batch_requests_total"))["completed"] < 3:
            pass
        assert (await metric(http, "kodo_batches"))["in_progress"] == 1.0
        await sdk.batches.cancel(running.id)
        assert (await finished(sdk, running.id)).status == "cancelled"
        assert set((await metric(http, "kodo_batches")).values()) == {0.0}
        assert (await metric(http, "kodo_batches_ended_total"))["cancelled"] == 1.0
        assert await metric(http, "kodo_batch_requests_total") == {"completed": 3.0, "failed": 1.0}


def test_a_histogram_of_the_loop_says_what_prometheus_own_does() -> None:
    """Bounds belong to their buckets, what is above them to the last one, and the samples have the same names."""
    bounds, values = (0.01, 0.5, 1, 60), (0.001, 0.01, 0.02, 0.5, 0.7, 61)
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    one = Histogram("x_seconds", "Time.", ("model",), buckets=bounds, registry=theirs)
    other = LoopHistogram("x_seconds", "Time.", "model", bounds, ours)
    for value in values:
        one.labels("m").observe(value)
        other.observe("m", value)

    def lines(registry: CollectorRegistry) -> list[str]:
        text = generate_latest(registry).decode()
        return [line for line in text.splitlines() if not line.startswith("x_seconds_created{")]

    assert lines(ours) == lines(theirs)
