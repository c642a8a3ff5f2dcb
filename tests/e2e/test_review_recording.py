"""`kodo review` of a repository whose tests reach the change through helpers, fixtures and objects that no signature shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from kodo_command import Kodo

PROJECT = {
    "pyproject.toml": '[project]\nname = "menu"\nversion = "1"\n\n[tool.pytest.ini_options]\naddopts = "--no-such-option"\n',
    "menu/__init__.py": "from menu.table import Menu, parse\n",
    "menu/table.py": '''"""Menus out of texts."""


class _Row:
    def __init__(self, line, number):
        name, _, price = line.partition(":")
        self.name, self.price, self.number = name.strip(), int(price), number


class Menu:
    """Rows of a text, in a currency."""

    def __init__(self, rows, currency):
        self._rows, self._currency = rows, currency

    def cheapest(self, *, limit=None):
        """The names that cost least."""
        rows = sorted(self._rows, key=lambda row: (row.price, row.name))
        return [f"{row.name} {row.price} {self._currency}" for row in rows][:limit]


def parse(text, currency="EUR"):
    """The menu that a text holds."""
    return Menu([_Row(line, at) for at, line in enumerate(text.splitlines()) if ":" in line], currency)
''',
    "tests/conftest.py": "import pytest\n\nfrom menu import parse\n\n\n@pytest.fixture(params=['soup:3', 'tea:2\\nrice:4'])\ndef menu(request):\n    return parse(request.param)\n",
    "tests/test_menu.py": """class Limit(int):
    pass


def check(menu, limits):
    for limit in limits:
        found = menu.cheapest(limit=Limit(limit))
        assert len(found) <= limit


def test_menu(menu):
    with open("/dev/null") as nothing:
        assert nothing.read() == ""
        check(menu, range(1, 3))
""",
}


def _git(root: Path, *args: str) -> None:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *args], cwd=root, capture_output=True, check=True)


def test_calls_of_running_tests_show_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of equal price: no test has them, and no signature says what a row is; the recorded calls, varied, do."""
    root = tmp_path / "menu"
    for name, text in PROJECT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    _git(root, "init", "-q")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", "base")
    table = root / "menu/table.py"
    table.write_text(table.read_text().replace("(row.price, row.name)", "row.price"))
    monkeypatch.chdir(root)
    kodo = Kodo(tmp_path / "home", "http://127.0.0.1:9/v1")
    run = kodo.run("review", "--no-model", "--format", "json", "--run-seconds", "200")
    report = json.loads(run.stdout)
    assert report["executed"]["recorded"] > 0
    (finding,) = [one for one in report["findings"] if one["rule"] == "kodo/behaviour-changed"]
    assert finding["definition"] == "Menu.cheapest" and "menu.table.parse(" in finding["message"]
    assert finding["severity"] == "info"
    repeat = finding["evidence"]["detail"].partition("repeat in both versions: ")[2]
    assert repeat.startswith("PYTHONPATH=tests ") and "test_menu.Limit(" in repeat
    done = subprocess.run(
        repeat.replace("python ", f"{sys.executable} "),
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"after:  {done.stdout.strip()}" in finding["evidence"]["detail"]
