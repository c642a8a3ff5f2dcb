"""Items of tools that ran on another service: accepted in a history, shown to the model as a note, kept as given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, served, settings

ITEMS: list[dict[str, Any]] = [
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "swans"},
    },
    {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["swans"],
        "results": [{"text": "a"}],
    },
    {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "call_1",
        "status": "completed",
        "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
        "pending_safety_checks": [],
    },
    {
        "type": "computer_call_output",
        "id": "cuo_1",
        "call_id": "call_1",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"},
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "print(1)",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "1"}],
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "A" * 5000},
    {"type": "mcp_call", "id": "mcp_1", "server_label": "s", "name": "add", "arguments": "{}", "output": "3"},
    {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "s",
        "tools": [{"name": "add", "input_schema": {}}],
    },
    {
        "type": "mcp_approval_request",
        "id": "mcpr_1",
        "server_label": "s",
        "name": "add",
        "arguments": "{}",
    },
    {
        "type": "mcp_approval_response",
        "id": "mcpa_1",
        "approval_request_id": "mcpr_1",
        "approve": True,
        "reason": "yes",
    },
    {"type": "program", "id": "prog_1", "call_id": "call_3", "code": "add(1, 2)", "fingerprint": "f"},
    {
        "type": "program_output",
        "id": "progo_1",
        "status": "completed",
        "call_id": "call_3",
        "result": "3",
    },
    {
        "type": "tool_search_call",
        "id": "tsc_1",
        "call_id": "call_2",
        "execution": "server",
        "arguments": {"query": "add"},
        "status": "completed",
    },
    {
        "type": "tool_search_output",
        "id": "tso_1",
        "call_id": "call_2",
        "execution": "server",
        "tools": [],
        "status": "completed",
    },
]


NOTES = [item for item in ITEMS if not str(item["type"]).startswith(("mcp", "tool_search", "code"))]


async def test_what_an_mcp_server_did_is_shown_as_a_call(tmp_path: Path) -> None:
    """A call and its output; lists, requests and approvals are nothing to the model; all are kept as given."""
    items = [item for item in ITEMS if str(item["type"]).startswith("mcp")]
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "input": items})
        assert answer.status_code == 200, answer.text
        assert answer.json()["output"][0]["content"][0]["text"] == "3"
        assert answer.json()["usage"]["input_tokens"] < 40
        path = f"/v1/responses/{answer.json()['id']}/input_items"
        listed = await http.get(path, params={"order": "asc"})
        assert listed.json()["data"] == items


async def test_code_that_ran_is_shown_as_a_call(tmp_path: Path) -> None:
    """Code and what it wrote, not as a note of another service; without outputs the model is told so."""
    (item,) = [item for item in ITEMS if item["type"] == "code_interpreter_call"]
    image = {"type": "image", "url": "data:image/png;base64,AAAA"}
    async with served(settings(tmp_path)) as server, server.http() as http:
        for outputs, shown in (
            (item["outputs"], "1"),
            (None, "[The outputs were not kept.]"),
            ([*item["outputs"], image], "1\n[an image]"),
        ):
            body = {"model": MODEL, "input": [{**item, "outputs": outputs}]}
            answer = await http.post("/v1/responses", json=body)
            assert answer.json()["output"][0]["content"][0]["text"] == shown


@pytest.mark.parametrize("item", NOTES, ids=lambda item: str(item["type"]))
async def test_an_item_of_a_hosted_tool_is_a_note_and_kept_as_given(
    item: dict[str, Any], tmp_path: Path
) -> None:
    """The model sees its type in a bounded text; the stored item, with and without its id, is the client's."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        answer = await http.post("/v1/responses", json={"model": MODEL, "input": [item]})
        assert answer.status_code == 200, answer.text
        (part,) = answer.json()["output"][0]["content"]
        assert item["type"] in part["text"]
        assert len(part["text"]) < 1200
        listed = await http.get(f"/v1/responses/{answer.json()['id']}/input_items")
        assert listed.json()["data"] == [item]
        bare = {name: value for name, value in item.items() if name != "id"}
        again = await http.post("/v1/responses", json={"model": MODEL, "input": [bare]})
        assert again.status_code == 200, again.text


async def test_a_history_with_hosted_items_continues(tmp_path: Path) -> None:
    """In a conversation and behind ``previous_response_id``, where the items come from the store."""
    async with served(settings(tmp_path)) as server, server.http() as http:
        made = await http.post("/v1/conversations", json={"items": ITEMS})
        assert made.status_code == 200, made.text
        conversation = made.json()["id"]
        listed = await http.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"})
        assert listed.json()["data"] == ITEMS
        body = {"model": MODEL, "conversation": conversation, "input": "and now?"}
        first = await http.post("/v1/responses", json=body)
        assert first.status_code == 200, first.text
        second = await http.post(
            "/v1/responses", json={"model": MODEL, "input": [*ITEMS, {"role": "user", "content": "hi"}]}
        )
        body = {"model": MODEL, "previous_response_id": second.json()["id"], "input": "more"}
        third = await http.post("/v1/responses", json=body)
    assert third.status_code == 200, third.text
    assert third.json()["usage"]["input_tokens"] > second.json()["usage"]["input_tokens"]
