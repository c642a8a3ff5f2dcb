"""Other people's clients, unmodified: each answers, streams, calls a function and fills a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients.environments import Environments
from tests.e2e.conftest import Server

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

PROGRAMS = {
    "openai-python": ("openai_python.py", "openai"),
    "openai for Node": ("openai_node.mjs", "openai"),
    "openai-agents": ("openai_agents.py", "openai-agents"),
    "LangChain": ("langchain_openai_responses.py", "langchain-openai"),
    "pydantic-ai": ("pydantic_ai_agent.py", "pydantic-ai-slim"),
    "llm": ("llm_library.py", "llm"),
    "anthropic": ("anthropic_python.py", "anthropic"),
    "Vercel AI SDK": ("ai_sdk.mjs", "@ai-sdk/openai"),
}
PALETTE = ({"title": "Dusk", "dark": True}, '{"title": "Dusk", "dark": true}')


def _streamed(result: Any) -> bool:
    return bool(result["pieces"] > 2 and result["same"])


def _called(said: Callable[[str], Any]) -> Callable[[Any], Any]:
    """The tool was called for Paris, once, and ``said`` holds of the answer."""
    return lambda result: result["city"] == "Paris" and said(result["answer"])


def _palette(value: Any) -> bool:
    """Of the schema, with words of the model's own."""
    found = json.loads(value) if isinstance(value, str) else value
    return (
        found.keys() == {"title", "dark"}
        and isinstance(found["dark"], bool)
        and isinstance(found["title"], str)
        and bool(found["title"].strip())
    )


@dataclass(frozen=True)
class Check:
    """A check of a client: what its program is called with, the server it needs, what must hold of its result."""

    program: str
    server: str
    holds: Callable[[Any], Any]


CHECKS = {
    "text": Check("text", "model", str.strip),
    "stream": Check("stream", "model", _streamed),
    "tool": Check("tool", "script", _called(lambda text: text == "It is 21 degrees in Paris.")),
    "structured": Check("structured", "script", lambda value: value in PALETTE),
    "the model's own call": Check("tool", "model", _called(str.strip)),
    "the model's own value": Check("structured", "model", _palette),
}
MORE: dict[str, dict[str, Check]] = {
    "openai-python": {
        "text_async": Check("text_async", "model", str.strip),
        "raw": Check("raw", "model", lambda value: value["request_id"].startswith("req_")),
        "background": Check(
            "background", "model", lambda value: value["first"] == "queued" and value["text"].strip()
        ),
        "websocket": Check(
            "websocket", "model", lambda texts: len(texts) == 2 and all(text.strip() for text in texts)
        ),
    },
    "anthropic": {"tokens": Check("tokens", "model", lambda counts: counts["counted"] == counts["used"] > 0)},
    "openai-agents": {
        "session": Check("session", "model", lambda roles: roles == ["user", "assistant"] * 2),
        "hosted_mcp": Check(
            "hosted_mcp", "script", lambda got: got == {"asked": ["add"], "answer": "It is 5."}
        ),
    },
}


@pytest.mark.parametrize(
    ("client", "check"), [(client, check) for client in PROGRAMS for check in CHECKS | MORE.get(client, {})]
)
def test_a_client_works(
    client: str,
    check: str,
    clients: Environments,
    servers: dict[str, Server],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The client's program runs, and its result is what it must be."""
    program, package = PROGRAMS[client]
    wanted = (CHECKS | MORE.get(client, {}))[check]
    record_property("client", client)
    record_property("check", check)
    folder = "node" if program.endswith(".mjs") else "python"
    record_property("version", clients.version(package, folder))
    result = clients.program(program, wanted.program, servers[wanted.server].url, tmp_path)
    assert wanted.holds(result), result
