"""What the fault server says when nothing goes wrong: a whole Response, and the same one as events.

The answer to the input `x` is `echo: x`; its usage is one input token a word of the input and two output
tokens, so that a test can add up what a run must have cost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

INPUT_TOKENS_A_WORD = 1
OUTPUT_TOKENS = 2


def input_text(body: dict[str, Any]) -> str:
    """The text of the last input message. Fails on an input of another form."""
    given = body["input"]
    if isinstance(given, str):
        return given
    content = given[-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def usage_of(text: str) -> dict[str, Any]:
    """The usage that every answer to `text` reports."""
    words = len(text.split()) * INPUT_TOKENS_A_WORD
    return {
        "input_tokens": words,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": words + OUTPUT_TOKENS,
    }


def response(body: dict[str, Any], number: int, *, status: str = "completed") -> dict[str, Any]:
    """The Response to a request body, with every key that the Open Responses schema requires."""
    text = input_text(body)
    done = status == "completed"
    item = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": f"echo: {text}", "annotations": [], "logprobs": []}],
    }
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_795_000_000,
        "completed_at": 1_795_000_001 if done else None,
        "status": status,
        "incomplete_details": None,
        "model": body["model"],
        "previous_response_id": body.get("previous_response_id"),
        "instructions": body.get("instructions"),
        "output": [item] if done else [],
        "error": None,
        "tools": [],
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "temperature": 1.0,
        "reasoning": None,
        "usage": usage_of(text) if done else None,
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "store": body.get("store", True),
        "background": False,
        "service_tier": "default",
        "metadata": body.get("metadata") or {},
        "safety_identifier": None,
        "prompt_cache_key": body.get("prompt_cache_key"),
    }


def events(body: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The events of the streamed answer, ten of them, with their sequence numbers."""
    final = response(body, number)
    item = final["output"][0]
    part = item["content"][0]
    where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    started = response(body, number, status="in_progress")
    head, tail = part["text"][:6], part["text"][6:]
    bare = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **where, "delta": head, "logprobs": []},
        {"type": "response.output_text.delta", **where, "delta": tail, "logprobs": []},
        {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": final},
    ]
    for sequence_number, event in enumerate(bare):
        yield {**event, "sequence_number": sequence_number}


def frame(event: dict[str, Any]) -> bytes:
    """One event as it crosses the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def error_body(message: str, *, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """The error envelope."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
