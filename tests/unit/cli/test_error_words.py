"""What commands print on their own has a Japanese form, and so has every error that can reach one."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.paths import REPOSITORY
from tests.unit.jobs.report.test_reasons import built

from kodo.cli.error_words import in_lang, phrases
from kodo.cli.main import run

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")
RAISED_IN = (
    "cli",
    "ci",
    "client",
    "jobs",
    "sandbox",
    "server/config",
    "server/engines/weights",
    "server/store/blobs",
    "server/store/choice.py",
    "server/store/copying.py",
    "server/store/lock.py",
    "server/store/postgres",
    "server/store/schema.py",
    "server/store/sqlite.py",
    "server/http/admin.py",
    "server/http/serve.py",
)
"""Modules whose errors reach the user of a command."""
KEPT_INSIDE = (
    "ci/testing",
    "jobs/execution/worker",
    "jobs/fix/patch_text.py",
    "jobs/fix/toolbox.py",
    "jobs/review/inside",
    "jobs/review/javascript",
    "jobs/testgen/__init__.py",
)
"""Parts of these that no user hears: a forge for tests, what runs in the sandbox, what a model is told, what is caught next
to where it is raised."""
NOT_FOR_USERS = {"AssertionError", "TypeError", "RuntimeError", "ToolError", "psycopg.OperationalError"}
"""A mistake of the calling program, or words for the model."""
FOR_CALLERS = {
    "client/i18n.py",
    "client/phrases.py",
    "client/retry.py",
    "client/throttle.py",
    "client/ledger.py",
    "client/usage_tracker.py",
    "client/session.py",
    "cli/mcp_tools.py",
}
"""Modules whose ValueErrors only a program can cause: no command passes such values on."""
WRITERS = {"typer.echo", "sys.stderr.write", "sys.stdout.write", "print", "print_note"}
PLAIN = {"cli/progress.py", "cli/mcp_stdio.py"}
"""``progress`` is handed its words; ``mcp_stdio`` writes a protocol."""


def modules(*places: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules in these places of the source, by their path."""
    for place in places:
        path = REPOSITORY / "src/kodo" / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = str(file.relative_to(REPOSITORY / "src/kodo"))
            if not name.startswith(KEPT_INSIDE):
                yield name, ast.parse(file.read_text(encoding="utf-8"))


def errors() -> Iterator[tuple[str, str]]:
    """Every English error of the source that has no Japanese beside it, by its place."""
    for name, tree in modules(*RAISED_IN):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            kind = ast.unparse(node.exc.func)
            if kind in NOT_FOR_USERS or (kind == "ValueError" and name in FOR_CALLERS):
                continue
            texts = [text for argument in node.exc.args for text in built(argument)]
            if not any(JAPANESE.search(text) for text in texts):
                yield from ((f"{name}:{node.lineno}", text) for text in texts)


def english_in(text: str) -> bool:
    """Whether English words are left in a Japanese text, beside commands that it quotes."""
    return bool(ENGLISH.search(re.sub(r"`.*?`|pip install \S+", "", text)))


def test_a_full_port_is_said_in_japanese() -> None:
    """The address stays as it is written."""
    english = "Cannot listen on 127.0.0.1:8000: Address already in use. Choose another --port."
    assert in_lang(english, "ja") == (
        "127.0.0.1:8000 で待ち受けできません: このアドレスはすでに使われています。--port に別の番号を指定してください"
    )


def test_every_error_that_reaches_a_command_is_said_in_japanese() -> None:
    """However it is put together; a new one without a row is named here."""
    found = list(errors())
    assert len(found) > 120
    assert [(place, text) for place, text in found if english_in(in_lang(text, "ja"))] == []


def test_a_command_writes_no_english_of_its_own() -> None:
    """Its words are in a catalogue, which has both languages; only what is data is written as it is."""
    found = [
        (f"{name}:{node.lineno}", text)
        for name, tree in modules("cli")
        if name not in PLAIN
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in WRITERS
        for argument in node.args
        for text in built(argument)
        if re.search(r"[a-z]{3,} [a-z]{2,}", text)
    ]
    assert found == []


def test_every_row_is_japanese() -> None:
    """Japanese words stand on the right, and none of the full stops of the left."""
    for english, japanese in phrases().rows.items():
        assert JAPANESE.search(japanese), english
        assert not re.search(r"[^.…]\.$", japanese), english


def _settings(text: str, *argv: str) -> Callable[[Path], list[str]]:
    def make(home: Path) -> list[str]:
        (home / "config.toml").write_text(text)
        return list(argv)

    return make


def _batch(*lines: str) -> Callable[[Path], list[str]]:
    def make(home: Path) -> list[str]:
        (home / "in.jsonl").write_text("\n".join(lines) + "\n")
        return ["batch", "run", str(home / "in.jsonl"), str(home / "out.jsonl")]

    return make


def _plain(*argv: str) -> Callable[[Path], list[str]]:
    return lambda home: [word.replace("HOME", str(home)) for word in argv]


CASES = {
    "not TOML": (_settings("[", "serve"), "is not valid TOML", "正しい TOML ではありません"),
    "unknown": (_settings("prot = 1\n", "serve"), "Unknown setting prot", "prot という設定はありません"),
    "type": (_settings('port = "x"\n', "serve"), "Setting port: Input", "設定 port: 整数"),
    "keys settings": (_settings('port = "x"\n', "keys", "list"), "Setting port", "設定 port: 整数"),
    "client": (_settings("[client]\ntimeout = -1\n", "ask", "hi"), "timeout: Input", "timeout: 0 より大きい"),
    "profile": (_plain("ask", "hi", "--profile", "none"), "profile: 'none'", "profile: 'none' は"),
    "tls": (_plain("serve", "--tls-cert", "x"), "TLS needs both", "TLS には"),
    "public": (_plain("serve", "--host", "0.0.0.0"), "without an API key", "API キーなしで"),
    "no key": (_plain("keys", "revoke", "key_none"), "No key has the id", "のキーはありません"),
    "two names": (_plain("keys", "create", "a", "--name", "b"), "mutually exclusive", "同時に指定"),
    "no model": (_plain("model", "remove", "nope"), "no local model is called 'nope'", "ローカルモデルは"),
    "source": (_plain("model", "pull", "nope"), "catalogue (coder", "カタログの名前（coder"),
    "no file": (_plain("model", "pull", "HOME/nope.gguf"), "no such file", "ファイルがありません"),
    "no chat": (_plain("chat", "--resume", "none"), "no chat is saved", "保存された会話はありません"),
    "chat name": (_plain("chat", "--name", "a/b"), "is not 1 to 64", "1～64 文字"),
    "batch": (_batch("{"), "not JSON", "JSON ではありません"),
    "batch field": (_batch('{"custom_id": 1}'), "custom_id: Expected", "custom_id: `str` であるべき"),
    "batch id": (_batch('{"custom_id": "", "body": {}}'), "custom_id: is empty", "custom_id: 空です"),
    "batch input": (_batch('{"custom_id": "a", "body": {}}'), "body.input: is missing", "body.input: ない"),
    "no batch": (_plain("batch", "run", "HOME/none", "HOME/out"), "No such file", "ファイルまたはフォルダーがありません"),
    "store": (_plain("store", "copy", "HOME/none", "HOME/other"), "There is no", "にありません"),
    "ask file": (_plain("ask", "hi", "-f", "HOME/none"), "cannot read", "読み込めません"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "english", "japanese"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_one_line_in_the_language_of_the_reader(
    make: Callable[[Path], list[str]],
    english: str,
    japanese: str,
    own_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By KODO_LANG and by --lang; the name of what is wrong is in both."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    own_home.mkdir(exist_ok=True)
    for lang, said in (("en", english), ("ja", japanese)):
        monkeypatch.setenv("KODO_LANG", lang)
        assert run(make(own_home)) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert said in line
        assert bool(JAPANESE.search(line)) is (lang == "ja"), line
        assert lang == "en" or not english_in(line), line


@pytest.mark.parametrize(
    ("lang", "made", "gone"),
    [("en", "store the key now", "revoked key"), ("ja", "今すぐ保管", "失効させました")],
)
def test_keys_are_made_and_revoked_in_the_language_of_the_reader(
    lang: str, made: str, gone: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is said beside the key, by --lang; the key alone is on stdout."""
    assert run(["keys", "create", "x", "--lang", lang]) == 0
    said = capsys.readouterr()
    assert made in said.err
    assert run(["keys", "revoke", said.err.split("、")[0].split(",")[0], "--lang", lang]) == 0
    assert gone in capsys.readouterr().err
    assert run(["store", "stats", "--lang", lang]) == 0
    assert bool(JAPANESE.search(capsys.readouterr().out)) is (lang == "ja")


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        (
            "'x' is not in /h/config.toml (there: none)",
            "'x' は /h/config.toml にありません（登録はありません）",
        ),
        (
            "'x' is not in /h/config.toml (there: a, b)",
            "'x' は /h/config.toml にありません（登録済み: a, b）",
        ),
    ],
)
def test_a_word_for_nothing_is_no_name(english: str, japanese: str) -> None:
    """``none`` in a list of names is said in Japanese too; names stay as they are."""
    assert in_lang(english, "ja") == japanese


def test_the_process_that_holds_a_home_is_named_in_japanese() -> None:
    """The word as well as its number."""
    said = "Another kodo server (process 12) is using this KODO_HOME. Stop it first, or set KODO_HOME to another folder."
    assert in_lang(said, "ja").startswith("別の kodo サーバー（プロセス 12）が")
