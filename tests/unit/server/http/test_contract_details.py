"""Details of the contract that a client or a strict checker meets: headers, queries, empty bodies, defaults of lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, Served, script, served, settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK deprecates the Assistants API


def _body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": "x", **fields}


async def _error(server: Served, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    async with server.http() as http:
        answer = await http.request(method, path, json=body)
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["code"]


async def test_answers_have_the_headers_of_the_hosted_service(tmp_path: Path) -> None:
    """Also errors say which version answered and how long it took; those for Anthropic's clients have their name of the id."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        for answer in (await http.get("/v1/models"), await http.post("/v1/responses", json={})):
            assert answer.headers["openai-version"] == "2020-10-01"
            assert int(answer.headers["openai-processing-ms"]) >= 0
        refused = await http.get("/v1/messages")
        assert refused.headers["request-id"] == refused.headers["x-request-id"]
        assert "openai-version" not in refused.headers
        assert "openai-version" not in (await http.get("/health")).headers


async def test_the_beta_twins_of_the_sdk_work(tmp_path: Path) -> None:
    """``client.beta.responses`` is the same API with ``?beta=true``."""
    async with served(settings(tmp_path)) as server, server.sdk() as client:
        made = await client.beta.responses.create(model=MODEL, input="x")
        assert (await client.beta.responses.retrieve(made.id)).id == made.id
        assert [item.type async for item in client.beta.responses.input_items.list(made.id)] == ["message"]
        await client.beta.responses.delete(made.id)


async def test_queries_are_checked(tmp_path: Path) -> None:
    """A value of a query that would have no effect is refused by name."""
    async with served(settings(tmp_path)) as server:
        async with server.http() as http:
            made = (await http.post("/v1/responses", json=_body())).json()["id"]
            conversation = (await http.post("/v1/conversations")).json()["id"]
        at = f"/v1/responses/{made}"
        assert await _error(server, "GET", f"{at}?include[]=all") == (400, "include[0]", "invalid_value")
        assert await _error(server, "GET", f"{at}?stream=maybe") == (400, "stream", "invalid_value")
        assert await _error(server, "GET", f"{at}?starting_after=2") == (
            400,
            "starting_after",
            "invalid_value",
        )
        assert (await _error(server, "GET", f"{at}?include_obfuscation=true"))[2] == "unsupported_parameter"
        for path in (f"{at}/input_items", f"/v1/conversations/{conversation}/items"):
            assert await _error(server, "GET", f"{path}?include=all") == (400, "include[0]", "invalid_value")


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [
        ("0", "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead."),
        ("101", "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."),
        ("many", "invalid_type", "Invalid type for 'limit': expected an integer, but got a string instead."),
    ],
)  # fmt: skip
async def test_a_limit_out_of_bounds_has_the_words_for_bodies(
    limit: str, code: str, words: str, tmp_path: Path
) -> None:
    """Every list says it in the same way; an order that is none is told which there are."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        for path in ("/v1/batches", "/v1/vector_stores", "/v1/chat/completions"):
            error = (await http.get(path, params={"limit": limit})).json()["error"]
            assert (error["code"], error["param"], error["message"]) == (code, "limit", words)
        wrong = (await http.get("/v1/vector_stores", params={"order": "up"})).json()["error"]
    assert wrong["message"] == "Invalid value for 'order': 'up'. Supported values are: 'asc' and 'desc'."


@pytest.mark.parametrize("kind", ["string", "array", None, ["string", "null"]])
@pytest.mark.parametrize("inside", [False, True], ids=["function", "namespace"])
async def test_a_function_takes_an_object(kind: Any, inside: bool, tmp_path: Path) -> None:
    """The engine would write arguments that no client can read; the words and the code are those of the hosted API."""
    tool: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": kind}}
    path = "tools[0].tools[0].parameters" if inside else "tools[0].parameters"
    tools = [{"type": "namespace", "name": "n", "tools": [tool]}] if inside else [tool]
    async with served(settings(tmp_path)) as server:
        assert await _error(server, "POST", "/v1/responses", _body(tools=tools)) == (
            400,
            path,
            "invalid_function_parameters",
        )
        for fine in ({}, {"type": "object"}, {"type": ["object", "null"]}, None):
            tool["parameters"] = fine
            async with server.http() as http:
                assert (await http.post("/v1/responses", json=_body(tools=tools))).status_code == 200


async def test_metadata_of_a_conversation_can_be_removed(tmp_path: Path) -> None:
    """``metadata=None`` is of the SDK's type."""
    async with served(settings(tmp_path)) as server, server.sdk() as sdk:
        made = await sdk.conversations.create(metadata={"a": "b"})
        assert (await sdk.conversations.update(made.id, metadata=None)).metadata == {}
        assert (await sdk.conversations.retrieve(made.id)).metadata == {}


async def test_errors_of_other_apis_name_their_own_fields(tmp_path: Path) -> None:
    """A prompt, an input of tokens, a schema that is missing, and two caps that differ."""
    long, chat = "word " * 400_000, {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    async with served(settings(tmp_path)) as server:
        for path, body, param, code in (
            ("/v1/completions", {"model": MODEL, "prompt": long}, "prompt", "context_length_exceeded"),
            ("/v1/embeddings", {"model": MODEL, "input": [1, 2]}, "input", "unsupported_value"),
            ("/v1/embeddings", {"model": MODEL, "input": [[1, 2]]}, "input", "unsupported_value"),
            (
                "/v1/chat/completions",
                {**chat, "response_format": {"type": "json_schema"}},
                "response_format.json_schema",
                "missing_required_parameter",
            ),
            (
                "/v1/chat/completions",
                {**chat, "max_tokens": 5, "max_completion_tokens": 6},
                "max_tokens",
                "invalid_parameter_combination",
            ),
        ):
            assert await _error(server, "POST", path, body) == (400, param, code), path
        async with server.http() as http:
            same = {**chat, "max_tokens": 5, "max_completion_tokens": 5}
            assert (await http.post("/v1/chat/completions", json=same)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/threads", "/v1/conversations", "/v1/vector_stores", "/v1/realtime/client_secrets"]
)
async def test_a_body_of_optional_fields_may_be_empty(path: str, tmp_path: Path) -> None:
    """``curl -d ''``, as the reference of the hosted service shows it, is as good as ``{}``."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post(path, content=b"", headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert (await http.post("/v1/responses", content=b"")).json()["error"]["code"] == "invalid_json"


async def test_a_conversation_begins_with_at_most_twenty_items(tmp_path: Path) -> None:
    """The limit of the call that adds items holds for the one that creates the conversation."""
    async with served(settings(tmp_path)) as server:
        items = [{"role": "user", "content": "x"}] * 21
        error = await _error(server, "POST", "/v1/conversations", {"items": items})
        assert error == (400, "items", "array_above_max_length")


async def test_parameters_of_reasoning_are_honoured_or_echoed(tmp_path: Path) -> None:
    """``generate_summary`` is the first name of ``summary``; ``null`` for an object of options is none."""
    async with served(settings(tmp_path)) as server, server.sdk() as client:
        reasoning: Any = {"generate_summary": "auto", "context": "auto", "mode": "standard"}
        made = await client.responses.create(
            model=MODEL,
            input="x",
            reasoning=reasoning,
            service_tier="fast",
            extra_body={"prompt_cache_options": None},
        )
        assert made.reasoning is not None
        assert made.reasoning.generate_summary == "auto"
        assert (made.reasoning.context, made.reasoning.mode) == ("auto", "standard")
        assert made.service_tier == "default"


async def test_fields_of_tools_are_echoed(tmp_path: Path) -> None:
    """What the SDK's types of a tool have, a Response has too."""
    tool: Any = {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object"},
        "strict": False,
        "allowed_callers": ["direct"],
        "output_schema": {"type": "string"},
        "async": False,
    }
    async with served(settings(tmp_path)) as server, server.http() as http:
        made = (await http.post("/v1/responses", json=_body(tools=[tool]))).json()
        assert made["tools"][0].items() >= tool.items()


async def test_messages_of_a_stored_completion_are_listed_in_their_order(tmp_path: Path) -> None:
    """Oldest first by default; ``content`` is text, and ``content_parts`` the parts that were sent."""
    parts: Any = [{"type": "text", "text": "two"}, {"type": "text", "text": "!"}]
    async with served(settings(tmp_path)) as server, server.sdk() as client:
        made = await client.chat.completions.create(
            model=MODEL,
            store=True,
            messages=[{"role": "system", "content": "one"}, {"role": "user", "content": parts}],
        )
        listed = [message.to_dict() async for message in client.chat.completions.messages.list(made.id)]
        assert [message["content"] for message in listed] == ["one", "two!"]
        assert [message["content_parts"] for message in listed] == [None, parts]


async def test_an_assistant_may_search_files_before_there_is_a_store(tmp_path: Path) -> None:
    """Clients give the tool at the creation and the store later: a run without one answers."""
    model = script(tmp_path, {"match": "", "steps": [{"type": "text", "text": "Here."}]})
    async with served(settings(tmp_path, model)) as server, server.sdk() as client:
        assistant = await client.beta.assistants.create(model=MODEL, tools=[{"type": "file_search"}])
        run = await client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": "x"}]},
            tool_choice="required",
            poll_interval_ms=50,
        )
        assert run.status == "completed", run.last_error
        assert [tool.type for tool in run.tools] == ["file_search"]


async def test_what_a_filter_needs_is_missing_by_name(tmp_path: Path) -> None:
    """A comparison without a value says so with the code of all missing parameters."""
    async with served(settings(tmp_path)) as server:
        async with server.http() as http:
            store = (await http.post("/v1/vector_stores", json={})).json()["id"]
        body = {"query": "x", "filters": {"type": "eq", "key": "a"}}
        error = await _error(server, "POST", f"/v1/vector_stores/{store}/search", body)
        assert error == (400, "filters.value", "missing_required_parameter")
