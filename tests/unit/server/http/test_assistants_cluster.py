"""Runs of the Assistants API on two servers of one PostgreSQL: a run that waits for its client is anybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.beta.threads import Run
from tests.postgres_server import shared_server
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.http.assistants import worker
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.postgres.writer import OutcomeUnknown
from kodo.server.wire.items import FunctionCall, FunctionCallOutput

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK marks this API so

TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"steps": [{"type": "call", "name": "add", "arguments": {"a": 1}}]}
TURNS = (
    {"match": "second output", "steps": [{"type": "text", "text": "It is done."}]},
    {"match": "slow", "steps": [{"type": "text", "text": "Wait"}, {"type": "delay", "seconds": 30}]},
    {"match": ".", **CALL},
)
"""The model calls until it is given the second output."""
Nodes = tuple[Served, Served]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Nodes]]]:
    """Makes two servers with homes of their own, on one database and one folder."""
    url, model = shared_server().new_database(), script(tmp_path / "scripts", *TURNS)
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Nodes:
            made = []
            for name in ("one", "two"):
                given = settings(
                    tmp_path / name, model, database=url, shared_folder=tmp_path / "shared", **options
                )
                made.append(await stack.enter_async_context(served(given)))
            return made[0], made[1]

        yield start


async def waiting(node: Served, *, metadata: dict[str, str] | None = None) -> Run:
    """A new run that waits for the outputs of its call."""
    beta = node.sdk().beta
    assistant = await beta.assistants.create(model=MODEL, tools=[TOOL])
    thread = await beta.threads.create(messages=[{"role": "user", "content": "begin"}])
    run = await beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, metadata=metadata
    )
    assert run.status == "requires_action"
    return run


def outputs(run: Run, text: str) -> Any:
    """The outputs of a run's calls."""
    assert run.required_action is not None
    return [
        {"tool_call_id": call.id, "output": text}
        for call in run.required_action.submit_tool_outputs.tool_calls
    ]


async def submit(node: Served, run: Run, text: str) -> Run:
    """Give a run its outputs, and wait until it is over or calls again."""
    return await node.sdk().beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs(run, text)
    )


async def until(node: Served, run: Run, *statuses: str) -> Run:
    """A run, once it is in one of some states."""
    async with asyncio.timeout(30):
        while True:
            found = await node.sdk().beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
            if found.status in statuses:
                return found
            await asyncio.sleep(0.02)


async def check_done(nodes: Nodes, run: Run, calls: int = 2) -> None:
    """The run is completed and the same everywhere; each call, output, step and message is there once."""
    for node in nodes:
        threads = node.sdk().beta.threads
        found = await threads.runs.retrieve(run.id, thread_id=run.thread_id)
        assert (found.status, found.required_action) == ("completed", None)
        steps = [step async for step in threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")]
        assert [(step.type, step.status) for step in steps] == [
            *[("tool_calls", "completed")] * calls,
            ("message_creation", "completed"),
        ]
        assert found.usage is not None
        assert found.usage.total_tokens == sum(step.usage.total_tokens for step in steps if step.usage)
        said = [message async for message in threads.messages.list(run.thread_id)]
        assert [message.role for message in said] == ["assistant", "user"]
        rows, _ = await node.state.store.list_items("default", run.thread_id, Page(limit=100))
        items = [row.context.item for row in rows]
        for kind in (FunctionCall, FunctionCallOutput):
            assert len({item.call_id for item in items if isinstance(item, kind)}) == calls
        assert len(items) == 2 * calls + 2
        assert node.state.runs._workers == {}


async def test_a_loop_of_tools_goes_from_server_to_server(pair: Callable[..., Awaitable[Nodes]]) -> None:
    """Each output is sent to the server that did not ask for it; in between no server drives the run."""
    one, two = nodes = await pair()
    run = await waiting(one)
    assert (await until(two, run, "requires_action")).required_action == run.required_action
    run = await submit(two, run, "first output")
    assert run.status == "requires_action"
    assert (one.state.runs._workers, two.state.runs._workers) == ({}, {})
    assert (await submit(one, run, "second output")).status == "completed"
    await check_done(nodes, run)


async def test_the_other_server_streams_what_follows(pair: Callable[..., Awaitable[Nodes]]) -> None:
    """From the end of the calls' step to the end of the run, as one server does."""
    one, two = nodes = await pair()
    run = await waiting(one)
    told: list[list[str]] = []
    for node, text in ((two, "first output"), (one, "second output")):
        names = told.append([]) or told[-1]
        async with node.sdk().beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs(run, text)
        ) as stream:
            async for event in stream:
                names.append(event.event.removeprefix("thread."))
                if event.event == "thread.run.requires_action":
                    run = event.data
    start = ["run.step.completed", "run.queued", "run.in_progress"]
    assert told[0][:3] == told[1][:3] == start
    assert (told[0][-1], told[1][-1]) == ("run.requires_action", "run.completed")
    assert "message.delta" in told[1]
    await check_done(nodes, run)


async def test_of_outputs_at_both_servers_at_once_one_is_taken(pair: Callable[..., Awaitable[Nodes]]) -> None:
    """The other one is told that the run does not wait, as by the hosted API."""
    nodes = await pair()
    for _ in range(5):
        run = await waiting(nodes[0])
        answers = await asyncio.gather(
            *(
                node.sdk().beta.threads.runs.submit_tool_outputs(
                    run.id, thread_id=run.thread_id, tool_outputs=outputs(run, text)
                )
                for node in nodes
                for text in ("the second output", "one more second output")
            ),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(refused) == 3
        for error in refused:
            assert isinstance(error, openai.BadRequestError)
            assert (error.code, error.param) == ("invalid_value", "run_id")
            assert "do not accept tool outputs" in error.message
        await until(nodes[0], run, "completed")
        await check_done(nodes, run, calls=1)


async def test_a_run_that_waits_is_cancelled_anywhere(pair: Callable[..., Awaitable[Nodes]]) -> None:
    """Once: the second is told that it is over. A cancel and outputs at the same moment are one or the other."""
    one, two = await pair()
    run = await waiting(one)
    threads = two.sdk().beta.threads
    cancelled = await threads.runs.cancel(run.id, thread_id=run.thread_id)
    assert (cancelled.status, cancelled.required_action) == ("cancelling", None)
    assert (await until(one, run, "cancelled")).cancelled_at is not None
    for node in (one, two):
        with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'cancelled'"):
            await node.sdk().beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
        with pytest.raises(openai.BadRequestError, match="do not accept"):
            await submit(node, run, "second output")
    steps = [step async for step in threads.runs.steps.list(run.id, thread_id=run.thread_id)]
    assert [step.status for step in steps] == ["cancelled"]
    for _ in range(5):
        run = await waiting(one)
        both = await asyncio.gather(
            one.sdk().beta.threads.runs.cancel(run.id, thread_id=run.thread_id),
            submit(two, run, "second output"),
            return_exceptions=True,
        )
        ended = await until(one, run, "cancelled", "completed")
        assert (ended.status == "completed") == isinstance(both[0], BaseException)


async def test_a_run_that_works_is_cancelled_anywhere(pair: Callable[..., Awaitable[Nodes]]) -> None:
    """Also where it was taken by the server that did not create it."""
    one, two = await pair()
    run = await waiting(one)
    await two.sdk().beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=run.thread_id, tool_outputs=outputs(run, "slow output")
    )
    await until(one, run, "in_progress")
    cancelled = await one.sdk().beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    assert cancelled.status in ("cancelling", "cancelled")
    await until(one, run, "cancelled")
    assert two.state.service.runs(None) == []


async def test_a_run_that_waits_expires_once_whoever_lives(
    pair: Callable[..., Awaitable[Nodes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers look for it at the same moment; outputs that come too late are refused before either looks."""
    one, two = await pair(run_seconds=2)
    run = await waiting(one)
    store = two.state.store
    assert isinstance(store, PostgresStore)
    ended = await until(two, run, "expired")
    before = await store.get_document("thread.run", "default", run.id)
    await asyncio.sleep(1.5)
    assert await store.get_document("thread.run", "default", run.id) == before
    assert (ended.required_action, ended.expires_at) == (None, None)
    steps = [step async for step in two.sdk().beta.threads.runs.steps.list(run.id, thread_id=run.thread_id)]
    assert [(step.status, step.expired_at is not None) for step in steps] == [("expired", True)]
    for node in (one, two):
        assert node.state.runs._expiring is not None
        node.state.runs._expiring.cancel()
    late = await waiting(one)
    await asyncio.sleep(2.1)
    with pytest.raises(openai.BadRequestError, match="Runs in status 'expired' do not accept tool outputs"):
        await submit(two, late, "second output")
    await until(one, late, "expired")


async def test_metadata_that_are_changed_while_it_waits_are_kept(
    pair: Callable[..., Awaitable[Nodes]],
) -> None:
    """At whichever server, and by many at once; the outputs are accepted between two changes."""
    one, two = nodes = await pair()
    run = await waiting(one, metadata={"n": "0"})
    changes = [
        nodes[number % 2]
        .sdk()
        .beta.threads.runs.update(run.id, thread_id=run.thread_id, metadata={"n": str(number)})
        for number in range(8)
    ]
    *_, done = await asyncio.gather(*changes, submit(two, run, "second output"))
    assert done.status == "completed"
    last = await one.sdk().beta.threads.runs.update(run.id, thread_id=run.thread_id, metadata={"n": "last"})
    assert last.metadata == {"n": "last"}
    await check_done(nodes, run, calls=1)


async def test_the_outputs_of_a_server_that_stopped_are_taken_by_the_other(
    pair: Callable[..., Awaitable[Nodes]],
) -> None:
    """The run is as it was, at once: nobody has to be found dead."""
    one, two = await pair()
    run = await waiting(one)
    await one.state.runs.close()
    await one.state.store.close()
    assert (await submit(two, run, "second output")).status == "completed"


async def test_a_run_that_an_older_server_drives_while_it_waits_is_left_to_it(
    pair: Callable[..., Awaitable[Nodes]],
) -> None:
    """Such a server takes every unfinished run that names nobody, and does not look for others' changes of it."""
    one, two = await pair()
    run = await waiting(one)
    store = one.state.store
    assert isinstance(store, PostgresStore)
    await store.unfinished_documents("thread.run", ["requires_action"])  # as it does
    with pytest.raises(openai.BadRequestError) as refused:
        await submit(two, run, "second output")
    assert (refused.value.code, refused.value.param) == ("run_on_another_server", "run_id")
    assert (await until(two, run, "requires_action")).required_action == run.required_action
    assert (await submit(one, run, "second output")).status == "completed"


async def test_outputs_that_were_kept_unawares_are_worked_on(
    pair: Callable[..., Awaitable[Nodes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the COMMIT was lost, so the client was told of an error: the run goes on with them, once."""
    one, two = nodes = await pair()
    run = await waiting(one)
    store = two.state.store
    assert isinstance(store, PostgresStore)
    plain = store.append_items

    async def kept(*arguments: Any, **options: Any) -> None:
        await plain(*arguments, **options)
        if options.get("take") is not None:
            monkeypatch.setattr(store, "append_items", plain)
            store._note_unsure()
            raise OutcomeUnknown

    monkeypatch.setattr(store, "append_items", kept)
    with pytest.raises(openai.InternalServerError):
        await submit(two, run, "second output")
    await until(one, run, "completed")
    await check_done(nodes, run, calls=1)


@pytest.mark.parametrize("taker", [0, 1], ids=["itself", "the other"])
async def test_a_run_given_up_unawares_is_not_written_again(
    pair: Callable[..., Awaitable[Nodes]], monkeypatch: pytest.MonkeyPatch, taker: int
) -> None:
    """Its server was told that it failed to give it up; meanwhile it is taken, and goes to its end."""
    one, two = nodes = await pair()
    store, plain = one.state.store, one.state.store.update_document
    given_up, tries = asyncio.Event(), 0

    async def kept(row: DocumentRow, *, release: bool = False) -> None:
        nonlocal tries
        await plain(row, release=release)
        if release:
            tries += 1
            given_up.set()
            if tries == 1:
                raise OutcomeUnknown

    monkeypatch.setattr(store, "update_document", kept)
    monkeypatch.setattr(worker, "_RETRY_SECONDS", 0.5)
    beta = one.sdk().beta
    assistant = await beta.assistants.create(model=MODEL, tools=[TOOL])
    thread = await beta.threads.create(messages=[{"role": "user", "content": "begin"}])
    made = await beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    await given_up.wait()
    run = await until(two, made, "requires_action")
    assert (await submit(nodes[taker], run, "second output")).status == "completed"
    await asyncio.sleep(0.8)
    await check_done(nodes, run, calls=1)


async def test_outputs_before_its_own_server_knows_that_it_waits(
    pair: Callable[..., Awaitable[Nodes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one shows it already: outputs and a cancel wait until the worker has let go."""
    one, two = nodes = await pair()
    store, plain = one.state.store, one.state.store.update_document

    async def slow(row: DocumentRow, *, release: bool = False) -> None:
        await plain(row, release=release)
        if release:
            await asyncio.sleep(0.5)

    started, runs = one.state.runs._start_worker, one.state.runs

    def alone(new: worker.RunWorker) -> None:
        assert new.run.id not in runs._tasks, "a run has two workers"
        started(new)

    monkeypatch.setattr(store, "update_document", slow)
    monkeypatch.setattr(runs, "_start_worker", alone)
    beta = one.sdk().beta
    assistant = await beta.assistants.create(model=MODEL, tools=[TOOL])
    for ended in ("completed", "cancelled"):
        thread = await beta.threads.create(messages=[{"role": "user", "content": "begin"}])
        made = await beta.threads.runs.create(thread.id, assistant_id=assistant.id)
        run = await until(two, made, "requires_action")
        if ended == "completed":
            assert (await submit(one, run, "second output")).status == ended
            await check_done(nodes, run, calls=1)
        else:
            await beta.threads.runs.cancel(run.id, thread_id=thread.id)
            await until(two, run, ended)
