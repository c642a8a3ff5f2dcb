"""`kodo chat` with lines piped in, and the conversation itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.faults.faults import Refuse
from tests.faults.server import FaultServer

from kodo.cli.chat_repl import MESSAGES, ChatRepl
from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run
from kodo.cli.output import Output
from kodo.client.session import Session
from kodo.jobs.generate.chat import Chat


def chat(monkeypatch: pytest.MonkeyPatch, lines: str, *arguments: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    return run(["chat", *arguments])


def test_each_line_is_a_turn_that_goes_on_from_the_last(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers on stdout; the second call names the first response; instructions go with every turn."""
    assert chat(monkeypatch, "one\n\ntwo\n", "-s", "Be kind.") == ExitCode.DONE
    assert capsys.readouterr().out == "echo: one\necho: two\n"
    first, second = server.record.calls
    assert "previous_response_id" not in first.body
    assert second.body["previous_response_id"] == "resp_1"
    assert [call.body["instructions"] for call in server.record.calls] == ["Be kind."] * 2


def test_undo_goes_back_to_the_turn_before(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn after /undo goes on from the one before the undone one."""
    assert chat(monkeypatch, "one\ntwo\n/undo\nthree\n") == ExitCode.DONE
    assert [call.body.get("previous_response_id") for call in server.record.calls] == [
        None,
        "resp_1",
        "resp_1",
    ]


def test_a_chat_is_saved_by_name_and_resumed(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process goes on from the last turn and knows what was said."""
    assert chat(monkeypatch, "one\n", "--name", "work") == ExitCode.DONE
    assert chat(monkeypatch, "/history\ntwo\n", "--resume", "work") == ExitCode.DONE
    assert server.record.calls[1].body["previous_response_id"] == "resp_1"
    assert "> one\necho: one\n" in capsys.readouterr().out


def test_a_chat_can_be_named_while_it_runs(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """/save keeps what was said so far, /chats lists it."""
    assert chat(monkeypatch, "one\n/save later\n/chats\n") == ExitCode.DONE
    assert capsys.readouterr().out == "echo: one\nlater\n"


def test_nothing_is_read_after_quit(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """/quit ends it."""
    assert chat(monkeypatch, "/quit\none\n") == ExitCode.DONE
    assert server.record.calls == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/undo", "nothing to undo"),
        ("/dance", "unknown command /dance"),
        ("/save", "needs a name"),
        ("/save ../x", "chat name"),
        ("/help", "/undo"),
        ("/history", "the conversation is empty"),
        ("/chats", "no saved chats"),
    ],
)
def test_a_command_that_cannot_be_done_says_so_and_the_chat_goes_on(
    line: str,
    said: str,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stderr; the next line is a turn as usual."""
    assert chat(monkeypatch, f"{line}\none\n") == ExitCode.DONE
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == "echo: one\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "nobody"], "nobody"),
        (["--name", "../x"], "chat name"),
        (["--resume", "a", "--name", "b"], "--resume"),
    ],
)
def test_a_wrong_name_is_bad_input(
    arguments: list[str],
    said: str,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, before anything is sent."""
    assert chat(monkeypatch, "one\n", *arguments) == ExitCode.BAD_INPUT
    assert said in capsys.readouterr().err
    assert server.record.calls == []


def test_piped_in_a_failed_turn_ends_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script must not go on with a conversation that has a hole."""
    with FaultServer(lambda call: Refuse(400) if call.text == "one" else None) as server:
        assert chat(monkeypatch, "one\ntwo\n", "--base-url", server.base_url) == ExitCode.BAD_INPUT
    assert len(server.record.calls) == 1


def test_at_the_terminal_a_failed_turn_is_told_and_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """The user sees why and goes on from the last good turn."""
    with (
        FaultServer(lambda call: Refuse(400) if call.text == "two" else None) as server,
        Session(base_url=server.base_url, api_key="k") as session,
    ):
        repl = ChatRepl(Chat(session), Output(MESSAGES, "en"))
        assert [repl.handle(line) for line in ("one", "two", "three", "/quit")] == [True, True, True, False]
    assert capsys.readouterr().out == "echo: one\necho: three\n"
    assert server.record.calls[2].body["previous_response_id"] == "resp_1"


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The turn is not kept; the next one is asked as if it had not been."""
    with Session() as session:
        talk = Chat(session)

        def interrupted(self: Chat, text: str) -> object:
            yield "half an "
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Chat, "stream", interrupted)
            repl = ChatRepl(talk, Output(MESSAGES, "ja"))
            assert repl.handle("one")
        assert repl.handle("two")
    captured = capsys.readouterr()
    assert captured.out == "half an \necho: two\n"
    assert "中断しました" in captured.err
    assert len(server.record.calls) == 1


def test_a_dry_run_estimates_each_turn(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked of the model."""
    assert chat(monkeypatch, "one\n", "--dry-run", "--base-url", "https://api.invalid/v1") == ExitCode.DONE
    assert "input: about" in capsys.readouterr().out
    assert server.record.calls == []


def test_a_saved_chat_can_be_read_by_its_owner_only(
    server: FaultServer, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said is private."""
    assert chat(monkeypatch, "one\n", "--name", "work") == ExitCode.DONE
    (path,) = (own_home / "chats").glob("*.json")
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(path.read_text())["turns"][0]["said"] == "one"
