"""Containers over ``kill -9``: nothing of them keeps running, their files stay, and a call that was cut off is not made again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from tests.crash.process import start
from tests.serving import MODEL

from kodo.server.http.containers.runtime import refusal

TOOL: Any = {"type": "code_interpreter", "container": {"type": "auto"}}


def code(text: str) -> list[dict[str, Any]]:
    """A turn that runs code."""
    return [{"type": "call", "name": "python", "arguments": {"code": text}}]


TURNS = [
    {"match": "^again", "steps": [{"type": "text", "text": "over"}]},
    {"match": "may or may not", "steps": code("import os\nprint('again', os.listdir('.'))")},
    {"match": "^first", "steps": code("open('begun.txt', 'w')\nimport time\ntime.sleep(600)")},
    {"match": "go", "steps": code("print('first')\nx = open('kept.txt', 'w').write('kept')")},
]


def running(mark: str) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_kill_in_the_middle_of_code(tmp_path: Path) -> None:
    """The processes end with the server; the call has failed, once, and the model is told; the container has expired with the
    files of the call before; the next call gets a new one."""
    size = 2**26 + os.getpid()  # found again in the command line of the sandbox
    tools = {"code_interpreter": {"disk_bytes": size}, "call_seconds": 300}
    (tmp_path / "script.json").write_text(json.dumps({"turns": TURNS}))
    server = start(tmp_path / "home", tmp_path / "script.json", tools=tools)
    try:
        if refusal(None):
            with pytest.raises(openai.BadRequestError, match="runs no code"):
                server.sdk().responses.create(model=MODEL, input="go", tools=[TOOL])
            return
        seen: list[Any] = []
        begun = 0
        stream = server.sdk().responses.create(
            model=MODEL, input="go", tools=[TOOL], stream=True, background=True
        )
        for event in stream:
            seen.append(event.to_dict())
            begun += event.type == "response.code_interpreter_call.interpreting"
            if begun == 2:
                break
        time.sleep(0.5)
        assert running(str(size))
        server.kill()
        deadline = time.monotonic() + 60
        while running(str(size)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running(str(size)) == []
        server = start(tmp_path / "home", tmp_path / "script.json", tools=tools)
        sdk = server.sdk()
        name = seen[0]["response"]["id"]
        rest = sdk.responses.retrieve(name, stream=True, starting_after=seen[-1]["sequence_number"])
        events = [*seen, *(event.to_dict() for event in rest)]
        final = sdk.responses.retrieve(name)
        Response.model_validate_json(final.to_json(), strict=True)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        items = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
        assert len(items) == len(set(items)) == 4
        first, cut, again = final.output[:3]
        assert [one.status for one in (first, cut, again)] == ["completed", "failed", "completed"]  # type: ignore[union-attr]
        assert final.output_text == "over"
        old, new = first.container_id, again.container_id  # type: ignore[union-attr]
        assert cut.container_id == old != new  # type: ignore[union-attr]
        assert [sdk.containers.retrieve(one).status for one in (old, new)] == ["expired", "running"]
        (file,) = list(sdk.containers.files.list(old))
        assert file.path == "/mnt/data/kept.txt"
        assert sdk.containers.files.content.retrieve(file.id, container_id=old).read() == b"kept"
        assert list(sdk.containers.files.list(new)) == []
    finally:
        server.kill()
