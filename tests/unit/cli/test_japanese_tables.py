"""Tables and lists that commands print have Japanese headings, and every command is either one of these or named as none."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.paths import REPOSITORY
from tests.unit.cli.test_doctor import FakeSandbox
from tests.weights_files import tiny_gguf

from kodo.cli import doctor_checks
from kodo.cli.doctor import MARKS, TITLES
from kodo.cli.main import build, run
from kodo.cli.registry import LazyCommand
from kodo.server.engines.weights.catalogue import entries
from kodo.server.store.copying import TABLES

WORD = re.compile(r"\b[A-Za-z_]{3,}\b")
DATA: dict[str, str] = {
    "model catalogue": " ".join(
        f"{entry.name} {entry.repo} {entry.licence} {' '.join(entry.uses)} reasoning effort none low medium high XML CPU kodo"
        for entry in entries()
    ),
    "model list": "tiny mit MODELS",
    "keys list": "HINT laptop web project USD",
    "store stats": "API",
    "store prune": "",
    "store copy": " ".join(table.name for table in TABLES),
    "store copy-files": "files containers",
    "usage": "USD UTC",
    "budget show": "run day month repository USD",
    "doctor": "kodo Python Linux codex mini latest HOME usr bin git bubblewrap full none coder small vision model pull "
    + " ".join(entry.name for entry in entries()),
}
"""What each command prints in both languages: names and values. HOME, MODELS and HINT stand for what a test puts there."""
ARGUMENTS = {"store copy": ("SOURCE", "COPY"), "store copy-files": ("SOURCE", "COPY")}
OTHERS = {
    "serve", "worker", "model pull", "model remove", "keys create", "keys revoke", "store export", "ask", "chat", "batch run",
    "review", "ci review", "ci report", "ci init", "ci triage", "ci command", "ci describe", "ci fix", "ci open-fix",
    "tests", "mcp", "fix", "agent", "budget set",
}  # fmt: skip
"""Commands that print no table: an answer, a report, which has tests of its own, or one line of a catalogue."""


def leaves(command: Any, *path: str) -> Iterator[str]:
    """Every command that can be run, by its words."""
    command = command.load() if isinstance(command, LazyCommand) else command
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(path)
    else:
        for name, child in children.items():
            yield from leaves(child, *path, name)


def test_every_command_is_known_here() -> None:
    """A new one is put beside those that print a table, or those that do not."""
    assert set(leaves(build())) == DATA.keys() | OTHERS


@pytest.fixture
def home(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a key, a model, files and no server."""
    monkeypatch.setattr(doctor_checks, "Sandbox", FakeSandbox)
    monkeypatch.setattr("kodo.client.endpoint.find_running", lambda: None)
    assert run(["keys", "create", "laptop", "--project", "web"]) == 0
    assert run(["model", "pull", str(tiny_gguf(tmp_path / "tiny.gguf", licence="mit"))]) == 0
    (own_home / "files").mkdir(exist_ok=True)
    return own_home


def lines(command: str, lang: str, home: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints, without the values that differ from run to run."""
    copy = home.parent / f"copy-{lang}"
    copy.mkdir()
    places = {"SOURCE": str(home), "COPY": str(copy)}
    capsys.readouterr()
    assert (
        run([*command.split(), *(places[word] for word in ARGUMENTS.get(command, ())), "--lang", lang]) == 0
    )
    out = capsys.readouterr().out
    assert run(["keys", "list", "--json"]) == 0
    (key,) = json.loads(capsys.readouterr().out)
    for value, name in ((key["id"], "HINT"), (key["key"], "HINT"), (str(home.parent), "HOME")):
        out = out.replace(value, name)
    return out


@pytest.mark.parametrize("command", DATA)
def test_what_a_table_says_in_both_languages_is_data(
    command: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each other word is of one language; so is each heading."""
    words = {lang: set(WORD.findall(lines(command, lang, home, capsys))) for lang in ("en", "ja")}
    assert words["ja"] - set(WORD.findall(DATA[command])) <= {"HOME", "home", "tiny", "gguf", "ledger"}
    assert words["en"] - words["ja"]


def test_every_check_of_doctor_has_a_title_and_a_mark() -> None:
    """By the source, since many checks need a database; the details come from catalogues."""
    names, states = set(), set()
    for path in sorted((REPOSITORY / "src/kodo/cli").glob("doctor_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Check":
                names.add(ast.literal_eval(node.args[0]))
                state = node.args[1]
                either = [state.body, state.orelse] if isinstance(state, ast.IfExp) else [state]
                states |= {ast.literal_eval(one) for one in either}
    assert len(names) > 10
    for name in names:
        assert TITLES.say("en", name) == name
        assert TITLES.say("ja", name)
    assert {MARKS.say("ja", str(state)) for state in states} == {"正常", "警告", "失敗"}


def test_no_command_says_an_error_of_others_in_english() -> None:
    """An error goes into a message by ``Output.error``, which says it in the reader's language."""
    found = []
    for path in sorted((REPOSITORY / "src/kodo/cli").glob("*.py")):
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
                continue
            raw = {handler.name, f"str({handler.name})", f"{handler.name}.message"}
            for call in ast.walk(handler):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
                    (".say", ".note", ".warn", "Check")
                ):
                    values = [*call.args, *(keyword.value for keyword in call.keywords)]
                    found += [f"{path.name}:{call.lineno}" for one in values if ast.unparse(one) in raw]
    assert found == []
