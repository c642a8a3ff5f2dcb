"""The part of the table of endpoints that is about assistants, threads and runs."""

from __future__ import annotations

from kodo.server.http.assistants.endpoints import assistants, messages, runs, steps, threads
from kodo.server.http.openapi import Endpoint
from kodo.server.http.openapi_types import ListPage
from kodo.server.wire.assistants import (
    Assistant,
    CreateAssistant,
    CreateMessage,
    CreateRun,
    CreateThread,
    CreateThreadAndRun,
    Deleted,
    NewMetadata,
    RunStep,
    SubmitToolOutputs,
    Thread,
    ThreadMessage,
    ThreadRun,
    UpdateAssistant,
    UpdateThread,
)

_WINDOW = ("after", "before", "limit", "order")

ASSISTANT_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/assistants",
        assistants.create,
        "Create an assistant.",
        body=CreateAssistant,
        answer=Assistant,
    ),
    Endpoint(
        "GET",
        "/v1/assistants",
        assistants.list_assistants,
        "List assistants.",
        answer=ListPage[Assistant],
        query=_WINDOW,
    ),
    Endpoint(
        "GET",
        "/v1/assistants/{assistant_id}",
        assistants.retrieve,
        "Retrieve an assistant.",
        answer=Assistant,
    ),
    Endpoint(
        "POST",
        "/v1/assistants/{assistant_id}",
        assistants.update,
        "Update an assistant.",
        body=UpdateAssistant,
        answer=Assistant,
    ),
    Endpoint(
        "DELETE", "/v1/assistants/{assistant_id}", assistants.delete, "Delete an assistant.", answer=Deleted
    ),
    Endpoint("POST", "/v1/threads", threads.create, "Create a thread.", body=CreateThread, answer=Thread),
    Endpoint(
        "POST",
        "/v1/threads/runs",
        runs.create_with_thread,
        "Create a thread and run it.",
        body=CreateThreadAndRun,
        answer=ThreadRun,
        streams=True,
    ),
    Endpoint("GET", "/v1/threads/{thread_id}", threads.retrieve, "Retrieve a thread.", answer=Thread),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}",
        threads.update,
        "Update the metadata and the tool resources of a thread.",
        body=UpdateThread,
        answer=Thread,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}",
        threads.delete,
        "Delete a thread with its messages and runs.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages",
        messages.create,
        "Create a message.",
        body=CreateMessage,
        answer=ThreadMessage,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages",
        messages.list_messages,
        "List messages.",
        answer=ListPage[ThreadMessage],
        query=("run_id", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.retrieve,
        "Retrieve a message.",
        answer=ThreadMessage,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.update,
        "Update the metadata of a message.",
        body=NewMetadata,
        answer=ThreadMessage,
    ),
    Endpoint(
        "DELETE",
        "/v1/threads/{thread_id}/messages/{message_id}",
        messages.delete,
        "Delete a message.",
        answer=Deleted,
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs",
        runs.create,
        "Create a run.",
        body=CreateRun,
        answer=ThreadRun,
        query=("include[]",),
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs",
        runs.list_runs,
        "List runs.",
        answer=ListPage[ThreadRun],
        query=_WINDOW,
    ),
    Endpoint(
        "GET", "/v1/threads/{thread_id}/runs/{run_id}", runs.retrieve, "Retrieve a run.", answer=ThreadRun
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}",
        runs.update,
        "Update the metadata of a run.",
        body=NewMetadata,
        answer=ThreadRun,
    ),
    Endpoint(
        "POST", "/v1/threads/{thread_id}/runs/{run_id}/cancel", runs.cancel, "Cancel a run.", answer=ThreadRun
    ),
    Endpoint(
        "POST",
        "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        runs.submit_tool_outputs,
        "Submit tool outputs.",
        body=SubmitToolOutputs,
        answer=ThreadRun,
        streams=True,
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps",
        steps.list_steps,
        "List run steps.",
        answer=ListPage[RunStep],
        query=("include[]", *_WINDOW),
    ),
    Endpoint(
        "GET",
        "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}",
        steps.retrieve,
        "Retrieve a run step.",
        answer=RunStep,
        query=("include[]",),
    ),
)
