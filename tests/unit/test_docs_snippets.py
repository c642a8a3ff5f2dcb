"""The code that pages show holds: Python parses, settings load, command lines are those of kodo, READMEs show the same."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.paths import DOCS, REPOSITORY
from tests.unit.test_docs import name_of

from kodo.ci.policy import parse_policy
from kodo.cli.main import build
from kodo.cli.registry import LazyCommand
from kodo.client import settings as client_settings
from kodo.jobs.review.settings import load_settings
from kodo.server import config

PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"", "sh", "bash", "console"}
COMMAND = re.compile(r"(?:\$ )?(?:\w+=\S* )*(?:\S*/)?kodo |.*\| *(?:\S*/)?kodo ")
OF_OTHERS = {"docs/guides/clients.md", "docs/guides/mcp-tools.md"}
"""Pages whose settings are those of other programs."""


def blocks(page: Path, *kinds: str) -> list[str]:
    """The fenced code of a page that is of these kinds."""
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def with_blocks(*kinds: str) -> list[Path]:
    """The pages that have code of these kinds."""
    return [page for page in PAGES if blocks(page, *kinds)]


@pytest.mark.parametrize("page", with_blocks("python", "json"), ids=name_of)
def test_python_and_json_parse(page: Path) -> None:
    """A bracket that is missing is seen here; JSON Lines are as many documents."""
    for text in blocks(page, "python"):
        compile(text, name_of(page), "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for text in blocks(page, "json"):
        try:
            json.loads(text)
        except ValueError:
            assert [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    "page", [page for page in with_blocks("toml") if name_of(page) not in OF_OTHERS], ids=name_of
)
def test_settings_load(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page shows them: in config.toml by both halves, in pyproject.toml by the job that they are for."""
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    for text in blocks(page, "toml"):
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
        table = tomllib.loads(text)
        if "tool" not in table:
            config.load()
            for profile in (None, *table.get("profiles", ())):
                client_settings.load(profile)
        elif "ci" in table["tool"]["kodo"]:
            parse_policy(text)
        else:
            load_settings(lambda _, text=text: text)


def command_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of each ``kodo`` that a page shows, without what a shell makes of the rest of the line; 1 for each
    of its variables."""
    for text in blocks(page, *SHELLS):
        for line in text.replace("\\\n", " ").splitlines():
            if not COMMAND.match(line):
                continue
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            parts: list[list[str]] = [[]]
            for word in lexer:
                if set(word) <= set("|&;<>"):
                    parts.append([])
                else:
                    parts[-1].append(word)
            for part in parts:
                while part and re.fullmatch(r"\w+=.*", part[0]):
                    part.pop(0)
                if part and part[0].rpartition("/")[2] == "kodo":
                    yield [re.sub(r"\$\w+", "1", word) for word in part[1:]]


@pytest.mark.parametrize("page", [page for page in PAGES if [*command_lines(page)]], ids=name_of)
def test_commands_are_those_of_kodo(page: Path) -> None:
    """Each is parsed as it stands, and not run: its name, its options and how many arguments it takes."""
    wrong = []
    for arguments in command_lines(page):
        command: Any = build()
        rest = list(arguments)
        try:
            while (children := getattr(command, "commands", None)) is not None and rest[:1] != ["--help"]:
                command = children[rest.pop(0)]
                command = command.load() if isinstance(command, LazyCommand) else command
            if "--help" not in rest and "--version" not in rest:
                command.make_context("kodo", rest).close()
        except (LookupError, typer.TyperException) as error:
            wrong.append((arguments, str(error)))
    assert wrong == []


def test_the_readmes_show_the_same_code() -> None:
    """But for comments and the picture of the tree; the Japanese one may show more."""

    def shown(name: str) -> set[str]:
        found = BLOCK.findall((REPOSITORY / name).read_text(encoding="utf-8"))
        code = [re.sub(r"\s+# .*|\s+#.*", "", text).strip() for _, text in found]
        return {text for text in code if not text.startswith("src/kodo/")}

    assert len(shown("README.md")) > 5
    assert shown("README.md") <= shown("README.ja.md")


def used(code: str) -> set[str]:
    """What Python code uses of a library: the names of its calls, of their arguments, and of what dicts have."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            names.add(ast.unparse(node.func))
            names |= {keyword.arg or "**" for keyword in node.keywords}
        elif isinstance(node, ast.Dict):
            names |= {ast.unparse(key) for key in node.keys if key is not None}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {re.sub(r"(['\"]).*?\1\.", "text.", name) for name in names}


def without_words(text: str) -> str:
    """Commands or settings without what is written in a language: comments, and what stands in quotes with white space."""
    text = re.sub(r"(?:^|\s+)(?:#|//) .*", "", text, flags=re.MULTILINE)
    return re.sub(r"([\"'])(?:(?!\1).)*(?:\s|[^\x00-\x7f])(?:(?!\1).)*\1", '""', text).strip()


TWINS = {page: page.with_name(page.name.replace(".ja.", ".")) for page in DOCS.rglob("*.ja.md")}


@pytest.mark.parametrize("page", sorted(page for page, twin in TWINS.items() if twin.exists()), ids=name_of)
def test_a_japanese_page_shows_the_code_of_the_english_one(page: Path) -> None:
    """In its order; it may leave out a block, and options of calls."""
    english = BLOCK.findall(TWINS[page].read_text(encoding="utf-8"))
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        while english:
            other, original = english.pop(0)
            if kind != other:
                continue
            if kind == "python" and used(text) - {"text.encode"} <= used(original):
                break
            if kind != "python" and without_words(text) == without_words(original):
                break
        else:
            raise AssertionError(f"the English page does not show this:\n{text}")
