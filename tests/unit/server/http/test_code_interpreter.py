"""``code_interpreter``: what the model's code does, what the item and the events say, and what the answer cites."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.containers import container, manager_of, no_containers, python
from tests.serving import MODEL, Served, script, served, settings

from kodo.server.config import ModelSettings, ToolSettings
from kodo.server.lifecycle.errors import InvalidRequest

AUTO: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
OUTPUTS: Any = ["code_interpreter_call.outputs"]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
EVENTS = [
    "response.output_item.added",
    "response.code_interpreter_call.in_progress",
    "response.code_interpreter_call_code.delta",
    "response.code_interpreter_call_code.done",
    "response.code_interpreter_call.interpreting",
    "response.code_interpreter_call.completed",
    "response.output_item.done",
]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def code(text: str) -> dict[str, Any]:
    """A call of the model's."""
    return {"type": "call", "name": "python", "arguments": {"code": text}}


def said(text: str) -> dict[str, Any]:
    """An answer."""
    return {"type": "text", "text": text}


def model(path: Path, *turns: tuple[str, dict[str, Any]]) -> ModelSettings:
    """A model that does what is behind the first pattern that fits the last thing it was told."""
    return script(path, *({"match": match, "steps": [step]} for match, step in turns))


async def ask(server: Served, text: str, **options: Any) -> Response:
    """An answer of strict type."""
    made = await server.sdk().responses.create(**{"model": MODEL, "input": text, "tools": [AUTO], **options})
    Response.model_validate_json(made.to_json(), strict=True)
    return made


def calls(response: Response) -> list[Any]:
    """Its code items."""
    return [item for item in response.output if item.type == "code_interpreter_call"]


async def test_state_is_kept_between_calls_and_turns_of_a_chain(tmp_path: Path) -> None:
    """One container for the calls of a response and of those that follow it; outputs come only with include."""
    turns = model(
        tmp_path,
        ("^41", said("It is 41.")),
        ("NameError", said("It is not known.")),
        ("^one more", code("x + 1")),
        ("printed nothing", code("x + 1")),
        ("begin", code("x = 40")),
    )
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        first = await ask(server, "begin")
        assert first.output_text == "It is 41."
        assert [(one.code, one.status, one.outputs) for one in calls(first)] == [
            ("x = 40", "completed", None),
            ("x + 1", "completed", None),
        ]
        second = await ask(server, "one more", previous_response_id=first.id, include=OUTPUTS)
        assert len({one.container_id for one in (*calls(first), *calls(second))}) == 1
        assert [one.to_dict() for one in calls(second)[0].outputs] == [{"type": "logs", "logs": "41\n"}]
        other = await ask(server, "one more", include=OUTPUTS)
        assert calls(other)[0].container_id != calls(first)[0].container_id
        assert "NameError" in calls(other)[0].outputs[0].logs


async def test_events_come_in_the_contracts_order(tmp_path: Path) -> None:
    """Each of the SDK's strict type; what is stored is what was streamed; in background and over a WebSocket it is the same."""
    turns = model(tmp_path, ("^42", said("It is 42.")), ("go", code("print(42)")))
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        for background in (False, True):
            stream = await sdk.responses.create(
                model=MODEL, input="go", tools=[AUTO], stream=True, background=background, include=OUTPUTS
            )
            events = [event async for event in stream]
            for event in events:
                EVENT.validate_json(event.to_json(), strict=True)
            kinds = [event.type for event in events]
            begin = kinds.index(EVENTS[0])
            assert kinds[begin : begin + len(EVENTS)] == EVENTS
            final: Any = events[-1]
            assert (await sdk.responses.retrieve(final.response.id)).output == final.response.output
            assert calls(final.response)[0].outputs[0].logs == "42\n"
        async with sdk.responses.connect() as socket:
            await socket.response.create(model=MODEL, input="go", tools=[AUTO])
            seen: list[str] = []
            async for message in socket:
                seen.append(message.type)
                if message.type == "response.completed":
                    break
        assert seen[seen.index(EVENTS[0]) :][: len(EVENTS)] == EVENTS


async def test_a_file_that_the_answer_names_is_cited(tmp_path: Path) -> None:
    """By its path, as a link and by its name; the words stay in the text, and the annotation says where they are."""
    write = "open('sales.csv', 'w').write('1'); open('other.txt', 'w').write('2')"
    answer = "See [sales](sandbox:/mnt/data/sales.csv) or sales.csv, not sales.csvx."
    turns = model(tmp_path, ("Files that were written", said(answer)), ("go", code(write)))
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        found = await ask(server, "go")
        (part,) = found.output[-1].content  # type: ignore[union-attr]  # a message
        notes = part.annotations  # type: ignore[union-attr]  # a text
        assert found.output_text == answer
        assert [answer[one.start_index : one.end_index] for one in notes] == [
            "sandbox:/mnt/data/sales.csv",
            "sales.csv",
        ]
        assert {(one.type, one.filename) for one in notes} == {("container_file_citation", "sales.csv")}
        cited = await server.sdk().containers.files.content.retrieve(
            notes[0].file_id, container_id=notes[0].container_id
        )
        assert await cited.aread() == b"1"


async def test_an_image_is_a_file_and_an_output(tmp_path: Path) -> None:
    """What the standard library writes, and a figure that matplotlib leaves open: shown only where it is asked for."""
    write = f"open('dot.png', 'wb').write({PNG!r})"
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone"
    turns = model(tmp_path, ("png", said("ok")), ("plot", code(plot)), ("go", code(write)))
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        for text, name in (("go", "dot.png"), ("plot", "figure-1-1.png")):
            found = await ask(server, text, include=OUTPUTS)
            (image,) = [one for one in calls(found)[0].outputs if one.type == "image"]
            assert image.url.startswith("data:image/png;name=cfile_")
            work = calls(found)[0].container_id
            (file,) = [
                one async for one in server.sdk().containers.files.list(work) if one.path.endswith(name)
            ]
            data = await server.sdk().containers.files.content.retrieve(file.id, container_id=work)
            assert await data.aread() == base64.b64decode(image.url.partition(",")[2])


async def test_files_of_the_entry_are_there_and_a_named_container_is_used(tmp_path: Path) -> None:
    """``file_ids`` of an auto container; by id, what a client put into it."""
    turns = model(tmp_path, ("^HELLO", said("ok")), ("go", code("print(open('in.txt').read().upper())")))
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        source = await sdk.files.create(file=("in.txt", b"hello auto"), purpose="user_data")
        auto = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [source.id]}}
        found = await ask(server, "go", tools=[auto], include=OUTPUTS)
        assert calls(found)[0].outputs[0].logs == "HELLO AUTO\n"
        work = await container(server)
        await sdk.containers.files.create(work, file=("in.txt", b"hello named"))
        named = {"type": "code_interpreter", "container": work}
        found = await ask(server, "go", tools=[named], include=OUTPUTS)
        assert (calls(found)[0].container_id, calls(found)[0].outputs[0].logs) == (work, "HELLO NAMED\n")
        assert found.tools[0].to_dict()["container"] == work


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"container": "cntr_none"}, "tools[0].container"),
        ({"container": {}}, "tools[0].container.type"),
        ({"container": {"type": "container_auto"}}, "tools[0].container.type"),
        ({"container": {"type": "auto", "memory_limit": "64g"}}, "tools[0].container.memory_limit"),
        ({"container": {"type": "auto", "file_ids": ["file-none"]}}, "tools[0].container.file_ids[0]"),
        ({"container": {"type": "auto", "network_policy": {"type": "allowlist"}}}, "tools[0].container.network_policy"),
        ({"container": {"type": "auto", "colour": 1}}, "tools[0].container.colour"),
        ({"container": {"type": "auto"}, "allowed_callers": ["programmatic"]}, "tools[0].allowed_callers"),
    ],
)  # fmt: skip
async def test_a_wrong_entry_is_refused_with_its_field(
    tmp_path: Path, tool: dict[str, Any], param: str
) -> None:
    """Before the model is asked anything."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
            await ask(server, "x", tools=[{"type": "code_interpreter", **tool}])
    assert caught.value.param == param


async def test_where_the_isolation_is_not_full_code_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool and the shell say what is missing; containers can be made and filled, and run nothing."""
    why = "isolation: none (none; open: tcp_connect); bubblewrap is not installed"
    monkeypatch.setattr("kodo.server.http.containers.runtime.refusal", lambda python: why)
    async with served(settings(tmp_path)) as server:
        shell: Any = {"type": "shell", "environment": {"type": "container_auto"}}
        work = await container(server)
        await server.sdk().containers.files.create(work, file=("a.txt", b"a"))
        with pytest.raises(InvalidRequest, match="bubblewrap is not installed"):
            await python(server, work, "1")
        for call in (ask(server, "x"), ask(server, "x", tools=[shell])):
            with pytest.raises(openai.BadRequestError, match="bubblewrap is not installed") as caught:
                await call
            assert caught.value.code == "unsupported_tool"


async def test_code_that_does_not_end_fails_alone(tmp_path: Path) -> None:
    """It is interrupted, the model is told so and goes on, variables are kept; another container is untouched, and so are the
    server's other requests."""
    turns = model(
        tmp_path,
        ("interrupted", code("print('kept', x)")),
        ("^kept", said("done")),
        ("go", code("x = 5\nwhile True: pass")),
    )
    given = ToolSettings.model_validate({"code_interpreter": {"run_seconds": 3}})
    async with served(settings(tmp_path, turns, tools=given)) as server:
        if await no_containers(server):
            return
        other = await container(server)
        await python(server, other, "y = 1")
        running = asyncio.create_task(ask(server, "go", include=OUTPUTS))
        slowest = 0.0
        while not running.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - began)
        found = await running
        assert [one.status for one in calls(found)] == ["failed", "completed"]
        assert (found.output_text, calls(found)[1].outputs[0].logs) == ("done", "kept 5\n")
        assert await python(server, other, "y") == "1"
        assert slowest < given.code_interpreter.run_seconds, "the event loop stood still"


async def test_a_call_that_is_cancelled_ends_only_its_container(tmp_path: Path) -> None:
    """As ``tools.call_seconds`` and a cancelled response end it: the container's processes are gone, the next call begins anew."""
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        work, other = await container(server), await container(server)
        await python(server, other, "y = 1")
        await python(server, work, "x = 5; open('kept.txt', 'w').write('k')")
        running = asyncio.create_task(python(server, work, "import time; time.sleep(600)"))
        process = manager_of(server)._runtime._running[work].process
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert process is not None and process.process.returncode is not None
        told = await python(server, work, "open('kept.txt').read(), 'x' in globals()")
        assert told.startswith("('k', False)") and "started anew" in told
        assert await python(server, other, "y") == "1"


async def test_the_container_idle_for_longest_makes_room(tmp_path: Path) -> None:
    """No more run than may; the one that was ended begins anew, with its files, and the model is told."""
    given = {"code_interpreter": {"max_running": 1}}
    async with served(settings(tmp_path, tools=given)) as server:
        if await no_containers(server):
            return
        one, two = await container(server), await container(server)
        await python(server, one, "x = 1; open('a.txt', 'w').write('a')")
        await python(server, two, "x = 2")
        told = await python(server, one, "open('a.txt').read(), 'x' in globals()")
        assert told.startswith("('a', False)") and "started anew" in told


async def test_max_tool_calls_bounds_the_code(tmp_path: Path) -> None:
    """The model is offered no more calls, and answers."""
    turns = model(tmp_path, ("printed nothing", said("enough")), ("go", code("None")))
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        found = await ask(server, "go", max_tool_calls=1)
        assert (len(calls(found)), found.output_text) == (1, "enough")
        forced = await ask(server, "go", tool_choice={"type": "code_interpreter"})
        assert len(calls(forced)) == 1


async def test_a_deleted_container_ends_its_call(tmp_path: Path) -> None:
    """What runs in it ends, and the call says so; the response is not lost."""
    turns = model(
        tmp_path,
        ("ended in the middle|No such|has expired", said("gone")),
        ("go", code("import time\ntime.sleep(50)")),
    )
    async with served(settings(tmp_path, turns)) as server:
        if await no_containers(server):
            return
        work = await container(server)
        named: Any = {"type": "code_interpreter", "container": work}
        running = asyncio.create_task(ask(server, "go", tools=[named]))
        while not manager_of(server)._runtime._running.get(work):
            await asyncio.sleep(0.02)
        while manager_of(server)._runtime._running[work].process is None:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        await server.sdk().containers.delete(work)
        done = await running
        assert calls(done)[0].status == "failed"
