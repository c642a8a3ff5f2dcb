"""Two servers on one PostgreSQL: either answers for what the other one runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from tests.postgres_server import shared_server
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.http import app
from kodo.server.http.batches import worker as batch_worker
from kodo.server.http.keys import new_key
from kodo.server.http.limits import SHARE_SECONDS
from kodo.server.http.vector_stores import worker as vector_worker
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.splitting import split_text
from kodo.server.store.blobs.folder import FolderBlobs
from kodo.server.store.key_memory import KEYS_SECONDS
from kodo.server.store.postgres import ownership, schema
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.postgres.writer import OutcomeUnknown

LONG = " ".join(f"word{number}" for number in range(60))


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Served, Served]]:
    """Two servers with homes of their own, one database and one folder."""
    url = shared_server().new_database()
    model = script(
        tmp_path / "scripts",
        {"match": "endless", "steps": [{"type": "text", "text": LONG * 60}]},
        {"match": "long", "steps": [{"type": "text", "text": LONG}]},
        {"match": ".", "steps": [{"type": "text", "text": "short"}]},
        pace=0.02,
    )
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(
                served(settings(tmp_path / name, model, database=url, shared_folder=tmp_path / "shared"))
            )
            for name in ("one", "two")
        ]
        yield made[0], made[1]


async def post(node: Served, path: str, body: dict[str, Any], **headers: str) -> Any:
    """A POST that is answered with 200."""
    async with node.http() as http:
        answer = await http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def get(node: Served, path: str) -> Any:
    """A GET that is answered with 200."""
    async with node.http() as http:
        answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def stream(node: Served, response_id: str, after: int | None = None) -> list[str]:
    """The data of a response's events, to their end."""
    query = "stream=true" if after is None else f"stream=true&starting_after={after}"
    async with node.http() as http, http.stream("GET", f"/v1/responses/{response_id}?{query}") as answer:
        assert answer.status_code == 200
        return [line[6:] async for line in answer.aiter_lines() if line.startswith("data: ")]


async def begun(node: Served, text: str = "long") -> str:
    """The id of a background response that runs."""
    made = await post(node, "/v1/responses", {"model": MODEL, "input": text, "background": True})
    while (await get(node, f"/v1/responses/{made['id']}"))["status"] == "queued":
        await asyncio.sleep(0.01)
    return str(made["id"])


async def test_a_stream_is_the_same_from_either_server(nodes: tuple[Served, Served]) -> None:
    """Byte for byte, from the beginning and from the middle, while it runs and afterwards."""
    one, two = nodes
    name = await begun(one)
    here, there, middle = await asyncio.gather(stream(one, name), stream(two, name), stream(two, name, 10))
    assert here == there
    assert here[11:] == middle
    assert json.loads(here[-1])["type"] == "response.completed"
    assert await stream(two, name) == here
    numbers = [json.loads(data)["sequence_number"] for data in here]
    assert numbers == list(range(len(here)))


async def test_a_response_is_seen_to_grow_from_the_other_server(nodes: tuple[Served, Served]) -> None:
    """Its status and the text so far; at its end it is what its own server says, and a next turn may go on anywhere."""
    one, two = nodes
    name = await begun(one)
    seen = [await get(two, f"/v1/responses/{name}")]
    while seen[-1]["status"] != "completed":
        await asyncio.sleep(0.1)
        seen.append(await get(two, f"/v1/responses/{name}"))
    assert {response["status"] for response in seen} == {"in_progress", "completed"}
    assert seen[-1] == await get(one, f"/v1/responses/{name}")
    child = await post(two, "/v1/responses", {"model": MODEL, "input": "on", "previous_response_id": name})
    items = await get(one, f"/v1/responses/{child['id']}/input_items")
    assert child["previous_response_id"] == name
    assert len(items["data"]) == 1


async def test_cancel_and_delete_reach_the_server_that_runs_it(nodes: tuple[Served, Served]) -> None:
    """The answer says cancelled, the run is over on its own server, and what was deleted is gone on both."""
    one, two = nodes
    name = await begun(one)
    cancelled = await post(two, f"/v1/responses/{name}/cancel", {})
    assert cancelled["status"] == "cancelled"
    assert await get(one, f"/v1/responses/{name}") == cancelled
    assert one.state.service.runs(None) == []
    name = await begun(one)
    async with two.http() as http:
        assert (await http.delete(f"/v1/responses/{name}")).json()["deleted"] is True
        for node in nodes:
            async with node.http() as either:
                assert (await either.get(f"/v1/responses/{name}")).status_code == 404
    assert one.state.service.runs(None) == []


async def test_a_request_is_run_once_whichever_server_it_is_repeated_at(nodes: tuple[Served, Served]) -> None:
    """One Idempotency-Key at both at once: one response, and the same answer."""
    body = {"model": MODEL, "input": "long"}
    answers = await asyncio.gather(
        *(post(node, "/v1/responses", body, **{"Idempotency-Key": "k"}) for node in nodes)
    )
    assert answers[0] == answers[1]


async def test_a_batch_is_cancelled_from_the_other_server(nodes: tuple[Served, Served]) -> None:
    """And its results are read there."""
    one, two = nodes
    lines = [
        {
            "custom_id": f"{number}",
            "method": "POST",
            "url": "/v1/responses",
            "body": {"model": MODEL, "input": "long"},
        }
        for number in range(50)
    ]
    async with one.http() as http:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        uploaded = await http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", data)})
    body = {
        "input_file_id": uploaded.json()["id"],
        "endpoint": "/v1/responses",
        "completion_window": "24h",
    }
    batch = await post(one, "/v1/batches", body)
    while (await get(two, f"/v1/batches/{batch['id']}"))["status"] != "in_progress":
        await asyncio.sleep(0.05)
    assert (await post(two, f"/v1/batches/{batch['id']}/cancel", {}))["status"] in ("cancelling", "cancelled")
    while (ended := await get(two, f"/v1/batches/{batch['id']}"))["status"] != "cancelled":
        await asyncio.sleep(0.05)
    async with two.http() as http:
        content = await http.get(f"/v1/files/{ended['error_file_id']}/content")
    assert "batch_cancelled" in content.text


async def test_of_two_runs_of_a_thread_one_is_made(nodes: tuple[Served, Served]) -> None:
    """Though each server looked before the other one's run was there; the same for a message beside a run."""
    one, two = nodes
    made = await post(one, "/v1/assistants", {"model": MODEL})
    run = {"assistant_id": made["id"]}
    message = {"role": "user", "content": "more"}
    async with one.http() as first, two.http() as second:
        for path, body in (("runs", run), ("messages", message)) * 4:
            thread = await post(one, "/v1/threads", {"messages": [{"role": "user", "content": "long"}]})
            url = f"/v1/threads/{thread['id']}"
            answers = await asyncio.gather(
                first.post(f"{url}/runs", json=run), second.post(f"{url}/{path}", json=body)
            )
            refused = [answer for answer in answers if answer.status_code != 200]
            if path == "runs":
                assert len(refused) == 1
            assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refused] == [
                (400, "thread_has_active_run")
            ] * len(refused)
            runs = (await first.get(f"{url}/runs")).json()["data"]
            while runs[0]["status"] in ("queued", "in_progress"):
                await asyncio.sleep(0.05)
                runs = (await first.get(f"{url}/runs")).json()["data"]
            assert [each["status"] for each in runs] == ["completed"]
            kept = (await second.get(f"{url}/messages")).json()["data"]
            told = [answer.json()["id"] for answer in answers if answer not in refused and path == "messages"]
            assert {name for name in told if name.startswith("msg")} <= {each["id"] for each in kept}


LINE = {
    "custom_id": "1",
    "method": "POST",
    "url": "/v1/responses",
    "body": {"model": MODEL, "input": "short"},
}


async def batch_of(node: Served, *lines: dict[str, Any]) -> dict[str, Any]:
    """The body that asks for a batch of some lines."""
    async with node.http() as http:
        sent = await http.post(
            "/v1/files",
            data={"purpose": "batch"},
            files={"file": ("in.jsonl", "\n".join(map(json.dumps, lines)).encode())},
        )
    return {"input_file_id": sent.json()["id"], "endpoint": "/v1/responses", "completion_window": "24h"}


@pytest.mark.parametrize("kind", ["batch", "run", "response"])
async def test_work_whose_row_was_kept_unawares_is_done(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The answer to its COMMIT was lost, so its client was told of an error, and nothing was begun."""
    node, _ = nodes
    made = await post(node, "/v1/assistants", {"model": MODEL})
    thread = await post(node, "/v1/threads", {"messages": [{"role": "user", "content": "short"}]})
    runs = f"/v1/threads/{thread['id']}/runs"
    path, cut, body = {
        "batch": ("/v1/batches", "put_document", await batch_of(node, LINE)),
        "run": (runs, "append_items", {"assistant_id": made["id"]}),
        "response": (
            "/v1/responses",
            "create_response",
            {"model": MODEL, "input": "short", "background": True},
        ),
    }[kind]
    plain = getattr(node.state.store, cut)
    lost: list[str] = []

    async def kept(*arguments: Any, **options: Any) -> None:
        await plain(*arguments, **options)
        lost.append(arguments[0].id if kind == "response" else "")
        node.state.store._note_unsure()
        raise OutcomeUnknown

    with monkeypatch.context() as away:
        away.setattr(node.state.store, cut, kept)
        async with node.http() as http:
            assert (await http.post(path, json=body)).status_code == 500
    ended: dict[str, Any] = {"status": ""}
    async with asyncio.timeout(30):
        while ended["status"] != "completed":
            await asyncio.sleep(0.05)
            if kind == "response":
                ended = await get(node, f"/v1/responses/{lost[0]}")
            else:
                ended = (await get(node, path))["data"][0]


async def test_a_batch_knows_its_own_steps_that_were_called_failed(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change of its document is kept, and said to have failed: it goes on from what is there."""
    node, _ = nodes
    plain = node.state.store.update_document
    failed: set[tuple[str, int]] = set()

    async def kept(row: DocumentRow) -> None:
        await plain(row)
        if row.id.startswith("batch_") and (row.id, row.version) not in failed:
            failed.add((row.id, row.version))
            raise OutcomeUnknown

    monkeypatch.setattr(node.state.store, "update_document", kept)
    monkeypatch.setattr(batch_worker, "_RETRY_DELAYS", (0.05, 0.05))
    batch = await post(node, "/v1/batches", await batch_of(node, LINE))
    async with asyncio.timeout(30):
        while (ended := await get(node, f"/v1/batches/{batch['id']}"))["status"] != "completed":
            await asyncio.sleep(0.05)
    assert len(failed) == 3
    assert ended["request_counts"] == {"total": 1, "completed": 1, "failed": 0}


async def test_the_metadata_of_a_run_are_changed_at_either_server(nodes: tuple[Served, Served]) -> None:
    """While one of them drives it: both tell of the change, the run goes on to its end, and the end keeps the change."""
    one, two = nodes
    made = await post(one, "/v1/assistants", {"model": MODEL})
    thread = await post(one, "/v1/threads", {"messages": [{"role": "user", "content": "long"}]})
    path = f"/v1/threads/{thread['id']}/runs"
    run = await post(one, path, {"assistant_id": made["id"]})
    while (await get(one, f"{path}/{run['id']}"))["status"] == "queued":
        await asyncio.sleep(0.01)
    for node, name in ((two, "there"), (one, "here"), (two, "again")):
        changed = await post(node, f"{path}/{run['id']}", {"metadata": {"name": name}})
        assert changed["metadata"] == {"name": name}
        for asked in nodes:
            assert (await get(asked, f"{path}/{run['id']}"))["metadata"] == {"name": name}
    while (ended := await get(two, f"{path}/{run['id']}"))["status"] == "in_progress":
        await asyncio.sleep(0.05)
    assert (ended["status"], ended["metadata"]) == ("completed", {"name": "again"})


async def test_the_counts_of_a_batch_grow_at_the_other_server(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, and not only at its end."""
    monkeypatch.setattr(batch_worker, "COUNTS_SECONDS", 0.1)
    one, two = nodes
    texts = ("endless", *["short"] * 5)
    lines = [
        {**LINE, "custom_id": str(number), "body": {"model": MODEL, "input": text}}
        for number, text in enumerate(texts)
    ]
    batch = await post(one, "/v1/batches", await batch_of(one, *lines))
    path = f"/v1/batches/{batch['id']}"
    async with asyncio.timeout(60):
        while (found := await get(two, path))["request_counts"]["completed"] < 5:
            await asyncio.sleep(0.05)
    assert (found["status"], found["request_counts"]) == (
        "in_progress",
        {"total": 6, "completed": 5, "failed": 0},
    )
    await post(one, f"{path}/cancel", {})


async def test_a_batch_is_taken_over_once_its_files_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that fails at that moment keeps neither the server from its start nor the batch from its end."""
    given = settings(
        tmp_path / "home",
        script(tmp_path / "scripts", {"match": ".", "steps": [{"type": "text", "text": "short"}]}, pace=0.2),
        database=shared_server().new_database(),
        shared_folder=tmp_path / "shared",
    )
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/responses",
        "body": {"model": MODEL, "input": "x"},
    }
    async with served(given) as server:
        async with server.http() as http:
            content = json.dumps(line).encode()
            sent = await http.post(
                "/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", content)}
            )
        body = {"input_file_id": sent.json()["id"], "endpoint": "/v1/responses", "completion_window": "24h"}
        batch = await post(server, "/v1/batches", body)
    refusals, copy = [1], FolderBlobs.copy_grown

    async def refuse_first(blobs: FolderBlobs, blob_id: str, other_id: str) -> None:
        if refusals:
            refusals.pop()
            raise StoreFailed("The folder cannot be reached.")
        await copy(blobs, blob_id, other_id)

    monkeypatch.setattr(FolderBlobs, "copy_grown", refuse_first)
    monkeypatch.setattr(batch_worker, "_RETRY_DELAYS", (0.05, 0.05))
    async with served(given) as server:
        while (await get(server, f"/v1/batches/{batch['id']}"))["status"] != "completed":
            await asyncio.sleep(0.05)
    assert refusals == []


async def test_a_server_that_stops_leaves_its_responses_to_the_other(nodes: tuple[Served, Served]) -> None:
    """The other one goes on with them, and a reader there notices nothing but time."""
    one, two = nodes
    name = await begun(one)
    reading = asyncio.create_task(stream(two, name))
    await asyncio.sleep(0.2)
    await one.state.service.close(0)
    await one.state.store.close()
    events = [json.loads(data) for data in await asyncio.wait_for(reading, 60)]
    assert events[-1]["type"] == "response.completed"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (await get(two, f"/v1/responses/{name}"))["output"][-1]["content"][0]["text"] == LONG


async def test_a_server_that_is_cut_off_ends_its_responses(nodes: tuple[Served, Served]) -> None:
    """In the middle of an answer whose end it can store no more: it stops all the same, and the other one ends it."""
    one, two = nodes
    asking = asyncio.create_task(
        post(one, "/v1/responses", {"model": MODEL, "input": "long", "stream": True})
    )
    while not (runs := one.state.service.runs(None)):
        await asyncio.sleep(0.01)
    store = one.state.store
    assert isinstance(store, PostgresStore)
    await two.state.store._write(lambda connection: ownership.leave(connection, store.epoch))  # type: ignore[attr-defined]
    await asyncio.wait_for(one.state.service.close(0), 30)
    assert runs[0].task is not None and runs[0].task.done()
    await asyncio.gather(asking, return_exceptions=True)


async def test_ready_says_what_is_not(nodes: tuple[Served, Served]) -> None:
    """Each server sees both."""
    one, two = nodes
    assert (await get(one, "/ready"))["status"] == "ready"
    servers = await two.state.store.servers()
    assert [server["self"] for server in servers] == [False, True]


async def test_what_was_answered_is_there_for_the_next_turn_anywhere(nodes: tuple[Served, Served]) -> None:
    """Short turns of many chains at once, each at the other server: the writes of a response do not pass one another."""

    async def chain(turns: int) -> None:
        before = None
        for number in range(turns):
            body = {"model": MODEL, "input": "short", "previous_response_id": before}
            answered = await post(nodes[number % 2], "/v1/responses", body)
            before = answered["id"]
            assert await get(nodes[(number + 1) % 2], f"/v1/responses/{before}") == answered

    await asyncio.gather(*(chain(6) for _ in range(16)))


@pytest.fixture
async def roles(tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Served]]]:
    """Makes servers of some role on one database."""
    url = shared_server().new_database()
    model = script(
        tmp_path / "scripts",
        {"match": "long", "steps": [{"type": "text", "text": LONG}]},
        {"match": ".", "steps": [{"type": "text", "text": "short"}]},
        pace=0.01,
    )
    async with AsyncExitStack() as stack:

        async def start(role: str) -> Served:
            home = tmp_path / f"{role}{next(numbers)}"
            given = settings(home, model, database=url, shared_folder=tmp_path / "shared", role=role)
            return await stack.enter_async_context(served(given))

        numbers = itertools.count()
        yield start


async def test_background_work_is_done_by_workers(roles: Callable[[str], Awaitable[Served]]) -> None:
    """The API server accepts it, streams it, and runs none of it; foreground requests it answers itself."""
    api = await roles("api")
    name = (await post(api, "/v1/responses", {"model": MODEL, "input": "long", "background": True}))["id"]
    assert (await post(api, "/v1/responses", {"model": MODEL, "input": "short"}))["status"] == "completed"
    await asyncio.sleep(1.2)  # longer than the pause between two sweeps
    assert (await get(api, f"/v1/responses/{name}"))["status"] == "queued"
    worker = await roles("worker")
    events = await asyncio.wait_for(stream(api, name), 30)
    assert json.loads(events[-1])["response"]["output"][0]["content"][0]["text"] == LONG
    assert [server["role"] for server in await api.state.store.servers()] == ["api", "worker"]
    assert api.state.service.runs(None) == []
    async with worker.http() as http:
        assert (await http.get("/ready")).status_code == 200
        assert (await http.post("/v1/responses", json={"model": MODEL, "input": "short"})).status_code == 404
        assert 'role="worker"' in (await http.get("/metrics")).text


async def test_a_background_stream_comes_from_the_worker(roles: Callable[[str], Awaitable[Served]]) -> None:
    """With stream: true it is the same as read afterwards, byte for byte; cancelling reaches the worker."""
    api, worker = await roles("api"), await roles("worker")
    body = {"model": MODEL, "input": "long", "background": True, "stream": True}
    async with api.http() as http, http.stream("POST", "/v1/responses", json=body) as answer:
        seen = [line[6:] async for line in answer.aiter_lines() if line.startswith("data: ")]
    name = json.loads(seen[-1])["response"]["id"]
    assert seen == await stream(api, name)
    assert json.loads(seen[-1])["type"] == "response.completed"
    name = (await post(api, "/v1/responses", {"model": MODEL, "input": "long", "background": True}))["id"]
    assert (await post(api, f"/v1/responses/{name}/cancel", {}))["status"] == "cancelled"
    assert worker.state.service.runs(None) == []


async def test_a_batch_is_run_by_a_worker(roles: Callable[[str], Awaitable[Served]]) -> None:
    """Created and read at the API server."""
    api = await roles("api")
    await roles("worker")
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/responses",
        "body": {"model": MODEL, "input": "short"},
    }
    async with api.http() as http:
        sent = await http.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", json.dumps(line).encode())}
        )
    body = {"input_file_id": sent.json()["id"], "endpoint": "/v1/responses", "completion_window": "24h"}
    batch = await post(api, "/v1/batches", body)
    while (ended := await get(api, f"/v1/batches/{batch['id']}"))["status"] != "completed":
        await asyncio.sleep(0.05)
    async with api.http() as http:
        assert "short" in (await http.get(f"/v1/files/{ended['output_file_id']}/content")).text


async def test_work_whose_hand_over_failed_is_handed_over_later(
    roles: Callable[[str], Awaitable[Served]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server stored it and was then cut off from the database: it is a 500, and whoever repeats it at another server
    finds it done, and not taken by one that does nothing in the background."""
    monkeypatch.setattr(app, "HAND_OVER_SECONDS", 0.3)
    api, other = await roles("api"), await roles("api")
    await roles("worker")
    async with api.http() as http:
        sent = await http.post(
            "/v1/files", data={"purpose": "assistants"}, files={"file": ("a.txt", b"the word is xyzzy")}
        )
    file = sent.json()["id"]
    store = (await post(api, "/v1/vector_stores", {"name": "s"}))["id"]

    async def away(kind: str, id_: str) -> None:
        raise StoreFailed("The database cannot be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(api.state.store, "hand_over", away)
        async with api.http() as http:
            for path, body in (
                (f"/v1/vector_stores/{store}/files", {"file_id": file}),
                ("/v1/responses", {"model": MODEL, "input": "long", "background": True}),
            ):
                assert (await http.post(path, json=body)).status_code == 500
    again = await post(other, f"/v1/vector_stores/{store}/files", {"file_id": file})
    deadline = time.monotonic() + 30
    while again["status"] == "in_progress" and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        again = await get(other, f"/v1/vector_stores/{store}/files/{file}")
    assert again["status"] == "completed"
    while await unfinished(api) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert await unfinished(api) == 0


async def unfinished(node: Served) -> int:
    """Responses in the database that are not over."""
    store = node.state.store
    assert isinstance(store, PostgresStore)
    return int(
        await store._read(
            lambda connection: connection.execute(
                "SELECT count(*) FROM responses WHERE final = 0"
            ).fetchone()[0]
        )
    )


async def limited(node: Served, **limits: int) -> str:
    """A key with these limits."""
    key, row = new_key(name="n", project="p", **limits)
    await node.state.store.put_key(row)
    return key


async def asked(node: Served, key: str, text: str = "short") -> int:
    """The status of a request with a key."""
    async with node.http() as http:
        body = {"model": MODEL, "input": text}
        answer = await http.post("/v1/responses", json=body, headers={"Authorization": f"Bearer {key}"})
        return answer.status_code


async def test_requests_of_a_minute_are_counted_over_both(nodes: tuple[Served, Served]) -> None:
    """Forty at once, half at each: as many are let in as the key has, and none more at either."""
    key = await limited(nodes[0], requests_per_minute=10)
    begun = time.monotonic()
    statuses = await asyncio.gather(*(asked(nodes[number % 2], key) for number in range(40)))
    more = [await asked(node, key) for node in nodes]
    refilled = (time.monotonic() - begun) / 6
    assert 10 <= [*statuses, *more].count(200) <= 10 + refilled + 1, "both may take the last one at once"
    assert {*statuses, *more} <= {200, 429}


async def test_tokens_of_a_minute_are_counted_over_both(nodes: tuple[Served, Served]) -> None:
    """What one has charged refuses the next request at the other, a second later."""
    one, two = nodes
    key = await limited(one, tokens_per_minute=2)
    assert await asked(one, key) == 200
    await asyncio.sleep(2 * SHARE_SECONDS)
    assert [await asked(node, key) for node in (two, one)] == [429, 429]


async def test_concurrent_requests_are_counted_over_both(nodes: tuple[Served, Served]) -> None:
    """Two long ones at the first: the other admits none, and one again once they have ended."""
    one, two = nodes
    key = await limited(one, concurrent_requests=2)
    caller = await one.state.keys.caller(f"Bearer {key}")
    running = [await one.state.limits.admit(caller) for _ in range(2)]
    assert await asked(two, key) == 429
    for ticket in running:
        ticket.close()
    async with asyncio.timeout(60):
        while await asked(two, key) != 200:
            await asyncio.sleep(SHARE_SECONDS / 4)


async def test_a_budget_is_one_for_both(nodes: tuple[Served, Served]) -> None:
    """What is spent at one is refused at the other at once."""
    one, two = nodes
    key = await limited(one, tokens_per_day=1)
    assert await asked(one, key) == 200
    assert [await asked(node, key) for node in (two, one)] == [429, 429]


async def test_a_key_that_is_revoked_is_refused_by_both(nodes: tuple[Served, Served]) -> None:
    """From the next request on."""
    one, two = nodes
    key = await limited(one)
    assert [await asked(node, key) for node in nodes] == [200, 200]
    (row,) = await two.state.store.keys()
    await two.state.store.put_key(msgspec.structs.replace(row, revoked_at=1.0))
    assert await asked(two, key) == 401
    async with asyncio.timeout(30 * KEYS_SECONDS):  # one, where the news are lost and nothing else runs
        while await asked(one, key) != 401:
            await asyncio.sleep(0.05)


TEA = "Green tea is steeped at 70 degrees for two minutes."


async def stored_file(node: Served, name: str, text: str) -> str:
    """The id of an uploaded file."""
    return (await node.sdk().files.create(file=(name, text.encode()), purpose="assistants")).id


async def indexed(node: Served, store: str) -> Any:
    """A vector store once no file is in progress; a file that stays so is said, and holds nobody up."""
    async with asyncio.timeout(60):
        while (found := await node.sdk().vector_stores.retrieve(store)).status == "in_progress":
            await asyncio.sleep(0.05)
    return found


async def found_in(node: Served, store: str, query: str, **options: Any) -> list[str]:
    """The names of the files that a search finds."""
    found = await node.sdk().vector_stores.search(store, query=query, **options)
    return [one.filename for one in found.data]


async def test_a_vector_store_is_one_for_both(nodes: tuple[Served, Served]) -> None:
    """Filled at one, searched and filtered at the other; attributes and deletes hold at both."""
    one, two = nodes
    store = (await one.sdk().vector_stores.create(name="notes")).id
    tea, coffee = (
        await stored_file(one, "tea.md", TEA),
        await stored_file(two, "coffee.md", "Coffee, not tea."),
    )
    await one.sdk().vector_stores.files.create(store, file_id=tea, attributes={"year": 2025})
    await two.sdk().vector_stores.files.create(store, file_id=coffee)
    assert (await indexed(two, store)).file_counts.completed == 2
    assert set(await found_in(two, store, "tea")) == {"tea.md", "coffee.md"}
    await two.sdk().vector_stores.files.update(tea, vector_store_id=store, attributes={"year": 2026})
    where = {"type": "eq", "key": "year", "value": 2026}
    assert await found_in(one, store, "tea", filters=where) == ["tea.md"]
    await two.sdk().vector_stores.files.delete(tea, vector_store_id=store)
    assert await found_in(one, store, "tea") == ["coffee.md"]
    await one.sdk().vector_stores.delete(store)
    async with two.http() as http:
        assert (await http.get(f"/v1/vector_stores/{store}")).status_code == 404


async def test_a_file_is_added_and_deleted_at_both_at_once(nodes: tuple[Served, Served]) -> None:
    """Whoever comes last: what is listed is what is found, with the chunks of its last strategy, and nothing else is left."""
    one, two = nodes
    store, file = (
        (await one.sdk().vector_stores.create()).id,
        await stored_file(one, "tea.md", f"{TEA} " * 200),
    )

    async def add(node: Served, size: int) -> None:
        static = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": 0}
        strategy: Any = {"type": "static", "static": static}
        await node.sdk().vector_stores.files.create(store, file_id=file, chunking_strategy=strategy)

    async def delete(node: Served) -> None:
        async with node.http() as http:
            answer = await http.delete(f"/v1/vector_stores/{store}/files/{file}")
            assert answer.status_code in (200, 404), answer.text

    index = one.state.store.search_index
    assert index is not None
    for _ in range(3):
        works = [
            add(nodes[n % 2], 100 * (1 + n % 3)) if n % 4 else delete(nodes[n // 4 % 2]) for n in range(16)
        ]
        await asyncio.gather(*works)
        listed = await indexed(two, store)
        assert listed.file_counts.total == listed.file_counts.completed
        chunks = await index.file_chunks(store, file)
        if listed.file_counts.total:
            shown = await two.sdk().vector_stores.files.retrieve(file, vector_store_id=store)
            assert shown.chunking_strategy is not None and shown.chunking_strategy.type == "static"
            size = shown.chunking_strategy.static.max_chunk_size_tokens
            assert [chunk.text for chunk in chunks] == [
                one.text for one in split_text(f"{TEA} " * 200, size, 0)
            ]
        else:
            assert chunks == []
    await delete(one)
    assert await index.file_chunks(store, file) == []


async def test_a_file_that_is_added_again_while_the_server_takes_up_work_is_indexed(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of what is to be taken up is older than the file that is there now; its id is the same."""
    node = nodes[0]
    read, begun, added = vector_worker.read_text, asyncio.Event(), asyncio.Event()

    async def slow_reading(*given: Any) -> str:
        begun.set()
        await added.wait()
        return await read(*given)

    monkeypatch.setattr(vector_worker, "read_text", slow_reading)
    sdk = node.sdk()
    store, file = (await sdk.vector_stores.create()).id, await stored_file(node, "tea.md", TEA)
    await sdk.vector_stores.files.create(store, file_id=file)
    await begun.wait()
    assert node.state.vector_stores is not None
    files, documents = node.state.vector_stores.files, node.state.store
    listing, append = documents.unfinished_documents, documents.append_items
    listed, go = asyncio.Event(), asyncio.Event()

    async def slow_listing(kind: str, statuses: Any) -> Any:
        found = await listing(kind, statuses)
        listed.set()
        await go.wait()
        return found

    async def slow_append(*given: Any) -> None:
        go.set()
        await asyncio.sleep(0.05)  # what was taken out is gone, what comes is not there
        await append(*given)

    monkeypatch.setattr(documents, "unfinished_documents", slow_listing)
    monkeypatch.setattr(documents, "append_items", slow_append)
    taking_up = asyncio.create_task(files.adopt())
    await listed.wait()
    await sdk.vector_stores.files.create(
        store,
        file_id=file,
        chunking_strategy={
            "type": "static",
            "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0},
        },
    )
    added.set()
    await taking_up
    assert (await indexed(node, store)).file_counts.completed == 1


async def test_a_file_is_taken_up_for_which_the_server_still_has_the_work_of_an_earlier_adding(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other server took the file out, added it again and left; that this one's work ends in nothing is no answer."""
    one, two = nodes
    read, begun, left = vector_worker.read_text, asyncio.Event(), asyncio.Event()

    async def slow_reading(*given: Any) -> str:
        begun.set()
        await left.wait()
        return await read(*given)

    monkeypatch.setattr(vector_worker, "read_text", slow_reading)
    store, file = (await one.sdk().vector_stores.create()).id, await stored_file(one, "tea.md", TEA)
    await one.sdk().vector_stores.files.create(store, file_id=file)
    await begun.wait()
    await two.sdk().vector_stores.files.delete(file, vector_store_id=store)
    await two.sdk().vector_stores.files.create(store, file_id=file)
    assert two.state.vector_stores is not None
    await two.state.vector_stores.close()
    await two.state.store.close()
    await asyncio.sleep(1.2)  # longer than the pause between two sweeps
    left.set()
    assert (await indexed(one, store)).file_counts.completed == 1


async def test_files_that_a_server_leaves_are_indexed_by_the_other(
    nodes: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that it was in the middle of: the chunks that are there stay, the others follow."""
    one, two = nodes
    read, begun = vector_worker.read_text, asyncio.Event()

    async def stuck(*given: Any) -> str:
        begun.set()
        return await asyncio.Event().wait() or ""

    monkeypatch.setattr(vector_worker, "read_text", stuck)
    store = (await one.sdk().vector_stores.create()).id
    files = [await stored_file(one, f"{name}.md", f"{TEA} {name}") for name in ("first", "second", "third")]
    await one.sdk().vector_stores.file_batches.create(store, file_ids=files)
    await begun.wait()
    monkeypatch.setattr(vector_worker, "read_text", read)
    assert one.state.vector_stores is not None
    await one.state.vector_stores.close()
    await one.state.store.close()
    counts = (await asyncio.wait_for(indexed(two, store), 30)).file_counts
    assert (counts.completed, counts.total) == (3, 3)
    assert await found_in(two, store, "second") == ["second.md"]


async def test_files_are_indexed_by_workers(roles: Callable[[str], Awaitable[Served]]) -> None:
    """The API server accepts them, and searches what the worker has indexed."""
    api = await roles("api")
    store, file = (await api.sdk().vector_stores.create()).id, await stored_file(api, "tea.md", TEA)
    await api.sdk().vector_stores.files.create(store, file_id=file)
    await asyncio.sleep(1.2)  # longer than the pause between two sweeps
    assert (await api.sdk().vector_stores.retrieve(store)).status == "in_progress"
    await roles("worker")
    await asyncio.wait_for(indexed(api, store), 30)
    assert await found_in(api, store, "green tea") == ["tea.md"]


@pytest.mark.parametrize(("role", "cut"), [("api", "hand_over"), ("all", "append_items")])
async def test_a_file_whose_adding_was_cut_off_is_indexed_when_it_is_added_again(
    roles: Callable[[str], Awaitable[Served]], monkeypatch: pytest.MonkeyPatch, role: str, cut: str
) -> None:
    """The database went away after its row was there, and before anybody was to index it."""
    node = await roles(role)
    if role == "api":
        await roles("worker")
    sdk = node.sdk()
    store, file = (await sdk.vector_stores.create()).id, await stored_file(node, "tea.md", TEA)
    plain = getattr(node.state.store, cut)

    async def lost(*arguments: Any) -> None:
        if cut == "append_items":
            await plain(*arguments)
        raise StoreFailed("The database went away in the middle of a write; it may have been kept.")

    with monkeypatch.context() as away:
        away.setattr(node.state.store, cut, lost)
        with pytest.raises(openai.InternalServerError):
            await sdk.with_options(max_retries=0).vector_stores.files.create(store, file_id=file)
    await asyncio.sleep(1.2)  # longer than the pause between two sweeps
    assert (await sdk.vector_stores.retrieve(store)).status == "in_progress"
    await sdk.vector_stores.files.create(store, file_id=file)
    await asyncio.wait_for(indexed(node, store), 30)
    assert await found_in(node, store, "green tea") == ["tea.md"]


async def test_servers_of_two_versions_work_side_by_side(
    roles: Callable[[str], Awaitable[Served]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is newer by a version migrates the tables under the old one, which goes on, also when it starts again; after a
    second such step an old one is refused, with words that say what to do."""
    known = schema.migrations()
    adds = "ALTER TABLE responses ADD COLUMN note TEXT; ALTER TABLE documents ADD COLUMN note TEXT; CREATE TABLE notes (n INT)"

    async def newer(*steps: str) -> Served:
        monkeypatch.setattr(schema, "migrations", lambda: [*known, *steps])
        try:
            return await roles("all")
        finally:
            monkeypatch.setattr(schema, "migrations", lambda: known)

    async def turns(*nodes: Served) -> None:
        before = None
        for node in nodes:
            body = {"model": MODEL, "input": "short", "previous_response_id": before}
            answered = await post(node, "/v1/responses", body)
            before = answered["id"]
            assert [await get(one, f"/v1/responses/{before}") for one in nodes] == [answered] * len(nodes)

    old = await roles("all")
    running = await begun(old)
    new = await newer(adds)
    await asyncio.gather(*(turns(old, new, old, new) for _ in range(4)))
    assert await stream(new, running) == await stream(old, running)
    store, file = (await old.sdk().vector_stores.create()).id, await stored_file(new, "tea.md", TEA)
    await old.sdk().vector_stores.files.create(store, file_id=file)
    await indexed(new, store)
    assert await found_in(new, store, "tea") == ["tea.md"] == await found_in(old, store, "tea")
    again = await roles("all")
    await turns(again, new, old)
    await newer(adds, "CREATE TABLE more (n INT)")
    await turns(again, new, old)
    with pytest.raises(StoreFailed, match=r"from a newer kodo .* Upgrade this server"):
        await roles("all")


def test_a_role_needs_a_shared_database(tmp_path: Path) -> None:
    """On SQLite there is one server, which does everything."""
    with pytest.raises(ValueError, match="needs the setting database"):
        settings(tmp_path, role="worker")
