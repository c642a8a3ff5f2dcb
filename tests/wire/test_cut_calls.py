"""A call of a shell or a patch that is cut: valid for strict clients at every character, and never taken for a whole one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.serving import MODEL, Served, script, served, settings
from tests.unit.server.lifecycle.parts import initial_response
from tests.wire.spec import check_response, check_stream, read_sse

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.actions import parse_action
from kodo.server.lifecycle.ports import CallDelta, CallStart
from kodo.server.lifecycle.response_fold import ResponseFold
from kodo.server.wire import events as ev

WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "local_shell": ("local_shell", {"command": ["rm", "-rf", "/tmp/a \"b\" {[,:"], "env": {"A": "b", "C": "d"}, "timeout_ms": 1500}),
    "shell": ("shell", {"commands": ["cd /tmp", "echo '\\u00e9\n👋'"], "timeout_ms": None, "max_output_length": 100}),
    "create": ("apply_patch", {"type": "create_file", "path": "a/b.py", "diff": "+1\n+\"2\"\n"}),
    "update": ("apply_patch", {"path": "a/b.py", "type": "update_file", "diff": "@@\n-1\n+2\n"}),
    "delete": ("apply_patch", {"type": "delete_file", "path": "a/b.py"}),
}  # fmt: skip
HOLDS = {"local_shell": "action", "shell": "action", "apply_patch": "operation"}


def _fold(kind: str, text: str, status: Any) -> list[dict[str, Any]]:
    """The events of a call with these arguments, as they cross the wire."""
    fold = ResponseFold(initial_response())
    events = fold.start()
    reason = "max_output_tokens" if status == "incomplete" else None
    for entry in (
        event_log.Began(),
        CallStart(call_id="call_1", name=kind, kind=kind),
        CallDelta(text=text),
        event_log.Ended(status=status, at=1.0, reason=reason),
    ):
        events.extend(fold.feed(entry))
    return read_sse(b"".join(ev.sse(event) for event in events))


def _parts(value: Any) -> list[Any]:
    """Everything in a value that is no container, and the names in it."""
    if isinstance(value, dict):
        return [part for name, inner in value.items() for part in (name, *_parts(inner))]
    if isinstance(value, list):
        return [part for inner in value for part in _parts(inner)]
    return [value]


@pytest.mark.parametrize(("escaped", "indent"), [(True, 1), (False, None)])
@pytest.mark.parametrize("name", WHOLE)
def test_cut_at_every_character_it_is_valid_and_says_that_it_is_cut(
    name: str, escaped: bool, indent: int | None
) -> None:
    """Both judges take every event; the item is never `completed`, and has only values that were whole."""
    kind, whole = WHOLE[name]
    text = json.dumps(whole, ensure_ascii=escaped, indent=indent)
    allowed = [
        "type",
        "exec",
        "update_file",
        "command",
        "commands",
        "env",
        "path",
        "diff",
        "",
        *_parts(whole),
    ]
    for end in range(len(text) + 1):
        events = _fold(kind, text[:end], "incomplete")
        check_stream(events)
        final = events[-1]["response"]
        (item,) = final["output"]
        assert final["status"] == "incomplete"
        assert item["status"] == ("in_progress" if kind == "apply_patch" else "incomplete")
        assert all(part in allowed for part in _parts(item[HOLDS[kind]])), text[:end]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_it_is_what_the_model_said(name: str) -> None:
    """With nothing added but what the contract wants of a local shell."""
    kind, whole = WHOLE[name]
    events = _fold(kind, json.dumps(whole), "completed")
    check_stream(events)
    (item,) = events[-1]["response"]["output"]
    added = {"type": "exec"} if kind == "local_shell" else {}
    assert item["status"] == "completed"
    assert item[HOLDS[kind]] == {**added, **whole}


def test_the_values_that_were_whole_are_there() -> None:
    """Commands so far; half a command, half a number and half a path are left out."""
    said = {
        ("shell", '{"commands":["a","b","c'): {"commands": ["a", "b"]},
        ("shell", '{"commands":["a"'): {"commands": ["a"]},
        ("shell", '{"commands":["a"],"timeout_ms":10'): {"commands": ["a"]},
        ("shell", '{"commands":["a"],"timeout_ms":10,'): {"commands": ["a"], "timeout_ms": 10},
        ("local_shell", '{"command":["ls"],"env":{"A":"b","C'): {"type": "exec", "command": ["ls"], "env": {"A": "b"}},
        ("local_shell", ""): {"type": "exec", "command": [], "env": {}},
        ("apply_patch", '{"type":"delete_file","path":"/home'): {"type": "delete_file", "path": ""},
        ("apply_patch", '{"type":"create_file","path":"/home","di'): {"type": "create_file", "path": "/home", "diff": ""},
        ("apply_patch", '{"type":"crea'): {"type": "update_file", "path": "", "diff": ""},
    }  # fmt: skip
    for (kind, text), shown in said.items():
        assert parse_action(kind, text) == (shown, False)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("shell", ""),
        ("shell", "ls -l"),
        ("shell", "[1]"),
        ("shell", '{"command":["ls"]}'),
        ("shell", '{"commands":"ls"}'),
        ("shell", '{"commands":["ls",1]}'),
        ("shell", '{"commands":["ls"]]}'),
        ("shell", '{"commands":["ls"],"timeout_ms":"soon"}'),
        ("shell", '{"commands":["\\ud800"]}'),
        ("shell", '{"commands":' + "[" * 5_000),
        ("local_shell", '{"type":"spawn","command":["ls"]}'),
        ("local_shell", '{"command":["ls"],"env":{"A":1}}'),
        ("apply_patch", '{"path":"a","diff":"b"}'),
        ("apply_patch", '{"type":"move_file","path":"a","diff":"b"}'),
        ("apply_patch", '{"type":["create_file"],"path":"a","diff":"b"}'),
        ("apply_patch", '{"type":"delete_file"}'),
    ],
)
def test_arguments_that_are_none_are_not_a_whole_call_either(kind: str, text: str) -> None:
    """A model behind an upstream server may write anything and end there: valid for strict clients, and not completed."""
    events = _fold(kind, text, "completed")
    check_stream(events)
    (item,) = events[-1]["response"]["output"]
    assert item["status"] == ("in_progress" if kind == "apply_patch" else "incomplete")


async def _answer(server: Served, tool: str, cap: int) -> list[dict[str, Any]]:
    body = {"model": MODEL, "input": "go", "tools": [{"type": tool}], "max_output_tokens": cap}
    async with server.http() as http:
        events = read_sse((await http.post("/v1/responses", json={**body, "stream": True})).content)
        plain = (await http.post("/v1/responses", json=body)).json()
        kept = (await http.get(f"/v1/responses/{plain['id']}")).json()
    check_stream(events)
    check_response(plain)
    assert kept == plain
    shown = {"local_shell": "action", "shell": "action", "apply_patch": "operation"}[tool]
    assert [item.get(shown) for item in plain["output"]] == [
        item.get(shown) for item in events[-1]["response"]["output"]
    ]
    return events


@pytest.mark.parametrize("name", ["local_shell", "shell", "update"])
async def test_over_http_a_cap_cuts_it(name: str, tmp_path: Path) -> None:
    """Plain, streamed and stored, with each cap up to the whole call; a cut one is taken back as input."""
    kind, whole = WHOLE[name]
    steps = [{"type": "call", "name": kind, "kind": kind, "arguments": whole}]
    model = script(tmp_path, {"match": "^go$", "steps": steps}, {"match": "", "steps": []})
    async with served(settings(tmp_path / "home", model)) as server:
        cap, final = 0, {"status": "incomplete"}
        while final["status"] != "completed":
            cap += 1
            final = (await _answer(server, kind, cap))[-1]["response"]
            assert cap < 100
            for item in final["output"]:
                assert (item["status"] == "completed") is (final["status"] == "completed")
            if cap == 5:
                again = await server.sdk().responses.create(
                    model=MODEL, input=[*final["output"], {"role": "user", "content": "x"}]
                )
                assert again.status == "completed"
        assert cap > 5
