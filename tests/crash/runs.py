"""Runs of the Assistants API under kills: each ends once, and its thread has every message once."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import Any

import httpx2
from tests.crash.load import Event, Load, Told, sse
from tests.serving import MODEL

CALLER = "caller"
"""A model that calls a function before it answers, with what its script says."""
DONE = "It is done, and it was done once."
OUTPUT = "the output of the function"
SCRIPT = json.dumps(
    {
        "pace": 0.002,
        "turns": [
            {"match": OUTPUT, "steps": [{"type": "text", "text": DONE}]},
            {"match": ".", "steps": [{"type": "call", "name": "act", "arguments": {"now": True}}]},
        ],
    }
)
TOOL = {"type": "function", "function": {"name": "act", "parameters": {"type": "object"}}}
STILL = ("completed", "failed", "expired", "cancelled", "incomplete", "requires_action")


async def running(load: Load, model: str, stream: bool) -> None:
    """Threads of some questions each, every one with a run; followed as a stream, or polled."""
    tools = [TOOL] if model == CALLER else []
    assistant, _ = await load.post("/v1/assistants", {"model": model, "tools": tools})
    while True:
        thread, _ = await load.post("/v1/threads", {})
        path, told = f"/v1/threads/{thread['id']}", load.told.threads.setdefault(thread["id"], [])
        for _ in range(random.randint(1, 3)):
            text = load.text(20)
            await load.post(f"{path}/messages", {"role": "user", "content": text})
            told.append(text)
            body: Event = {"assistant_id": assistant["id"]}
            run = await step(load, f"{path}/runs", body, stream)
            if run["status"] == "requires_action":
                await step(load, f"{path}/runs/{run['id']}/submit_tool_outputs", outputs(run), stream)


async def step(load: Load, path: str, body: Event, stream: bool) -> Event:
    """A run, brought to its end or to a call."""
    if stream:
        run: Event = {}
        async for event in sse(load.http, "POST", path, json={**body, "stream": True}):
            if event["object"] == "thread.run":
                run = load.told.runs[event["id"]] = event
        return run
    run, _ = await load.post(path, body)
    load.told.runs[run["id"]] = run
    while run["status"] not in STILL:
        await asyncio.sleep(0.01)
        run = load.told.runs[run["id"]] = await load.get(f"/v1/threads/{run['thread_id']}/runs/{run['id']}")
    return run


def outputs(run: Event) -> Event:
    """What a run that waits is given."""
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    return {"tool_outputs": [{"tool_call_id": call["id"], "output": OUTPUT} for call in calls]}


async def look(told: Told, http: httpx2.AsyncClient, name: str) -> None:
    """Every run on the thread ends as completed, and as it was shown; every message is there once, every answer behind
    its question; and that is what the model is shown."""
    runs = [await end(http, run) for run in await listed(http, f"/v1/threads/{name}/runs")]
    shown = {run["id"]: run for run in told.runs.values() if run["thread_id"] == name}
    assert shown.keys() <= {run["id"] for run in runs}
    for run in runs:
        assert (run["status"], run["last_error"]) == ("completed", None)
        seen = shown.get(run["id"], run)
        assert seen == run or seen["status"] != "completed"
        steps = await listed(http, f"/v1/threads/{name}/runs/{run['id']}/steps")
        kinds = ["tool_calls", "message_creation"] if run["model"] == CALLER else ["message_creation"]
        found = [(one["type"], one["status"]) for one in steps]
        assert found == [(kind, "completed") for kind in kinds], (run, found)
        spent = [one["usage"]["total_tokens"] for one in steps if one["usage"]]
        assert sum(spent) == run["usage"]["total_tokens"]
    messages = await listed(http, f"/v1/threads/{name}/messages")
    said = [message["content"][0]["text"]["value"] for message in messages]
    asked = [text for message, text in zip(messages, said, strict=True) if message["role"] == "user"]
    # the last message may have been stored and not acknowledged
    assert asked[: len(told.threads[name])] == told.threads[name]
    assert len(asked) - len(told.threads[name]) in (0, 1)
    answers = [message["run_id"] for message in messages if message["role"] == "assistant"]
    assert answers == [run["id"] for run in runs]
    for (question, text), (message, answer) in itertools.pairwise(zip(messages, said, strict=True)):
        if message["role"] == "assistant":
            assert question["role"] == "user"
            assert answer == (DONE if runs[0]["model"] == CALLER else text)
    if runs and runs[0]["model"] == MODEL:
        await ask_again(http, name, runs[0]["assistant_id"], said)


async def ask_again(http: httpx2.AsyncClient, name: str, assistant_id: str, said: list[str]) -> None:
    """One more run is shown what can be read, and nothing else."""
    body = {"assistant_id": assistant_id, "additional_messages": [{"role": "user", "content": "x"}]}
    run = await end(http, (await http.post(f"/v1/threads/{name}/runs", json=body)).json())
    assert run["usage"]["prompt_tokens"] == sum(4 + -(-len(text) // 4) for text in [*said, "x"])


async def end(http: httpx2.AsyncClient, run: Event) -> Event:
    """A run at its end; it is given what it waits for."""
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    while run["status"] not in STILL:
        await asyncio.sleep(0.02)
        run = (await http.get(path)).json()
    if run["status"] != "requires_action":
        return run
    answer = await http.post(f"{path}/submit_tool_outputs", json=outputs(run))
    assert answer.status_code == 200, answer.text
    return await end(http, answer.json())


async def listed(http: httpx2.AsyncClient, path: str) -> list[Any]:
    """A list of at most a hundred, oldest first."""
    answer = await http.get(path, params={"order": "asc", "limit": "100"})
    assert answer.status_code == 200, answer.text
    assert not answer.json()["has_more"]
    return list(answer.json()["data"])
