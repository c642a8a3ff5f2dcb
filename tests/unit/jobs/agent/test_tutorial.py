"""The program of the tutorial on function calling, as it stands on its pages, against a scripted model."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.jobs.agent.test_agent import Calls, one_after_another, outputs

from kodo.client.testing import FakeResponses

PAGES = Path(__file__).parents[4] / "docs" / "tutorial"
MAX_LINES = 40


def programs(page: str) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(), re.DOTALL | re.MULTILINE)


def run_program(folder: Path, page: str, base_url: str, task: str) -> subprocess.CompletedProcess[str]:
    """Run the page's first block in a folder."""
    (folder / "shop_agent.py").write_text(programs(page)[0])
    here = {key: value for key, value in os.environ.items() if not key.startswith(("KODO_", "OPENAI_"))}
    return subprocess.run(
        [sys.executable, "shop_agent.py", task],
        cwd=folder,
        env=here | {"KODO_HOME": str(folder / "home"), "KODO_BASE_URL": base_url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("page", ["function-calling.md", "function-calling.ja.md"])
def test_the_program_asks_the_database_and_orders(tmp_path: Path, page: str) -> None:
    """It is as short as it says, reads, is told of its errors, orders, and prints the answer."""
    assert sum(bool(line.strip()) for line in programs(page)[0].splitlines()) <= MAX_LINES
    calls: Calls = [
        ("stock", '{"article": "plum"}'),
        ("stock", '{"article": "apple"}'),
        ("order", '{"article": "apple", "pieces": 20}'),
    ]
    with FakeResponses(one_after_another(calls)) as server:
        done = run_program(tmp_path, page, server.base_url, "Order apples if fewer than 20 are left.")
        assert done.returncode == 0, done.stderr
        assert (done.stdout, "4 answers, 3 calls, finished" in done.stderr) == ("done\n", True)
        assert [part.removeprefix("error: ") for part in outputs(server.posts[-1])] == [
            "there is no article 'plum'",
            "12",
            "ordered 20 of apple",
        ]
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("select * from orders").fetchall() == [("apple", 20)]


@pytest.mark.parametrize("page", ["function-calling.md", "function-calling.ja.md"])
def test_the_rule_of_the_page_approves_small_orders(page: str) -> None:
    """The second block is a rule for ``approve``."""
    names: dict[str, object] = {}
    exec(programs(page)[1], names)
    rule = names["small_orders"]
    tool = type("Named", (), {"name": "order"})
    assert callable(rule) and [rule(tool, {"pieces": pieces}) for pieces in (50, 51)] == [True, False]
