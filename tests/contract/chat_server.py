"""A small OpenAI-compatible server (Chat Completions, streamed), in front of the scripted engine.

It refuses what it does not know, and goes wrong on request: a model's name that begins with ``http-`` answers with that
status, ``cut`` ends the stream in the middle, ``noise`` sends something that is not an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.contract.engines import SCRIPT, says

from kodo.server.engines.scripted import ScriptedEngine
from kodo.server.lifecycle.ports import CallDelta, CallStart, Engine, Finished, Prompt, TextDelta
from kodo.server.wire.tools import FunctionTool, JsonObjectFormat, JsonSchemaFormat, TextFormat

KNOWN = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p", "seed"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format"),
}


def _prompt(body: dict[str, Any]) -> Prompt:
    tools = tuple(FunctionTool(**tool["function"]) for tool in body.get("tools", ()))
    choice = body.get("tool_choice", "auto")
    wanted = body.get("response_format")
    format_: TextFormat | JsonObjectFormat | JsonSchemaFormat = TextFormat()
    if wanted and wanted["type"] == "json_schema":
        format_ = JsonSchemaFormat(
            name=wanted["json_schema"]["name"], schema_=wanted["json_schema"]["schema"]
        )
    elif wanted:
        format_ = JsonObjectFormat()
    return Prompt(
        items=tuple(says(message["content"] or "", message["role"]) for message in body["messages"]),
        tools=tools,
        tool_choice="none" if choice == "none" else "required" if isinstance(choice, dict) else choice,
        format=format_,
        max_output_tokens=body.get("max_tokens"),
    )


async def _chunks(engine: Engine, prompt: Prompt, model: str) -> AsyncIterator[str]:
    def data(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return f"data: {json.dumps({'choices': [choice], **extra}, ensure_ascii=False)}\n\n"

    index = -1
    called = False
    async for event in engine.generate(await engine.prepare(prompt)):
        if isinstance(event, TextDelta):
            yield data({"content": event.text})
            if model == "cut":
                return
            if model == "noise":
                yield "data: what?\n\n"
        elif isinstance(event, CallStart):
            index, called = index + 1, True
            function = {"name": event.name, "arguments": ""}
            yield data(
                {
                    "tool_calls": [
                        {"index": index, "id": event.call_id, "type": "function", "function": function}
                    ]
                }
            )
        elif isinstance(event, CallDelta):
            yield data({"tool_calls": [{"index": index, "function": {"arguments": event.text}}]})
        elif isinstance(event, Finished):
            yield data({}, "tool_calls" if called and event.reason == "stop" else event.reason)
            usage = {"prompt_tokens": event.usage.input, "completion_tokens": event.usage.output}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"


async def _complete(request: Request) -> Response:
    body = await request.json()
    assert set(body) <= KNOWN, f"the test's server does not know {set(body) - KNOWN}"
    model = body["model"]
    if model.startswith("http-"):
        error = {"message": "/a/path and a key sk-secret", "code": None}
        return JSONResponse({"error": error}, int(model[5:]), headers={"retry-after": "7"})
    stream = _chunks(ScriptedEngine(SCRIPT), _prompt(body), model)
    return StreamingResponse(stream, media_type="text/event-stream")


@contextlib.asynccontextmanager
async def chat_server() -> AsyncIterator[str]:
    """Serve on a free port; the base URL."""
    app = Starlette(routes=[Route("/v1/chat/completions", _complete, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task
