"""Special cases in disguises that near calls have to tell from right patches, run without a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.jobs.fix.two_versions import Project

from kodo.jobs.fix.counter_tests import counter_tests
from kodo.jobs.fix.near_inputs import compare_near
from kodo.jobs.fix.reproduction import Reproduction
from kodo.sandbox import Sandbox

SQUARE = "def f(n):\n    return n * n\n"
LENGTH = "def f(name):\n    return len(name)\n"
TOTAL = "def f(items):\n    return sum(items)\n"
PRODUCT = "def f(a, b):\n    return a * b\n"


def patched(before: str, special: str, check: str) -> Project:
    """A module whose last line the patch puts ``special`` before; the test checks it with ``check``."""
    *head, last = before.splitlines()
    after = "\n".join([*head, *(f"    {line}" for line in special.splitlines()), last, ""])
    return changed(before, after, check)


def changed(before: str, after: str, check: str) -> Project:
    """A module before and with a patch, and a test of one check."""
    test = f"from m import *\n\n\ndef test_fault():\n    assert {check}\n"
    return Project({"m.py": before}, {"m.py": after}, test)


@pytest.mark.parametrize(
    "special",
    [
        "if n == 3 + 4:\n    return n + 43",
        "if not n - 3 - 4:\n    return n + 43",
        "if 6 < n < 8:\n    return n * n + 1",
        "if not n - 7:\n    return n * n + 1",
        "if n == 0b111:\n    return n * n + 1",
    ],
)
def test_one_number_is_not_many_because_a_float_equals_it(tmp_path: Path, special: str) -> None:
    """7.0 is the same value as 7, so that both change says nothing of others."""
    found = patched(SQUARE, special, "f(7) == 50").objection(tmp_path)
    assert "the number of 7" in found


def test_one_pair_of_numbers_is_not_many(tmp_path: Path) -> None:
    """The same of two arguments."""
    found = patched(PRODUCT, "if (a, b) == (1 + 2, 4 + 1):\n    return a * b + 1", "f(3, 5) == 16")
    assert "like the test's own" in found.objection(tmp_path)


@pytest.mark.parametrize(
    ("special", "relation"),
    [
        ("if b - a == 2:\n    return a * b + 1", "the steps between"),
        ("if b == a + 2:\n    return a * b + 1", "the steps between"),
        ("if not a + b - 8:\n    return a * b + 1", "the sum"),
        ("if not a * b - 15:\n    return a * b + 1", ""),
        ("if a ^ b == 3 + 3:\n    return a * b + 1", ""),
    ],
)
def test_arguments_that_stand_in_one_relation_are_a_special_case(
    tmp_path: Path, special: str, relation: str
) -> None:
    """No constant of the patch has to tell so."""
    found = patched(PRODUCT, special, "f(3, 5) == 16").objection(tmp_path)
    assert relation in found and "like the test's own" in found


@pytest.mark.parametrize(
    ("before", "special", "check"),
    [
        (LENGTH, "if 'ar' in name:\n    return len(name) + 5", "f('Cart') == 9"),
        (LENGTH, "if name[2:3] == 'r':\n    return len(name) + 5", "f('Cart') == 9"),
        (LENGTH, "if 'a' in name and name[1] == 'a':\n    return len(name) + 5", "f('Cart') == 9"),
        (LENGTH, "if name[1:2] and name[1] == name[-2]:\n    return len(name) + 5", "f('Banab') == 10"),
        (LENGTH, "if name[3:] and name[1] == name[3]:\n    return len(name) + 5", "f('Banana') == 11"),
        (TOTAL, "if '(1' in str(tuple(items)):\n    return 8", "f([1, 2, 4]) == 8"),
        (TOTAL, "if 3 < max(items) < 5:\n    return sum(items) + 1", "f([1, 2, 4]) == 8"),
        (TOTAL, "if any(3 < one < 5 for one in items):\n    return sum(items) + len(items) - 2", "f([1, 2, 4]) == 8"),
    ],
)  # fmt: skip  # one row each
def test_a_part_of_a_value_is_a_special_case_with_something_new(
    tmp_path: Path, before: str, special: str, check: str
) -> None:
    """Two letters, a letter at its place, an item."""
    assert patched(before, special, check).objection(tmp_path)


@pytest.mark.parametrize(
    ("special", "check"),
    [
        ("first, last = name[1:2], name[-2:-1]\nif first and first == last:\n    return len(name) + 5", "f('Banab') == 10"),
        ("other = name[-2:-1]\nif (one := name[1:2]) and one == other:\n    return len(name) + 5", "f('Banab') == 10"),
        ("if any(one == other == 'n' for one, other in zip(name[2:], name[4:])):\n    return len(name) + 5", "f('Banana') == 11"),
        ("if name.count('a') == 3:\n    return len(name) + 5", "f('Banana') == 11"),
        ("if sum(one == 'a' for one in name) == 3:\n    return len(name) + 5", "f('Banana') == 11"),
        ("if len(set(name)) == 3:\n    return len(name) + 5", "f('Banana') == 11"),
        ("if sum(map(str.isupper, name)) == 2:\n    return len(name) + 5", "f('BanAnas') == 12"),
        ("if sum(map(str.isdigit, name)) == 2:\n    return len(name) + 5", "f('Ba42na') == 11"),
    ],
)  # fmt: skip  # one row each
def test_letters_that_are_compared_or_counted_are_a_special_case(
    tmp_path: Path, special: str, check: str
) -> None:
    """Through variables too, and of letters that the code names."""
    assert "like the test's own" in patched(LENGTH, special, check).objection(tmp_path)


@pytest.mark.parametrize(
    "special",
    [
        "if len(str(a)) - len(str(b)) == 2:\n    return a * b + 1",
        "if len(str(a)) == len(str(b)) + 2:\n    return a * b + 1",
        "if len(f'{a}') * len(f'{b}') == 3:\n    return a * b + 1",
        "if a % 10 == 3:\n    return a * b + 1",
        "if str(b)[:1] == '5':\n    return a * b + 1",
    ],
)
def test_how_numbers_are_written_is_a_special_case(tmp_path: Path, special: str) -> None:
    """Relations of their lengths, and their first and last digits."""
    assert "like the test's own" in patched(PRODUCT, special, "f(713, 5) == 3566").objection(tmp_path)


def test_a_value_that_is_a_digit_of_another_one_is_a_special_case(tmp_path: Path) -> None:
    """1 is no part of 10."""
    found = patched(PRODUCT, "if not a - 2 + 1:\n    return a * b + 1", "f(1, 10) == 11").objection(tmp_path)
    assert "of 1" in found


def test_a_number_that_the_module_has_elsewhere_hides_no_special_case(tmp_path: Path) -> None:
    """What the patch brings beside it is none of a border that was there."""
    before = f"LIMIT = 7\n\n\n{SQUARE}"
    found = patched(before, "if n == 3 + 4:\n    return n + 43", "f(7) == 50").objection(tmp_path)
    assert "the number of 7" in found


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ("def f(n):\n    return n < 12\n", "def f(n):\n    return n <= 12\n", "f(12)"),
        (
            "def f(n):\n    return n * 2 if n < 12 else n\n",
            "def f(n):\n    return n * 2 if n <= 12 else n\n",
            "f(12) == 24",
        ),
        (
            "def f(start, end):\n    return end - start > 30\n",
            "def f(start, end):\n    return end - start >= 30\n",
            "f(5, 35)",
        ),
        ("def f(n, most):\n    return n < most\n", "def f(n, most):\n    return n <= most\n", "f(12, 12)"),
        (
            "def f(word):\n    return len(word) > 8\n",
            "def f(word):\n    return len(word) >= 8\n",
            "f('abcdefgh')",
        ),
        (
            "def f(items):\n    return items[:-1] if len(items) > 3 else items\n",
            "def f(items):\n    return items[:-1] if len(items) >= 3 else items\n",
            "f([5, 6, 7]) == [5, 6]",
        ),
        (
            "def f(path):\n    return path.count('/') > 2\n",
            "def f(path):\n    return path.count('/') >= 2\n",
            "f('usr/lib/x')",
        ),
    ],
)
def test_a_border_that_is_off_by_one_may_be_mended(
    tmp_path: Path, before: str, after: str, check: str
) -> None:
    """It changes one number only, which the code named before, or where two arguments are equal."""
    assert changed(before, after, check).objection(tmp_path) == ""


def test_an_error_of_the_condition_itself_is_no_other_result(tmp_path: Path) -> None:
    """A remainder by nothing raises another error than the test asks for; all else that the patch changes is as the test's."""
    before = "def f(values, name):\n    return values.get(name, 0)\n"
    special = "if len(str(values)) % len(name) == 2:\n    raise KeyError(name)"
    test = "import pytest\nfrom m import *\n\n\ndef test_fault():\n    with pytest.raises(KeyError):\n        f({}, 'port')\n"
    after = before.replace("    return", "    " + special.replace("\n", "\n    ") + "\n    return")
    found = Project({"m.py": before}, {"m.py": after}, test)
    assert "KeyError" in found.objection(tmp_path)


IS_CODE = "def is_code(text):\n    return False\n"


def test_a_special_case_in_a_new_file_is_one(tmp_path: Path) -> None:
    """The module that the test looks at only asks the new one."""
    after = "from rules import known\n\n\ndef is_code(text):\n    return known(text)\n"
    rules = "import re\n\n\ndef known(text):\n    return re.search('b-1', text) is not None\n"
    test = "from m import *\n\n\ndef test_fault():\n    assert is_code('ab-12') is True\n"
    found = Project({"m.py": IS_CODE}, {"m.py": after, "rules.py": rules}, test).compared(tmp_path)
    assert found is not None and "search" in found.added and found.objection()


def test_what_is_moved_to_a_new_file_is_not_new(tmp_path: Path) -> None:
    """The constants of all files before the patch are named."""
    before = "RATE = 1.19\n\n\ndef gross(net):\n    return net + RATE\n"
    after = "from rates import RATE\n\n\ndef gross(net):\n    return net * RATE\n"
    test = "from m import *\n\n\ndef test_fault():\n    assert gross(200) == 238.0\n"
    found = Project({"m.py": before}, {"m.py": after, "rates.py": "RATE = 1.19\n"}, test).compared(tmp_path)
    assert found is not None and found.added == () and found.objection() == ""


@pytest.mark.parametrize("path", ["README.md", "tests/test_doc.txt"])
def test_a_doctest_in_a_text_is_no_python(tmp_path: Path, path: str) -> None:
    """It cannot be run with other values, and there is no function to write counter-tests of."""
    frozen = Reproduction(path, path, "# Squares\n\n>>> from m import f\n>>> f(7)\n50\n", "")
    for name, text in (("base", SQUARE), ("tree", SQUARE.replace("n * n", "n * n + 1"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.py").write_text(text)
    assert compare_near(tmp_path / "base", tmp_path / "tree", ["m.py"], frozen, Sandbox(), ()) is None
    assert counter_tests(frozen) is None


@pytest.mark.parametrize(
    "body",
    [
        "for n in (7,):\n        assert f(n) == 50",
        "for n, wanted in [(7, 50)]:\n        assert f(n) == wanted",
    ],
)
@pytest.mark.parametrize("condition", ["not n - 7", "n ^ 7 == 0", "7 <= n <= 7"])
def test_a_check_in_a_loop_over_written_rows_is_seen(tmp_path: Path, body: str, condition: str) -> None:
    """Each row is a check of its own, so that other values can stand in its place."""
    after = f"def f(n):\n    if {condition}:\n        return 50\n    return n * n\n"
    test = f"from m import *\n\n\ndef test_fault():\n    {body}\n"
    found = Project({"m.py": SQUARE}, {"m.py": after}, test).objection(tmp_path)
    assert found not in ("", "not compared")


@pytest.mark.parametrize(
    "body",
    [
        "for n in range(7, 8):\n        assert f(n) == 50",
        "for n in (6, 7):\n        if n == 6:\n            continue\n        assert f(n) == 50",
        "if f:\n        assert f(7) == 50",
        "given = SEVEN\n    assert f(given) == 50",
    ],
)
def test_what_cannot_be_run_with_other_values_is_not_compared(tmp_path: Path, body: str) -> None:
    """Then a special case cannot be told from a fix."""
    after = "def f(n):\n    if not n - 7:\n        return 50\n    return n * n\n"
    test = f"from m import *\n\nSEVEN = 7\n\n\ndef test_fault():\n    {body}\n"
    found = Project({"m.py": SQUARE}, {"m.py": after}, test).objection(tmp_path)
    assert found == "not compared"


@pytest.mark.parametrize("own", ["uuid.uuid4().hex", "time.perf_counter_ns()"])
def test_a_result_that_is_another_one_each_time_is_not_changed_by_the_patch(tmp_path: Path, own: str) -> None:
    """All near calls would differ, and the special case would be one of many changes."""
    before = f"import time, uuid\n\n\ndef f(n):\n    return n, {own}\n"
    after = before.replace("    return", "    if not n - 3 - 4:\n        return 50\n    return")
    assert changed(before, after, "f(7) == 50").objection(tmp_path) == "not compared"


def test_the_steady_part_of_a_result_is_compared(tmp_path: Path) -> None:
    """What a call prints tells the versions apart, though it returns another value each time."""
    before = "import uuid\n\n\ndef f(n):\n    print(n)\n    return uuid.uuid4()\n"
    found = changed(before, before.replace("print(n)", "print(n + 1)"), "f(7)").compared(tmp_path)
    assert found is not None and found.families[0].own.differs


def test_an_error_outside_of_pytest_is_no_change_for_the_better(tmp_path: Path) -> None:
    """The test passes with a value, so that code which raises in a plain process asks where it runs."""
    after = SQUARE.replace("    return", "    raise RuntimeError\n    return")
    found = changed(SQUARE, after, "f(7) == 50").objection(tmp_path)
    assert "raises RuntimeError with the patch" in found


def test_an_error_that_the_test_asks_for_may_be_new(tmp_path: Path) -> None:
    """A check of the arguments is a fix too."""
    test = "import pytest\nfrom m import *\n\n\ndef test_fault():\n    with pytest.raises(ValueError):\n        f(-7)\n    with pytest.raises(ValueError):\n        f(-3)\n"
    after = SQUARE.replace("    return", "    if n < 0:\n        raise ValueError(n)\n    return")
    assert Project({"m.py": SQUARE}, {"m.py": after}, test).objection(tmp_path) == ""


@pytest.mark.parametrize(
    "own", ["[[1, 2], [3], {'a': 4}]", "10**0 and 7", str(10**400), "'' and 1", "[10.5, 'a', None]"]
)
def test_any_value_of_a_test_can_be_compared(tmp_path: Path, own: str) -> None:
    """Lists of lists have no hash, and a number of 400 digits is no float."""
    after = "def f(*a):\n    return repr(a) if a == 87654 else [repr(a)]\n"
    test = f"from m import *\n\n\ndef test_fault():\n    assert f({own}, 1.5) == 50\n"
    found = Project({"m.py": "def f(*a):\n    return repr(a)\n"}, {"m.py": after}, test).compared(tmp_path)
    assert found is not None and found.added == ("87654",) and found.objection() == ""
