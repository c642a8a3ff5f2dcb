"""The agent's loop against a scripted Responses API: calls, refusals, limits, and a run that continues from its journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kodo.client.ledger import Ledger
from kodo.client.session import Session
from kodo.client.testing import FakeResponses, ReceivedRequest, Reply
from kodo.jobs.agent import Agent, AgentLimits, Journal, JournalError, Tool, ToolError, allow, tool
from kodo.jobs.agent.loop import ELIDED
from kodo.jobs.agent.user_tools import UserToolsError, load_tools

Calls = list[tuple[str, str]]


def call_reply(*calls: tuple[str, str], start: int = 0) -> Reply:
    """An answer that calls tools, each with the text of its arguments."""
    output = [
        {
            "id": f"fc_{start + at}",
            "type": "function_call",
            "call_id": f"call_{start + at}",
            "name": name,
            "arguments": text,
            "status": "completed",
        }
        for at, (name, text) in enumerate(calls)
    ]
    return Reply(response={"output": output})


def one_after_another(calls: Calls) -> Callable[[ReceivedRequest], Reply]:
    """A script that makes the calls one a step and then says ``done``."""

    def reply(seen: ReceivedRequest) -> Reply:
        made = sum(1 for item in seen.body["input"] if item.get("type") == "function_call")
        return call_reply(calls[made], start=made) if made < len(calls) else Reply(text="done")

    return reply


@pytest.fixture
def session_of(tmp_path: Path) -> Iterator[Callable[[FakeResponses], Session]]:
    """Makes sessions with a ledger of their own."""
    made: list[Session] = []

    def make(server: FakeResponses) -> Session:
        ledger = Ledger(tmp_path / f"ledger-{len(made)}.db")
        made.append(Session(base_url=server.base_url, ledger=ledger))
        return made[-1]

    yield make
    for session in made:
        session.close()


@tool
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: the first one.
        b: the second one.
    """
    return a + b


def outputs(seen: ReceivedRequest) -> list[str]:
    """The tool results in a request."""
    return [item["output"] for item in seen.body["input"] if item.get("type") == "function_call_output"]


def test_a_function_becomes_a_tool_with_its_hints_and_texts() -> None:
    """Types come from hints, texts from the docstring, and arguments are checked before the function runs."""
    assert add.declaration == {
        "type": "function",
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "the first one."},
                "b": {"type": "integer", "default": 1, "description": "the second one."},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
        "strict": False,
    }
    assert add.run({"a": 2}) == "3"
    with pytest.raises(ToolError, match="a: "):
        add.run({"a": "x"})


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda *x: x, lambda **x: x],
)
def test_a_function_without_hints_is_refused(function: Callable[..., Any]) -> None:
    """A parameter that a model cannot be told about ends in a TypeError that names it."""
    with pytest.raises(TypeError, match="'x'"):
        tool(name="f")(function)


def test_calls_run_and_the_answer_ends_the_run(session_of: Callable[[FakeResponses], Session]) -> None:
    """Results go back to the model in the order of the calls; the answer without a call is the result."""
    with FakeResponses(
        [call_reply(("add", '{"a": 1}'), ("add", '{"a": 5, "b": 5}')), Reply(text="done")]
    ) as server:
        result = Agent(session_of(server), [add]).run("count")
        assert outputs(server.posts[1]) == ["2", "10"]
    assert (result.text, result.stop, result.asked, result.calls) == ("done", "finished", 2, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("nothing", "{}"), "there is no tool 'nothing'"),
        (("add", '{"a": '), "not JSON"),
        (("add", "[1]"), "not an object"),
        (("add", '{"b": 1}'), "a: Field required"),
        (("burst", "{}"), "burst raised ZeroDivisionError"),
        (("wipe", "{}"), "was not approved"),
    ],
)
def test_a_call_that_cannot_be_done_is_an_error_for_the_model(
    session_of: Callable[[FakeResponses], Session], call: tuple[str, str], said: str
) -> None:
    """No call ends the run: the model is told what was wrong with it."""

    @tool
    def burst() -> int:
        """Fail."""
        return 1 // 0

    wiped: list[int] = []

    @tool(effect="write")
    def wipe() -> str:
        """Change something."""
        wiped.append(1)
        return "gone"

    with FakeResponses([call_reply(call), Reply(text="done")]) as server:
        result = Agent(session_of(server), [add, burst, wipe]).run("try")
        assert said in outputs(server.posts[1])[0]
    assert result.stop == "finished" and not wiped


def test_an_approved_tool_writes(session_of: Callable[[FakeResponses], Session]) -> None:
    """A tool that the rule names runs."""

    @tool(effect="write")
    def wipe() -> str:
        """Change something."""
        return "gone"

    with FakeResponses(one_after_another([("wipe", "{}")])) as server:
        result = Agent(session_of(server), [wipe], approve=allow(["wipe"])).run("try")
        assert outputs(server.posts[1]) == ["gone"] and result.refused == 0


def test_limits_end_a_run(session_of: Callable[[FakeResponses], Session]) -> None:
    """The same call with the same result again and again, and the number of steps, end the run and are said."""
    many = [("add", json.dumps({"a": n})) for n in range(9)]
    with FakeResponses(one_after_another([("add", '{"a": 1}')] * 9)) as server:
        assert Agent(session_of(server), [add]).run("x").stop == "loop"
    with FakeResponses(one_after_another(many)) as server:
        result = Agent(session_of(server), [add], limits=AgentLimits(steps=4)).run("x")
    assert (result.stop, result.asked) == ("steps", 4)


def test_long_results_are_cut_and_old_ones_left_out(session_of: Callable[[FakeResponses], Session]) -> None:
    """One result keeps its head and tail, and the history keeps the newest results."""

    @tool
    def text(letter: str) -> str:
        """A long text."""
        return letter * 1000

    limits = AgentLimits(result_characters=300, history_characters=700)
    calls = [("text", json.dumps({"letter": letter})) for letter in "abc"]
    with FakeResponses(one_after_another(calls)) as server:
        Agent(session_of(server), [text], limits=limits).run("x")
        first, second, third = outputs(server.posts[3])
    assert first == ELIDED and "700 characters left out" in second and third.startswith("cccc")


def test_a_run_continues_from_every_moment(
    session_of: Callable[[FakeResponses], Session], tmp_path: Path
) -> None:
    """Cut after any entry, the run ends the same way, repeats no answered request and no finished call."""
    ran: list[Mapping[str, Any]] = []

    def run_note(arguments: Mapping[str, Any]) -> str:
        ran.append(arguments)
        return "noted"

    note = Tool("note", "Note a number.", {"type": "object"}, run_note, "write", repeatable=True)
    calls = [("add", '{"a": 1}'), ("note", '{"n": 2}'), ("add", '{"a": 3}')]
    whole = tmp_path / "whole.jsonl"
    with FakeResponses(one_after_another(calls)) as server, Journal(whole) as journal:
        Agent(session_of(server), [add, note], approve=allow(["*"])).run("x", journal)
    lines = whole.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 4 + 2 * 3 + 1
    for cut in range(1, len(lines)):
        part = tmp_path / f"part-{cut}.jsonl"
        part.write_text("".join(lines[:cut]) + lines[cut][:7])
        ran.clear()
        with FakeResponses(one_after_another(calls)) as server, Journal(part) as journal:
            result = Agent(session_of(server), [add, note], approve=allow(["*"])).run("x", journal)
            answered = sum('"kind": "answer"' in line for line in lines[:cut])
            assert len(server.posts) == 4 - answered
            keys = {post.headers["idempotency-key"] for post in server.posts}
            assert len(keys) == len(server.posts)
        assert (result.text, result.calls) == ("done", 3)
        assert len(ran) == (0 if any('"noted"' in line for line in lines[:cut]) else 1)


def test_a_call_that_writes_is_not_repeated(
    session_of: Callable[[FakeResponses], Session], tmp_path: Path
) -> None:
    """A call that a crash cut off and that is not repeatable becomes an error that the model sees."""

    def never(arguments: Mapping[str, Any]) -> str:
        raise AssertionError("it ran twice")

    pay = Tool("pay", "Pay.", {"type": "object"}, never, "write")
    path = tmp_path / "journal.jsonl"
    with FakeResponses([call_reply(("pay", "{}"))]) as server, Journal(path) as journal:
        limits = AgentLimits(steps=1)
        Agent(session_of(server), [pay], approve=allow(["*"]), limits=limits).run("x", journal)
    kept = [
        line
        for line in path.read_text().splitlines(keepends=True)
        if '"result"' not in line and '"end"' not in line
    ]
    path.write_text("".join(kept))
    with FakeResponses([Reply(text="done")]) as server, Journal(path) as journal:
        Agent(session_of(server), [pay], approve=allow(["*"])).run("x", journal)
        assert "the process ended while this call ran" in outputs(server.posts[0])[0]


def test_a_journal_is_of_one_process_and_one_task(
    session_of: Callable[[FakeResponses], Session], tmp_path: Path
) -> None:
    """A second process, another task, and a file that is no journal are refused in one line."""
    path = tmp_path / "journal.jsonl"
    with FakeResponses([Reply(text="done")]) as server, Journal(path) as journal:
        with pytest.raises(JournalError, match="another process"), Journal(path):
            pass
        Agent(session_of(server), [add]).run("x", journal)
        with pytest.raises(JournalError, match="another task"):
            Agent(session_of(server), [add]).run("y", journal)
    path.write_text("not a journal\n")
    with pytest.raises(JournalError, match="line 1"), Journal(path):
        pass


def test_a_judge_sends_the_model_back(session_of: Callable[[FakeResponses], Session]) -> None:
    """What the judge says is the user's next message; None ends the run."""
    said = iter(["not yet", None])
    with FakeResponses([Reply(text="one"), Reply(text="two")]) as server:
        result = Agent(session_of(server), [add]).run("x", judge=lambda: next(said))
        assert server.posts[1].body["input"][-1]["content"] == "not yet"
    assert (result.text, result.asked) == ("two", 2)


def test_a_stream_that_breaks_is_asked_for_again(session_of: Callable[[FakeResponses], Session]) -> None:
    """A stream cut in the middle costs another request, not the run."""
    with FakeResponses([Reply(text="one two three", cut_after=2), Reply(text="done")]) as server:
        result = Agent(session_of(server), [add]).run("x")
        keys = {post.headers["idempotency-key"] for post in server.posts}
    assert len(keys) == 1 and result.asked == 1


def test_a_file_of_functions_is_a_set_of_tools(tmp_path: Path) -> None:
    """A plain function needs an approval, one under ``@tool`` says what it does; others are left alone."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from os.path import join\nfrom kodo.jobs.agent import tool\n\n"
        "def send(text: str) -> str:\n    '''Send a text.'''\n    return text\n\n"
        "@tool\ndef look(path: str) -> str:\n    '''Look.'''\n    return path\n\ndef _own(): ...\n"
    )
    assert [(one.name, one.effect) for one in load_tools(file)] == [("send", "write"), ("look", "read")]
    for name, said in (("nowhere.py", "there is no such file"), ("", "is not a Python file")):
        with pytest.raises(UserToolsError, match=said):
            load_tools(tmp_path / name)
    file.write_text("x = 1\n")
    with pytest.raises(UserToolsError, match="has no tool"):
        load_tools(file)
    file.write_text("1 / 0\n")
    with pytest.raises(UserToolsError, match="ZeroDivisionError"):
        load_tools(file)
