"""``file_search`` of assistants over real vector stores: found, shown as a step, cited with marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai.types.beta.threads import Message
from openai.types.beta.threads.runs import RunStep
from tests.serving import MODEL, script, served, settings
from tests.unit.server.http.test_vector_stores import KYOTO, TEA, filled

pytestmark = [
    pytest.mark.usefixtures("each_database"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK marks this API so; here it lives on
]
TURNS: list[dict[str, Any]] = [
    {"match": "<passage", "steps": [{"type": "text", "text": "Two minutes[1]."}]},
    {
        "match": ".",
        "steps": [{"type": "call", "name": "file_search", "arguments": {"queries": ["green tea"]}}],
    },
]


async def test_a_run_searches_the_stores_of_assistant_and_thread(tmp_path: Path) -> None:
    """The file of the thread's store is found and cited, with its name in the mark and its id in the annotation."""
    async with served(settings(tmp_path / "home", script(tmp_path, *TURNS))) as server:
        sdk = server.sdk()
        own, thread_store = await filled(sdk, kyoto_txt=KYOTO), await filled(sdk, tea_md=TEA)
        made = await sdk.beta.assistants.create(
            model=MODEL,
            tools=[{"type": "file_search"}],
            tool_resources={"file_search": {"vector_store_ids": [own]}},
        )
        thread = await sdk.beta.threads.create(
            messages=[{"role": "user", "content": "How long is green tea steeped?"}],
            tool_resources={"file_search": {"vector_store_ids": [thread_store]}},
        )
        run = await sdk.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made.id)
        assert (run.status, run.last_error) == ("completed", None)
        steps = [
            step
            async for step in sdk.beta.threads.runs.steps.list(
                run.id,
                thread_id=thread.id,
                order="asc",
                include=["step_details.tool_calls[*].file_search.results[*].content"],
            )
        ]
        message = [one async for one in sdk.beta.threads.messages.list(thread.id, order="asc")][-1]
        (file,) = [file async for file in sdk.vector_stores.files.list(thread_store)]
    for step in steps:
        RunStep.model_validate_json(step.to_json(), strict=True)
    Message.model_validate_json(message.to_json(), strict=True)
    search: Any = steps[0].step_details
    results = search.tool_calls[0].file_search.results
    assert [(one.file_id, one.file_name) for one in results] == [(file.id, "tea.md")]
    assert "two minutes" in results[0].content[0].text
    part: Any = message.content[0]
    assert part.text.value == "Two minutes【0†tea.md】."
    assert [one.file_citation.file_id for one in part.text.annotations] == [file.id]
