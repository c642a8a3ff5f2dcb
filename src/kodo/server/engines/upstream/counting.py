"""Tokens of a request by the server's own ``/tokenize``.

vLLM's takes messages. llama.cpp's takes text, which its ``/apply-template`` makes. SGLang's takes text and has no such
route: the words are counted, with ``TEMPLATE_TOKENS`` for what a template puts around a message.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient
from kodo.server.engines.upstream.chat_messages import json_text
from kodo.server.engines.upstream.message_order import plain_text
from kodo.server.wire.foreign_json import NotJson, read_json

MAX_COUNT_SECONDS: Final = 5.0
TEMPLATE_TOKENS: Final = 5
MAX_ANSWER_BYTES: Final = 64 * 2**20


async def count(root: HttpClient, form: str, body: dict[str, Any]) -> int | None:
    """Tokens of the messages and tools of a Chat Completions body. None if the server does not say.

    Args:
        root: the way to the host's root.
        form: ``vllm``, ``sglang`` or ``llamacpp``.
        body: the request.
    """
    prompt: dict[str, Any] = {
        name: body[name] for name in ("model", "messages", "tools", "chat_template_kwargs") if name in body
    }
    try:
        async with asyncio.timeout(MAX_COUNT_SECONDS):
            if form == "llamacpp":
                rendered = await _post(root, "/apply-template", prompt)
                if not isinstance(rendered.get("prompt"), str):
                    return None
                tokens = {"content": rendered["prompt"], "add_special": True, "parse_special": True}
                return _length(await _post(root, "/tokenize", tokens))
            if form == "sglang":
                words = [plain_text(message.get("content") or "") for message in body["messages"]]
                text = "\n".join(words) + (json_text(body["tools"]) if "tools" in body else "")
                counted = _length(await _post(root, "/tokenize", {"model": body["model"], "prompt": text}))
                return None if counted is None else counted + TEMPLATE_TOKENS * len(words)
            return _length(await _post(root, "/tokenize", prompt))
    except (ConnectFailed, ConnectionLost, TimeoutError):
        return None


def _length(answer: dict[str, Any]) -> int | None:
    counted, tokens = answer.get("count"), answer.get("tokens")
    if isinstance(counted, int):
        return counted
    return len(tokens) if isinstance(tokens, list) else None


async def _post(root: HttpClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    exchange = await root.request("POST", path, msgspec.json.encode(body))
    try:
        if exchange.status != 200:
            return {}
        value = read_json(await exchange.read(MAX_ANSWER_BYTES))
    except NotJson:
        return {}
    finally:
        exchange.close()
    return value if isinstance(value, dict) else {}
