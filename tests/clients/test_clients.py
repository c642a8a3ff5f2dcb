"""Other people's clients, unmodified: each answers, streams, calls a function and fills a schema."""

from __future__ import annotations

from collections.abc import Callable
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


CHECKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "text": ("model", lambda text: text.strip()),
    "stream": ("model", _streamed),
    "tool": ("script", lambda text: text == "It is 21 degrees in Paris."),
    "structured": ("script", lambda value: value in PALETTE),
}
"""Each check with the server it needs and what must hold of its result."""
MORE: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "openai-python": {
        "text_async": ("model", lambda text: text.strip()),
        "raw": ("model", lambda value: value["request_id"].startswith("req_")),
        "background": ("model", lambda value: value["first"] == "queued" and value["text"].strip()),
        "websocket": ("model", lambda texts: len(texts) == 2 and all(text.strip() for text in texts)),
    },
    "anthropic": {"tokens": ("model", lambda counts: counts["counted"] == counts["used"] > 0)},
    "openai-agents": {
        "session": ("model", lambda roles: roles == ["user", "assistant"] * 2),
        "hosted_mcp": ("script", lambda got: got == {"asked": ["add"], "answer": "It is 5."}),
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
    server, holds = (CHECKS | MORE.get(client, {}))[check]
    record_property("client", client)
    record_property("check", check)
    folder = "node" if program.endswith(".mjs") else "python"
    record_property("version", clients.version(package, folder))
    result = clients.program(program, check, servers[server].url, tmp_path)
    assert holds(result), result
