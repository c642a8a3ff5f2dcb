"""``code_interpreter`` by the other ways into the server: runs of the Assistants API, and lines of a batch."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.beta.threads import Message
from openai.types.beta.threads.runs import RunStep
from tests.containers import no_containers
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_code_interpreter import AUTO, OUTPUTS, PNG, code, said

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK marks the Assistants API so


async def test_a_run_makes_files_and_keeps_its_python(tmp_path: Path) -> None:
    """Steps with logs and images as files, a path in the message that can be fetched; the thread's next run has the variables."""
    draw = f"x = 7\nopen('dot.png', 'wb').write({PNG!r})\nprint('drawn')"
    turns = [
        {"match": "^drawn", "steps": [said("It is at sandbox:/mnt/data/dot.png now.")]},
        {"match": "^8", "steps": [said("It is 8.")]},
        {"match": "draw", "steps": [code(draw)]},
        {"match": "more", "steps": [code("print(x + 1, open('in.txt').read())")]},
    ]
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        source = await sdk.files.create(file=("in.txt", b"in"), purpose="assistants")
        api = sdk.beta
        made = await api.assistants.create(
            model=MODEL,
            tools=[{"type": "code_interpreter"}],
            tool_resources={"code_interpreter": {"file_ids": [source.id]}},
        )
        thread = await api.threads.create(messages=[{"role": "user", "content": "draw"}])
        stream = await api.threads.runs.create(thread.id, assistant_id=made.id, stream=True)
        events = [event async for event in stream]
        run = next(event.data for event in events if event.event == "thread.run.completed")
        steps = [one async for one in api.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")]
        for step in steps:
            RunStep.model_validate_json(step.to_json(), strict=True)
        assert [step.type for step in steps] == ["tool_calls", "message_creation"]
        step_code = steps[0].step_details.tool_calls[0].code_interpreter  # type: ignore[union-attr]
        logs, image = step_code.outputs
        assert (step_code.input, logs.logs) == (draw, "drawn\n")
        assert await (await sdk.files.content(image.image.file_id)).aread() == PNG
        named = await sdk.files.retrieve(image.image.file_id)
        assert (named.filename, named.purpose, named.bytes) == ("dot.png", "assistants_output", len(PNG))
        message = next(event.data for event in events if event.event == "thread.message.completed")
        Message.model_validate_json(message.to_json(), strict=True)
        text = message.content[0].text
        (note,) = text.annotations
        assert (note.type, note.file_path.file_id) == ("file_path", image.image.file_id)
        assert text.value[note.start_index : note.end_index] == note.text == ("sandbox:/mnt/data/dot.png")
        streamed = [
            one
            for event in events
            if event.event == "thread.message.delta"
            for one in event.data.delta.content[0].text.annotations or []
        ]
        assert [(one.start_index, one.text) for one in streamed] == [(note.start_index, note.text)]
        await api.threads.messages.create(thread.id, role="user", content="more")
        run = await api.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        steps = [one async for one in api.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")]
        assert steps[0].step_details.tool_calls[0].code_interpreter.outputs[0].logs == "8 in\n"  # type: ignore[union-attr]
        assert len((await sdk.containers.list()).data) == 1


async def test_lines_of_a_batch_run_code(tmp_path: Path) -> None:
    """Each line has a container of its own."""
    turns = [
        {"match": "^False", "steps": [said("new")]},
        {"match": ".", "steps": [code("print('x' in globals()); x = 1")]},
    ]
    async with served(settings(tmp_path, script(tmp_path, *turns))) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        body = {"model": MODEL, "input": "go", "tools": [AUTO], "include": OUTPUTS}
        lines = [
            json.dumps({"custom_id": str(n), "method": "POST", "url": "/v1/responses", "body": body})
            for n in range(2)
        ]
        file = await sdk.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
        batch = await sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
        )
        while batch.status not in ("completed", "failed"):
            await asyncio.sleep(0.05)
            batch = await sdk.batches.retrieve(batch.id)
        assert batch.output_file_id is not None
        answers: list[Any] = [
            json.loads(line)["response"]["body"]
            for line in (await sdk.files.content(batch.output_file_id)).text.splitlines()
        ]
        found = [answer["output"][0] for answer in answers]
        assert [one["outputs"] for one in found] == [[{"type": "logs", "logs": "False\n"}]] * 2
        assert len({one["container_id"] for one in found}) == 2
        assert [answer["output"][-1]["content"][0]["text"] for answer in answers] == ["new"] * 2
