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
from kodo.jobs.execution.worker.jobs import ModuleLocation, Record, RecordedCall, Watched
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


def _job(
    name: str, until: float, stop: str = "", longest: float = 0.0, touched: tuple[int, ...] = ()
) -> Record:
    """Run one file of tests, and watch the function ``price`` of the module ``shop``."""
    watched = Watched(ModuleLocation("shop.py", ".", "shop", "", ("price",)), ("price",), touched)
    return Record("v", (watched,), (name,), (name,), ("price",), until, stop, longest)


def _recorded(root: Path, job: Record) -> list[Call]:
    return [one.call for one in _lines(root, job)]


def _lines(root: Path, job: Record) -> list[RecordedCall]:
    (root / "job.json").write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.execution.worker.record", str(root / "job.json")],
        env={**os.environ, "KODO_PROJECT": str(root)},
        capture_output=True,
        check=True,
    )
    return [msgspec.json.decode(line, type=RecordedCall) for line in done.stdout.splitlines()]


def test_no_test_is_begun_after_the_end(tmp_path):
    """The time that the start and the imports take counts too."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    begun = tmp_path / "begun"
    (tmp_path / "v" / "test_shop.py").write_text(
        f"import shop\n\ndef test_a():\n    open({str(begun)!r}, 'w')\n    shop.price(1)\n"
    )
    job = _job("test_shop.py", time.monotonic() + 0.01)
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
    name = "tests/test_shop.py"
    calls = _recorded(tmp_path, _job(name, time.monotonic() + 60))
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
    job = _job("test_shop.py", 0.0, "", time.monotonic() + 60)
    assert len(_recorded(tmp_path, job)) == count and len(log.read_text()) == ran


_ROWS = (
    "import pytest\nimport shop\n\n@pytest.mark.parametrize('x', range(300))\ndef test_a(x):\n"
    "    open({log!r}, 'a').write('x')\n    shop.price(x)\n"
)


@pytest.mark.parametrize(("touched", "ran"), [((2,), 41), ((), 211), ((5,), 211), ((3,), 91)])
def test_no_more_tests_are_run_when_they_do_nothing_else(tmp_path, touched, ran):
    """They go one way through the changed function; where none ran what the change touches, they are run for longer."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text(
        "def price(x):\n    if x == 50:\n        return 0\n    if x > 1000:\n        return 1\n    return x\n"
    )
    log = tmp_path / "log"
    (tmp_path / "v" / "test_shop.py").write_text(_ROWS.format(log=str(log)))
    end = time.monotonic() + 60
    job = _job("test_shop.py", end, "", end, touched)
    assert _recorded(tmp_path, job) and len(log.read_text()) == ran


def test_tests_that_run_are_ended_when_nobody_waits_for_their_calls(tmp_path):
    """Also one that takes long by itself, such as the import of a file of tests."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    (tmp_path / "v" / "test_shop.py").write_text("import time\ntime.sleep(50)\n")
    (tmp_path / "stop").touch()
    end = time.monotonic() + 60
    job = _job("test_shop.py", end, "stop", end)
    assert _recorded(tmp_path, job) == [] and time.monotonic() < end - 30


def test_one_run_gives_the_calls_through_the_functions_of_every_changed_module(tmp_path):
    """Each call comes with the files of the functions that it went through, its own and those that these call."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text(
        "import tax\n\ndef price(x):\n    return tax.rate(x)\n\ndef free(x):\n    return 0\n"
    )
    (tmp_path / "v" / "tax.py").write_text("def rate(x):\n    return x\n")
    (tmp_path / "v" / "test_shop.py").write_text(
        "import shop\nimport tax\n\ndef test_a():\n    shop.price(1)\n    tax.rate(2)\n    shop.free(3)\n"
    )
    job = _job("test_shop.py", time.monotonic() + 60)
    tax = Watched(ModuleLocation("tax.py", ".", "tax", "", ("rate",)), ("rate",))
    found = _lines(tmp_path, msgspec.structs.replace(job, watched=(*job.watched, tax)))
    assert [(one.call.expression, one.reached) for one in found] == [
        ("shop.price(_0)", ("shop.py", "tax.py")),
        ("tax.rate(_0)", ("tax.py",)),
    ]
