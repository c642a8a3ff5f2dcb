"""``shell`` with a container as its environment: the server runs the commands; every other shell is the client's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.containers import container, no_containers
from tests.serving import MODEL, script, served, settings

from kodo.server.engines.actions import built_in
from kodo.server.wire.tools import ShellTool

AUTO: Any = {"type": "shell", "environment": {"type": "container_auto"}}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def shell(*commands: str, **more: Any) -> dict[str, Any]:
    """A call of the model's."""
    return {"type": "call", "name": "shell", "arguments": {"commands": list(commands), **more}}


def turns(path: Path, *commands: str, **more: Any) -> Any:
    """A model that runs commands, then answers."""
    return script(
        path,
        {"match": r"^\$ ", "steps": [{"type": "text", "text": "It is in out.txt."}]},
        {"match": ".", "steps": [shell(*commands, **more)]},
    )


async def test_commands_run_in_the_container_that_code_has(tmp_path: Path) -> None:
    """Output, errors and exit codes of each; files are shared with the Python of the chain, and cited."""
    model = script(
        tmp_path,
        {"match": r"^\$ ", "steps": [{"type": "text", "text": "It is in out.txt."}]},
        {"match": "^Files that were written", "steps": [{"type": "text", "text": "written"}]},
        {"match": "code", "steps": [{"type": "call", "name": "python", "arguments": {"code": "open('in', 'w').write('7\\n'); None"}}]},
        {"match": ".", "steps": [shell("cat in | tee out.txt", "echo bad >&2; exit 3", "python3 -c 'print(1+1)'")]},
    )  # fmt: skip
    async with served(settings(tmp_path, model)) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        code: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
        first = await sdk.responses.create(model=MODEL, input="code", tools=[code])
        made = await sdk.responses.create(
            model=MODEL, input="go", tools=[AUTO], previous_response_id=first.id
        )
        Response.model_validate_json(made.to_json(), strict=True)
        call, output, message = made.output
        assert call.type == "shell_call" and output.type == "shell_call_output"
        assert call.environment is not None and call.environment.type == "container_reference"
        assert call.environment.container_id == first.output[0].container_id  # type: ignore[union-attr]
        assert [(one.stdout, one.stderr, one.outcome.to_dict()) for one in output.output] == [
            ("7\n", "", {"type": "exit", "exit_code": 0}),
            ("", "bad\n", {"type": "exit", "exit_code": 3}),
            ("2\n", "", {"type": "exit", "exit_code": 0}),
        ]
        assert output.call_id == call.call_id
        (note,) = message.content[0].annotations  # type: ignore[union-attr]
        assert (note.type, note.filename) == ("container_file_citation", "out.txt")
        assert made.tools[0].to_dict() == {**AUTO}
        stored = await sdk.responses.retrieve(made.id)
        assert stored.output == made.output
        # what a client sends back itself is a call with its output to the model
        back: Any = [*(item.to_dict() for item in made.output), {"role": "user", "content": "code"}]
        again = await sdk.responses.create(model=MODEL, input=back, tools=[code])
        assert again.output_text == "written"


async def test_its_events_are_the_contracts(tmp_path: Path) -> None:
    """Commands before, outputs in their own item, each of strict type; a command over its time is a timeout."""
    model = turns(tmp_path, "echo one", "echo two; sleep 60", timeout_ms=1500, max_output_length=100)
    async with served(settings(tmp_path, model)) as server:
        if await no_containers(server):
            return
        stream = await server.sdk().responses.create(model=MODEL, input="go", tools=[AUTO], stream=True)
        events = [event async for event in stream]
    for event in events:
        EVENT.validate_json(event.to_json(), strict=True)
    kinds = [event.type.removeprefix("response.") for event in events]
    begin = kinds.index("output_item.added")
    command = ["shell_call_command.added", "shell_call_command.delta", "shell_call_command.done"]
    content = ["shell_call_output_content.delta", "shell_call_output_content.done"]
    assert kinds[begin : begin + 14] == [
        "output_item.added", *command, *command, "output_item.done", "output_item.added", *content, *content, "output_item.done",
    ]  # fmt: skip
    final: Any = events[-1]
    output = final.response.output[1]
    assert [(one.stdout, one.outcome.type) for one in output.output] == [
        ("one\n", "exit"),
        ("two\n", "timeout"),
    ]
    assert output.max_output_length == 100
    places = [
        event.output_index for event in events if event.type == "response.shell_call_output_content.done"
    ]
    assert places == [1, 1]


async def test_a_command_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    """A NUL in it: an exit code and words of its own, and the container lives on."""
    model = script(
        tmp_path,
        {"match": r"^\$ ", "steps": [{"type": "text", "text": "ran"}]},
        {"match": "^7$", "steps": [{"type": "text", "text": "kept"}]},
        {"match": "set", "steps": [{"type": "call", "name": "python", "arguments": {"code": "x = 7"}}]},
        {"match": "get", "steps": [{"type": "call", "name": "python", "arguments": {"code": "x"}}]},
        {"match": ".", "steps": [shell("echo a\0b", "echo after")]},
    )
    async with served(settings(tmp_path, model)) as server:
        if await no_containers(server):
            return
        sdk = server.sdk()
        code: Any = {"type": "code_interpreter", "container": {"type": "auto"}}
        first = await sdk.responses.create(model=MODEL, input="set", tools=[code])
        container: str = first.output[0].container_id  # type: ignore[union-attr,assignment]
        named: Any = {
            "type": "shell",
            "environment": {"type": "container_reference", "container_id": container},
        }
        made = await sdk.responses.create(model=MODEL, input="go", tools=[named], store=False)
        output: Any = made.output[1]
        assert [(one.stdout, one.stderr, one.outcome.to_dict()) for one in output.output] == [
            (
                "",
                "The command could not be started: embedded null byte.\n",
                {"type": "exit", "exit_code": 126},
            ),
            ("after\n", "", {"type": "exit", "exit_code": 0}),
        ]
        code["container"] = container
        again = await sdk.responses.create(model=MODEL, input="get", tools=[code])
        assert again.output_text == "kept"


async def test_other_shells_stay_the_clients(tmp_path: Path) -> None:
    """Without an environment, with a local one, and ``local_shell``: the call ends the response, and nothing runs here."""
    async with served(settings(tmp_path)) as server:
        for tool in (
            {"type": "shell"},
            {"type": "shell", "environment": {"type": "local"}},
            {"type": "local_shell"},
        ):
            listed: Any = [tool]
            made = await server.sdk().responses.create(
                model=MODEL, input="x", tools=listed, tool_choice="none"
            )
            assert made.tools[0].type == tool["type"]
        assert (await server.sdk().containers.list()).data == []


async def test_a_choice_of_the_shell_means_the_one_that_is_offered(tmp_path: Path) -> None:
    """``tool_choice: shell`` forces the hosted one in the first turn, beside functions of the client's."""
    function: Any = {"type": "function", "name": "f", "parameters": None, "strict": False}
    async with served(settings(tmp_path, turns(tmp_path, "true"))) as server:
        if await no_containers(server):
            return
        for choice in (
            {"type": "shell"},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "shell"}]},
        ):
            chosen: Any = choice
            made = await server.sdk().responses.create(
                model=MODEL, input="go", tools=[function, AUTO], tool_choice=chosen
            )
            assert made.output[0].type == "shell_call"
            assert made.to_dict()["tool_choice"] == choice


@pytest.mark.parametrize(
    ("environment", "param"),
    [
        ({"type": "container_reference", "container_id": "cntr_none"}, "tools[0].environment.container_id"),
        ({"type": "container_reference"}, "tools[0].environment.container_id"),
        ({"type": "container_auto", "memory_limit": "64g"}, "tools[0].environment.memory_limit"),
        ({"type": "container_auto", "skills": [{"type": "skill_reference"}]}, "tools[0].environment.skills"),
        (None, "tools[0].type"),
    ],
)
async def test_a_wrong_environment_is_refused_with_its_field(
    tmp_path: Path, environment: Any, param: str
) -> None:
    """Before the model is asked; the server's own name of the tool is none of the contract's."""
    tool: Any = {"type": "shell", "environment": environment}
    if environment is None:
        tool = {"type": "container_shell", "environment": {"type": "container_auto"}}
    async with served(settings(tmp_path)) as server:
        if await no_containers(server):
            return
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
            await server.sdk().responses.create(model=MODEL, input="x", tools=[tool])
        assert caught.value.param == param
        assert (await server.sdk().containers.list()).data == []


SKILL = {"name": "tidy", "description": "Tidies a folder.", "path": "/skills/tidy"}


@pytest.mark.parametrize(
    ("environment", "param"),
    [
        ({"type": "cloud"}, "tools[1].environment.type"),
        ({}, "tools[1].environment.type"),
        ("local", "tools[1].environment"),
        ({"type": "local", "cwd": "/"}, "tools[1].environment.cwd"),
        ({"type": "local", "skills": [{"name": "tidy"}]}, "tools[1].environment.skills[0].description"),
    ],
)
async def test_an_environment_of_no_known_kind_is_refused(
    tmp_path: Path, environment: Any, param: str
) -> None:
    """A shell that nobody would run where the client said is none."""
    tools: Any = [{"type": "apply_patch"}, {"type": "shell", "environment": environment}]
    async with served(settings(tmp_path)) as server:
        with pytest.raises(openai.BadRequestError) as caught:
            await server.sdk().responses.create(model=MODEL, input="x", tools=tools)
    assert caught.value.param == param


@pytest.mark.parametrize("skills", [[SKILL], [], None])
async def test_skills_of_a_local_shell_are_told_to_the_model(tmp_path: Path, skills: Any) -> None:
    """Name, place and description stand in the tool's own description, on every engine; the tool is echoed."""
    environment = {"type": "local"} | ({} if skills is None else {"skills": skills})
    name, description, _ = built_in(ShellTool(environment=environment))
    assert name == "shell"
    assert ("- tidy (/skills/tidy): Tidies a folder." in description) is bool(skills)
    listed: Any = [{"type": "shell", "environment": environment}]
    async with served(settings(tmp_path)) as server:
        made = await server.sdk().responses.create(model=MODEL, input="x", tools=listed, tool_choice="none")
    assert made.to_dict()["tools"] == listed


async def test_a_named_container_is_used(tmp_path: Path) -> None:
    """``container_reference`` by id, with the files that the client put there."""
    async with served(settings(tmp_path, turns(tmp_path, "cat a.txt"))) as server:
        if await no_containers(server):
            return
        work = await container(server)
        await server.sdk().containers.files.create(work, file=("a.txt", b"here"))
        tool: Any = {
            "type": "shell",
            "environment": {"type": "container_reference", "container_id": work},
        }
        made = await server.sdk().responses.create(model=MODEL, input="go", tools=[tool])
        assert made.output[1].output[0].stdout == "here"  # type: ignore[union-attr,index]
