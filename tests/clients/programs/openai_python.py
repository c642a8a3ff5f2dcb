"""openai-python: sync, async, stream, parse, raw responses, background, WebSocket."""

from __future__ import annotations

import json
import time
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from run import MODEL, run

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Palette(BaseModel):
    """A palette."""

    title: str
    dark: bool


def client(url: str) -> OpenAI:
    """The client."""
    return OpenAI(base_url=f"{url}/v1", api_key="any")


def text(url: str) -> Any:
    """A plain answer."""
    return client(url).responses.create(model=MODEL, input="Say hello.", max_output_tokens=24).output_text


async def text_async(url: str) -> Any:
    """The same, asynchronously."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as sdk:
        return (await sdk.responses.create(model=MODEL, input="Say hello.", max_output_tokens=24)).output_text


def stream(url: str) -> Any:
    """The stream helper."""
    with client(url).responses.stream(model=MODEL, input="Say hello.") as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        return {"pieces": len(pieces), "same": "".join(pieces) == events.get_final_response().output_text}


def tool(url: str) -> Any:
    """A function, called and answered: the city it was called with, and the answer."""
    sdk = client(url)
    first = sdk.responses.create(model=MODEL, input="What is the weather in Paris?", tools=[WEATHER])
    (call,) = [item for item in first.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    second = sdk.responses.create(model=MODEL, input=[output], previous_response_id=first.id, tools=[WEATHER])
    return {"city": json.loads(call.arguments)["city"], "answer": second.output_text}


def structured(url: str) -> Any:
    """``parse`` with a pydantic model."""
    parsed = client(url).responses.parse(model=MODEL, input="Give me a palette.", text_format=Palette)
    return parsed.output_parsed.model_dump() if parsed.output_parsed else None


def raw(url: str) -> Any:
    """Raw responses with their headers."""
    got = client(url).responses.with_raw_response.create(model=MODEL, input="Say hello.", max_output_tokens=8)
    return {"request_id": got.headers.get("x-request-id"), "status": got.parse().status}


def background(url: str) -> Any:
    """Queued, polled to its end."""
    sdk = client(url)
    response = sdk.responses.create(model=MODEL, input="Say hello.", background=True, max_output_tokens=24)
    first = response.status
    while response.status in ("queued", "in_progress"):
        time.sleep(0.1)
        response = sdk.responses.retrieve(response.id)
    return {"first": first, "text": response.output_text}


async def websocket(url: str) -> Any:
    """Two turns on one socket; the second stands on the first, which is not stored."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as sdk, sdk.responses.connect() as socket:
        texts, previous = [], openai.omit
        for said in ("Say hello.", "Say it again."):
            await socket.response.create(model=MODEL, input=said, store=False, previous_response_id=previous)
            async for event in socket:
                if event.type == "response.completed":
                    texts.append(event.response.output_text)
                    previous = event.response.id
                    break
        return texts


run(text, text_async, stream, tool, structured, raw, background, websocket)
