"""State over the wire: what is stored, continued, resumed, repeated, cancelled and kept, with the SDK."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response
from tests.serving import MODEL, MovedClock, Served, script, served, settings
from tests.unit.server.store.test_failures import integrity, page_limit

from kodo.server.http.app import build_app, open_state
from kodo.server.http.idempotency import REPLAY_SECONDS
from kodo.server.http.keys import digest
from kodo.server.http.retention import RetentionPolicy, prune_and_log
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import KeyRow, ReplayRow, ResponseRow
from kodo.server.lifecycle.row_codec import decode_request
from kodo.server.lifecycle.store_ports import Store
from kodo.server.lifecycle.supervised import supervise_every
from kodo.server.store.sqlite import SqliteStore

FINAL = ("completed", "incomplete", "failed", "cancelled")
LONG = " ".join(f"word{number}" for number in range(60))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose model echoes, at once."""
    async with served(settings(tmp_path / "home")) as server:
        yield server


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose model echoes, 10 ms a token."""
    async with served(settings(tmp_path / "home", script(tmp_path, pace=0.01), shutdown_seconds=0)) as server:
        yield server


async def over(server: Served, response_id: str) -> Response:
    """A background response, once it is over."""
    sdk = server.sdk()
    while (response := await sdk.responses.retrieve(response_id)).status not in FINAL:
        await asyncio.sleep(0.01)
    return response


async def stream(server: Served, response_id: str, after: int = -1) -> list[dict[str, Any]]:
    """A stored response's events behind a number."""
    events = await server.sdk().responses.retrieve(response_id, stream=True, starting_after=after)
    return [event.to_dict() async for event in events]


async def texts(server: Served, conversation_id: str, **query: Any) -> list[str]:
    """What is said in a conversation."""
    listed = server.sdk().conversations.items.list(conversation_id, **query)
    return [item.content[0].text async for item in listed]  # type: ignore[union-attr]


# --- stored responses ------------------------------------------------------------------------------------------------


async def test_a_stored_response_is_found_resumed_and_deleted(server: Served) -> None:
    """Retrieved as it was answered; its events from any number on; after deletion everything is 404."""
    sdk = server.sdk()
    made = await sdk.responses.create(model=MODEL, input="hello there", metadata={"a": "b"})
    assert (await sdk.responses.retrieve(made.id)).to_dict() == made.to_dict()
    whole = await stream(server, made.id)
    for after in (-1, 0, 3, len(whole) - 2, len(whole) + 5):
        assert await stream(server, made.id, after) == whole[after + 1 :]
    await sdk.responses.delete(made.id)
    for gone in (
        sdk.responses.retrieve(made.id),
        sdk.responses.retrieve(made.id, stream=True),
        sdk.responses.input_items.list(made.id),
        sdk.responses.cancel(made.id),
        sdk.responses.delete(made.id),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            await gone
        assert caught.value.code == "response_not_found"


async def test_what_is_not_stored_is_not_found(server: Served) -> None:
    """store: false leaves nothing behind to fetch or to continue."""
    sdk = server.sdk()
    made = await sdk.responses.create(model=MODEL, input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model=MODEL, input="y", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"


async def test_the_first_event_means_that_the_row_is_on_disk(slow: Served, tmp_path: Path) -> None:
    """Another connection to the database finds a response whose id was just shown."""
    async with await slow.sdk().responses.create(model=MODEL, input=LONG, stream=True) as events:
        first = await anext(aiter(events))
        with sqlite3.connect(tmp_path / "home" / "kodo.db") as database:
            found = database.execute(
                "SELECT status FROM responses WHERE id = ?",
                (first.response.id,),  # type: ignore[union-attr]
            ).fetchone()
    assert found == ("in_progress",)


async def test_input_items_are_listed_in_pages(server: Served) -> None:
    """Both orders, after, before, limit, include; a bad limit, order or cursor is refused by name."""
    sdk = server.sdk()
    said = [{"role": "user", "content": str(number)} for number in range(5)]
    made = await sdk.responses.create(model=MODEL, input=said)  # type: ignore[arg-type]
    listing = sdk.responses.input_items

    async def page(**query: Any) -> str:
        items = (await listing.list(made.id, **query)).data
        return "".join(item.content[0].text for item in items)  # type: ignore[union-attr]

    ids = {item.content[0].text: item.id async for item in listing.list(made.id)}  # type: ignore[union-attr]
    assert await page() == "43210"
    assert await page(order="asc") == "01234"
    assert await page(order="asc", limit=2) == "01"
    assert await page(order="asc", after=ids["1"]) == "234"
    assert await page(order="desc", after=ids["1"]) == "0"
    assert await page(order="asc", extra_query={"before": ids["3"]}) == "012"
    assert await page(include=["message.output_text.logprobs"]) == "43210"
    assert [item.content[0].text async for item in listing.list(made.id, limit=2)] == list("43210")  # type: ignore[union-attr]
    for query, error, param in (
        ({"limit": 0}, openai.BadRequestError, "limit"),
        ({"limit": 101}, openai.BadRequestError, "limit"),
        ({"order": "up"}, openai.BadRequestError, "order"),
        ({"extra_query": {"colour": "red"}}, openai.BadRequestError, "colour"),
        ({"after": "msg_none"}, openai.NotFoundError, "after"),
    ):
        with pytest.raises(error) as caught:
            await page(**query)
        assert caught.value.param == param


# --- chains ----------------------------------------------------------------------------------------------------------


async def test_a_chain_gives_the_model_its_history_and_not_the_parents_instructions(server: Served) -> None:
    """Input tokens count every item of the chain once; instructions are the request's own."""
    sdk = server.sdk()
    one = await sdk.responses.create(model=MODEL, input="abcd", instructions="be good, be brief")
    two = await sdk.responses.create(model=MODEL, input="efgh", previous_response_id=one.id)
    three = await sdk.responses.create(
        model=MODEL, input="ijkl", previous_response_id=two.id, instructions="1234"
    )
    assert [r.usage.input_tokens for r in (one, two, three) if r.usage] == [9 + 5, 3 * 5, 5 * 5 + 5]
    assert (two.instructions, two.previous_response_id) == (None, one.id)
    assert [item.content[0].text for item in (await sdk.responses.input_items.list(two.id)).data] == ["efgh"]  # type: ignore[union-attr]


async def test_a_parent_may_have_many_children_and_be_deleted(server: Served) -> None:
    """Branches do not see each other, and keep their context when the parent goes; it cannot be continued any more."""
    sdk = server.sdk()
    root = await sdk.responses.create(model=MODEL, input="abcd")
    branches = [
        await sdk.responses.create(model=MODEL, input=text, previous_response_id=root.id)
        for text in ("efgh", "ijklmnop")
    ]
    await sdk.responses.delete(root.id)
    for branch, own in zip(branches, (5, 6), strict=True):
        child = await sdk.responses.create(model=MODEL, input="x", previous_response_id=branch.id)
        assert child.usage is not None
        assert child.usage.input_tokens == 2 * 5 + 2 * own + 5
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model=MODEL, input="x", previous_response_id=root.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_a_parent_that_runs_is_a_conflict(slow: Served) -> None:
    """409 until it is over, or cancelled; an unknown one is a 400, as at the hosted API."""
    sdk = slow.sdk()
    parent = await sdk.responses.create(model=MODEL, input=LONG, background=True)
    with pytest.raises(openai.ConflictError) as caught:
        await sdk.responses.create(model=MODEL, input="x", previous_response_id=parent.id)
    assert caught.value.param == "previous_response_id"
    await sdk.responses.cancel(parent.id)
    child = await sdk.responses.create(model=MODEL, input="x", previous_response_id=parent.id)
    assert child.status == "completed"
    with pytest.raises(openai.BadRequestError) as missing:
        await sdk.responses.create(model=MODEL, input="x", previous_response_id="resp_none")
    assert missing.value.code == "previous_response_not_found"


async def test_an_item_is_referred_to_by_id(server: Served) -> None:
    """item_reference stands for a stored item; an unknown one is a 404 that names the place."""
    sdk = server.sdk()
    made = await sdk.responses.create(model=MODEL, input="abcdefgh")
    reference: Any = [{"type": "item_reference", "id": made.output[0].id}, {"role": "user", "content": "x"}]
    answer = await sdk.responses.create(model=MODEL, input=reference)
    assert answer.usage is not None
    assert answer.usage.input_tokens == 6 + 5
    reference[0]["id"] = "msg_none"
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.responses.create(model=MODEL, input=reference)
    assert caught.value.param == "input[0].id"


# --- conversations ---------------------------------------------------------------------------------------------------


async def test_the_conversation_family(server: Served) -> None:
    """Create, retrieve, update, delete; items created, listed, retrieved and deleted."""
    conversations = server.sdk().conversations
    made = await conversations.create(metadata={"a": "1"}, items=[{"role": "user", "content": "one"}])
    assert (await conversations.retrieve(made.id)).to_dict() == made.to_dict()
    assert (await conversations.update(made.id, metadata={"b": "2"})).metadata == {"b": "2"}
    added = await conversations.items.create(
        made.id, items=[{"role": "user", "content": text} for text in ("two", "three")]
    )
    assert await texts(server, made.id, order="asc") == ["one", "two", "three"]
    assert await texts(server, made.id, order="asc", limit=1) == ["one", "two", "three"]
    assert await texts(server, made.id, order="asc", after=added.data[0].id) == ["three"]
    item = await conversations.items.retrieve(str(added.data[0].id), conversation_id=made.id)
    assert item.content[0].text == "two"  # type: ignore[union-attr]
    await conversations.items.delete(str(item.id), conversation_id=made.id)
    assert await texts(server, made.id, order="asc") == ["one", "three"]
    with pytest.raises(openai.NotFoundError):
        await conversations.items.retrieve(str(item.id), conversation_id=made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await conversations.items.create(made.id, items=[{"role": "user", "content": "x"}] * 21)
    assert caught.value.param == "items"
    rows = (await server.state.store.stats())["rows"]
    with pytest.raises(openai.ConflictError):
        twice = {"type": "message", "id": "msg_1", "role": "user", "content": "x"}
        await server.sdk().with_options(max_retries=0).conversations.create(items=[twice, twice])  # type: ignore[list-item]
    assert (await server.state.store.stats())["rows"] == rows
    assert (await conversations.delete(made.id)).deleted
    for gone in (
        conversations.retrieve(made.id),
        conversations.items.list(made.id),
        conversations.delete(made.id),
    ):
        with pytest.raises(openai.NotFoundError) as missing:
            await gone
        assert missing.value.code == "conversation_not_found"


async def test_a_response_on_a_conversation_reads_it_and_adds_to_it(server: Served) -> None:
    """Its items are context, input and output are put at its end; with a parent as well it is a 400."""
    sdk = server.sdk()
    made = await sdk.conversations.create(items=[{"role": "user", "content": "abcd"}])
    answer = await sdk.responses.create(model=MODEL, input="efgh", conversation=made.id)
    assert answer.conversation is not None
    assert answer.conversation.id == made.id
    assert answer.usage is not None
    assert answer.usage.input_tokens == 10
    again = await sdk.responses.create(model=MODEL, input="ijkl", conversation={"id": made.id})
    assert again.usage is not None
    assert again.usage.input_tokens == 20
    assert await texts(server, made.id, order="asc") == ["abcd", "efgh", "efgh", "ijkl", "ijkl"]
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(
            model=MODEL, input="x", conversation=made.id, previous_response_id=answer.id
        )
    assert caught.value.param == "conversation"


async def test_many_writers_of_one_conversation(slow: Served) -> None:
    """Each response's question and answer, and each call's items, stay together; none is lost."""
    sdk = slow.sdk()
    made = await sdk.conversations.create()

    async def adds(number: int) -> None:
        pair = [{"role": "user", "content": f"{number}-{side}"} for side in "ab"]
        await sdk.conversations.items.create(made.id, items=pair)  # type: ignore[arg-type]

    async def asks(number: int) -> None:
        await sdk.responses.create(model=MODEL, input=f"question {number}", conversation=made.id)

    await asyncio.gather(*(adds(n) for n in range(8)), *(asks(n) for n in range(8)))
    there = await texts(slow, made.id, order="asc", limit=100)
    pairs = set(zip(there[::2], there[1::2], strict=True))
    assert pairs == {(f"{n}-a", f"{n}-b") for n in range(8)} | {(f"question {n}",) * 2 for n in range(8)}


# --- background ------------------------------------------------------------------------------------------------------


async def test_background_is_queued_at_once_and_polled_to_its_end(slow: Served) -> None:
    """The first answer says queued; the result is the same as in the foreground."""
    sdk = slow.sdk()
    made = await sdk.responses.create(model=MODEL, input=LONG, background=True)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    done = await over(slow, made.id)
    plain = await sdk.responses.create(model=MODEL, input=LONG)
    assert (done.status, done.output_text, done.usage) == ("completed", LONG, plain.usage)
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model=MODEL, input="x", background=True, store=False)
    assert caught.value.param == "store"


async def test_fifty_readers_of_one_background_stream_see_the_same_bytes(slow: Served) -> None:
    """From any number on, while it runs and afterwards: every reader's bytes are a suffix of the whole."""
    made = await slow.sdk().responses.create(model=MODEL, input=LONG, background=True)

    async def read(after: int) -> bytes:
        query = {"stream": "true", "starting_after": str(after)}
        async with slow.http() as http:
            return (await http.get(f"/v1/responses/{made.id}", params=query)).content

    async def late(number: int) -> bytes:
        await asyncio.sleep(number * 0.02)
        return await read(number % 10 - 1)

    live = await asyncio.gather(*(late(number) for number in range(50)))
    whole = await read(-1)
    frames = whole.split(b"\n\n")
    assert len(frames) > 50
    for number, seen in enumerate(live):
        assert seen == b"\n\n".join(frames[number % 10 :])


async def test_cancel_ends_a_background_response_and_may_be_repeated(slow: Served) -> None:
    """What was said stays; readers get an end; cancelling again, or what is over, changes nothing; others are a 400."""
    sdk = slow.sdk()
    made = await sdk.responses.create(model=MODEL, input=LONG, background=True)
    events = await sdk.responses.retrieve(made.id, stream=True)
    async for event in events:
        if event.type == "response.output_text.delta":
            break
    cancelled = await sdk.responses.cancel(made.id)
    assert cancelled.status == "cancelled"
    rest = [event async for event in events]
    assert (rest[-1].type, rest[-1].response.status) == ("response.incomplete", "cancelled")  # type: ignore[union-attr]
    assert LONG.startswith(cancelled.output_text)
    assert cancelled.output_text
    assert (await sdk.responses.cancel(made.id)).to_dict() == cancelled.to_dict()
    assert (await sdk.responses.retrieve(made.id)).to_dict() == cancelled.to_dict()
    plain = await sdk.responses.create(model=MODEL, input="x")
    with pytest.raises(openai.BadRequestError):
        await sdk.responses.cancel(plain.id)


async def test_a_queued_response_is_cancelled_before_it_began(slow: Served) -> None:
    """It waits behind an interactive request, and ends without a word."""
    sdk = slow.sdk()
    busy = await sdk.responses.create(model=MODEL, input=LONG, stream=True)
    made = await sdk.responses.create(model=MODEL, input="x", background=True)
    cancelled = await sdk.responses.cancel(made.id)
    assert (cancelled.status, cancelled.output) == ("cancelled", [])
    await busy.close()


async def test_background_steps_aside_for_an_interactive_request_and_goes_on(slow: Served) -> None:
    """While the interactive one runs, nothing is added; afterwards the answer is whole and counted once."""
    sdk = slow.sdk()
    made = await sdk.responses.create(model=MODEL, input=LONG, background=True)
    events = await sdk.responses.retrieve(made.id, stream=True)
    async for event in events:
        if event.type == "response.output_text.delta":
            break
    before: list[int] = []
    interactive = await sdk.responses.create(model=MODEL, input=LONG, stream=True)
    async for event in interactive:
        if event.type == "response.output_text.delta":
            before.append(len(await stream_now(slow, made.id)))
    assert before[-1] - before[1] <= 2
    done = await over(slow, made.id)
    assert (done.output_text, done.usage and done.usage.output_tokens) == (LONG, -(-len(LONG) // 4))


async def stream_now(server: Served, response_id: str) -> list[bytes]:
    """The log entries that are stored just now."""
    return list(await server.state.store.read_log(response_id))


# --- idempotency -----------------------------------------------------------------------------------------------------


async def post(
    http: httpx2.AsyncClient, key: str, text: str, path: str = "/v1/responses", **more: Any
) -> httpx2.Response:
    """A request with an Idempotency-Key."""
    body = {"model": MODEL, "input": text, **more}
    return await http.post(path, json=body, headers={"Idempotency-Key": key})


async def test_a_repeated_request_gets_the_first_answer(server: Served) -> None:
    """Status and body byte for byte, errors and streams too; another body is a 409; nothing runs twice."""
    async with server.http() as http:
        for more in ({}, {"stream": True}, {"background": True}, {"temperature": 9}):
            key = str(more)
            first, again = await post(http, key, "x", **more), await post(http, key, "x", **more)
            assert (again.status_code, again.content) == (first.status_code, first.content)
            assert again.headers["content-type"] == first.headers["content-type"]
            assert "idempotent-replayed" not in first.headers
            assert again.headers["idempotent-replayed"] == "true"
            assert len(again.headers.multi_items()) == len(again.headers)  # none is there twice
            other = await post(http, key, "y", **more)
            assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
        assert (await server.state.store.stats())["rows"]["responses"] == 3
        loud = {"Idempotency-Key": "loud", "Content-Type": "Application/JSON"}
        answers = [
            await http.post("/v1/responses", json={"model": MODEL, "input": "x"}, headers=loud)
            for _ in range(2)
        ]
        assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
        assert (await post(http, "", "x")).status_code == 400
        assert (await post(http, "k" * 256, "x")).status_code == 400


async def test_two_at_once_run_once(slow: Served) -> None:
    """Both get the same answer; a third with another body is a 409."""
    async with slow.http() as http:
        answers = await asyncio.gather(
            *(post(http, "k", LONG) for _ in range(5)), post(http, "k", "something else")
        )
        assert [answer.status_code for answer in answers] == [200] * 5 + [409]
        assert len({answer.content for answer in answers[:5]}) == 1
        assert (await slow.state.store.stats())["rows"]["responses"] == 1


async def test_a_key_lasts_a_day_and_belongs_to_its_project(tmp_path: Path) -> None:
    """By a clock that is moved: after 24 hours the key is fresh again; another project's key of that name is another."""
    clock = MovedClock()
    async with open_state(settings(tmp_path), clock=clock) as state:
        transport = httpx2.ASGITransport(app=build_app(state))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            first = await post(http, "k", "x")
            clock.moved = REPLAY_SECONDS - 60
            assert (await post(http, "k", "x")).content == first.content
            assert (await post(http, "k", "y")).status_code == 409
            clock.moved = REPLAY_SECONDS + 60
            fresh = await post(http, "k", "y")
            assert (fresh.status_code, fresh.content == first.content) == (200, False)
            assert (await post(http, "k", "y")).content == fresh.content
            digest = ReplayRow(digest=b"other", created_at=clock.now())
            assert await state.store.claim_replay("other project", "k", digest, expired=0) is None


async def test_a_server_error_is_not_kept(tmp_path: Path) -> None:
    """What failed runs again with the same key."""
    model = script(tmp_path, {"steps": [{"type": "fail"}]}, {"steps": [{"type": "text", "text": "now"}]})
    async with served(settings(tmp_path / "home", model)) as server, server.http() as http:
        assert (await post(http, "k", "x")).status_code == 503
        assert (await post(http, "k", "x")).status_code == 200


# --- compaction and truncation ---------------------------------------------------------------------------------------


def facts(count: int) -> list[dict[str, Any]]:
    """A long history, with a pinned developer message and a call with its output."""
    head: list[dict[str, Any]] = [{"role": "developer", "content": "Be brief."}]
    return head + [{"role": "user", "content": f"fact {number} " + "x" * 400} for number in range(count)]


async def test_a_compaction_is_taken_back_and_stands_for_its_history(server: Served) -> None:
    """The item is opaque and short; taken back it is worth less than the history, more than nothing; it can be chained."""
    sdk = server.sdk()
    long = facts(150)
    compacted = await sdk.responses.compact(model=MODEL, input=long)  # type: ignore[arg-type]
    assert compacted.object == "response.compaction"
    (item,) = compacted.output
    assert item.type == "compaction"
    assert "fact" not in item.encrypted_content
    assert compacted.usage.output_tokens > 0
    back: Any = [item.to_dict(), {"role": "user", "content": "and?"}]
    after = await sdk.responses.create(model=MODEL, input=back)
    full = await sdk.responses.input_tokens.count(model=MODEL, input=long)  # type: ignore[arg-type]
    assert after.usage is not None
    assert 50 < after.usage.input_tokens < full.input_tokens * 0.7
    chained = await sdk.responses.create(model=MODEL, input="x", previous_response_id=after.id)
    assert chained.usage is not None
    assert chained.usage.input_tokens == after.usage.input_tokens + 5 + 5


async def test_a_short_history_is_kept_whole(server: Served) -> None:
    """No token is spent on it, and it counts as before."""
    sdk = server.sdk()
    compacted = await sdk.responses.compact(model=MODEL, input="abcdefgh")
    assert compacted.usage.total_tokens == 0
    back: Any = [compacted.output[0].to_dict()]
    counted = await sdk.responses.input_tokens.count(model=MODEL, input=back)
    assert counted.input_tokens == 6


async def test_a_compaction_that_was_changed_or_is_somebody_elses_is_refused(tmp_path: Path) -> None:
    """400 that names the field, for every changed part of it and for another project."""
    async with served(settings(tmp_path)) as server:
        store = server.state.store
        for project in ("mine", "other"):
            row = KeyRow(
                id=project, name="", project=project, hash=digest(f"sk-{project}"), hint="", created_at=0.0
            )
            await store.put_key(row)
        mine, other = server.sdk("sk-mine"), server.sdk("sk-other")
        item: Any = (await mine.responses.compact(model=MODEL, input="secret")).output[0].to_dict()
        sealed = item["encrypted_content"]
        middle = len(sealed) // 2
        changed = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
        await mine.responses.create(model=MODEL, input=[item])
        for client, content in ((mine, changed), (mine, sealed[:-4]), (mine, "x"), (other, sealed)):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.responses.create(model=MODEL, input=[{**item, "encrypted_content": content}])
            assert caught.value.code == "invalid_encrypted_content"
            assert caught.value.param == "input[0].encrypted_content"


async def test_context_management_compacts_on_the_way(server: Served) -> None:
    """Over the threshold the response begins with a compaction item, which its children stand on; below it does not."""
    sdk = server.sdk()
    manage: Any = [{"type": "compaction", "compact_threshold": 2000}]
    short = await sdk.responses.create(model=MODEL, input="x", context_management=manage)
    assert [item.type for item in short.output] == ["message"]
    long: Any = [*facts(40), {"role": "user", "content": "and?"}]
    made = await sdk.responses.create(model=MODEL, input=long, context_management=manage)
    assert [item.type for item in made.output] == ["compaction", "message"]
    child = await sdk.responses.create(model=MODEL, input="abcd", previous_response_id=made.id)
    assert child.usage is not None
    assert child.usage.input_tokens < 2000
    assert await stream(server, made.id) == await stream(server, made.id)
    assert (await stream(server, made.id))[-1]["response"] == made.to_dict()


async def test_a_trigger_compacts_and_answers_nothing(server: Served) -> None:
    """Codex CLI asks for a compaction with the last item of the input: the stream has exactly one item, which stands for the
    history, the trigger is stored nowhere, and children stand on the item."""
    sdk = server.sdk()
    trigger: Any = {"type": "compaction_trigger"}
    long: Any = [*facts(200), {"role": "user", "content": "and?"}]
    events = [
        event async for event in await sdk.responses.create(model=MODEL, input=[*long, trigger], stream=True)
    ]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.item.type for event in done] == ["compaction"]
    assert [event.type for event in events].count("response.output_item.added") == 1
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output == [done[0].item]
    made = last.response
    assert made.usage is not None
    listed = [item.type async for item in sdk.responses.input_items.list(made.id, limit=100)]
    assert set(listed) == {"message"}
    child = await sdk.responses.create(model=MODEL, input="abcd", previous_response_id=made.id)
    stateless = await sdk.responses.create(
        model=MODEL, input=[made.output[0].to_dict(), {"role": "user", "content": "abcd"}], store=False
    )
    whole = await sdk.responses.input_tokens.count(model=MODEL, input=[*long, trigger])
    for answer in (child, stateless):
        assert answer.usage is not None
        assert answer.usage.input_tokens < whole.input_tokens
    again = await sdk.responses.create(model=MODEL, input=[trigger], previous_response_id=child.id)
    assert [item.type for item in again.output] == ["compaction"]
    assert (await sdk.responses.compact(model=MODEL, input=[*long, trigger])).output[0].type == "compaction"


async def test_a_compaction_in_the_background_outlives_its_server(tmp_path: Path) -> None:
    """The next start goes on with a compaction, not with an answer: what was asked for is kept with the request."""
    trigger: Any = {"type": "compaction_trigger"}
    async with served(settings(tmp_path)) as first:
        made = await first.sdk().responses.create(model=MODEL, input=[*facts(3), trigger], background=True)
        row = await first.state.store.get_response("default", made.id)
    assert row is not None
    assert decode_request(row).request.compacts


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([], [{"role": "user", "content": "x"}], "must be the final input item"),
        ([], [{"type": "compaction_trigger"}], "must be the final input item"),
        ([], [], "nothing to compact"),
    ],
    ids=["in the middle", "twice", "alone"],
)
async def test_a_trigger_without_a_place_is_refused(
    before: list[Any], after: list[Any], said: str, server: Served
) -> None:
    """It ends the input and stands on something; a conversation has none."""
    items: Any = [*before, {"type": "compaction_trigger"}, *after]
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        await server.sdk().responses.create(model=MODEL, input=items, instructions="Be kind.")
    assert caught.value.param == ("input[0]" if after else "input")
    with pytest.raises(openai.BadRequestError):
        await server.sdk().conversations.create(items=items)


async def test_truncation_is_asked_for_and_said(server: Served) -> None:
    """Without it a prompt over the window is a 400; with auto the oldest go, and the metadata say how many."""
    sdk = server.sdk()
    long: Any = [{"role": "user", "content": "x" * 40_000} for _ in range(4)] + [
        {"role": "user", "content": "end"}
    ]
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model=MODEL, input=long)
    assert caught.value.code == "context_length_exceeded"
    made = await sdk.responses.create(model=MODEL, input=long, truncation="auto")
    assert made.metadata is not None
    gone = int(made.metadata["kodo.truncated_items"])
    assert made.usage is not None
    assert made.usage.input_tokens == (4 - gone) * 10_004 + 5
    assert 1 <= gone < 4


# --- retention, full disks -------------------------------------------------------------------------------------------


async def test_old_responses_are_deleted_and_conversations_stay(tmp_path: Path) -> None:
    """At the start and again while the server runs; what is younger stays, and so does what is kept by hand."""
    home = tmp_path / "home"
    async with served(settings(home)) as server:
        sdk = server.sdk()
        made = await sdk.responses.create(model=MODEL, input="x")
        conversation = await sdk.conversations.create()
        async with server.http() as http:
            await post(http, "k", "y")
    async with served(settings(home)) as server:
        await server.sdk().responses.retrieve(made.id)
        later = MovedClock()
        later.moved = 29 * 86400
        pruning = supervise_every(
            "pruning", 0.02, lambda: prune_and_log(server.state.store, later.now(), RetentionPolicy(30))
        )
        while (await server.state.store.stats())["rows"]["replays"]:
            await asyncio.sleep(0.01)
        await server.sdk().responses.retrieve(made.id)
        later.moved = 31 * 86400
        while (await server.state.store.stats())["rows"]["responses"]:
            await asyncio.sleep(0.01)
        pruning.cancel()
        with pytest.raises(openai.NotFoundError):
            await server.sdk().responses.retrieve(made.id)
        await server.sdk().conversations.retrieve(conversation.id)


async def test_a_full_disk_is_a_500_and_service_goes_on(slow: Served, tmp_path: Path) -> None:
    """Nothing half-done is acknowledged: 500 in the envelope, reads continue; what ran ends once there is room."""
    sdk, store = slow.sdk(), slow.state.store
    assert isinstance(store, SqliteStore)
    kept = await sdk.responses.create(model=MODEL, input="kept")
    conversation = await sdk.conversations.create()
    background = await sdk.responses.create(model=MODEL, input=LONG, background=True)
    streamed = await sdk.responses.create(model=MODEL, input="abcd" * 30, stream=True)
    first = await anext(aiter(streamed))
    await page_limit(store, 0)
    huge = "x" * 100_000
    item: Any = {"role": "user", "content": huge}
    for refused in (
        sdk.responses.create(model=MODEL, input=huge),
        sdk.responses.create(model=MODEL, input=huge, background=True),
        sdk.responses.create(model=MODEL, input=huge, stream=True),
        sdk.conversations.create(items=[item]),
        sdk.conversations.items.create(conversation.id, items=[item]),
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            await refused
        assert (caught.value.status_code, caught.value.code) == (500, "server_error")
        assert "disk is full" in caught.value.message
    assert (await sdk.responses.retrieve(kept.id)).to_dict() == kept.to_dict()
    await page_limit(store, 2**30)
    async for _ in streamed:
        pass
    assert (await over(slow, first.response.id)).status in FINAL  # type: ignore[union-attr]
    assert (await over(slow, background.id)).output_text == LONG
    assert (
        await sdk.responses.create(model=MODEL, input="after", previous_response_id=kept.id)
    ).output_text == "after"
    assert integrity(tmp_path / "home") == "ok"


@dataclass
class Broken:
    """A store that refuses to finish responses while ``down``."""

    store: Store
    down: bool = True
    refused: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def finish_response(self, row: ResponseRow, *args: Any, **options: Any) -> None:
        """The store's, or a disk that is full."""
        if self.down:
            self.refused.append(row.id)
            raise StoreFailed("The disk is full.")
        await self.store.finish_response(row, *args, **options)

    async def store_response(self, row: ResponseRow, *args: Any, **options: Any) -> None:
        """The store's, or a disk that is full."""
        if self.down:
            self.refused.append(row.id)
            raise StoreFailed("The disk is full.")
        await self.store.store_response(row, *args, **options)


async def test_an_end_that_cannot_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain: 500. Streamed: response.failed. Background: goes on once it can. All are stored as they were told."""
    monkeypatch.setattr("kodo.server.lifecycle.run.RETRY_SECONDS", 0.02)
    async with served(settings(tmp_path)) as server:
        broken: Any = Broken(server.state.store)
        server.state.service.store = broken
        sdk = server.sdk()
        with pytest.raises(openai.InternalServerError) as caught:
            await sdk.responses.create(model=MODEL, input="x", metadata={"a": "plain"})
        assert (caught.value.status_code, caught.value.code) == (500, "server_error")
        events = [event async for event in await sdk.responses.create(model=MODEL, input="x", stream=True)]
        failed = events[-1].response  # type: ignore[union-attr]
        assert (events[-1].type, failed.status) == ("response.failed", "failed")
        assert [event.sequence_number for event in events] == list(range(len(events)))
        waiting = await sdk.responses.create(model=MODEL, input="x", background=True)
        while waiting.id not in broken.refused:
            await asyncio.sleep(0.01)
        assert (await sdk.responses.retrieve(waiting.id)).status in ("queued", "in_progress")
        with pytest.raises(openai.InternalServerError):
            await sdk.responses.cancel(waiting.id)
        broken.down = False
        assert (await over(server, waiting.id)).status == "completed"
        while await server.state.store.unfinished():
            await asyncio.sleep(0.01)
        assert (await sdk.responses.retrieve(failed.id)).to_dict() == failed.to_dict()
        assert (await stream(server, failed.id)) == [event.to_dict() for event in events]
