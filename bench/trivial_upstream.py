"""The fastest upstream that answers rightly: fixed answers of `/v1/chat/completions` and `/v1/responses`, whole and streamed.

One asyncio protocol and no framework, so that what is measured is the gateway in front. The number of tokens of a stream
is asked for in the user's text: ``tokens=200``.

    python -m bench.trivial_upstream PORT
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

MODEL = "trivial"
_TOKENS = re.compile(rb"tokens=(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
NUMBER = "000000000000"
"""Stands in the ids, and is another one in each answer: a gateway that stores them may not meet one twice."""
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def _http(body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def chat_whole() -> bytes:
    """A Chat Completion."""
    message = {"role": "assistant", "content": "Hello from the upstream."}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return _http(
        _json(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": MODEL,
                "choices": [choice],
                "usage": USAGE,
            }
        ),
        "application/json",
    )


def chat_stream(tokens: int) -> bytes:
    """A streamed Chat Completion of so many deltas."""

    def chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}  # fmt: skip
        return b"data: " + _json(value) + b"\n\n"

    last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [], "usage": USAGE}  # fmt: skip
    body = (
        chunk({"role": "assistant", "content": ""}) + chunk({"content": "word "}) * tokens + chunk({}, "stop")
    )
    return _http(body + b"data: " + _json(last) + b"\n\ndata: [DONE]\n\n", "text/event-stream")


def _response(status: str, output: list[object]) -> dict[str, object]:
    return {
        "id": f"resp_{NUMBER}", "object": "response", "created_at": 1, "status": status, "model": MODEL, "output": output,
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0, "store": False,
        "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
                  "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 14},
    }  # fmt: skip


def _message(text: str) -> dict[str, object]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": f"msg_{NUMBER}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def responses_whole() -> bytes:
    """A Response."""
    return _http(_json(_response("completed", [_message("Hello from the upstream.")])), "application/json")


def responses_stream(tokens: int) -> bytes:
    """A streamed Response of so many deltas."""
    number = 0
    frames = []

    def event(kind: str, **fields: object) -> None:
        nonlocal number
        value = {"type": kind, "sequence_number": number, **fields}
        frames.append(f"event: {kind}\n".encode() + b"data: " + _json(value) + b"\n\n")
        number += 1

    where = {"output_index": 0, "item_id": f"msg_{NUMBER}", "content_index": 0}
    empty = {**_message(""), "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    text = "word " * tokens
    event("response.created", response=_response("in_progress", []))
    event("response.in_progress", response=_response("in_progress", []))
    event("response.output_item.added", output_index=0, item=empty)
    event("response.content_part.added", part=part, **where)
    for _ in range(tokens):
        event("response.output_text.delta", delta="word ", logprobs=[], **where)
    event("response.output_text.done", text=text, logprobs=[], **where)
    event("response.content_part.done", part={**part, "text": text}, **where)
    event("response.output_item.done", output_index=0, item=_message(text))
    event("response.completed", response=_response("completed", [_message(text)]))
    return _http(b"".join(frames), "text/event-stream")


class Upstream(asyncio.Protocol):
    """One connection."""

    answers: dict[tuple[bytes, int], bytes] = {}  # noqa: RUF012 - one cache for all connections

    count = 0

    def __init__(self) -> None:
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport  # type: ignore[assignment]  # a stream's always is one

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._pending += data
        while True:
            head, found, rest = self._pending.partition(b"\r\n\r\n")
            if not found:
                return
            size = _LENGTH.search(head)
            length = int(size[1]) if size else 0
            if len(rest) < length:
                return
            body, self._pending = rest[:length], rest[length:]
            if self._transport is not None:
                self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        if path.endswith(b"/models"):
            listed = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "bench"}]}
            return _http(_json(listed), "application/json")
        if not path.endswith((b"/chat/completions", b"/responses")):
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        streamed = b'"stream":true' in body or b'"stream": true' in body
        asked = _TOKENS.search(body)
        tokens = int(asked[1]) if asked else 5
        key = path[-9:], tokens if streamed else 0
        if key not in self.answers:
            chat = path.endswith(b"/chat/completions")
            if streamed:
                self.answers[key] = chat_stream(tokens) if chat else responses_stream(tokens)
            else:
                self.answers[key] = chat_whole() if chat else responses_whole()
        Upstream.count += 1
        return self.answers[key].replace(NUMBER.encode(), b"%012d" % Upstream.count)


async def main(port: int) -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(int(sys.argv[1])))
    else:
        uvloop.run(main(int(sys.argv[1])))
