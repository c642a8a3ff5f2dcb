"""Assistants with the default model, the installed command and the unmodified SDK: runs polled, streamed, with a tool."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from openai import AssistantEventHandler
from openai.types.beta.threads import Run
from openai.types.responses import Response
from tests.e2e.conftest import Server

pytestmark = [
    pytest.mark.model,
    pytest.mark.xdist_group("real model"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the SDK marks this API so; here it lives on
]
MODEL = "codex-mini-latest"
BRIEF = "Answer in one short sentence."
QUESTION = "Name three colours."
MOST = 48
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "strict": True,
    "parameters": PARAMETERS,
}


def said(server: Server, run: Run) -> list[str]:
    """The texts of a run's messages."""
    messages = server.sdk().beta.threads.messages.list(run.thread_id, run_id=run.id, order="asc")
    return [block.text.value for message in messages for block in message.content if block.type == "text"]


def same(run: Run, *responses: Response) -> None:
    """The run ended as the last of these responses, and cost what all of them cost together."""
    assert (run.status, run.last_error) == (responses[-1].status, None)
    spent = [response.usage for response in responses if response.usage is not None]
    assert len(spent) == len(responses)
    assert run.usage is not None
    assert run.usage.prompt_tokens == sum(usage.input_tokens for usage in spent)
    assert run.usage.completion_tokens == sum(usage.output_tokens for usage in spent)
    assert run.usage.total_tokens == sum(usage.total_tokens for usage in spent)


def respond(server: Server, given: Any, **more: Any) -> Response:
    """The same words as a response."""
    return server.sdk().responses.create(model=MODEL, instructions=BRIEF, input=given, temperature=0, **more)


def test_a_polled_run_says_and_costs_what_the_same_response_does(real: Server) -> None:
    """Two turns of a thread: the second is shown the first, and both have the engine's counts."""
    sdk = real.sdk()
    assistant = sdk.beta.assistants.create(model=MODEL, instructions=BRIEF, temperature=0)
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
    asked = {"thread_id": thread.id, "assistant_id": assistant.id, "max_completion_tokens": MOST}
    run = sdk.beta.threads.runs.create_and_poll(**asked)
    first = respond(real, QUESTION, max_output_tokens=MOST)
    same(run, first)
    assert said(real, run) == [first.output_text]
    assert first.output_text
    sdk.beta.threads.messages.create(thread.id, role="user", content="Which is the first?")
    run = sdk.beta.threads.runs.create_and_poll(**asked)
    history = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "Which is the first?"},
    ]
    second = respond(real, history, max_output_tokens=MOST)
    assert run.usage is not None
    assert second.usage is not None
    assert run.usage.prompt_tokens == second.usage.input_tokens
    assert said(real, run)[0]


def test_a_streamed_run_tells_its_events(real: Server) -> None:
    """Through the SDK's handler: the deltas join to the message, the last state of the run has the usage."""

    class Heard(AssistantEventHandler):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []
            self.text = ""

        def on_event(self, event: Any) -> None:
            self.names.append(event.event)

        def on_text_delta(self, delta: Any, snapshot: Any) -> None:
            self.text += delta.value
            assert self.text == snapshot.value

    sdk, heard = real.sdk(), Heard()
    assistant = sdk.beta.assistants.create(model=MODEL, instructions=BRIEF, temperature=0)
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": QUESTION}])
    with sdk.beta.threads.runs.stream(
        thread_id=thread.id,
        assistant_id=assistant.id,
        max_completion_tokens=MOST,
        event_handler=heard,
    ) as stream:
        stream.until_done()
        run = stream.current_run
    assert run is not None
    first = respond(real, QUESTION, max_output_tokens=MOST)
    same(run, first)
    assert run == sdk.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert [heard.text] == said(real, run) == [first.output_text]
    steady = [name for name in heard.names if name not in ("thread.message.delta", "thread.run.in_progress")]
    assert steady[:6] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
    ]
    assert steady[-1] == f"thread.run.{run.status}"
    assert heard.names.count("thread.message.delta") > 3


def test_a_run_calls_a_function_and_goes_on_with_its_output(real: Server) -> None:
    """A required call whose arguments fit its schema; then an answer, and the usage of both turns."""
    sdk = real.sdk()
    assistant = sdk.beta.assistants.create(
        model=MODEL,
        instructions=BRIEF,
        temperature=0,
        tools=[{"type": "function", "function": WEATHER}],  # type: ignore[list-item, typeddict-item]  # a dict of Any
    )
    question = "What is the weather in Paris?"
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": question}])
    run = sdk.beta.threads.runs.create_and_poll(
        thread_id=thread.id,
        assistant_id=assistant.id,
        tool_choice="required",
        parallel_tool_calls=False,
        max_completion_tokens=200,
    )
    assert run.status == "requires_action"
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "get_weather"
    jsonschema.validate(json.loads(call.function.arguments), PARAMETERS)
    output = json.dumps({"sky": "clear", "degrees": 21})
    run = sdk.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": output}]
    )
    tools = {
        "tools": [{"type": "function", **WEATHER}],
        "parallel_tool_calls": False,
    }
    called = respond(real, question, tool_choice="required", max_output_tokens=200, **tools)
    (item,) = called.output
    assert item.type == "function_call"
    assert item.arguments == call.function.arguments
    assert called.usage is not None
    answered = respond(
        real,
        [{"type": "function_call_output", "call_id": item.call_id, "output": output}],
        previous_response_id=called.id,
        max_output_tokens=200 - called.usage.output_tokens,
        **tools,
    )
    same(run, called, answered)
    assert answered.output_text
    assert said(real, run) == [answered.output_text]
    steps = list(sdk.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"))
    assert (steps[0].type, steps[0].status) == ("tool_calls", "completed")
    assert run.usage is not None
    assert sum(step.usage.total_tokens for step in steps if step.usage) == run.usage.total_tokens
