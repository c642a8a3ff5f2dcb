"""Which tests are run first for their calls, and that a run gives them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from pathlib import Path

import msgspec
import pytest

from kodo.jobs.execution.model import Call
from kodo.jobs.execution.worker.jobs import ModuleLocation, Record
from kodo.jobs.execution.worker.record import _ordered


def _item(path: str, name: str, *names: str) -> types.SimpleNamespace:
    """What is looked at of a test: its file, its name without its row, the names in its code."""
    code = types.SimpleNamespace(co_names=names)
    return types.SimpleNamespace(
        path=Path(path), name=name, originalname=name, function=types.SimpleNamespace(__code__=code)
    )


def test_files_take_turns_and_tests_that_name_the_change_come_first():
    """Of a test with rows one row comes before the second rows of others."""
    rows = [_item("a.py", "far"), _item("a.py", "near", "price"), _item("a.py", "near", "price")]
    many = [_item("b.py", f"test_{number}") for number in range(30)]
    found = _ordered([*rows, *many], frozenset({"price"}))
    assert found[:3] == [rows[1], rows[2], rows[0]]
    assert found[3:] == many
    assert _ordered([*many, *rows], frozenset())[:13] == [*many[:12], rows[0]]


def _recorded(root: Path, job: Record) -> list[Call]:
    (root / "job.json").write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker.record", str(root / "job.json")],
        env={**os.environ, "KODO_PROJECT": str(root)},
        capture_output=True,
        check=True,
    )
    return [msgspec.json.decode(line, type=Call) for line in done.stdout.splitlines()]


def test_no_test_is_begun_after_the_end(tmp_path):
    """The time that the start and the imports take counts too."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    begun = tmp_path / "begun"
    (tmp_path / "v" / "test_shop.py").write_text(
        f"import shop\n\ndef test_a():\n    open({str(begun)!r}, 'w')\n    shop.price(1)\n"
    )
    where = ModuleLocation("shop.py", ".", "shop", "", ("price",))
    name = "test_shop.py"
    job = Record("v", where, (name,), (name,), ("price",), ("price",), time.monotonic() + 0.01)
    assert _recorded(tmp_path, job) == [] and not begun.exists()


def test_a_run_gives_calls_also_where_tests_fail_do_not_end_or_end_the_process(tmp_path):
    """What tests say does not matter; the calls until an end of the process are there."""
    (tmp_path / "v" / "tests").mkdir(parents=True)
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    (tmp_path / "v" / "tests" / "test_shop.py").write_text(
        "import os\nimport shop\n\ndef test_a():\n    assert shop.price(1) == 2\n"
        "\ndef test_b():\n    shop.price(2)\n    while True:\n        pass\n"
        "\ndef test_c():\n    shop.price(3)\n\ndef test_d():\n    os._exit(3)\n"
    )
    where = ModuleLocation("shop.py", ".", "shop", "", ("price",))
    name = "tests/test_shop.py"
    job = Record("v", where, (name,), (name,), ("price",), ("price",), time.monotonic() + 60)
    calls = _recorded(tmp_path, job)
    assert [(call.function, call.expression, call.args[0].source) for call in calls] == [
        (name, "shop.price(_0)", "1"),
        (name, "shop.price(_0)", "2"),
        (name, "shop.price(_0)", "3"),
    ]


@pytest.mark.parametrize(("expression", "count", "ran"), [("shop.price(x)", 10, 10), ("x", 0, 40)])
def test_tests_are_run_for_longer_where_they_had_hardly_begun(tmp_path, expression, count, ran):
    """After its time a run goes on until its longest, but for one that gave enough calls, or ran enough tests for them."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    log = tmp_path / "log"
    (tmp_path / "v" / "test_shop.py").write_text(
        "import pytest\nimport shop\n\n@pytest.mark.parametrize('x', range(60))\ndef test_a(x):\n"
        f"    {expression}\n    open({str(log)!r}, 'a').write('x')\n"
    )
    where = ModuleLocation("shop.py", ".", "shop", "", ("price",))
    name = "test_shop.py"
    job = Record("v", where, (name,), (name,), ("price",), ("price",), 0.0, "", time.monotonic() + 60)
    assert len(_recorded(tmp_path, job)) == count and len(log.read_text()) == ran
