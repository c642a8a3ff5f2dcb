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
from kodo.jobs.execution.worker.record import _ordered, parts_of_names
from kodo.jobs.review.inputs_of_tests import _holds_tests


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


def test_tests_named_like_the_change_come_before_others():
    """By the rarest word of the changed functions that is in a test's name or row; a word that most have in it says nothing."""
    items = [
        _item("a.py", f"test_format[{name}]")
        for name in ("a", "b", "visit", "c", "fstring_hug", "d", "visit_2")
    ]
    parts = parts_of_names(["Lines.visit_fstring", "Lines.format"])
    assert parts == {"lines", "visit", "fstring", "format"}
    found = [item.name for item in _ordered(items, frozenset(), parts)]
    assert found[:3] == ["test_format[fstring_hug]", "test_format[visit]", "test_format[visit_2]"]
    assert found[3:] == [f"test_format[{name}]" for name in "abcd"]


@pytest.mark.parametrize(
    ("name", "holds"),
    [("test_a", True), ("a_test", True), ("arrow_tests", True), ("conftest", False), ("helpers", False)],
)
def test_files_of_tests_are_known_by_their_names(name, holds):
    """Also those that end in the plural; a conftest holds none."""
    assert _holds_tests(Path(f"tests/{name}.py")) is holds


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
    """After its time a run goes on until its longest, but for one that gave enough calls, or whose tests go nowhere near."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    log = tmp_path / "log"
    (tmp_path / "v" / "test_shop.py").write_text(
        "import pytest\nimport shop\n\n@pytest.mark.parametrize('x', range(60))\ndef test_a(x):\n"
        f"    {expression}\n    open({str(log)!r}, 'a').write(f'{{x}} ')\n"
    )
    job = _job("test_shop.py", 0.0, "", time.monotonic() + 60)
    assert len(_recorded(tmp_path, job)) == count and len(set(log.read_text().split())) == ran


_ROWS = (
    "import pytest\nimport shop\n\n@pytest.mark.parametrize('x', range(300))\ndef test_a(x):\n"
    "    open({log!r}, 'a').write(f'{{x}} ')\n    shop.price(x)\n"
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
    assert _recorded(tmp_path, job) and len(set(log.read_text().split())) == ran


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


@pytest.mark.parametrize(
    "conftest",
    [
        "def pytest_collect_file(path, parent):\n    pass\n",
        "import no_such_module\n",
        "raise SystemExit(1)\n",
    ],
)
def test_a_conftest_of_another_time_does_not_keep_tests_from_running(tmp_path, conftest):
    """One that this pytest does not take, and one that does not import: the tests run without it."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    (tmp_path / "v" / "conftest.py").write_text(conftest)
    (tmp_path / "v" / "test_shop.py").write_text("import shop\n\ndef test_a():\n    shop.price(1)\n")
    assert len(_recorded(tmp_path, _job("test_shop.py", time.monotonic() + 60))) == 1


def test_only_tests_that_go_through_a_changed_function_are_watched(tmp_path):
    """They run once more for that; the others once, at their own pace."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n\ndef free(x):\n    return 0\n")
    log = tmp_path / "log"
    note = f"    open({str(log)!r}, 'a').write(f'{{name}} {{sys.gettrace() is not None}}\\n')\n"
    (tmp_path / "v" / "test_shop.py").write_text(
        "import sys\nimport shop\n\ndef note(name):\n" + note
        + "\ndef test_far():\n    note('far')\n    shop.free(1)\n"
        "\ndef test_near():\n    note('near')\n    shop.price(1)\n"
    )  # fmt: skip
    assert len(_recorded(tmp_path, _job("test_shop.py", time.monotonic() + 60))) == 1
    assert log.read_text().split("\n")[:-1] == ["near False", "near True", "far False"]


def test_files_whose_tests_go_nowhere_near_give_way_to_the_next(tmp_path):
    """After some of the tests of the nearest files others are imported, and what these do is found."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "shop.py").write_text("def price(x):\n    return x\n")
    log = tmp_path / "log"
    far = (
        "import pytest\nimport shop\n\n@pytest.mark.parametrize('x', range(200))\ndef test_a(x):\n"
        f"    open({str(log)!r}, 'a').write('x')\n"
    )
    names = ("test_a.py", "test_b.py", "test_c.py")
    for name in names[:2]:
        (tmp_path / "v" / name).write_text(far)
    (tmp_path / "v" / names[2]).write_text("import shop\n\ndef test_c():\n    shop.price(3)\n")
    end = time.monotonic() + 60
    job = msgspec.structs.replace(_job(names[0], end, "", end), files=names, tests=names)
    assert [call.function for call in _recorded(tmp_path, job)] == ["test_c.py"] and len(
        log.read_text()
    ) < 100
