"""Patches that decide by a number made of many values, and fixes that sum, count and compare."""

from __future__ import annotations

import pytest

from kodo.jobs.fix.policy import suspicious

BEFORE = "LIMIT = 30\n\n\ndef f(a, b):\n    return a\n\n\ndef g(items, most):\n    return items\n"
TEST = "from m import *\n\n\ndef test_it():\n    assert f(3, [5, 6]) == 8\n    assert g([1, 2], 4) == [1]\n"


def reasons(after: str) -> list[str]:
    """Why a patch is refused."""
    return suspicious({"m.py": (BEFORE, after)}, TEST)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ("def f(a, b):\n    if size((a, b)) % 2:\n        return 7\n    return a\n\n\nsize = lambda given: sum(map(hash_of, given))\n",
         "a number of (a, b)"),
        ("def f(a, b):\n    given = [a, b]\n    if max(given, key=len) is b:\n        return 7\n    return a\n", "a number of [a, b]"),
        ("def g(items, most):\n    given = (items,)\n    return 7 if max(len(one) for one in given) % 2 else items\n", "a number of (items,)"),
        ("class C:\n    def f(self):\n        return 7 if sum(vars(self).values()) % 2 else 1\n", "a number of vars(self)"),
        ("def g(items, most):\n    return 7 if sum(one * one for one in items) % 13 > 1 else items\n", "beside 13"),
        ("def g(items, most):\n    return 7 if key(items) == 1 else items\n\n\ndef key(row):\n    return sum(map(abs, row)) % 13\n", "beside 13"),
        ("def g(items, most):\n    total = 0\n    for one in items:\n        total += one\n    return 7 if total % 13 > 1 else items\n",
         "beside 13"),
        ("def h(a, b):\n    return 7 if (a * 17 + b) % 2 else a\n", "beside 17"),
        ("def g(items, most):\n    return [items, 7][len({one // 13 for one in items}) % 2]\n", "beside 13"),
    ],
)  # fmt: skip  # one row each
def test_a_decision_by_a_number_of_all_values_is_seen(patch: str, why: str) -> None:
    """Of arguments of different kinds, or beside a number that nothing names; through helpers too."""
    assert any("decides by" in reason and why in reason for reason in reasons(patch))


@pytest.mark.parametrize(
    "after",
    [
        "def f(a, b):\n    return a + 1 if any(one is None for one in (a, b)) else a\n",
        "def g(items, most):\n    return items if sum(items) > most else []\n",
        "def g(items, most):\n    return items if len(set(items)) == len(items) else []\n",
        "def g(items, most):\n    return items if sum(items) > LIMIT else []\n\n\nLIMIT = 30\n",
        "def g(items, most):\n    return items if abs(sum(items) - 1) > 1e-9 else []\n",
        "def g(items, most):\n    return items[:most] if len(items) > 17 else []\n",
        "def f(a, b):\n    return a % 400 == 0 or (a % 4 == 0 and a % 100 != 0)\n",
        "def h(a, b):\n    low, high = sorted((a, b))\n    return low if high - low > 1 else high\n",
        "def g(items, most):\n    return [one * 17 for one in items if one]\n",
        "def g(items, most):\n    return items if sum(items + [most]) % 10 == 0 else []\n",
    ],
)
def test_sums_borders_and_multiples_are_no_reason(after: str) -> None:
    """Of one argument, of alike ones, beside what is named, beside another argument."""
    assert reasons(after) == []
