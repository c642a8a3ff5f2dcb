"""The frame of the command line: help, exit codes, what is imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from tests.paths import REPOSITORY

from kodo.cli import main as entry
from kodo.cli.exit_codes import CommandError, ExitCode
from kodo.cli.main import COMMANDS
from kodo.cli.options import JobOptions
from kodo.cli.registry import LazyCommand

ROOT = REPOSITORY

HEAVY = (
    "openai",
    "httpx2",
    "pydantic",
    "msgspec",
    "rich",
    "matplotlib",
    "prompt_toolkit",
    "asyncio",
    "sqlite3",
)
OURS = (
    "kodo.client.errors",
    "kodo.client.session",
    "kodo.client.settings",
    "kodo.jobs",
    "kodo.server.http",
    "kodo.server.engines",
    "kodo.server.store",
    "kodo.server.lifecycle",
    "kodo.ci",
)


def modules_after(arguments: str) -> set[str]:
    """The modules that a fresh process has loaded after one command line."""
    program = (
        "import sys, json\n"
        "from kodo.cli.main import run\n"
        f"code = run({arguments.split()!r})\n"
        "print('\\n' + json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


@pytest.mark.parametrize("arguments", ["--help", "--version", "-h"])
def test_help_imports_neither_the_sdk_nor_the_engine_nor_any_command(arguments: str) -> None:
    """What makes `kodo --help` fast: only typer and the table of commands are loaded."""
    loaded = modules_after(arguments)
    commands = {module for _, module, _ in COMMANDS}
    assert not loaded & (set(HEAVY) | set(OURS) | commands)


def test_every_command_of_the_table_loads_and_explains_itself() -> None:
    """No line of the table names a module that is missing or has no app."""
    for name, module, help_line in COMMANDS:
        command = LazyCommand(name, module, help_line).load()
        assert command.name == name
        assert command.help


def test_help_lists_every_command_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The table is what the user sees."""
    assert entry.run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, _, help_line in COMMANDS:
        assert f"{name} {help_line}" in shown


def test_a_wrong_command_is_bad_input_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error costs one line on stderr."""
    assert entry.run(["doctr"]) == ExitCode.BAD_INPUT
    captured = capsys.readouterr()
    assert "Did you mean 'doctor'" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_offers_the_commands(shell: str) -> None:
    """The completion function of each shell gets the names that begin with what was typed."""
    kodo = Path(sys.executable).with_name("kodo")
    words = {
        "COMP_WORDS": "kodo do",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "kodo do",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [kodo],
        env={"_KODO_COMPLETE": f"complete_{shell}", **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "doctor" in done.stdout


class Boom:
    """Stands in for a command module whose command raises."""

    def __init__(self, error: BaseException) -> None:
        self.app = typer.Typer()

        @self.app.command()
        def boom() -> None:
            raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CommandError("no such file: x", ExitCode.BAD_INPUT), 2, "kodo: no such file: x\n"),
        (CommandError("gone", ExitCode.SERVER), 5, "kodo: gone\n"),
        (KeyboardInterrupt(), 130, "kodo: interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), 70, "Traceback"),
        (ValueError("a defect"), 70, "Traceback"),
    ],
)
def test_an_error_becomes_one_line_and_its_code(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Errors for the user have no traceback; a defect has one, and a code that is not mistaken for findings."""
    monkeypatch.setattr("kodo.cli.registry.import_module", lambda name: Boom(error))
    assert entry.run([COMMANDS[0][0]]) == code
    assert capsys.readouterr().err.startswith(said)


def test_an_output_that_nobody_reads_is_not_taken_for_findings(tmp_path: Path) -> None:
    """The command ends without a word, and with the status that the shell gives to SIGPIPE."""
    kodo = Path(sys.executable).with_name("kodo")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [kodo, "usage"],
        env={**os.environ, "KODO_HOME": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert done.returncode == ExitCode.OUTPUT_CLOSED
    assert "kodo:" not in done.stderr and "Traceback" not in done.stderr


def _unread(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The status of a command line whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        return entry.run(argv)


@pytest.mark.parametrize(("name", "module"), [row[:2] for row in COMMANDS], ids=[row[0] for row in COMMANDS])
def test_help_that_nobody_reads_ends_quietly(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a command and of the commands inside it: no traceback, no word, and the status for a closed output."""
    inner = getattr(LazyCommand(name, module, "").load(), "commands", {})
    for argv in ([name, "--help"], *([name, one, "--help"] for one in inner)):
        assert _unread(argv, monkeypatch) == ExitCode.OUTPUT_CLOSED
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["model", "catalogue"], ["model", "list"], ["usage"]],
    ids=" ".join,
)  # fmt: skip
def test_lists_that_nobody_reads_end_quietly(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in ``kodo model catalogue | head -1``."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    assert _unread(argv, monkeypatch) == ExitCode.OUTPUT_CLOSED
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_that_nobody_reads_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong option, with both outputs closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stderr", closed)
        assert entry.run(["model", "--nonsense"]) == ExitCode.OUTPUT_CLOSED


def test_the_documented_exit_codes_are_the_real_ones() -> None:
    """docs/reference/cli.md has one row for each code, with its name and number, and no other."""
    table = re.findall(
        r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs" / "reference" / "cli.md").read_text(), re.MULTILINE
    )
    assert {(int(number), name) for number, name in table} == {(code.value, code.name) for code in ExitCode}
    assert len({code.value for code in ExitCode}) == len(ExitCode)


def test_every_command_and_shared_option_is_documented() -> None:
    """docs/reference/cli.md has a row for each command of the table and for each option that jobs share."""
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert re.findall(r"^\| `kodo (\w+)` \|", text, re.MULTILINE) == [name for name, _, _ in COMMANDS]
    options = {"--" + item.name.replace("_", "-") for item in fields(JobOptions)}
    assert options == set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE))


def test_a_usage_error_is_one_line_that_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong options look like every other error and say where the right ones are listed."""
    assert entry.run(["budget", "set", "--nonsense"]) == ExitCode.BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("kodo: No such option: --nonsense")
    assert error.endswith(" (see kodo budget set --help)\n")
    assert error.count("\n") == 1


def test_kodo_alone_shows_the_help_and_asks_for_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command nothing is done: the help goes to stderr, and the exit code says bad input."""
    assert entry.run([]) == ExitCode.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.err.startswith("Usage: kodo")
    assert captured.out == ""


def test_no_module_imports_a_private_part_of_typer() -> None:
    """typer may change its private modules in any release."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    assert [
        str(path) for path in files if "typer._" in (text := path.read_text()) or "typer import _" in text
    ] == []
