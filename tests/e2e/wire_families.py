"""The scenarios of the wire corpus: what is asked, family by family. See ``tests/e2e/wire_corpus.py``.

Every answer must be the same on every machine and under any load: waiting is for a state that stays, never for a time.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.wire_corpus import Recording, Server, compact, dump, restore, serving

from kodo.server.http.endpoints import openapi_document

M = "codex-mini-latest"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
FUNCTION = {
    "name": "get_weather",
    "description": "The weather.",
    "parameters": {**WEATHER, "additionalProperties": False},
}
TOOL = {"type": "function", **FUNCTION, "strict": True}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
PLAIN_TEXT = {"content-type": "text/plain"}

SCRIPT = {
    "turns": [
        {
            "match": "^think",
            "steps": [{"type": "reasoning", "text": "I wonder."}, {"type": "text", "text": "Thought."}],
        },
        {
            "match": "^weather",
            "steps": [{"type": "call", "name": "get_weather", "arguments": {"city": "Paris"}}],
        },
        {
            "match": "^both",
            "steps": [
                {"type": "text", "text": "Let me see."},
                {
                    "type": "call",
                    "name": "get_weather",
                    "arguments": {"city": "Paris"},
                    "call_id": "call_one",
                },
                {"type": "call", "name": "get_weather", "arguments": {"city": "Oslo"}, "call_id": "call_two"},
            ],
        },
        {
            "match": "^custom",
            "steps": [{"type": "call", "name": "shout", "arguments": "hey", "kind": "custom"}],
        },
        {"match": "^person", "steps": [{"type": "text", "text": '{"name": "Ada", "age": 36}'}]},
        {"match": "^fail", "steps": [{"type": "fail", "message": "The script fails here."}]},
        {"match": "^half", "steps": [{"type": "text", "text": "Half of"}, {"type": "fail"}]},
        {
            "match": "^filtered",
            "steps": [{"type": "text", "text": "No"}, {"type": "finish", "reason": "content_filter"}],
        },
        {"match": "^slow", "steps": [{"type": "delay", "seconds": 600}, {"type": "text", "text": "Late."}]},
        {"match": "", "steps": [{"type": "text", "text": "A scripted answer: こんにちは 🎉"}]},
    ]
}

Family = Callable[[Recording], None]


def _config(home: Path, top: str = "", tables: str = "") -> str:
    """Two scripted models; nothing that happens after a time."""
    home.mkdir(parents=True, exist_ok=True)
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT), encoding="utf-8")
    return f"""
shutdown_seconds = 0
heartbeat_seconds = 3600
run_seconds = 3600
{top}
[models."{M}"]
engine = "scripted"
target = "{script}"
price_input = 1.5
price_output = 6.0
[models.echo]
engine = "scripted"
target = ""
{tables}
"""


# --- service, models ------------------------------------------------------------------------------------------------


def service(r: Recording) -> None:
    """What a program looks at before it asks anything."""
    r.ask("health", "GET", "/health")
    r.ask("ready", "GET", "/ready")
    r.ask("models", "GET", "/v1/models")
    r.ask("a model", "GET", f"/v1/models/{M}")
    r.ask("no such model", "GET", "/v1/models/gpt-none")
    r.ask("a name with a slash", "GET", "/v1/models/org/none")
    r.ask("no such route", "GET", "/v1/nothing")
    r.ask("no such route, not under /v1", "POST", "/nothing", {})
    r.ask("a slash too many", "GET", "/v1/models/")
    r.ask("HEAD", "HEAD", "/v1/models")
    r.ask("OPTIONS", "OPTIONS", "/v1/responses")


def openapi(r: Recording) -> None:
    """The document."""
    r.ask("openapi", "GET", "/openapi.json")


def metrics(r: Recording) -> None:
    """Names and labels, after all that the other families did."""
    r.ask("metrics", "GET", "/metrics", shown=_names)


def _names(text: str) -> list[str]:
    """A line a series, without its value; buckets by their name alone; ``# HELP`` and ``# TYPE`` as they are."""
    found = set()
    for line in text.splitlines():
        if line.startswith("#"):
            found.add(line)
        elif line:
            series = re.sub(r'version="[^"]*"', 'version="<version>"', line.rpartition(" ")[0])
            found.add(re.sub(r'(server_info\{name=)"[^"]*"', r'\1"<server>"', series))
    return sorted(found)


# --- responses --------------------------------------------------------------------------------------------------------


def responses(r: Recording) -> None:
    """One response: made, streamed, read, changed, refused."""
    url = "/v1/responses"
    first = r.ask("a text", "POST", url, {"model": M, "input": "Hello."}).json()["id"]
    r.ask("streamed", "POST", url, {"model": M, "input": "Hello.", "stream": True})
    everything = {
        "model": M,
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "You know."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hello?"}]},
        ],
        "max_output_tokens": 100,
        "temperature": 0,
        "top_p": 0.5,
        "metadata": {"who": "ada"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "service_tier": "flex",
        "truncation": "auto",
        "user": "u",
        "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
        "top_logprobs": 0,
    }
    r.ask("many parameters", "POST", url, everything)
    r.ask("not stored", "POST", url, {"model": M, "input": "Hello.", "store": False})
    r.ask("cut", "POST", url, {"model": M, "input": "Hello.", "max_output_tokens": 2})
    r.ask(
        "cut, streamed", "POST", url, {"model": M, "input": "Hello.", "max_output_tokens": 2, "stream": True}
    )
    r.ask("reasoning", "POST", url, {"model": M, "input": "think"})
    r.ask("reasoning, streamed", "POST", url, {"model": M, "input": "think", "stream": True})
    r.ask("filtered", "POST", url, {"model": M, "input": "filtered"})
    r.ask(
        "an image that becomes a note",
        "POST",
        url,
        {
            "model": "echo",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Look."},
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
                    ],
                }
            ],
        },
    )
    r.ask("retrieve", "GET", f"{url}/{first}")
    r.ask("retrieve, as a stream", "GET", f"{url}/{first}?stream=true&starting_after=3")
    r.ask("input items", "GET", f"{url}/{first}/input_items?limit=5&order=asc")
    r.ask("input items, wrong order", "GET", f"{url}/{first}/input_items?order=sideways")
    r.ask("cancel what was never in the background", "POST", f"{url}/{first}/cancel")
    r.ask("delete", "DELETE", f"{url}/{first}")
    r.ask("retrieve what is deleted", "GET", f"{url}/{first}")
    r.ask("delete again", "DELETE", f"{url}/{first}")
    r.ask(
        "input tokens",
        "POST",
        f"{url}/input_tokens",
        {"model": M, "input": "Hello.", "instructions": "Be brief."},
    )
    r.ask("input tokens, wrong type", "POST", f"{url}/input_tokens", {"model": M, "input": 5})
    r.ask("no model", "POST", url, {"input": "Hello."})
    r.ask("an unknown model", "POST", url, {"model": "gpt-none", "input": "Hello."})
    r.ask("an unknown model, streamed", "POST", url, {"model": "gpt-none", "input": "Hello.", "stream": True})
    r.ask("an unknown parameter", "POST", url, {"model": M, "input": "Hello.", "colour": "red"})
    r.ask(
        "a parameter that is not supported",
        "POST",
        url,
        {"model": M, "input": "Hello.", "prompt": {"id": "p"}},
    )
    r.ask(
        "a wrong type, deep",
        "POST",
        url,
        {"model": M, "input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]},
    )
    r.ask("a wrong range", "POST", url, {"model": M, "input": "Hello.", "temperature": 3})
    r.ask("too long", "POST", url, {"model": M, "input": "Hello.", "instructions": "word " * 12000})
    r.ask("broken JSON", "POST", url, raw='{"model":', headers={"content-type": "application/json"})
    r.ask("no object", "POST", url, [1])
    r.ask("no body", "POST", url)
    r.ask("the engine fails", "POST", url, {"model": M, "input": "fail"})
    r.ask("the engine fails, streamed", "POST", url, {"model": M, "input": "fail", "stream": True})
    r.ask("the engine fails on the way", "POST", url, {"model": M, "input": "half"})
    r.ask("the engine fails on the way, streamed", "POST", url, {"model": M, "input": "half", "stream": True})


def tools(r: Recording) -> None:
    """Tools and structured output."""
    url = "/v1/responses"
    called = r.ask("a call", "POST", url, {"model": M, "input": "weather", "tools": [TOOL]}).json()
    output = {"type": "function_call_output", "call_id": called["output"][0]["call_id"], "output": "sunny"}
    r.ask(
        "its output",
        "POST",
        url,
        {"model": M, "input": [output], "previous_response_id": called["id"], "tools": [TOOL]},
    )
    r.ask(
        "its output, streamed",
        "POST",
        url,
        {"model": M, "input": [output], "previous_response_id": called["id"], "stream": True},
    )
    r.ask(
        "a call, streamed",
        "POST",
        url,
        {"model": M, "input": "weather", "tools": [TOOL], "tool_choice": "required", "stream": True},
    )
    r.ask(
        "text and two calls, streamed",
        "POST",
        url,
        {"model": M, "input": "both", "tools": [TOOL], "stream": True},
    )
    custom = {"type": "custom", "name": "shout", "description": "Shouts."}
    r.ask("a custom tool", "POST", url, {"model": M, "input": "custom", "tools": [custom]})
    r.ask(
        "a custom tool, streamed",
        "POST",
        url,
        {"model": M, "input": "custom", "tools": [custom], "stream": True},
    )
    r.ask(
        "a hosted tool, left out",
        "POST",
        url,
        {"model": M, "input": "Hello.", "tools": [TOOL, {"type": "web_search"}]},
    )
    r.ask("an unknown tool", "POST", url, {"model": M, "input": "Hello.", "tools": [{"type": "teleport"}]})
    r.ask(
        "a choice of a tool that is not there",
        "POST",
        url,
        {
            "model": M,
            "input": "Hello.",
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "other"},
        },
    )
    r.ask(
        "an output without a call", "POST", url, {"model": M, "input": [{**output, "call_id": "call_none"}]}
    )
    schema = {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}
    r.ask("a schema", "POST", url, {"model": M, "input": "person", "text": {"format": schema}})
    r.ask(
        "a schema, streamed",
        "POST",
        url,
        {"model": M, "input": "person", "text": {"format": schema}, "stream": True},
    )
    r.ask(
        "a JSON object",
        "POST",
        url,
        {"model": "echo", "input": "json", "text": {"format": {"type": "json_object"}}},
    )


def chains(r: Recording) -> None:
    """Chains, background, resumed streams, compaction."""
    url = "/v1/responses"
    one = r.ask(
        "the first turn", "POST", url, {"model": "echo", "input": "one", "instructions": "Not handed on."}
    ).json()["id"]
    two = r.ask(
        "the second turn", "POST", url, {"model": "echo", "input": "two", "previous_response_id": one}
    ).json()["id"]
    r.ask("its input items", "GET", f"{url}/{two}/input_items")
    r.ask("a page of them", "GET", f"{url}/{two}/input_items?limit=1")
    r.ask("no such parent", "POST", url, {"model": "echo", "input": "x", "previous_response_id": "resp_none"})
    r.ask(
        "parent and conversation",
        "POST",
        url,
        {"model": "echo", "input": "x", "previous_response_id": one, "conversation": "conv_x"},
    )
    r.ask("delete the parent", "DELETE", f"{url}/{one}")
    r.ask("the child goes on", "POST", url, {"model": "echo", "input": "three", "previous_response_id": two})
    back = r.ask(
        "in the background", "POST", url, {"model": M, "input": "Hello.", "background": True}
    ).json()["id"]
    r.until(f"{url}/{back}", "completed")
    r.ask("when it is over", "GET", f"{url}/{back}")
    r.ask("its stream", "GET", f"{url}/{back}?stream=true")
    r.ask("its stream from a place on", "GET", f"{url}/{back}?stream=true&starting_after=4")
    r.ask("cancel what is over", "POST", f"{url}/{back}/cancel")
    r.ask(
        "in the background, streamed",
        "POST",
        url,
        {"model": M, "input": "Hello.", "background": True, "stream": True},
    )
    slow = r.ask(
        "one that takes long", "POST", url, {"model": M, "input": "slow", "background": True}
    ).json()["id"]
    r.until(f"{url}/{slow}", "in_progress")
    r.ask("while it runs", "GET", f"{url}/{slow}")
    r.ask("a child of what runs", "POST", url, {"model": M, "input": "x", "previous_response_id": slow})
    r.ask("cancel", "POST", f"{url}/{slow}/cancel")
    r.ask("cancel again", "POST", f"{url}/{slow}/cancel")
    r.ask("the stream of what is cancelled", "GET", f"{url}/{slow}?stream=true")
    failed = r.ask("one that fails", "POST", url, {"model": M, "input": "fail", "background": True}).json()[
        "id"
    ]
    r.until(f"{url}/{failed}", "failed")
    r.ask("the failed one", "GET", f"{url}/{failed}")
    r.ask(
        "background and not stored",
        "POST",
        url,
        {"model": M, "input": "x", "background": True, "store": False},
    )
    history = [
        {"role": "developer", "content": "Rules."},
        *(
            {"role": role, "content": f"{role} {number} says so"}
            for number in range(6)
            for role in ("user", "assistant")
        ),
    ]
    compacted = r.ask("compact", "POST", f"{url}/compact", {"model": M, "input": history}).json()
    r.ask(
        "go on from it",
        "POST",
        url,
        {"model": M, "input": [*compacted["output"], {"role": "user", "content": "And?"}]},
    )
    r.ask("compact a chain", "POST", f"{url}/compact", {"model": M, "previous_response_id": two})
    r.ask("compact nothing", "POST", f"{url}/compact", {"model": M})
    r.ask(
        "a seal that is none",
        "POST",
        url,
        {"model": M, "input": [{"type": "compaction", "encrypted_content": "bm9uZQ=="}]},
    )
    context = [{"type": "compaction", "compact_threshold": 1000}]
    long = [{"role": "user", "content": "word " * 200} for _ in range(6)]
    r.ask("compaction on the way", "POST", url, {"model": M, "input": long, "context_management": context})
    r.ask(
        "compaction on the way, streamed",
        "POST",
        url,
        {"model": M, "input": long, "context_management": context, "stream": True},
    )


def conversations(r: Recording) -> None:
    """The whole family, and responses on a conversation."""
    url = "/v1/conversations"
    made = r.ask(
        "create",
        "POST",
        url,
        {"metadata": {"topic": "x"}, "items": [{"type": "message", "role": "user", "content": "Hi."}]},
    ).json()["id"]
    r.ask("create, empty", "POST", url, {})
    r.ask("retrieve", "GET", f"{url}/{made}")
    r.ask("update", "POST", f"{url}/{made}", {"metadata": {"topic": "y"}})
    added = r.ask(
        "add items",
        "POST",
        f"{url}/{made}/items",
        {
            "items": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Yes?"}],
                },
                {"type": "message", "role": "user", "content": "So."},
            ]
        },
    ).json()
    item = added["data"][0]["id"]
    r.ask("list", "GET", f"{url}/{made}/items?order=asc&limit=2")
    r.ask("the next page", "GET", f"{url}/{made}/items?order=asc&after={item}")
    r.ask("an item", "GET", f"{url}/{made}/items/{item}")
    r.ask(
        "a response on it",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": "Again.", "conversation": made},
    )
    r.ask(
        "a response on it, streamed",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": "Once more.", "conversation": {"id": made}, "stream": True},
    )
    r.ask("what it holds", "GET", f"{url}/{made}/items?order=desc")
    r.ask("delete an item", "DELETE", f"{url}/{made}/items/{item}")
    r.ask("no such item", "GET", f"{url}/{made}/items/{item}")
    r.ask("after no such item", "GET", f"{url}/{made}/items?after=msg_none")
    r.ask(
        "wrong items",
        "POST",
        f"{url}/{made}/items",
        {"items": [{"type": "message", "role": "nobody", "content": "x"}]},
    )
    r.ask("wrong metadata", "POST", f"{url}/{made}", {"metadata": {"topic": 5}})
    r.ask("wrong limit", "GET", f"{url}/{made}/items?limit=1000")
    r.ask("delete", "DELETE", f"{url}/{made}")
    r.ask(
        "a response on what is gone",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": "x", "conversation": made},
    )


# --- the siblings -----------------------------------------------------------------------------------------------------


def chat(r: Recording) -> None:
    """Chat Completions."""
    url = "/v1/chat/completions"
    hello = [{"role": "user", "content": "Hello."}]
    r.ask("a text", "POST", url, {"model": M, "messages": hello})
    r.ask("streamed", "POST", url, {"model": M, "messages": hello, "stream": True})
    r.ask(
        "streamed with usage",
        "POST",
        url,
        {"model": M, "messages": hello, "stream": True, "stream_options": {"include_usage": True}},
    )
    r.ask("two answers", "POST", url, {"model": M, "messages": hello, "n": 2, "seed": 1})
    r.ask("reasoning", "POST", url, {"model": M, "messages": [{"role": "user", "content": "think"}]})
    r.ask(
        "reasoning, streamed",
        "POST",
        url,
        {"model": M, "messages": [{"role": "user", "content": "think"}], "stream": True},
    )
    r.ask("cut", "POST", url, {"model": M, "messages": hello, "max_completion_tokens": 2})
    weather = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "weather"}]
    called = r.ask("a call", "POST", url, {"model": M, "messages": weather, "tools": [CHAT_TOOL]}).json()
    message = called["choices"][0]["message"]
    output = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"}
    r.ask(
        "its output",
        "POST",
        url,
        {
            "model": M,
            "messages": [*weather, {"role": "assistant", "tool_calls": message["tool_calls"]}, output],
            "tools": [CHAT_TOOL],
        },
    )
    r.ask(
        "calls, streamed",
        "POST",
        url,
        {"model": M, "messages": [{"role": "user", "content": "both"}], "tools": [CHAT_TOOL], "stream": True},
    )
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    r.ask(
        "a schema",
        "POST",
        url,
        {"model": M, "messages": [{"role": "user", "content": "person"}], "response_format": schema},
    )
    stored = r.ask(
        "stored", "POST", url, {"model": M, "messages": hello, "store": True, "metadata": {"a": "b"}}
    ).json()["id"]
    r.ask("stored, streamed", "POST", url, {"model": M, "messages": hello, "store": True, "stream": True})
    r.ask("list", "GET", f"{url}?limit=10&order=asc")
    r.ask("list by metadata", "GET", f"{url}?metadata[a]=b&model={M}")
    r.ask("list wrongly", "GET", f"{url}?limit=none")
    r.ask("retrieve", "GET", f"{url}/{stored}")
    r.ask("messages", "GET", f"{url}/{stored}/messages")
    r.ask("update", "POST", f"{url}/{stored}", {"metadata": {"a": "c"}})
    r.ask("update wrongly", "POST", f"{url}/{stored}", {"metadata": 5})
    r.ask("delete", "DELETE", f"{url}/{stored}")
    r.ask("retrieve what is gone", "GET", f"{url}/{stored}")
    r.ask("no messages", "POST", url, {"model": M, "messages": []})
    r.ask(
        "a wrong part",
        "POST",
        url,
        {"model": M, "messages": [{"role": "user", "content": [{"type": "nothing"}]}]},
    )
    r.ask("refused by name", "POST", url, {"model": M, "messages": hello, "functions": []})
    r.ask("no such model", "POST", url, {"model": "gpt-none", "messages": hello})
    r.ask("the engine fails", "POST", url, {"model": M, "messages": [{"role": "user", "content": "fail"}]})
    r.ask(
        "the engine fails on the way, streamed",
        "POST",
        url,
        {"model": M, "messages": [{"role": "user", "content": "half"}], "stream": True},
    )


def anthropic(r: Recording) -> None:
    """Anthropic's Messages API."""
    url = "/v1/messages"
    hello = [{"role": "user", "content": "Hello."}]
    body = {"model": M, "max_tokens": 100, "messages": hello}
    r.ask("a text", "POST", url, body)
    r.ask("streamed", "POST", url, {**body, "stream": True})
    think = [{"role": "user", "content": "think"}]
    r.ask("thinking", "POST", url, {**body, "messages": think, "thinking": {"type": "adaptive"}})
    r.ask("thinking, streamed", "POST", url, {**body, "messages": think, "stream": True})
    r.ask("cut", "POST", url, {**body, "max_tokens": 2})
    r.ask("filtered", "POST", url, {**body, "messages": [{"role": "user", "content": "filtered"}]})
    tool = {"name": "get_weather", "description": "The weather.", "input_schema": WEATHER}
    both = [{"role": "user", "content": "both"}]
    called = r.ask("calls", "POST", url, {**body, "messages": both, "tools": [tool]}).json()
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "sunny"}
        for block in called["content"]
        if block["type"] == "tool_use"
    ]
    answered = [
        *both,
        {"role": "assistant", "content": called["content"]},
        {"role": "user", "content": results},
    ]
    r.ask("their results", "POST", url, {**body, "messages": answered, "tools": [tool]})
    r.ask("calls, streamed", "POST", url, {**body, "messages": both, "tools": [tool], "stream": True})
    r.ask(
        "broken off, streamed",
        "POST",
        url,
        {**body, "messages": [{"role": "user", "content": "half"}], "stream": True},
    )
    r.ask("broken off", "POST", url, {**body, "messages": [{"role": "user", "content": "fail"}]})
    r.ask("what is ignored", "POST", url, {**body, "top_k": 3, "of_tomorrow": True})
    r.ask(
        "a hosted tool",
        "POST",
        url,
        {**body, "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    )
    r.ask("no max_tokens", "POST", url, {"model": M, "messages": hello})
    r.ask("a prefill", "POST", url, {**body, "messages": [*hello, {"role": "assistant", "content": "H"}]})
    r.ask("no such model", "POST", url, {**body, "model": "none"})
    r.ask("no such block", "POST", url, {**body, "messages": [{"role": "user", "content": [{"type": "x"}]}]})
    r.ask("no such route", "POST", f"{url}/batches", {})
    r.ask("GET", "GET", url)
    r.ask("not JSON", "POST", url, raw="hello", headers=PLAIN_TEXT)
    r.ask("tokens", "POST", f"{url}/count_tokens", {"model": M, "messages": hello, "system": "Be brief."})
    r.ask("tokens of nothing", "POST", f"{url}/count_tokens", {"model": M, "messages": []})


def legacy(r: Recording) -> None:
    """Completions and embeddings."""
    url = "/v1/completions"
    r.ask("a text", "POST", url, {"model": M, "prompt": "Hello."})
    r.ask("two prompts, echoed", "POST", url, {"model": "echo", "prompt": ["one", "two"], "echo": True})
    r.ask("with a suffix", "POST", url, {"model": "echo", "prompt": "one", "suffix": "three"})
    r.ask(
        "streamed",
        "POST",
        url,
        {"model": M, "prompt": "Hello.", "stream": True, "stream_options": {"include_usage": True}},
    )
    r.ask("tokens for a prompt", "POST", url, {"model": M, "prompt": [1, 2]})
    r.ask("best of", "POST", url, {"model": M, "prompt": "x", "best_of": 3})
    r.ask("no such model", "POST", url, {"model": "gpt-none", "prompt": "x"})
    r.ask(
        "the engine fails on the way, streamed", "POST", url, {"model": M, "prompt": "half", "stream": True}
    )
    url = "/v1/embeddings"
    r.ask("an embedding", "POST", url, {"model": "echo", "input": "hello"})
    r.ask(
        "two, in base64",
        "POST",
        url,
        {"model": "echo", "input": ["hello", "there"], "encoding_format": "base64"},
    )
    r.ask("other dimensions", "POST", url, {"model": "echo", "input": "hello", "dimensions": 5})
    r.ask("an empty text", "POST", url, {"model": "echo", "input": ["hello", ""]})
    r.ask("no such model for embeddings", "POST", url, {"model": "gpt-none", "input": "hello"})


def files(r: Recording) -> None:
    """Files and uploads."""
    url = "/v1/files"
    note = ("file", "note.txt", "Hello, file.\n")
    made = r.ask("create", "POST", url, form={"purpose": "user_data"}, file=note).json()["id"]
    r.ask(
        "create one that expires",
        "POST",
        url,
        form={
            "purpose": "assistants",
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": "3600",
        },
        file=("file", "日本.md", "こんにちは"),
    )
    r.ask("retrieve", "GET", f"{url}/{made}")
    r.ask("content", "GET", f"{url}/{made}/content")
    r.ask("list", "GET", f"{url}?order=asc&limit=10")
    r.ask("list by purpose", "GET", f"{url}?purpose=user_data")
    r.ask("list wrongly", "GET", f"{url}?limit=0")
    r.ask(
        "a response that reads it",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": made}]}]},
    )
    r.ask(
        "a response that reads no such file",
        "POST",
        "/v1/responses",
        {
            "model": "echo",
            "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-none"}]}],
        },
    )
    r.ask("no purpose", "POST", url, form={}, file=note)
    r.ask("a wrong purpose", "POST", url, form={"purpose": "fun"}, file=note)
    r.ask("no file", "POST", url, {"purpose": "user_data"})
    r.ask("delete", "DELETE", f"{url}/{made}")
    r.ask("content of what is gone", "GET", f"{url}/{made}/content")
    url = "/v1/uploads"
    announced = {"purpose": "user_data", "filename": "long.txt", "bytes": 11, "mime_type": "text/plain"}
    upload = r.ask("create an upload", "POST", url, announced).json()["id"]
    parts = [
        r.ask("a part", "POST", f"{url}/{upload}/parts", form={}, file=("data", "part", text)).json()["id"]
        for text in ("Hello, ", "you.")
    ]
    r.ask("complete without a part", "POST", f"{url}/{upload}/complete", {"part_ids": parts[:1]})
    r.ask("complete with no such part", "POST", f"{url}/{upload}/complete", {"part_ids": ["part_none"]})
    done = r.ask("complete", "POST", f"{url}/{upload}/complete", {"part_ids": parts}).json()
    r.ask("its content", "GET", f"/v1/files/{done['file']['id']}/content")
    r.ask("a part too late", "POST", f"{url}/{upload}/parts", form={}, file=("data", "part", "x"))
    r.ask("cancel too late", "POST", f"{url}/{upload}/cancel")
    other = r.ask("another upload", "POST", url, announced).json()["id"]
    r.ask("cancel", "POST", f"{url}/{other}/cancel")
    r.ask("a wrong length", "POST", url, {**announced, "bytes": 0})
    r.ask("a part without data", "POST", f"{url}/{other}/parts", form={"data": "x"})


def vector_stores(r: Recording) -> None:
    """Vector stores, their files and batches, and a search."""
    url = "/v1/vector_stores"
    note = ("file", "tea.md", "Green tea is steeped at 70 degrees.")
    file = r.ask("a file", "POST", "/v1/files", form={"purpose": "assistants"}, file=note).json()["id"]
    made = r.ask("create", "POST", url, {"name": "notes", "metadata": {"a": "b"}}).json()["id"]
    r.ask("create wrongly", "POST", url, {"expires_after": {"anchor": "created_at", "days": 1}})
    at = f"{url}/{made}"
    r.ask("list", "GET", f"{url}?limit=1")
    r.ask("list wrongly", "GET", f"{url}?limit=0")
    r.ask("update", "POST", at, {"name": "tea"})
    r.ask("update wrongly", "POST", at, {"name": 1})
    r.ask("add a file", "POST", f"{at}/files", {"file_id": file, "attributes": {"year": 2026}})
    r.ask("add no file", "POST", f"{at}/files", {"file_id": "file-none"})
    r.until(f"{at}/files/{file}", "completed")
    r.ask("retrieve", "GET", at)
    r.ask("list files", "GET", f"{at}/files?filter=completed")
    r.ask("list files wrongly", "GET", f"{at}/files?filter=some")
    r.ask("retrieve a file", "GET", f"{at}/files/{file}")
    r.ask("retrieve no file", "GET", f"{at}/files/file-none")
    r.ask("new attributes", "POST", f"{at}/files/{file}", {"attributes": {"year": 2025}})
    r.ask("wrong attributes", "POST", f"{at}/files/{file}", {"attributes": {"year": []}})
    r.ask("content", "GET", f"{at}/files/{file}/content")
    r.ask("content of no file", "GET", f"{at}/files/file-none/content")
    where = {"type": "eq", "key": "year", "value": 2025}
    r.ask("search", "POST", f"{at}/search", {"query": "green tea", "filters": where})
    r.ask("search wrongly", "POST", f"{at}/search", {"query": "tea", "filters": {"type": "like"}})
    batch = r.ask("add a batch", "POST", f"{at}/file_batches", {"file_ids": [file]}).json()["id"]
    r.ask("add no batch", "POST", f"{at}/file_batches", {})
    r.until(f"{at}/file_batches/{batch}", "completed")
    for name, suffix, method in (
        ("retrieve", "", "GET"),
        ("cancel", "/cancel", "POST"),
        ("list", "/files", "GET"),
    ):
        r.ask(f"{name} a batch", method, f"{at}/file_batches/{batch}{suffix}")
        r.ask(f"{name} no batch", method, f"{at}/file_batches/vsfb_none{suffix}")
    r.ask("take a file out", "DELETE", f"{at}/files/{file}")
    r.ask("take no file out", "DELETE", f"{at}/files/{file}")
    r.ask("delete", "DELETE", at)
    r.ask("delete again", "DELETE", at)
    r.ask("retrieve none", "GET", at)


def containers(r: Recording) -> None:
    """Containers and their files. Nothing runs in them: whether it may is a matter of the machine."""
    url = "/v1/containers"
    note = ("file", "tea.md", "Green tea is steeped at 70 degrees.")
    source = r.ask("a file", "POST", "/v1/files", form={"purpose": "user_data"}, file=note).json()["id"]
    expiry = {"anchor": "last_active_at", "minutes": 5}
    made = r.ask(
        "create",
        "POST",
        url,
        {"name": "work", "file_ids": [source], "expires_after": expiry, "memory_limit": "4g"},
    ).json()["id"]
    r.ask("create wrongly", "POST", url, {"name": "work", "memory_limit": "2g"})
    r.ask(
        "create with a network",
        "POST",
        url,
        {"name": "x", "network_policy": {"type": "allowlist", "allowed_domains": []}},
    )
    at = f"{url}/{made}"
    r.ask("list", "GET", f"{url}?name=work&limit=1")
    r.ask("list wrongly", "GET", f"{url}?order=none")
    r.ask("retrieve", "GET", at)
    sent = r.ask("put a file", "POST", f"{at}/files", file=("file", "a.txt", "hello")).json()["id"]
    r.ask("copy a file", "POST", f"{at}/files", {"file_id": source})
    r.ask("copy no file", "POST", f"{at}/files", {"file_id": "file-none"})
    r.ask("list files", "GET", f"{at}/files?order=asc")
    r.ask("list files wrongly", "GET", f"{at}/files?limit=0")
    r.ask("retrieve a file", "GET", f"{at}/files/{sent}")
    r.ask("retrieve no file", "GET", f"{at}/files/cfile_none")
    r.ask("content", "GET", f"{at}/files/{sent}/content")
    r.ask("content of no file", "GET", f"{at}/files/cfile_none/content")
    r.ask("delete a file", "DELETE", f"{at}/files/{sent}")
    r.ask("delete no file", "DELETE", f"{at}/files/{sent}")
    r.ask("delete", "DELETE", at)
    r.ask("delete again", "DELETE", at)
    r.ask("retrieve none", "GET", at)


def batches(r: Recording) -> None:
    """Batches to their end."""
    url = "/v1/batches"

    def line(name: str, words: str, where: str = "/v1/responses") -> str:
        return compact(
            {"custom_id": name, "method": "POST", "url": where, "body": {"model": M, "input": words}}
        )

    def file(name: str, *lines: str) -> str:
        made = r.ask(
            name,
            "POST",
            "/v1/files",
            form={"purpose": "batch"},
            file=("file", "in.jsonl", "\n".join(lines) + "\n"),
        )
        return str(made.json()["id"])

    def batch(name: str, file_id: str, **options: Any) -> str:
        body = {"input_file_id": file_id, "endpoint": "/v1/responses", "completion_window": "24h", **options}
        return str(r.ask(name, "POST", url, body).json()["id"])

    one = batch("create", file("a file of one request", line("a", "Hello.")), metadata={"a": "b"})
    r.until(f"{url}/{one}", "completed")
    over = r.ask("when it is over", "GET", f"{url}/{one}").json()
    r.ask("its output", "GET", f"/v1/files/{over['output_file_id']}/content")
    wrong = batch(
        "create one that fails in part",
        file("a file with a wrong request", line("bad", "Hello.").replace('"input"', '"inputs"')),
    )
    r.until(f"{url}/{wrong}", "completed")
    over = r.ask("when it is over, too", "GET", f"{url}/{wrong}").json()
    r.ask("its errors", "GET", f"/v1/files/{over['error_file_id']}/content")
    broken = batch(
        "create one that is none", file("a file of no requests", "nothing", line("a", "x", "/v1/embeddings"))
    )
    r.until(f"{url}/{broken}", "failed")
    r.ask("what is wrong with it", "GET", f"{url}/{broken}")
    slow = batch("create one that takes long", file("a file of one slow request", line("slow", "slow")))
    r.until(f"{url}/{slow}", "in_progress")
    r.ask("cancel", "POST", f"{url}/{slow}/cancel", shown=_cancelled)
    r.until(f"{url}/{slow}", "cancelled")
    r.ask("when it is cancelled", "GET", f"{url}/{slow}")
    r.ask("cancel what is over", "POST", f"{url}/{one}/cancel")
    r.ask("list", "GET", f"{url}?limit=2")
    r.ask("the next page", "GET", f"{url}?after={wrong}")
    r.ask("list wrongly", "GET", f"{url}?limit=-1")
    r.ask(
        "no such file",
        "POST",
        url,
        {"input_file_id": "file-none", "endpoint": "/v1/responses", "completion_window": "24h"},
    )
    r.ask(
        "a wrong endpoint",
        "POST",
        url,
        {"input_file_id": "file-none", "endpoint": "/v1/none", "completion_window": "24h"},
    )


def _cancelled(text: str) -> Any:
    """The fields of a batch that is being cancelled: whether it is over already is a matter of moments."""
    return list(json.loads(text))


def assistants(r: Recording) -> None:
    """Assistants, threads, messages, runs and their steps."""
    url = "/v1/assistants"
    helper = r.ask(
        "create",
        "POST",
        url,
        {"model": M, "name": "Helper", "instructions": "Help.", "tools": [CHAT_TOOL], "metadata": {"a": "b"}},
    ).json()["id"]
    plain = r.ask("create, plain", "POST", url, {"model": M}).json()["id"]
    r.ask("retrieve", "GET", f"{url}/{helper}")
    r.ask("update", "POST", f"{url}/{helper}", {"description": "It helps.", "temperature": 0.5})
    r.ask("update wrongly", "POST", f"{url}/{helper}", {"temperature": 5})
    r.ask("list", "GET", f"{url}?order=asc&limit=1")
    r.ask("list wrongly", "GET", f"{url}?order=none")
    r.ask("a tool of the server's", "POST", url, {"model": M, "tools": [{"type": "code_interpreter"}]})
    r.ask("an unknown tool", "POST", url, {"model": M, "tools": [{"type": "browser"}]})
    r.ask("no model", "POST", url, {})

    url = "/v1/threads"
    thread = r.ask(
        "create a thread",
        "POST",
        url,
        {"messages": [{"role": "user", "content": "Hello."}], "metadata": {"t": "1"}},
    ).json()["id"]
    here = f"{url}/{thread}"
    r.ask("a thread that is wrong", "POST", url, {"messages": [{"role": "system", "content": "x"}]})
    r.ask("retrieve the thread", "GET", here)
    r.ask("update the thread", "POST", here, {"metadata": {"t": "2"}})
    r.ask("update the thread wrongly", "POST", here, {"metadata": "x"})
    message = r.ask(
        "add a message",
        "POST",
        f"{here}/messages",
        {"role": "user", "content": [{"type": "text", "text": "How are you?"}]},
    ).json()["id"]
    r.ask("add no message", "POST", f"{here}/messages", {"role": "user", "content": []})
    r.ask("a message", "GET", f"{here}/messages/{message}")
    r.ask("update a message", "POST", f"{here}/messages/{message}", {"metadata": {"m": "1"}})
    r.ask("messages", "GET", f"{here}/messages?order=asc")
    r.ask("messages, wrongly", "GET", f"{here}/messages?limit=x")

    run = r.ask("run", "POST", f"{here}/runs", {"assistant_id": plain}).json()["id"]
    r.until(f"{here}/runs/{run}", "completed")
    r.ask("the run, over", "GET", f"{here}/runs/{run}")
    steps = r.ask("its steps", "GET", f"{here}/runs/{run}/steps").json()["data"]
    r.ask("a step", "GET", f"{here}/runs/{run}/steps/{steps[0]['id']}")
    r.ask("no such step", "GET", f"{here}/runs/{run}/steps/step_none")
    r.ask("update the run", "POST", f"{here}/runs/{run}", {"metadata": {"r": "1"}})
    r.ask("update the run wrongly", "POST", f"{here}/runs/{run}", {"status": "x"})
    r.ask("cancel what is over", "POST", f"{here}/runs/{run}/cancel")
    r.ask("the answer in the thread", "GET", f"{here}/messages?limit=1")
    r.ask(
        "a run, streamed",
        "POST",
        f"{here}/runs",
        {
            "assistant_id": plain,
            "stream": True,
            "additional_messages": [{"role": "user", "content": "More."}],
        },
    )
    r.ask("a run of nobody", "POST", f"{here}/runs", {"assistant_id": "asst_none"})
    r.ask("a run, wrong", "POST", f"{here}/runs", {"assistant_id": plain, "temperature": 9})

    needy = r.ask(
        "a thread and a run",
        "POST",
        f"{url}/runs",
        {"assistant_id": helper, "thread": {"messages": [{"role": "user", "content": "weather"}]}},
    ).json()
    its = f"{url}/{needy['thread_id']}/runs/{needy['id']}"
    r.until(its, "requires_action")
    waiting = r.ask("it needs a tool", "GET", its).json()
    calls = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    r.ask("a second run meanwhile", "POST", f"{url}/{needy['thread_id']}/runs", {"assistant_id": plain})
    r.ask(
        "outputs of no call",
        "POST",
        f"{its}/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": "call_none", "output": "x"}]},
    )
    r.ask(
        "outputs",
        "POST",
        f"{its}/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": calls[0]["id"], "output": "sunny"}]},
        shown=_run_fields,
    )
    r.until(its, "completed")
    r.ask("over", "GET", its)
    r.ask("its steps and calls", "GET", f"{its}/steps?order=asc")
    r.ask(
        "outputs too late",
        "POST",
        f"{its}/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": calls[0]["id"], "output": "x"}]},
    )
    text = r.ask(
        "a thread and a run, streamed to its call",
        "POST",
        f"{url}/runs",
        {
            "assistant_id": helper,
            "stream": True,
            "thread": {"messages": [{"role": "user", "content": "both"}]},
        },
    ).text
    data = [json.loads(one[6:]) for one in text.splitlines() if one.startswith("data: {")]
    asked = next(
        one for one in data if one.get("object") == "thread.run" and one["status"] == "requires_action"
    )
    outputs = [
        {"tool_call_id": one["id"], "output": "sunny"}
        for one in asked["required_action"]["submit_tool_outputs"]["tool_calls"]
    ]
    r.ask(
        "outputs, streamed",
        "POST",
        f"{url}/{asked['thread_id']}/runs/{asked['id']}/submit_tool_outputs",
        {"tool_outputs": outputs, "stream": True},
    )
    r.ask("a thread and a run, wrong", "POST", f"{url}/runs", {"thread": {}})

    slow = r.ask(
        "a run that takes long",
        "POST",
        f"{url}/runs",
        {"assistant_id": plain, "thread": {"messages": [{"role": "user", "content": "slow"}]}},
    ).json()
    its = f"{url}/{slow['thread_id']}/runs/{slow['id']}"
    r.until(its, "in_progress")
    r.ask("cancel", "POST", f"{its}/cancel", shown=_run_fields)
    r.until(its, "cancelled")
    r.ask("cancelled", "GET", its)
    r.ask("the runs of its thread", "GET", f"{url}/{slow['thread_id']}/runs")
    r.ask("the runs, wrongly", "GET", f"{url}/{slow['thread_id']}/runs?limit=101")
    r.ask(
        "a run that fails, streamed",
        "POST",
        f"{url}/runs",
        {
            "assistant_id": plain,
            "stream": True,
            "thread": {"messages": [{"role": "user", "content": "half"}]},
        },
    )

    r.ask("delete a message", "DELETE", f"{here}/messages/{message}")
    r.ask("the message, gone", "GET", f"{here}/messages/{message}")
    r.ask("delete the thread", "DELETE", here)
    r.ask("the thread, gone", "GET", here)
    r.ask("delete the assistant", "DELETE", f"/v1/assistants/{plain}")
    r.ask("the assistant, gone", "GET", f"/v1/assistants/{plain}")


def _run_fields(text: str) -> Any:
    """The fields of a run that has just been told something: how far it is already is a matter of moments."""
    return list(json.loads(text))


# --- sockets ----------------------------------------------------------------------------------------------------------


def websocket(r: Recording) -> None:
    """A session at ``/v1/responses``."""
    over = ("response.completed", "response.incomplete", "response.failed", "error")
    with r.socket("a session", "/v1/responses") as socket:
        socket.send({"type": "response.create", "model": M, "input": "Hello."})
        first = socket.read(*over)["response"]["id"]
        socket.send(
            {
                "type": "response.create",
                "model": M,
                "input": "More.",
                "previous_response_id": first,
                "store": False,
                "stream_id": "lane-1",
            }
        )
        second = socket.read(*over)["response"]["id"]
        socket.send(
            {
                "type": "response.create",
                "model": M,
                "input": "weather",
                "tools": [TOOL],
                "previous_response_id": second,
                "store": False,
                "stream_id": "lane-1",
            }
        )
        socket.read(*over)
        socket.send({"type": "response.create", "model": M, "input": "think", "generate": False})
        socket.read(*over)
        socket.send({"type": "response.create", "model": M, "input": "half"})
        socket.read(*over)
        for wrong in (
            "{",
            {"type": "response.nothing"},
            {"type": "response.create", "model": M, "input": "x", "stream_id": "no lane"},
            {"type": "response.create", "model": M, "input": "x", "background": True},
            {"type": "response.create", "model": M, "input": 5},
            {
                "type": "response.create",
                "model": M,
                "input": "x",
                "previous_response_id": "resp_none",
                "stream_id": "lane-2",
            },
            {"type": "response.create", "model": "gpt-none", "input": "x"},
        ):
            text = wrong if isinstance(wrong, str) else compact(wrong)
            socket.send(text)
            socket.read("error")
    with r.socket("a frame that is too large", "/v1/responses") as socket:
        socket.send({"type": "response.create", "model": M, "input": "x" * 70000})
        socket.closed()
    r.refused_socket("from a web page", "/v1/responses", headers={"origin": "http://evil.example"})
    r.refused_socket("no such route", "/v1/nothing")


def realtime(r: Recording) -> None:
    """Client secrets, and a session at ``/v1/realtime``."""
    url = "/v1/realtime/client_secrets"
    secret = r.ask(
        "a secret",
        "POST",
        url,
        {
            "expires_after": {"anchor": "created_at", "seconds": 60},
            "session": {"type": "realtime", "model": "echo", "instructions": "Echo."},
        },
    ).json()["value"]
    r.ask("a secret of the default model", "POST", url, {})
    r.ask("too short a life", "POST", url, {"expires_after": {"seconds": 1}})
    r.ask("audio", "POST", url, {"session": {"output_modalities": ["audio"]}})
    r.ask("no such model", "POST", url, {"session": {"model": "gpt-none"}})
    with r.socket("a session", f"/v1/realtime?model={M}", subprotocol="realtime") as socket:
        socket.read("session.created")
        socket.send(
            {
                "type": "session.update",
                "session": {
                    "type": "realtime",
                    "instructions": "Be brief.",
                    "tools": [{"type": "function", "name": "get_weather", "parameters": WEATHER}],
                },
            }
        )
        socket.read("session.updated")
        socket.send(
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Hello."}],
                },
            }
        )
        item = socket.read("conversation.item.done")["item"]["id"]
        socket.send({"type": "response.create"})
        socket.read("rate_limits.updated")
        socket.send(
            {
                "type": "conversation.item.create",
                "previous_item_id": item,
                "item": {
                    "id": "mine",
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "x"}],
                },
            }
        )
        socket.read("conversation.item.done")
        socket.send({"type": "conversation.item.retrieve", "item_id": "mine"})
        socket.read("conversation.item.retrieved")
        socket.send({"type": "conversation.item.delete", "item_id": "mine"})
        socket.read("conversation.item.deleted")
        socket.send(
            {
                "type": "response.create",
                "response": {
                    "conversation": "none",
                    "input": [
                        {
                            "type": "message",
                            "role": "user",
                            "content": [{"type": "input_text", "text": "weather"}],
                        }
                    ],
                    "metadata": {"a": "b"},
                },
            }
        )
        socket.read("rate_limits.updated")
        socket.send(
            {
                "type": "response.create",
                "response": {
                    "conversation": "none",
                    "input": [
                        {
                            "type": "message",
                            "role": "user",
                            "content": [{"type": "input_text", "text": "half"}],
                        }
                    ],
                },
            }
        )
        socket.read("rate_limits.updated")
        for wrong in (
            {"type": "nothing", "event_id": "mine"},
            {"type": "input_audio_buffer.append", "audio": "x"},
            {"type": "session.update", "session": {"model": "echo"}},
            {"type": "session.update", "session": {"voice": "alloy"}},
            {"type": "conversation.item.delete", "item_id": "none"},
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_audio", "audio": "x"}],
                },
            },
            {"type": "response.cancel"},
        ):
            socket.send(wrong)
            socket.read("error")
    with r.socket(
        "a session with a secret", "/v1/realtime", headers={"authorization": f"Bearer {secret}"}
    ) as socket:
        socket.read("session.created")
    r.refused_socket("a model that is not there", "/v1/realtime?model=gpt-none")


# --- what stands before the routes ------------------------------------------------------------------------------------


def idempotency(r: Recording) -> None:
    """``Idempotency-Key``."""
    url = "/v1/responses"
    once = {"idempotency-key": "once"}
    r.ask("the first time", "POST", url, {"model": M, "input": "Hello."}, headers=once)
    r.ask("the same again", "POST", url, {"model": M, "input": "Hello."}, headers=once)
    r.ask("another body", "POST", url, {"model": M, "input": "Hello!"}, headers=once)
    twice = {"idempotency-key": "stream"}
    r.ask("streamed", "POST", url, {"model": M, "input": "Hello.", "stream": True}, headers=twice)
    r.ask("streamed again", "POST", url, {"model": M, "input": "Hello.", "stream": True}, headers=twice)
    wrong = {"idempotency-key": "wrong"}
    r.ask("an error", "POST", url, {"model": M, "input": 5}, headers=wrong)
    r.ask("the error again", "POST", url, {"model": M, "input": 5}, headers=wrong)
    r.ask(
        "too long a key", "POST", url, {"model": M, "input": "Hello."}, headers={"idempotency-key": "k" * 256}
    )
    made = {"idempotency-key": "thread"}
    r.ask("a thread", "POST", "/v1/threads", {}, headers=made)
    r.ask("the same thread", "POST", "/v1/threads", {}, headers=made)


def guard(r: Recording) -> None:
    """Who may not come in, on a server without keys."""
    for path in ("/health", "/ready", "/metrics", "/openapi.json", "/v1/models"):
        r.ask(f"a foreign Host at {path}", "GET", path, headers={"host": "evil.example"})
    r.ask("a loopback Host", "GET", "/health", headers={"host": "localhost:1"})
    r.ask(
        "no name in Host",
        "GET",
        "/health",
        headers={
            "host": "[",
        },
    )
    r.ask(
        "a web page",
        "POST",
        "/v1/responses",
        {"model": M, "input": "x"},
        headers={"origin": "http://evil.example"},
    )
    r.ask(
        "a web page's preflight",
        "OPTIONS",
        "/v1/responses",
        headers={"origin": "http://evil.example", "access-control-request-method": "POST"},
    )
    r.ask(
        "a form",
        "POST",
        "/v1/responses",
        raw="a=b",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    r.ask("no Content-Type", "POST", "/v1/responses", raw="{}")
    r.ask(
        "JSON with a charset",
        "POST",
        "/v1/responses/input_tokens",
        raw=compact({"model": M, "input": "x"}),
        headers={"content-type": "Application/JSON; charset=utf-8"},
    )
    r.ask(
        "a lone surrogate",
        "POST",
        "/v1/responses",
        raw='{"model":"\\ud800","input":"x"}',
        headers={"content-type": "application/json"},
    )
    r.ask(
        "nested too deeply",
        "POST",
        "/v1/responses",
        raw='{"input":' + "[" * 200 + "]" * 200 + "}",
        headers={"content-type": "application/json"},
    )
    r.ask("a key where none is needed", "GET", "/v1/models", headers={"authorization": "Bearer anything"})


def _operations() -> list[tuple[str, str]]:
    """Every method and path of the server's own document, with ids of nothing in the place of names."""
    found = []
    for path, methods in openapi_document()["paths"].items():
        concrete = re.sub(r"\{(\w+?)(_id)?\}", r"\1_none", path)
        found += [(method.upper(), concrete) for method in methods if method in ("get", "post", "delete")]
    return found


_BODIES = {
    "items": {"items": [{"type": "message", "role": "user", "content": "x"}]},
    "messages": {"role": "user", "content": "x"},
    "runs": {"assistant_id": "asst_none"},
    "submit_tool_outputs": {"tool_outputs": [{"tool_call_id": "call_none", "output": "x"}]},
    "complete": {"part_ids": ["part_none"]},
}


def unknown(r: Recording) -> None:
    """Every route with an id, asked for what is not there."""
    for method, path in _operations():
        if "_none" not in path:
            continue
        last = path.rpartition("/")[2]
        if method != "POST":
            r.ask(f"{method} {path}", method, path)
        elif last == "parts":
            r.ask(f"{method} {path}", method, path, form={}, file=("data", "part", "x"))
        elif last == "cancel":
            r.ask(f"{method} {path}", method, path)
        else:
            r.ask(f"{method} {path}", method, path, _BODIES.get(last, {"metadata": {"a": "b"}}))


def methods(r: Recording) -> None:
    """Every path with a method that it does not have."""
    for path in dict.fromkeys(path for _, path in _operations()):
        r.ask(f"PATCH {path}", "PATCH", path)


def bodies(r: Recording) -> None:
    """Every route that takes a body, with a wrong kind, broken JSON, a wrong shape and too much."""
    for method, path in _operations():
        if method != "POST":
            continue
        json_type = {"content-type": "application/json"}
        r.ask(f"text: {path}", "POST", path, raw="hello", headers=PLAIN_TEXT)
        r.ask(f"broken: {path}", "POST", path, raw='{"a":', headers=json_type)
        r.ask(f"an unknown field: {path}", "POST", path, {"colour": "red"})
        r.ask(f"too much: {path}", "POST", path, raw='{"a":"' + "x" * 70000 + '"}', headers=json_type)


# --- other servers ----------------------------------------------------------------------------------------------------


def keyless(r: Recording) -> None:
    """A server with keys and every route without one."""
    for method, path in _operations():
        if path.startswith("/v1/"):
            r.ask(f"{method} {path}", method, path)
    r.ask("what needs none", "GET", "/health")
    r.ask("a wrong key", "GET", "/v1/models", headers={"authorization": "Bearer sk-wrong"})
    r.ask("another scheme", "GET", "/v1/models", headers={"authorization": "Basic YTpi"})
    r.refused_socket("a socket", "/v1/responses")
    r.refused_socket("a realtime socket", "/v1/realtime")


def cors(r: Recording) -> None:
    """A web page that may call, on a server with keys and without sockets."""
    page = {"origin": "https://app.example"}
    r.ask(
        "a preflight",
        "OPTIONS",
        "/v1/responses",
        headers={
            **page,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
        },
    )
    r.ask(
        "a preflight for PATCH",
        "OPTIONS",
        "/v1/responses",
        headers={**page, "access-control-request-method": "PATCH"},
    )
    r.ask("an answer", "GET", "/v1/models", headers=page)
    r.ask("an error", "GET", "/v1/models/none", headers=page)
    r.ask("a stream", "POST", "/v1/responses", {"model": M, "input": "Hello.", "stream": True}, headers=page)
    r.ask("another page", "GET", "/v1/models", headers={"origin": "https://other.example"})
    r.ask("a name that is allowed", "GET", "/v1/models", headers={"host": "box.example:8000"})
    r.refused_socket("sockets are switched off", "/v1/responses")
    r.ask(
        "an image that is refused",
        "POST",
        "/v1/responses",
        {
            "model": "echo",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}],
                }
            ],
        },
    )


def limits(r: Recording) -> None:
    """A key with limits: one request a minute, and fewer tokens than one takes, so that neither comes back in the test."""
    r.ask("the first", "POST", "/v1/responses", {"model": M, "input": "Hello."})
    r.ask("the second", "POST", "/v1/responses", {"model": M, "input": "Hello."})
    r.ask(
        "the third, streamed",
        "POST",
        "/v1/chat/completions",
        {"model": M, "messages": [{"role": "user", "content": "x"}], "stream": True},
    )
    r.ask("what has no limit", "GET", "/v1/models")


def store(r: Recording) -> None:
    """What an earlier kodo stored."""
    found = json.loads((r.server.home / "frozen.json").read_text())
    first, second = found["responses"]
    r.ask("a response", "GET", f"/v1/responses/{first}")
    r.ask("its stream", "GET", f"/v1/responses/{first}?stream=true")
    r.ask("its input", "GET", f"/v1/responses/{second}/input_items")
    r.ask(
        "it goes on",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": "three", "previous_response_id": second},
    )
    r.ask("its conversation", "GET", f"/v1/conversations/{found['conversation']}/items")
    r.ask("a chat completion", "GET", f"/v1/chat/completions/{found['chat']}")
    r.ask("its messages", "GET", f"/v1/chat/completions/{found['chat']}/messages")
    r.ask("the assistants", "GET", "/v1/assistants")
    r.ask("a thread's messages", "GET", f"/v1/threads/{found['thread']}/messages")
    r.ask("a thread's runs", "GET", f"/v1/threads/{found['thread']}/runs")
    r.ask("the batches", "GET", "/v1/batches")
    r.ask(
        "the files that stay", "GET", "/v1/files?purpose=batch_output"
    )  # inputs of batches go after 30 days
    r.ask(
        "an idempotent replay",
        "POST",
        "/v1/responses",
        {"model": "echo", "input": "one"},
        headers={"idempotency-key": "frozen"},
    )


def freeze(home: Path) -> str:
    """A small database, written by this code, as SQL. Its ids are in ``-- frozen: {…}`` at its head."""
    with serving(home, _config(home)) as server:
        r = Recording(server)
        first = r.ask(
            "",
            "POST",
            "/v1/responses",
            {"model": "echo", "input": "one"},
            headers={"idempotency-key": "frozen"},
        ).json()["id"]
        second = r.ask(
            "", "POST", "/v1/responses", {"model": M, "input": "think", "previous_response_id": first}
        ).json()["id"]
        conversation = r.ask("", "POST", "/v1/conversations", {}).json()["id"]
        r.ask(
            "",
            "POST",
            "/v1/responses",
            {"model": M, "input": "weather", "tools": [TOOL], "conversation": conversation},
        )
        chat_id = r.ask(
            "",
            "POST",
            "/v1/chat/completions",
            {"model": M, "messages": [{"role": "user", "content": "Hello."}], "store": True},
        ).json()["id"]
        helper = r.ask("", "POST", "/v1/assistants", {"model": M, "name": "Helper"}).json()["id"]
        run = r.ask(
            "",
            "POST",
            "/v1/threads/runs",
            {"assistant_id": helper, "thread": {"messages": [{"role": "user", "content": "Hello."}]}},
        ).json()
        r.until(f"/v1/threads/{run['thread_id']}/runs/{run['id']}", "completed")
        line = compact(
            {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": M, "input": "x"}}
        )
        file_id = r.ask(
            "", "POST", "/v1/files", form={"purpose": "batch"}, file=("file", "in.jsonl", line)
        ).json()["id"]
        batch = r.ask(
            "",
            "POST",
            "/v1/batches",
            {"input_file_id": file_id, "endpoint": "/v1/responses", "completion_window": "24h"},
        ).json()["id"]
        r.until(f"/v1/batches/{batch}", "completed")
        r.close()
    found = {
        "responses": [first, second],
        "conversation": conversation,
        "chat": chat_id,
        "thread": run["thread_id"],
    }
    return f"-- frozen: {json.dumps(found)}\n{dump(home)}"


# --- all of it --------------------------------------------------------------------------------------------------------

MAIN: tuple[Family, ...] = (
    service,
    openapi,
    responses,
    tools,
    chains,
    conversations,
    chat,
    anthropic,
    legacy,
    files,
    batches,
    vector_stores,
    containers,
    assistants,
    websocket,
    realtime,
    idempotency,
    guard,
    unknown,
    methods,
    bodies,
    metrics,
)


def _recorded(server: Server, family: Family, key: str | None = None) -> dict[str, str]:
    began = time.monotonic()
    recording = Recording(server, key=key)
    try:
        family(recording)
    except Exception as error:
        error.add_note(f"in the family {family.__name__}, after:\n{recording.text()[-3000:]}")
        raise
    finally:
        recording.close()
    if (took := time.monotonic() - began) > 5:
        print(f"{family.__name__}: {took:.1f} s")
    return {family.__name__: recording.text()}


def record(where: Path) -> dict[str, str]:
    """Every family: its name, and its file's text."""
    found: dict[str, str] = {}
    home = where / "main"
    with serving(home, _config(home, tables="[limits]\nbody_bytes = 65536\n")) as server:
        for family in MAIN:
            found |= _recorded(server, family)
    home = where / "keys"
    top = 'cors_origins = ["https://app.example"]\nallowed_hosts = ["box.example"]\nwebsockets = false\nimages = "refuse"\n'
    keys: list[str] = []

    def prepare(server: Server) -> None:
        keys.append(server.kodo("keys", "create", "--project", "ada"))
        keys.append(
            server.kodo(
                "keys", "create", "--project", "bob", "--rpm", "1", "--tpm", "10", "--concurrent", "5"
            )
        )

    with serving(home, _config(home, top), prepare) as server:
        found |= _recorded(server, keyless)
        found |= _recorded(server, cors, keys[0])
        found |= _recorded(server, limits, keys[1])
    home = where / "store"

    def thaw(server: Server) -> None:
        head = restore(server.home, "UPDATE replays SET created_at = unixepoch();")  # they are kept for a day
        (server.home / "frozen.json").write_text(head.removeprefix("-- frozen: "), encoding="utf-8")

    with serving(home, _config(home, "retention_days = 100000\n"), thaw) as server:
        found |= _recorded(server, store)
    return found
