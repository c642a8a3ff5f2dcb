"""What ages, and what does not. Responses and conversations: ``test_state.py``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import openai
import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.http.test_batches import finished, jsonl, line, submit

from kodo.server.http.retention import RetentionPolicy, prune

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # the SDK marks the Assistants API so; here it lives on
DAY = 86400.0


async def pruned(server: Served, days: float, ages: RetentionPolicy) -> dict[str, int]:
    """What is deleted so many days from now."""
    return await prune(server.state.store, server.state.clock.now() + days * DAY, ages)


async def test_a_batch_ages_when_it_is_over_and_its_files_stay(tmp_path: Path) -> None:
    """One that still runs is not touched, however old it is; no copy of an input is left behind."""
    turns = [
        {"match": "wait", "steps": [{"type": "delay", "seconds": 1}, {"type": "text", "text": "late"}]},
        {"match": "", "steps": [{"type": "text", "text": "said"}]},
    ]
    async with served(settings(tmp_path / "home", script(tmp_path, *turns))) as server:
        sdk = server.sdk()
        over = await finished(sdk, (await submit(sdk, jsonl(line("a")))).id)
        running = await submit(sdk, jsonl(line("b", input="wait")))
        assert (await pruned(server, 29, RetentionPolicy(30)))["batch"] == 0
        assert (await pruned(server, 31, RetentionPolicy(30)))["batch"] == 1
        with pytest.raises(openai.NotFoundError) as gone:
            await sdk.batches.retrieve(over.id)
        assert gone.value.code == "batch_not_found"
        assert [batch.id async for batch in sdk.batches.list()] == [running.id]
        assert over.output_file_id is not None
        assert "said" in (await sdk.files.content(over.output_file_id)).text
        assert (await finished(sdk, running.id)).status == "completed"
        while await server.state.files.blobs.ids("batch"):
            await asyncio.sleep(0.01)
        assert (await pruned(server, 31, RetentionPolicy(30)))["batch"] == 1


async def test_an_upload_ages_when_it_is_over(tmp_path: Path) -> None:
    """Its file stays, and one that is open is not touched."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        done, canceled, _ = [
            await sdk.uploads.create(bytes=3, filename="f", mime_type="text/plain", purpose="user_data")
            for _ in range(3)
        ]
        part = await sdk.uploads.parts.create(done.id, data=b"abc")
        file = (await sdk.uploads.complete(done.id, part_ids=[part.id])).file
        await sdk.uploads.cancel(canceled.id)
        assert (await pruned(server, 29, RetentionPolicy(30)))["upload"] == 0
        assert (await pruned(server, 31, RetentionPolicy(30)))["upload"] == 2
        assert file is not None
        assert (await sdk.files.content(file.id)).content == b"abc"


async def test_threads_age_only_where_the_settings_say_so(tmp_path: Path) -> None:
    """From the last thing that was added; with all that is inside, and nothing of anybody's assistants."""
    async with served(settings(tmp_path)) as server:
        sdk = server.sdk()
        api = sdk.beta.threads
        assistant = await sdk.beta.assistants.create(model=MODEL)
        thread = await api.create(messages=[{"role": "user", "content": "hello"}])
        run = await api.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "completed"
        assert "thread" not in await pruned(server, 4000, RetentionPolicy(30))
        assert (await pruned(server, 59, RetentionPolicy(30, 60)))["thread"] == 0
        await api.retrieve(thread.id)
        assert (await pruned(server, 61, RetentionPolicy(30, 60)))["thread"] == 1
        for call in (
            api.retrieve(thread.id),
            api.runs.retrieve(run.id, thread_id=thread.id),
            api.messages.list(thread.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await call
        await sdk.beta.assistants.retrieve(assistant.id)
        assert (await server.state.store.stats())["rows"]["documents"] == 1


async def test_a_server_deletes_what_has_aged_when_it_starts(tmp_path: Path) -> None:
    """Both ages come from the settings; a batch that a stop left unfinished goes on."""
    turns = [
        {"match": "wait", "steps": [{"type": "delay", "seconds": 0.5}, {"type": "text", "text": "late"}]}
    ]
    slow = script(tmp_path, *turns, {"match": "", "steps": [{"type": "text", "text": "said"}]})
    home = tmp_path / "home"
    async with served(settings(home, slow)) as server:
        sdk = server.sdk()
        over = await finished(sdk, (await submit(sdk, jsonl(line("a")))).id)
        thread = await sdk.beta.threads.create()
        running = await submit(sdk, jsonl(line("b", input="wait")))
    async with served(settings(home, slow, retention_days=1e-9, thread_days=1e-9)) as server:
        sdk = server.sdk()
        assert (await finished(sdk, running.id)).status == "completed"
        with pytest.raises(openai.NotFoundError):
            await sdk.batches.retrieve(over.id)
        with pytest.raises(openai.NotFoundError):
            await sdk.beta.threads.retrieve(thread.id)
