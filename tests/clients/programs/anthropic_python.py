"""Anthropic's SDK on the Messages API."""

from __future__ import annotations

import json
from typing import Any

from anthropic import Anthropic
from run import MODEL, run

WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
PALETTE = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "dark": {"type": "boolean"}},
    "required": ["title", "dark"],
    "additionalProperties": False,
}


def ask(url: str, content: str, **options: Any) -> Any:
    """A message."""
    messages = options.pop("messages", None) or [{"role": "user", "content": content}]
    return client(url).messages.create(model=MODEL, max_tokens=64, messages=messages, **options)


def client(url: str) -> Anthropic:
    """The SDK's client."""
    return Anthropic(base_url=url, api_key="any")


def text(url: str) -> Any:
    """A plain answer."""
    return ask(url, "Say hello.").content[0].text


def stream(url: str) -> Any:
    """A streamed answer."""
    messages: Any = [{"role": "user", "content": "Say hello."}]
    with client(url).messages.stream(model=MODEL, max_tokens=64, messages=messages) as found:
        pieces = list(found.text_stream)
        whole = found.get_final_text()
    return {"pieces": len(pieces), "same": "".join(pieces) == whole}


def tool(url: str) -> Any:
    """A tool, called and answered: the city it was called with, and the answer."""
    question = "What is the weather in Paris?"
    called = ask(url, question, tools=[WEATHER])
    (use,) = [block for block in called.content if block.type == "tool_use"]
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": called.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "21 degrees"}],
        },
    ]
    answer = ask(url, "", messages=messages, tools=[WEATHER]).content[0].text
    return {"city": use.input["city"], "answer": answer}


def structured(url: str) -> Any:
    """Structured output."""
    config = {"format": {"type": "json_schema", "schema": PALETTE}}
    return json.loads(ask(url, "Give me a palette.", output_config=config).content[0].text)


def tokens(url: str) -> Any:
    """Tokens of a prompt, counted before and by the answer."""
    messages: Any = [{"role": "user", "content": "Say hello."}]
    counted = client(url).messages.count_tokens(model=MODEL, messages=messages).input_tokens
    usage = ask(url, "Say hello.").usage
    return {"counted": counted, "used": usage.input_tokens + (usage.cache_read_input_tokens or 0)}


run(text, stream, tool, structured, tokens)
