"""MCP servers as tools: a real one of the official SDK, over HTTP, over server-sent events and as a child."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from tests.mcp_server import HttpServer, listening, served_mcp
from tests.paths import REPOSITORY
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.tools.mcp import sessions
from kodo.server.tools.mcp.excess import TooMuch
from kodo.server.tools.mcp.transport import LimitedTransport

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SECRET = "token-that-nobody-may-see"


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """A step of the script that calls a tool of the server."""
    return {"type": "call", "name": f"calc__{tool}", "arguments": arguments}


def say(text: str) -> dict[str, Any]:
    """A step of the script that writes."""
    return {"type": "text", "text": text}


def when(match: str, *steps: dict[str, Any]) -> dict[str, Any]:
    """A turn for a prompt whose last item has a text."""
    return {"match": match, "steps": list(steps)}


def types_of(response: Response) -> list[str]:
    """The types of a response's output."""
    return [item.type for item in response.output]


@asynccontextmanager
async def both(
    tmp_path: Path, *turns: dict[str, Any], kind: Any = "http", **tools: Any
) -> AsyncIterator[tuple[Served, HttpServer]]:
    """kodo and an MCP server that it may reach, as ``calc``."""
    async with served_mcp(tmp_path / "journal", kind) as server:
        mcp = {"servers": {"calc": {"url": server.url, "transport": kind}}}
        given = settings(tmp_path, script(tmp_path, *turns), tools={"mcp": mcp, **tools})
        async with served(given) as kodo:
            yield kodo, server


def entry(server: HttpServer | None = None, **more: Any) -> Any:
    """The tool of a request."""
    where = {} if server is None else {"server_url": server.url}
    return {"type": "mcp", "server_label": "calc", "require_approval": "never", **where, **more}


def journal(tmp_path: Path) -> list[str]:
    """What the server's tools did."""
    file = tmp_path / "journal"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_tool_is_listed_called_and_answered(tmp_path: Path, kind: str) -> None:
    """The list, the call and the answer are items of one response, in the SDK's strict types."""
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5."))
    async with both(tmp_path, *turns, kind=kind) as (kodo, server):
        done = await kodo.sdk().responses.create(model=MODEL, input="the sum?", tools=[entry(server)])
        Response.model_validate_json(done.to_json(), strict=True)
    assert types_of(done) == ["mcp_list_tools", "mcp_call", "message"]
    listed, called, _ = done.output
    assert listed.type == "mcp_list_tools" and "add" in [tool.name for tool in listed.tools]
    assert called.type == "mcp_call"
    assert (called.name, called.server_label, called.output, called.error) == ("add", "calc", "5", None)
    assert json.loads(called.arguments) == {"a": 2, "b": 3}
    assert done.output_text == "It is 5."


async def test_a_server_of_the_settings_is_started_and_stopped(tmp_path: Path) -> None:
    """A command: the same over standard input and output; the child is gone when kodo is."""
    command = [sys.executable, "-m", "tests.mcp_server", str(tmp_path / "journal")]
    mcp = {"servers": {"calc": {"command": command, "cwd": str(REPOSITORY)}}, "connect_seconds": 60}
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5."))
    given = settings(tmp_path, script(tmp_path, *turns), tools={"mcp": mcp, "call_seconds": 60})
    async with served(given) as kodo:
        done = await kodo.sdk().responses.create(model=MODEL, input="the sum?", tools=[entry()])
    assert types_of(done) == ["mcp_list_tools", "mcp_call", "message"]
    assert done.output_text == "It is 5."


async def test_events_come_in_the_documented_order(tmp_path: Path) -> None:
    """Of the list: added, in_progress, completed, done; of the call: added, in_progress, arguments, completed, done."""
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5."))
    async with both(tmp_path, *turns) as (kodo, server):
        stream = await kodo.sdk().responses.create(
            model=MODEL, input="the sum?", tools=[entry(server)], stream=True
        )
        events = [event async for event in stream]
    for event in events:
        EVENT.validate_json(event.to_json(), strict=True)
    names = [event.type.removeprefix("response.") for event in events]
    assert names[2:13] == [
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
        "output_item.added",
    ]


async def test_a_server_is_listed_once_in_a_chain(tmp_path: Path) -> None:
    """The next response of the chain, and one that is given the list as input, do not list again."""
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5.")), when(".", say("ok"))
    async with both(tmp_path, *turns) as (kodo, server):
        sdk = kodo.sdk()
        first = await sdk.responses.create(model=MODEL, input="the sum?", tools=[entry(server)])
        second = await sdk.responses.create(
            model=MODEL, input="the sum again?", tools=[entry(server)], previous_response_id=first.id
        )
        assert types_of(second) == ["mcp_call", "message"]
        items: Any = [*(item.to_dict() for item in first.output), {"role": "user", "content": "the sum!"}]
        third = await sdk.responses.create(model=MODEL, input=items, tools=[entry(server)], store=False)
        assert types_of(third) == ["mcp_call", "message"]


async def test_only_servers_of_the_settings_are_reached(tmp_path: Path) -> None:
    """Another URL, a label that is not there, a connector: 400 that names the field; nothing was asked."""
    async with both(tmp_path, when(".", say("ok"))) as (kodo, server):
        sdk = kodo.sdk()
        origin = server.url.removesuffix("/mcp")
        for wrong, field in [
            ({"server_url": "http://127.0.0.1:1/mcp"}, "server_url"),
            ({"server_url": f"{server.url}/../other"}, "server_url"),
            ({"server_url": f"{origin.replace('//', '//user:pw@')}/mcp"}, "server_url"),
            ({"server_url": "file:///etc/passwd"}, "server_url"),
            ({"server_label": "other"}, "server_label"),
            ({"connector_id": "connector_gmail"}, "connector_id"),
            ({"headers": {"Host": "a.example"}}, "headers"),
            ({"headers": {"x": "a\r\nb: c"}}, "headers"),
        ]:
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.responses.create(model=MODEL, input="hi", tools=[entry(**wrong)])
            assert caught.value.param == f"tools[0].{field}", wrong
        assert server.requests == []


async def test_urls_below_an_allowed_one_are_reached(tmp_path: Path) -> None:
    """``allowed_urls`` with a star; a path that climbs out is refused."""
    async with served_mcp(tmp_path / "journal") as server:
        mcp = {"allowed_urls": [f"{server.url}*"]}
        given = settings(tmp_path, script(tmp_path, when(".", say("ok"))), tools={"mcp": mcp})
        async with served(given) as kodo:
            done = await kodo.sdk().responses.create(model=MODEL, input="hi", tools=[entry(server)])
            assert types_of(done) == ["mcp_list_tools", "message"]
            for climbing in ("/../x", "/%2e%2e/x"):
                with pytest.raises(openai.BadRequestError, match="not on the list"):
                    await kodo.sdk().responses.create(
                        model=MODEL, input="hi", tools=[entry(server_url=server.url + climbing)]
                    )


async def test_without_servers_the_type_is_skipped_or_refused(tmp_path: Path) -> None:
    """As ever in a mixed list; alone it is a 400 with the line that turns it on."""
    async with served(settings(tmp_path)) as kodo:
        with pytest.raises(openai.BadRequestError, match=r"\[tools.mcp.servers\]"):
            await kodo.sdk().responses.create(model=MODEL, input="hi", tools=[entry()])
        other: Any = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
        raw = await kodo.sdk().responses.with_raw_response.create(
            model=MODEL, input="hi", tools=[entry(), other]
        )
        assert raw.headers["x-kodo-skipped-tools"] == "mcp"


async def test_secrets_are_sent_and_not_echoed(tmp_path: Path) -> None:
    """The server sees them; the response, now and later, and the metrics do not have them."""
    turns = when("who", call("whoami")), when("authorization", say("ok"))
    tool = entry(authorization=SECRET, headers={"x-extra": f"{SECRET}-2"})
    async with both(tmp_path, *turns) as (kodo, _server):
        sdk = kodo.sdk()
        done = await sdk.responses.create(model=MODEL, input="who?", tools=[tool])
        again = await sdk.responses.retrieve(done.id)
        assert again.tools[0].to_dict() == {
            "type": "mcp",
            "server_label": "calc",
            "require_approval": "never",
        }
        seen = done.output[1].output  # type: ignore[union-attr]  # the call
        assert json.loads(seen or "") == {"authorization": f"Bearer {SECRET}", "x-extra": f"{SECRET}-2"}
        tools = json.dumps([one.to_dict() for one in done.tools])
        assert SECRET not in tools
        assert SECRET not in kodo.state.metrics.text().decode()


async def test_secrets_are_neither_stored_nor_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not one byte of the database, and no record of any logger at any level, with a tool that does not repeat them."""
    caplog.set_level(logging.DEBUG)
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5."))
    async with both(tmp_path, *turns) as (kodo, server):
        tool = entry(authorization=SECRET, headers={"x-extra": SECRET})
        done = await kodo.sdk().responses.create(model=MODEL, input="the sum?", tools=[tool])
        assert done.output_text == "It is 5."
        sent = [headers for headers in server.requests if headers.get("x-extra") == SECRET]
        assert sent and sent[0]["authorization"] == f"Bearer {SECRET}"
    found = [
        file.name for file in tmp_path.iterdir() if file.is_file() and SECRET.encode() in file.read_bytes()
    ]
    assert found == []
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("openai")]
    assert len(said) > 50
    assert not [text for text in said if SECRET in text]


@pytest.mark.parametrize(
    ("rule", "offered"),
    [
        (["add"], {"add"}),
        ({"tool_names": ["add", "write"]}, {"add", "write"}),
        ({"read_only": True, "tool_names": ["add", "write"]}, {"add"}),
        ({"read_only": False}, {"write"}),
    ],
)
async def test_only_allowed_tools_are_offered(tmp_path: Path, rule: Any, offered: set[str]) -> None:
    """A list, or a filter by names and by what the server says of its effects."""
    async with both(tmp_path, when(".", say("ok"))) as (kodo, _server):
        done = await kodo.sdk().responses.create(model=MODEL, input="hi", tools=[entry(allowed_tools=rule)])
    (listed, _) = done.output
    assert listed.type == "mcp_list_tools"
    assert {tool.name for tool in listed.tools} == offered


async def test_an_approval_is_asked_for_and_given(tmp_path: Path) -> None:
    """By default always: the request ends the response; the approval in the next one makes the call."""
    turns = when("please", call("write", text="x")), when("written: x", say("It is written."))
    tool = {"type": "mcp", "server_label": "calc"}
    async with both(tmp_path, *turns) as (kodo, _server):
        sdk = kodo.sdk()
        asked = await sdk.responses.create(model=MODEL, input="please", tools=[tool])  # type: ignore[list-item]
        assert types_of(asked) == ["mcp_list_tools", "mcp_approval_request"]
        assert (asked.status, journal(tmp_path)) == ("completed", [])
        answer: Any = {
            "type": "mcp_approval_response",
            "approval_request_id": asked.output[1].id,
            "approve": True,
        }
        done = await sdk.responses.create(
            model=MODEL,
            previous_response_id=asked.id,
            input=[answer],
            tools=[tool],  # type: ignore[list-item]
        )
        Response.model_validate_json(done.to_json(), strict=True)
        assert types_of(done) == ["mcp_call", "message"]
        assert done.output[0].approval_request_id == asked.output[1].id  # type: ignore[union-attr]
        assert journal(tmp_path) == ["write x", "wrote x"]
        more = await sdk.responses.create(
            model=MODEL,
            previous_response_id=done.id,
            input="written: x",
            tools=[tool],  # type: ignore[list-item]
        )
        assert types_of(more) == ["message"], "an approval is good for one call"


async def test_a_refusal_is_told_to_the_model(tmp_path: Path) -> None:
    """The call is not made; the model reads why."""
    turns = when("please", call("write", text="x")), when("did not allow.*too dear", say("Then not."))
    tool = entry(require_approval="always")
    async with both(tmp_path, *turns) as (kodo, _server):
        sdk = kodo.sdk()
        asked = await sdk.responses.create(model=MODEL, input="please", tools=[tool])
        answer: Any = {
            "type": "mcp_approval_response",
            "approval_request_id": asked.output[1].id,
            "approve": False,
            "reason": "too dear",
        }
        done = await sdk.responses.create(
            model=MODEL, previous_response_id=asked.id, input=[answer], tools=[tool]
        )
        assert (done.output_text, journal(tmp_path)) == ("Then not.", [])
        answer["approval_request_id"] = "mcpr_nowhere"
        with pytest.raises(openai.BadRequestError, match="No approval request"):
            await sdk.responses.create(model=MODEL, input=[answer], tools=[tool])


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ({"never": {"tool_names": ["write"]}}, "mcp_call"),
        ({"never": {"read_only": True}}, "mcp_approval_request"),
        ({"always": {"tool_names": ["write"]}, "never": {"tool_names": ["write"]}}, "mcp_approval_request"),
        ({"always": {"tool_names": ["add"]}}, "mcp_approval_request"),
        ({"never": {}}, "mcp_approval_request"),
    ],
)
async def test_approval_rules(tmp_path: Path, rule: Any, kind: str) -> None:
    """``never`` frees what it names; ``always`` wins; what is in neither needs an approval."""
    turns = when("please", call("write", text="x")), when("written", say("ok"))
    async with both(tmp_path, *turns) as (kodo, _server):
        done = await kodo.sdk().responses.create(
            model=MODEL, input="please", tools=[entry(require_approval=rule)]
        )
    assert types_of(done)[1] == kind


@pytest.mark.parametrize(
    ("step", "error", "told"),
    [
        (call("fail", reason="no luck"), "mcp_tool_execution_error", "executing tool fail"),
        (call("hang"), "http_error", "longer than"),
        ({"type": "call", "name": "calc__add", "arguments": "not json"}, "mcp_protocol_error", "JSON object"),
    ],
)
async def test_errors_are_objects_and_told_to_the_model(
    tmp_path: Path, step: dict[str, Any], error: str, told: str
) -> None:
    """What a tool says, what takes too long, what is no object: each in its form, with the events of a failure."""
    turns = when("please", step), when(told, say("I see."))
    allowed = 0.7 if error == "http_error" else 60.0
    async with both(tmp_path, *turns, call_seconds=allowed) as (kodo, server):
        started = time.monotonic()
        done = await kodo.sdk().responses.create(model=MODEL, input="please", tools=[entry(server)])
        Response.model_validate_json(done.to_json(), strict=True)
        assert time.monotonic() - started < 30
    called = done.output[1]
    assert called.type == "mcp_call"
    assert called.error is not None
    assert (called.status, called.output, called.error.type) == ("failed", None, error)
    assert done.output_text == "I see."


async def test_a_server_that_is_down_does_not_end_the_response(tmp_path: Path) -> None:
    """The list has an error, the model answers without the tools; the next response lists anew."""
    async with served_mcp(tmp_path / "journal") as server:
        url = server.url
    mcp = {"servers": {"calc": {"url": url}}, "connect_seconds": 30}  # it is refused at once
    given = settings(tmp_path, script(tmp_path, when(".", say("without it"))), tools={"mcp": mcp})
    async with served(given) as kodo:
        sdk = kodo.sdk()
        done = await sdk.responses.create(model=MODEL, input="hi", tools=[entry()])
        assert types_of(done) == ["mcp_list_tools", "message"]
        assert done.output[0].error  # type: ignore[union-attr]  # the list
        stream = await sdk.responses.create(model=MODEL, input="hi", tools=[entry()], stream=True)
        assert "response.mcp_list_tools.failed" in [event.type async for event in stream]
        async with served_mcp(tmp_path / "journal", port=int(url.split(":")[2].split("/")[0])):
            more = await sdk.responses.create(
                model=MODEL, input="hi", tools=[entry()], previous_response_id=done.id
            )
    assert not more.output[0].error  # type: ignore[union-attr]  # the list


async def test_a_session_survives_the_servers_restart(tmp_path: Path) -> None:
    """The kept session is gone; one call more in a new one, unseen by the client."""
    turns = when("sum", call("add", a=2, b=3)), when("^5$", say("It is 5."))
    async with served_mcp(tmp_path / "journal") as server:
        port = int(server.url.split(":")[2].split("/")[0])
        mcp = {"servers": {"calc": {"url": server.url}}}
        given = settings(tmp_path, script(tmp_path, *turns), tools={"mcp": mcp})
        kodo_context = served(given)
        kodo = await kodo_context.__aenter__()
        first = await kodo.sdk().responses.create(model=MODEL, input="sum", tools=[entry()])
    async with served_mcp(tmp_path / "journal", port=port):
        second = await kodo.sdk().responses.create(
            model=MODEL, input="sum", tools=[entry()], previous_response_id=first.id
        )
        await kodo_context.__aexit__(None, None, None)
    assert second.output[0].error is None  # type: ignore[union-attr]  # the call
    assert second.output_text == "It is 5."


async def test_a_hanging_server_stalls_nobody(tmp_path: Path) -> None:
    """While one call hangs, another project's and a plain answer come at their usual speed."""
    turns = when("hang", call("hang")), when("sum", call("add", a=2, b=3)), when(".", say("ok"))
    async with both(tmp_path, *turns, call_seconds=120) as (kodo, _server):
        sdk = kodo.sdk()
        hanging = asyncio.create_task(sdk.responses.create(model=MODEL, input="hang", tools=[entry()]))
        while "hang" not in journal(tmp_path):
            await asyncio.sleep(0.02)
        started = time.monotonic()
        done = await sdk.responses.create(model=MODEL, input="sum", tools=[entry()])
        assert done.output[1].output == "5"  # type: ignore[union-attr]  # the call
        assert time.monotonic() - started < 30 and not hanging.done()
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_too_large_an_answer_is_an_error(tmp_path: Path) -> None:
    """The bytes of an answer are bounded; the model is told, the session goes on."""
    turns = when("please", call("large", size=300_000)), when("Error", say("too much"))
    async with both(tmp_path, *turns, call_seconds=10) as (kodo, _server):
        kodo.state.service.tools["mcp"]._settings.__dict__["max_bytes"] = 100_000  # type: ignore[attr-defined]
        done = await kodo.sdk().responses.create(model=MODEL, input="please", tools=[entry()])
    assert done.output_text == "too much"


async def test_a_compressed_answer_is_an_error(tmp_path: Path) -> None:
    """None is asked for, and a few kB could become gigabytes before their size is seen."""
    async with both(tmp_path, when("please", call("add", a=2, b=3)), when("5", say("five"))) as (
        kodo,
        server,
    ):
        await kodo.sdk().responses.create(model=MODEL, input="please", tools=[entry()])
    assert {headers["accept-encoding"] for headers in server.requests} == {"identity"}

    def compressed(_: httpx2.Request) -> httpx2.Response:
        packed = gzip.compress(b" " * 10_000_000)
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, content=packed)

    limited = LimitedTransport(1_000_000)
    limited._inner = httpx2.MockTransport(compressed)  # type: ignore[assignment]  # as the one over a network
    with pytest.raises(TooMuch, match="compressed"):
        await limited.handle_async_request(httpx2.Request("GET", "http://127.0.0.1/mcp"))


async def test_a_choice_forces_a_tool_of_the_server(tmp_path: Path) -> None:
    """``{"type": "mcp", "server_label", "name"}`` reaches the engine as its function, in the first turn only."""
    turns = when("go", call("add", a=2, b=3)), when("^5$", say("done"))
    choice: Any = {"type": "mcp", "server_label": "calc", "name": "add"}
    async with both(tmp_path, *turns) as (kodo, _server):
        done = await kodo.sdk().responses.create(model=MODEL, input="go", tools=[entry()], tool_choice=choice)
        assert done.tool_choice.to_dict() == choice  # type: ignore[union-attr]  # an object
    assert done.output_text == "done"


async def test_required_without_any_tool_is_answered_in_words(tmp_path: Path) -> None:
    """A server that is down leaves nothing to call; the response ends with words, not with an error of its own."""
    mcp = {"servers": {"calc": {"url": "http://127.0.0.1:9/mcp"}}, "connect_seconds": 2}
    given = settings(tmp_path, script(tmp_path, when(".", say("without it"))), tools={"mcp": mcp})
    async with served(given) as kodo:
        done = await kodo.sdk().responses.create(
            model=MODEL, input="hi", tools=[entry()], tool_choice="required"
        )
    assert done.output_text == "without it"


async def test_a_flood_of_approvals_is_refused(tmp_path: Path) -> None:
    """One request cannot set off thousands of calls; nothing was called."""
    async with both(tmp_path, when(".", say("ok"))) as (kodo, server):
        items: list[Any] = []
        for number in range(65):
            name = f"mcpr_{number}"
            request = {"type": "mcp_approval_request", "id": name, "server_label": "calc", "name": "add"}
            items.append({**request, "arguments": "{}"})
            items.append({"type": "mcp_approval_response", "approval_request_id": name, "approve": True})
        with pytest.raises(openai.BadRequestError, match="64 approvals"):
            await kodo.sdk().responses.create(model=MODEL, input=items, tools=[entry()])
        assert server.requests == []


async def test_more_tools_than_an_engine_takes_are_cut(tmp_path: Path) -> None:
    """The client's own 125 stay, the last of the server's go."""
    mine: list[Any] = [
        {"type": "function", "name": f"mine_{number}", "parameters": {"type": "object", "properties": {}}}
        for number in range(125)
    ]
    async with both(tmp_path, when(".", say("ok"))) as (kodo, _server):
        engine, prompts = kodo.state.models[MODEL].engine, []
        prepare = engine.prepare

        async def noted(prompt: Any) -> Any:
            prompts.append(prompt)
            return await prepare(prompt)

        engine.prepare = noted  # type: ignore[method-assign]  # to read the prompts
        await kodo.sdk().responses.create(model=MODEL, input="hi", tools=[entry(), *mine])
    offered = [tool.name for tool in prompts[-1].tools]
    assert len(offered) == 128
    assert [name for name in offered if name.startswith("mine_")] == [tool["name"] for tool in mine]
    assert offered[:3] == ["calc__add", "calc__write", "calc__hang"]


async def test_a_server_that_does_not_start_in_time_is_ended(tmp_path: Path) -> None:
    """A child that says nothing: the list fails after its time, a program that is missing at once; no child is left."""
    slow = [sys.executable, "-m", "tests.mcp_server", str(tmp_path / "journal"), "60"]
    servers = {
        "slow": {"command": slow, "cwd": str(REPOSITORY)},
        "missing": {"command": [str(tmp_path / "no-such-program")]},
        "dies": {"command": [sys.executable, "-c", "raise SystemExit(3)"]},
    }
    mcp = {"servers": servers, "connect_seconds": 1}
    given = settings(tmp_path, script(tmp_path, when(".", say("ok"))), tools={"mcp": mcp})
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    async with served(given) as kodo:
        started = time.monotonic()
        tools: list[Any] = [{"type": "mcp", "server_label": label} for label in servers]
        done = await kodo.sdk().responses.create(model=MODEL, input="hi", tools=tools)
        assert time.monotonic() - started < 40  # it would begin to answer after 60
    assert types_of(done) == ["mcp_list_tools"] * 3 + ["message"]
    assert all(item.error for item in done.output[:3])  # type: ignore[union-attr]  # lists
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


async def test_a_server_that_does_not_take_leave_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a session waits for no answer to its DELETE longer than it may."""
    monkeypatch.setattr(sessions, "CLOSE_SECONDS", 0.3)

    async def never(request: Request) -> HttpResponse:
        if request.method == "DELETE":
            await asyncio.sleep(60)
        body = await request.json()
        result: dict[str, Any] = {"tools": [], "protocolVersion": "2025-06-18", "capabilities": {}}
        result["serverInfo"] = {"name": "x", "version": "1"}
        if body.get("method") == "server/discover":
            error = {"code": -32601, "message": "no"}
            return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "error": error})
        if "id" not in body:
            return HttpResponse(status_code=202)
        answer = {"jsonrpc": "2.0", "id": body["id"], "result": result}
        return JSONResponse(answer, headers={"mcp-session-id": "s"})

    app = Starlette(routes=[Route("/mcp", never, methods=["POST", "GET", "DELETE"])])
    async with listening(app) as url:
        mcp = {"servers": {"calc": {"url": f"{url}/mcp"}}}
        given = settings(tmp_path, script(tmp_path, when(".", say("ok"))), tools={"mcp": mcp})
        async with served(given) as kodo:
            done = await kodo.sdk().responses.create(model=MODEL, input="hi", tools=[entry()])
            assert done.output[0].error is None  # type: ignore[union-attr]  # the list
            started = time.monotonic()
        assert time.monotonic() - started < 30  # the server would take 60


async def test_a_label_stands_for_one_server(tmp_path: Path) -> None:
    """Two entries with the same label are a 400."""
    async with both(tmp_path, when(".", say("ok"))) as (kodo, _server):
        with pytest.raises(openai.BadRequestError) as caught:
            await kodo.sdk().responses.create(model=MODEL, input="x", tools=[entry(), entry()])
    assert caught.value.param == "tools[1].server_label"


async def test_an_approval_outlives_a_compaction(tmp_path: Path) -> None:
    """The prompt is compacted; the tools still see the request that is approved, and the list."""
    turns = (
        when("please", call("write", text="x")),
        when("written: x", say("It is written.")),
        when(".", say("A summary.")),
    )
    async with both(tmp_path, *turns) as (kodo, _server):
        sdk = kodo.sdk()
        tool = entry(require_approval="always")
        history: Any = [
            *({"role": "user", "content": f"number {number} " * 20} for number in range(20)),
            {"role": "user", "content": "please"},
        ]
        asked = await sdk.responses.create(model=MODEL, input=history, tools=[tool])
        answer: Any = {
            "type": "mcp_approval_response",
            "approval_request_id": asked.output[-1].id,
            "approve": True,
        }
        done = await sdk.responses.create(
            model=MODEL,
            previous_response_id=asked.id,
            input=[answer],
            tools=[tool],
            context_management=[{"type": "compaction", "compact_threshold": 200}],
        )
    assert types_of(done) == ["compaction", "mcp_call", "message"]
    assert done.output_text == "It is written."
