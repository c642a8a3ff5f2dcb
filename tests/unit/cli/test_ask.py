"""`kodo ask`, run in this process against a server on a real socket."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.faults.faults import Cut, FailEvent, Fault, Refuse
from tests.faults.server import FaultServer

from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run
from kodo.client.ledger import Ledger


@pytest.fixture(autouse=True)
def no_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is piped in, unless a test says so."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def test_the_answer_is_streamed_to_stdout_and_the_cost_told_on_stderr(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """stdout holds the answer and nothing else."""
    assert run(["ask", "hello there"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert captured.out == "echo: hello there\n"
    assert "2 + 2 tokens" in captured.err
    assert server.record.calls[0].streamed


def test_quiet_says_nothing_but_the_answer(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """-q is for scripts."""
    assert run(["ask", "hello", "-q"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("echo: hello\n", "")


def test_files_and_stdin_are_context(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model sees holds the file under its name, the pipe, and the question."""
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("boom\n"))
    assert (
        run(["ask", "Explain", "-f", str(path), "-s", "Be brief.", "-m", "mini", "--max-output-tokens", "7"])
        == 0
    )
    (call,) = server.record.calls
    assert call.text == f"{path}:\n```\nx = 1\n```\n\nstdin:\n```\nboom\n```\n\nExplain"
    assert (call.body["instructions"], call.body["model"], call.body["max_output_tokens"]) == (
        "Be brief.",
        "mini",
        7,
    )


def test_any_parameter_of_the_request_can_be_set(server: FaultServer) -> None:
    """JSON or text, a dotted name is a field of an object; the last of a name counts."""
    given = [
        "temperature=0.5",
        "temperature=0.2",
        "reasoning.effort=low",
        "reasoning.summary=auto",
        "user=a=b",
        "store=false",
    ]
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]
    given.append(f"tools={json.dumps(tools)}")
    assert run(["ask", "hello", "-q", *(word for each in given for word in ("--set", each))]) == ExitCode.DONE
    body = server.record.calls[0].body
    assert {name: body[name] for name in ("temperature", "reasoning", "user", "store", "tools")} == {
        "temperature": 0.2,
        "reasoning": {"effort": "low", "summary": "auto"},
        "user": "a=b",
        "store": False,
        "tools": tools,
    }


@pytest.mark.parametrize(
    "given", ["temperature", "=1", "a b=1", "model=x", "input=[]", "stream=true", "text=1"]
)
def test_a_parameter_that_cannot_be_set_is_named(
    given: str, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and nothing is sent; also where two of them contradict each other."""
    more = ["--set", "text.verbosity=low"] if given == "text=1" else []
    assert run(["ask", "hello", "--set", given, *more]) == ExitCode.BAD_INPUT
    assert "--set" in capsys.readouterr().err
    assert server.record.calls == []


def test_json_is_the_whole_response(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: every field of the Response, as one JSON object."""
    assert run(["ask", "hello", "--json"]) == ExitCode.DONE
    response = json.loads(capsys.readouterr().out)
    assert (response["object"], response["status"], response["usage"]["output_tokens"]) == (
        "response",
        "completed",
        2,
    )


@pytest.mark.parametrize("where", [[], ["-o", "out.py"]])
def test_code_is_only_the_code(
    where: list[str],
    server: FaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fences and chatter around them are gone, streamed or written to a file."""
    monkeypatch.chdir(tmp_path)
    assert run(["ask", "sure\n```python\nx = 1\n```\nthat is all", "--code", *where]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert (Path("out.py").read_text() if where else out) == "x = 1\n"


def test_a_file_gets_the_answer_whole_and_keeps_its_permissions(
    server: FaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """-o replaces the file in one step; stdout stays empty."""
    path = tmp_path / "answer.txt"
    path.write_text("old")
    path.chmod(0o600)
    assert run(["ask", "hello", "-o", str(path)]) == ExitCode.DONE
    assert path.read_text() == "echo: hello\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == ""
    assert [found.name for found in tmp_path.iterdir() if found.name != "home"] == ["answer.txt"]


def test_a_dry_run_sends_nothing(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Tokens and cost on stdout, in the language asked for; no call in the ledger."""
    assert (
        run(
            [
                "ask",
                "hello",
                "--dry-run",
                "--lang",
                "ja",
                "--base-url",
                "https://api.invalid/v1",
                "-m",
                "codex-mini-latest",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "入力: 約" in out
    assert "費用" in out
    assert server.record.calls == []
    with Ledger() as ledger:
        assert ledger.query("SELECT count(*) FROM calls") == [(0,)]


def test_a_recording_is_replayed_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same bytes on stdout, nothing listening, and no key in the file."""
    tape = tmp_path / "tape.jsonl"
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-abcdefghijklmnopqrstuvwxyz")
        assert run(["ask", "hello", "--base-url", server.base_url, "--record", str(tape)]) == ExitCode.DONE
    first = capsys.readouterr().out
    assert run(["ask", "hello", "--replay", str(tape)]) == ExitCode.DONE
    assert capsys.readouterr().out == first == "echo: hello\n"
    assert "sk-proj" not in tape.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask"], "PROMPT"),
        (["ask", "x", "--json", "--code"], "--json and --code"),
        (["ask", "x", "-f", "/nonexistent"], "/nonexistent"),
        (["ask", "x", "--record", "a", "--replay", "b"], "--record and --replay"),
        (["ask", "x", "--replay", "/nonexistent"], "/nonexistent"),
        (["ask", "x", "--profile", "nobody"], "nobody"),
        (["ask", "x", "--lang", "fr"], "--lang"),
        (["ask", "x", "-o", "/nonexistent/file"], "-o /nonexistent/file"),
        (["ask", "x", "--max-output-tokens", "0"], "--max-output-tokens"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    arguments: list[str], said: str, server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on stdout, no traceback."""
    assert run(arguments) == ExitCode.BAD_INPUT
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("fault", "code", "out"),
    [
        (Refuse(400, "model_not_found", kind="invalid_request_error"), ExitCode.BAD_INPUT, ""),
        (Refuse(401, "invalid_api_key"), ExitCode.BAD_INPUT, ""),
        (Refuse(429, "insufficient_quota"), ExitCode.SERVER, ""),
        (Refuse(500), ExitCode.SERVER, ""),
        (Cut(events=5), ExitCode.SERVER, "echo: \n"),
        (FailEvent(), ExitCode.SERVER, "echo: \n"),
    ],
)
def test_a_failure_of_the_server_has_its_own_code(
    fault: Fault,
    code: ExitCode,
    out: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What arrived stays on stdout with its line ended; the reason is one line on stderr."""
    monkeypatch.setenv("KODO_MAX_RETRIES", "0")
    with FaultServer(lambda call: fault) as server:
        assert run(["ask", "hello", "--base-url", server.base_url]) == code
    captured = capsys.readouterr()
    assert captured.out == out
    assert captured.err.startswith("kodo: ")
    assert len(captured.err.splitlines()) == 1


def test_a_budget_that_is_too_small_sends_nothing(
    server: FaultServer, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, and the server was not asked."""
    arguments = ["ask", "hello", "-m", "codex-mini-latest", "--max-cost", "0.000001"]
    own_home.mkdir()
    (own_home / "config.toml").write_text("[client]\nfree = false\n")
    assert run(arguments) == ExitCode.BUDGET
    assert "budget per run" in capsys.readouterr().err
    assert server.record.calls == []


def test_a_secret_is_masked_before_it_leaves_and_told(
    server: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server never sees the token."""
    secret = "ghp_" + "a1B2" * 9
    assert run(["ask", f"why does {secret} not work?"]) == ExitCode.DONE
    assert secret not in json.dumps(server.record.calls[0].body)
    assert "masked" in capsys.readouterr().err
