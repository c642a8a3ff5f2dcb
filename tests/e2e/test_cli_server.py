"""The commands as installed against the real local server: found by its note, started for one command, stopped."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.kodo_command import KODO, Kodo

from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run

ECHO = '[models."codex-mini-latest"]\nengine = "scripted"\n'


@pytest.fixture(scope="module")
def kodo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kodo]:
    """The commands in a home where `kodo serve` runs with an engine that echoes; nothing else is configured."""
    home = tmp_path_factory.mktemp("home")
    (home / "config.toml").write_text(ECHO)
    command = Kodo(home, "")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([KODO, "serve", "--port", "0"], env=command.env, stdout=log, stderr=log)
    try:
        while not (home / "server.json").exists():
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.02)
        yield command
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_running_server_is_found_without_any_setting(kodo: Kodo) -> None:
    """The first call: a question, an answer on stdout, and a local model costs nothing."""
    done = kodo.run("ask", "hello there")
    assert (done.returncode, done.stdout) == (ExitCode.DONE, "hello there\n"), done.stderr
    assert "$0 (list price" in done.stderr


def test_a_dry_run_uses_the_servers_own_count(kodo: Kodo) -> None:
    """Tokens are counted by the model that would read them."""
    done = kodo.run("ask", "hello there", "--dry-run")
    assert "counted by the server" in done.stdout


def test_a_chat_goes_on_in_another_process(kodo: Kodo) -> None:
    """The server keeps the history; undo forks it."""
    assert kodo.run("chat", "--name", "work", stdin="one\ntwo\n").stdout == "one\ntwo\n"
    done = kodo.run("chat", "--resume", "work", stdin="/undo\nthree\n/history\n")
    assert done.stdout == "three\n> one\none\n\n> three\nthree\n\n", done.stderr


def test_a_batch_runs_and_its_results_are_whole_responses(kodo: Kodo, tmp_path: Path) -> None:
    """Fifty requests, fifty results, in the Batch API's format."""
    lines = [{"custom_id": f"r{n}", "body": {"input": f"word {n}"}} for n in range(50)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "out.jsonl"
    done = kodo.run("batch", "run", str(tmp_path / "in.jsonl"), str(out))
    assert done.returncode == ExitCode.DONE, done.stderr
    results = [json.loads(line) for line in out.read_text().splitlines()]
    texts = {
        line["custom_id"]: line["response"]["body"]["output"][0]["content"][0]["text"] for line in results
    }
    assert texts == {f"r{n}": f"word {n}" for n in range(50)}


def test_the_doctor_and_the_usage_report_agree_with_what_was_done(kodo: Kodo) -> None:
    """The server is reachable, and a call is in the ledger under its job."""
    assert kodo.run("ask", "hello").returncode == ExitCode.DONE
    checks = {check["name"]: check for check in json.loads(kodo.run("doctor", "--format", "json").stdout)}
    assert checks["server"]["state"] == "ok", checks
    jobs = {
        row["key"] for row in json.loads(kodo.run("usage", "--by", "job", "--format", "json").stdout)["rows"]
    }
    assert "ask" in jobs


def test_an_unknown_model_is_bad_input_with_the_servers_words(kodo: Kodo) -> None:
    """The 404 of the server is one line and exit code 2."""
    done = kodo.run("ask", "hello", "-m", "no-such-model")
    assert (done.returncode, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert "no-such-model" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_where_nothing_runs_a_server_is_started_for_the_command_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No setting, no server: the answer comes all the same, and no process is left behind."""
    from kodo.client import endpoint

    (tmp_path / "config.toml").write_text(ECHO)
    monkeypatch.setattr(
        endpoint, "DEFAULT_PORT", 1
    )  # a kodo that the tester runs on the usual port is none of ours
    for name in [name for name in os.environ if name.startswith(("KODO_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    started: list[endpoint.StartedServer] = []
    real = endpoint.StartedServer.start

    def start(seconds: float) -> endpoint.StartedServer:
        started.append(real(seconds))
        return started[-1]

    monkeypatch.setattr(endpoint.StartedServer, "start", start)
    assert run(["ask", "hello", "--lang", "ja"]) == ExitCode.DONE
    captured = capsys.readouterr()
    assert captured.out == "hello\n"
    assert "このコマンドの実行中だけ" in captured.err
    (server,) = started
    assert endpoint.find_running() is None
    assert not (tmp_path / "server.json").exists()
    assert server.base_url.startswith("http://127.0.0.1:")
