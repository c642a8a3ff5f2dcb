"""Runs of the Assistants API over ``kill -9``: at whatever event it strikes, the run ends as if nothing had been."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.crash.process import start
from tests.serving import MODEL
from tests.unit.server.store.test_failures import integrity

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # the SDK marks this API so; here it lives on

TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"type": "call", "name": "add", "arguments": {"a": 1}, "call_id": "call_1"}
TURNS = [
    {"match": "the output", "steps": [{"type": "text", "text": "It is three, as I thought."}]},
    {"match": "add", "steps": [{"type": "text", "text": "Let me see."}, CALL]},
]
OUTPUTS: Any = [{"tool_call_id": "call_1", "output": "the output"}]
KILLS = [(1, None), (3, None), (6, None), (9, None), (11, None), (None, 1), (None, 4), (None, 7), (None, 11)]
"""After which event of the first stream, or of the second, the server is killed."""


def read(events: Iterable[Any], most: int | None) -> bool:
    """Read a stream to its end (False), or up to an event (True)."""
    return any(number == most for number, _ in enumerate(events, 1))


def test_a_killed_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    """Each answer stands in the thread once, each step once, whatever was half-written is gone."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"turns": TURNS, "pace": 0.002}))
    server = start(tmp_path / "home", script)
    assistant = server.sdk().beta.assistants.create(model=MODEL, tools=[TOOL])
    try:
        for first, second in KILLS:
            api = server.sdk().beta.threads
            thread = api.create(messages=[{"role": "user", "content": "add"}])
            struck = read(api.runs.create(thread.id, assistant_id=assistant.id, stream=True), first)
            if not struck:
                (run,) = api.runs.list(thread.id)
                stream = api.runs.submit_tool_outputs(
                    run_id=run.id, thread_id=thread.id, tool_outputs=OUTPUTS, stream=True
                )
                struck = read(stream, second)
            assert struck, "the stream was too short to strike"
            server.kill()
            assert integrity(server.home) == "ok"
            server = start(tmp_path / "home", script)
            check(server.sdk(), thread.id)
    finally:
        server.kill()


def check(sdk: openai.OpenAI, thread_id: str) -> None:
    """Bring the thread's run to its end; then look at everything that it has left."""
    api = sdk.beta.threads
    (run,) = api.runs.list(thread_id)
    run = api.runs.poll(run_id=run.id, thread_id=thread_id)
    if run.status == "requires_action":
        run = api.runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread_id, tool_outputs=OUTPUTS)
    assert (run.status, run.last_error) == ("completed", None)
    texts = [
        block.text.value
        for message in api.messages.list(thread_id, order="asc")
        for block in message.content
        if block.type == "text"
    ]
    assert texts == ["add", "Let me see.", "It is three, as I thought."]
    steps = list(api.runs.steps.list(run.id, thread_id=thread_id, order="asc"))
    assert [(step.type, step.status) for step in steps] == [
        ("message_creation", "completed"),
        ("tool_calls", "completed"),
        ("message_creation", "completed"),
    ]
    assert run.usage is not None
    assert sum(step.usage.total_tokens for step in steps if step.usage) == run.usage.total_tokens


LIFE = 0.3
STRIKES = [LIFE + late for late in (-0.05, -0.02, -0.01, -0.005, 0.0, 0.003, 0.006, 0.01, 0.015, 0.02, 0.05)]
"""Seconds after a run was begun."""


@pytest.mark.parametrize("turn", ["waiting", "speaking"])
def test_a_run_killed_in_the_moment_it_expires_has_expired(turn: str, tmp_path: Path) -> None:
    """Once, with everything in its thread over: the moment of the kill shows nowhere."""
    script = tmp_path / "script.json"
    steps = [{"type": "text", "text": "Let me see. " * 400}] if turn == "speaking" else [CALL]
    script.write_text(json.dumps({"turns": [{"match": "add", "steps": steps}], "pace": 0.002}))
    server = start(tmp_path / "home", script, run_seconds=LIFE)
    assistant = server.sdk().beta.assistants.create(model=MODEL, tools=[TOOL])
    try:
        for strike in STRIKES:
            api = server.sdk().beta.threads
            thread = api.create(messages=[{"role": "user", "content": "add"}])
            begun = time.monotonic()
            api.runs.create(thread.id, assistant_id=assistant.id)
            time.sleep(max(0.0, begun + strike - time.monotonic()))
            server.kill()
            server = start(tmp_path / "home", script, run_seconds=LIFE)
            api = server.sdk().beta.threads
            (run,) = api.runs.list(thread.id)
            run = api.runs.poll(run_id=run.id, thread_id=thread.id)
            assert (run.status, run.required_action, run.last_error) == ("expired", None, None)
            made = list(api.runs.steps.list(run.id, thread_id=thread.id))
            assert {step.status for step in made} <= {"expired", "completed"}
            said = [message for message in api.messages.list(thread.id) if message.role == "assistant"]
            assert len(said) == sum(step.type == "message_creation" for step in made)
            assert {message.status for message in said} <= {"incomplete", "completed"}
    finally:
        server.kill()
