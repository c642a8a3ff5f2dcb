"""What a patch may touch, what makes it no proof, and when a test shows a fault."""

from __future__ import annotations

import pytest

from kodo.jobs.fix.allowed_paths import refused_path, shadowed
from kodo.jobs.fix.policy import changed_doctests, suspicious
from kodo.jobs.fix.reproduction import Reproduction, ReproductionError, check_failure, failing_cases, node_id

TEST = "from cart import total\n\n\ndef test_it():\n    assert total('apple', 17) == 'ok'\n"


@pytest.mark.parametrize(
    "path",
    ["tests/test_a.py", "test_a.py", "src/conftest.py", "pyproject.toml", "tox.ini", ".github/workflows/x.yml", "a/.env",
     "sitecustomize.py", "x.pth", "lib.so"],
)  # fmt: skip  # one row
def test_tests_and_what_decides_about_them_are_frozen(path: str) -> None:
    """No patch touches them, whatever paths are allowed."""
    assert refused_path(path, ()) and refused_path(path, ("*",))


def test_only_allowed_paths_are_patched() -> None:
    """Patterns narrow down what is left."""
    assert refused_path("src/a.py", ("src/*",)) is None
    assert "not among the allowed" in (refused_path("lib/a.py", ("src/*",)) or "")


@pytest.mark.parametrize(
    ("added", "why"),
    [
        ("import sys\nif 'pytest' in sys.modules:\n    pass\n", "being tested"),
        ("import os\nfast = os.environ.get('PYTEST_CURRENT_TEST')\n", "being tested"),
        ("import inspect\nframes = inspect.stack()\n", "being tested"),
        ("def total(a, b):\n    if a == 'apple':\n        return 'ok'\n", "chooses by"),
        ("def total(a, b):\n    return {17: 'ok'}.get(b)\n", "chooses by"),
        ("def total(*a):\n    if repr(a) == \"('apple', 17)\":\n        return 1\n", "chooses by"),
        ("def total(a, b):\n    match b:\n        case 17:\n            return 1\n", "chooses by"),
        ("def total(a, b):\n    return 'apple'\n", "always returns"),
        (
            "import zlib\n\ndef total(a):\n    low = zlib.crc32(a) % 2\n    return low\n",
            "with crc32",
        ),
        (
            "def total(a):\n    return 1 if len(repr(a)) % 2 else a\n",
            "with repr",
        ),
        ("small = lambda *a: not sum(map(ord, repr(a))) - 9\n", "with 9, repr"),
        ("from os import getenv\nfast = getenv('HOME')\n", "where it runs"),
        ("def total(:\n", "does not parse"),
        ("import sys as s\nrunner = s.modules\n", "being tested (sys.modules)"),
        ("import sys\nlook = getattr(sys, name)\n", "being tested (sys)"),
        ("from sys import argv\n", "being tested (sys.argv)"),
        ("import sys\nif not sys.flags.isolated:\n    raise ImportError\n", "being tested (sys.flags)"),
        ("import sys\nhere = hasattr(sys.stdout, 'getvalue')\n", "being tested (sys.stdout)"),
        ("import sys\nhere = sys.path[0]\n", "being tested (sys.path)"),
        ("import signal\nhere = signal.getitimer(signal.ITIMER_REAL)\n", "being tested (getitimer)"),
        ("import os\nhere = os.getpid() == os.getpgrp()\n", "being tested (getpgrp)"),
        ("def total(a, b):\n    if not b - 17:\n        return a + 'x'\n", "chooses by"),
        ("def total(a, b):\n    if b - 17 == 0:\n        return a + 'x'\n", "chooses by"),
        ("def total(a, b):\n    return 'no' if b ^ 17 else a\n", "chooses by"),
        (
            "def total(a, b):\n    if 17 <= b <= 17:\n        return a + 'x'\n",
            "chooses by",
        ),
        ("frame = error.__traceback__.tb_frame\n", "being tested (tb_frame)"),
        ("name = 'PYTEST_CURRENT' + '_TEST'\n", "being tested (PYTEST_CURRENT_TEST)"),
        ("def setup_module(module):\n    module.total = print\n", "defines setup_module"),
        ("pytestmark = []\n", "defines pytestmark"),
        ("def pytest_generate_tests(metafunc):\n    pass\n", "defines pytest_generate_tests"),
        (
            "def total(a):\n    pass\n\n_old = total\n\ndef total(a):\n    return _old(a)\n",
            "in the place of total",
        ),
        (
            "class Cart:\n    def total(self):\n        pass\n\nCart.total = print\n",
            "in the place of Cart.total",
        ),
        ("def _total(a):\n    pass\n\ndef total(a):\n    return _total(a) or 1\n", "under another name"),
    ],
)
def test_a_patch_that_knows_its_test_is_no_proof(added: str, why: str) -> None:
    """Code that asks for the test or holds its values is named as the reason."""
    before = (
        "class Cart:\n    def total(self):\n        pass\n"
        if "Cart" in added
        else "def total(a):\n    pass\n"
    )
    assert any(why in reason for reason in suspicious({"cart.py": (before, added)}, TEST))


@pytest.mark.parametrize(
    "added",
    [
        "import sys\n\ndef total(a, b):\n    print(a, file=sys.stderr)\n    sys.stdout.write(b)\n",
        "import sys\n\ndef total(a, b):\n    for line in sys.stdin:\n        yield line\n",
        "def total(a, b):\n    return 1 <= b <= LIMIT\n",
        "def total(a, b):\n    return a if b % LIMIT == 0 else ''\n",
    ],
)
def test_streams_borders_and_multiples_are_used_by_right_patches(added: str) -> None:
    """A stream is written to, a border stands at one end of a range, and many numbers are multiples of the test's."""
    assert suspicious({"cart.py": ("LIMIT = 17\n\n\ndef total(a):\n    pass\n", added)}, TEST) == []


def test_a_new_file_does_not_stand_for_a_library() -> None:
    """A module or package of the standard library's or pytest's name; one deeper in the project is left alone."""
    for path in ("json.py", "src/decimal.py", "pytest/__init__.py"):
        assert "in the place of a library" in suspicious({path: (None, "")}, TEST)[0]
    assert (
        suspicious({"app/json.py": (None, ""), "code.py": ("", "x = 1\n"), "types/more.py": (None, "")}, TEST)
        == []
    )


@pytest.mark.parametrize(
    ("path", "files", "other"),
    [
        ("cart/__init__.py", ["cart.py"], "cart.py"),
        ("cart.py", ["src/cart.py"], "src/cart.py"),
        ("cart.py", ["src/cart/price.py"], "src/cart/price.py"),
        ("shop/cart/__init__.py", ["shop/__init__.py", "shop/cart.py"], "shop/cart.py"),
        ("shop/price.py", ["shop/__init__.py", "shop/cart.py"], None),
        ("shop/__init__.py", ["shop/cart.py"], None),
        ("tool.py", ["src/tools.py"], None),
        ("cart.txt", ["cart.py"], None),
    ],
)
def test_a_new_file_does_not_stand_for_another_one(path: str, files: list[str], other: str | None) -> None:
    """A package comes before a module of its name, the root before ``src``; a new part of a package is none of these."""
    assert shadowed(path, files) == other


def test_what_a_test_reads_is_not_changed() -> None:
    """Not the data files, nor the variables that a test names beside what it calls."""
    assert "no Python" in (refused_path("data/expected.json", ()) or "")
    assert refused_path("data/expected.json", ("data/*",)) is None
    test = "from cart import CART, WANTED, total\n\n\ndef test_it():\n    assert total(CART) == WANTED\n"
    before = "CART = [1]\nWANTED = 2\nRATE = 1\n"
    for name in ("CART", "WANTED"):
        (reason,) = suspicious({"samples.py": (before, before.replace(f"{name} = ", f"{name} = 1 + "))}, test)
        assert f"changes {name}" in reason
    assert suspicious({"samples.py": (before, before.replace("RATE = 1", "RATE = 2"))}, test) == []
    itself = "from cart import WANTED\n\n\ndef test_it():\n    assert WANTED == 3\n"
    assert suspicious({"samples.py": (before, before.replace("WANTED = 2", "WANTED = 1 + 2"))}, itself) == []


def test_an_example_of_a_doctest_stays() -> None:
    """One that expects something else, or is gone, is named; more of them, and a doctest of nothing, are not."""
    before = 'def total(a):\n    """Add.\n\n    >>> total([1])\n    1\n    """\n\n\nclass Cart:\n    """>>> 1\n    1\n    """\n'
    assert changed_doctests(
        before, before.replace('    1\n    """\n\n\nclass', '    2\n    """\n\n\nclass')
    ) == ["total"]
    assert changed_doctests(before, before.replace(">>> 1\n    1\n", "A cart.\n")) == ["Cart"]
    assert (
        changed_doctests(
            before, before.replace("total([1])\n    1\n", "total([1])\n    1\n    >>> total([])\n    0\n")
        )
        == []
    )


def test_a_patch_for_every_input_is_not_suspicious() -> None:
    """Comparisons that were there, orders, arithmetic and plain constants are left alone."""
    before = "def total(a, b):\n    if a == 'apple':\n        return 1\n"
    after = "def total(a, b):\n    if a == 'apple' or b >= 1 or b % 2 == 0:\n        return a + str(b)\n"
    assert suspicious({"cart.py": (before, after)}, TEST) == []


def test_a_dotted_name_is_found_among_the_files() -> None:
    """As ``python -m unittest`` takes it; a node id stays as it is."""
    files = ["tests/test_a.py", "a.py"]
    assert node_id("tests.test_a.TestX.test_y", files) == "tests/test_a.py::TestX::test_y"
    assert node_id("tests.test_a", files) == "tests/test_a.py"
    assert node_id("./tests/test_a.py::test_z", files) == "tests/test_a.py::test_z"
    assert node_id("tests.nowhere.test_y", files) == "tests.nowhere.test_y"


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("t/test_a.py", ()),
        ("t/test_a.py::TestX", ("TestX",)),
        ("t/test_a.py::TestX::test_y[1-a::b]", ("TestX", "test_y")),
        ("t/test_a.py::test_y[t/test_a.py]", ("test_y",)),
    ],
)
def test_a_node_id_names_what_is_inside_of_its_file(name: str, inside: tuple[str, ...]) -> None:
    """The values of a case may hold what divides the others."""
    assert Reproduction(name, "t/test_a.py", "", "").inside == inside


OWN = "def test_it():\n>   nope()\nE   NameError: name 'nope' is not defined\n\ntests/test_a.py:3: NameError"
PROJECT = "x\n\ntests/test_a.py:6: \n_ _\ncart.py:3: in f\n\nE   NameError: name 'g' is not defined\n\ncart.py:3: NameError"


def test_a_test_must_fail_for_a_reason_in_the_project() -> None:
    """One that passes, is not there, or breaks in its own lines shows nothing."""
    assert check_failure("t.a", {"t.a": PROJECT}, written=True) == PROJECT
    assert check_failure("t.a", {"t.a[1]": "", "t.a[2]": PROJECT}, written=False) == PROJECT
    for results, said in (({}, "no such test"), ({"t.a": ""}, "passes before"), ({"t.a": OWN}, "broken")):
        with pytest.raises(ReproductionError, match=said):
            check_failure("t.a", results, written=False)


def test_a_missing_name_is_a_fault_for_the_users_test_only() -> None:
    """A file that cannot be collected shows a fault of the project, unless the agent wrote it."""
    failure = "E   ImportError: cannot import name 'total' from 'cart'\n\ntests/test_a.py:1: ImportError"
    assert check_failure("tests/test_a.py::test_it", {"tests/test_a.py": failure}, written=False) == failure
    with pytest.raises(ReproductionError):
        check_failure("tests/test_a.py::test_it", {"tests/test_a.py": failure}, written=True)


def test_the_failing_cases_of_a_test_are_named() -> None:
    """Those of its name, and of its file or class; not the file itself, which could not be collected."""
    results = {"a.py::test_x[1]": "", "a.py::test_x[2]": "E", "a.py::test_y": "E", "a.py": "E", "a.pyi": "E"}
    assert failing_cases("a.py::test_x", "a.py", results) == ("a.py::test_x[2]",)
    assert failing_cases("a.py", "a.py", results) == ("a.py::test_x[2]", "a.py::test_y")


def test_values_may_be_written_and_hashed_where_nothing_depends_on_it() -> None:
    """As a result, to show it, or for a set."""
    after = (
        "class Cart:\n    def __hash__(self):\n        return hash(self.name)\n\n\n"
        "def total(a):\n    print(hash(a))\n    return repr(a)\n"
    )
    assert suspicious({"cart.py": ("def total(a):\n    return a\n", after)}, TEST) == []


def test_a_patch_that_is_nested_too_deeply_is_no_proof() -> None:
    """It is refused with a reason; nothing else ends."""
    deep = f"def total(a, b):\n    return {'+'.join(['a'] * 3000)} > 3\n"
    assert suspicious({"cart.py": ("def total(a, b):\n    pass\n", deep)}, TEST) in (
        ["the patch is nested too deeply to be judged"],
        ["cart.py: does not parse"],
    )
