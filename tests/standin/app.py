"""The stand-in's HTTP: routes, checks, streams. Serves in the test's own event loop, or in a thread for other programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.standin.model import Conversation, answer
from tests.standin.servers import WINDOW, Behaviour, Refused, openai_error

KEY = "sk-standin-0123456789"
MODEL = "the-model"
SECRET_ADDRESS = "http://10.1.2.3:8080/v1"


@dataclass
class StandIn:
    """One server: its behaviour, and what it was asked."""

    behaviour: Behaviour
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests that it answered or refused."""
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def app(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/health", lambda _: PlainTextResponse("")),
                Route("/props", self.props),
                Route("/api/version", self.version),
                Route("/api/ps", self.loaded),
                Route("/api/v0/models", self.lmstudio_models),
                Route("/tokenize", self.tokenize, methods=["POST"]),
                Route("/apply-template", self.template, methods=["POST"]),
            ]
        )

    async def chat(self, request: Request) -> Response:
        """An answer, or a refusal in the server's own form."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        behaviour = self.behaviour
        try:
            if KEY not in request.headers.get(behaviour.needs_header, ""):
                raise Refused(401, openai_error(f"Incorrect API key provided: {KEY}", "invalid_api_key"))
            conversation = self._read(body)
        except Refused as refused:
            return JSONResponse(refused.body, refused.status, headers=behaviour.headers)
        chunks = behaviour.stream(answer(conversation))
        return StreamingResponse(_frames(chunks), media_type="text/event-stream", headers=behaviour.headers)

    def _read(self, body: dict[str, Any]) -> Conversation:
        behaviour = self.behaviour
        unknown = sorted(set(body) - behaviour.fields)
        if unknown:
            raise Refused(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", unknown[0]], "msg": "Extra inputs are not permitted"}]})  # fmt: skip
        if body.get("stream") is not True:
            raise Refused(400, openai_error("this stand-in only streams"))
        conversation = Conversation()
        for number, message in enumerate(body["messages"]):
            self._read_message(number, message, conversation)
        if "overflow" in (conversation.texts or [""])[-1]:
            raise Refused(*behaviour.overflow)
        if "secret" in (conversation.texts or [""])[-1]:
            raise Refused(400, openai_error(f"{SECRET_ADDRESS} says that {KEY} may not use temperature 9"))
        behaviour.check(body)
        return conversation

    def _read_message(self, number: int, message: dict[str, Any], conversation: Conversation) -> None:
        role, content = message["role"], message.get("content")
        if role == "system" and number and self.behaviour.one_system:
            raise Refused(400, openai_error("System message must be at the beginning.", None))
        if role == "tool":
            if not isinstance(content, str):
                raise Refused(400, openai_error("a tool's content must be a string"))
            conversation.outputs += 1
            conversation.output = content
            if "no such tool" in content:
                conversation.errors.append(content)
        for call in message.get("tool_calls") or ():
            json.loads(call["function"]["arguments"])  # servers parse them for their templates
        if role != "user":
            return
        conversation.outputs = 0
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "text":
                conversation.texts.append(part["text"])
            elif part["type"] == "image_url":
                if not self.behaviour.images:
                    raise Refused(400, openai_error("unknown variant `image_url`, expected `text`"))
                conversation.images.append(part["image_url"]["url"])
            elif part["type"] == "file":
                conversation.files.append(part["file"]["filename"])

    async def models(self, request: Request) -> Response:
        """The list of models."""
        entry = {
            "id": MODEL,
            "object": "model",
            "owned_by": self.behaviour.owned_by,
            **self.behaviour.model_fields,
        }
        return JSONResponse({"object": "list", "data": [entry]}, headers=self.behaviour.headers)

    async def props(self, request: Request) -> Response:
        """llama.cpp's own route."""
        if self.behaviour.name != "llamacpp":
            return PlainTextResponse("", 404)
        return JSONResponse(
            {"default_generation_settings": {"n_ctx": WINDOW}, "modalities": {"vision": True}}
        )

    async def version(self, request: Request) -> Response:
        """Ollama's own route."""
        if self.behaviour.name != "ollama":
            return PlainTextResponse("", 404)
        return JSONResponse({"version": "0.13.0"})

    async def loaded(self, request: Request) -> Response:
        """Ollama's own route: the models that are loaded, with their windows."""
        if self.behaviour.name != "ollama":
            return PlainTextResponse("", 404)
        entry = {"name": f"{MODEL}:latest", "model": f"{MODEL}:latest", "context_length": WINDOW}
        return JSONResponse({"models": [{"name": "other", "context_length": 99}, entry]})

    async def lmstudio_models(self, request: Request) -> Response:
        """LM Studio's own route."""
        if self.behaviour.name != "lmstudio":
            return PlainTextResponse("", 404)
        entry = {"id": MODEL, "type": "vlm", "loaded_context_length": WINDOW, "max_context_length": 131072}
        return JSONResponse({"data": [entry]})

    async def template(self, request: Request) -> Response:
        """llama.cpp's own route: the text that the model reads."""
        if self.behaviour.tokenize != "llamacpp":
            return PlainTextResponse("", 404)
        body = await request.json()
        return JSONResponse({"prompt": json.dumps(body["messages"])})

    async def tokenize(self, request: Request) -> Response:
        """Tokens: here, words."""
        body = await request.json()
        form = self.behaviour.tokenize
        if form == "vllm":
            count = len(json.dumps(body["messages"]).split())
            return JSONResponse({"count": count, "max_model_len": WINDOW})
        if form == "sglang":
            tokens = body["prompt"].split()
            return JSONResponse(
                {"tokens": list(range(len(tokens))), "count": len(tokens), "max_model_len": WINDOW}
            )
        if form == "llamacpp":
            return JSONResponse({"tokens": list(range(len(body["content"].split())))})
        return PlainTextResponse("", 404)


def _frames(chunks: Iterator[dict[str, Any] | str]) -> Iterator[str]:
    for one in chunks:
        yield f"{one}\n\n" if isinstance(one, str) else f"data: {json.dumps(one)}\n\n"


@contextlib.asynccontextmanager
async def serve(behaviour: Behaviour) -> AsyncIterator[StandIn]:
    """The stand-in on a free port, in this event loop."""
    standin = StandIn(behaviour)
    async with listening(standin.app()) as url:
        standin.url = url
        yield standin


@contextlib.asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """An application on a free port of 127.0.0.1; its base URL with ``/v1``."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the test runner has its own
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task
        listener.close()


@contextlib.contextmanager
def serve_in_thread(behaviour: Behaviour) -> Iterator[StandIn]:
    """The stand-in on a free port, in a thread: for tests that run other programs and wait for them."""
    standin = StandIn(behaviour)
    listener = socket.create_server(("127.0.0.1", 0))
    standin.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    config = uvicorn.Config(standin.app(), log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # not the main thread
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield standin
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
