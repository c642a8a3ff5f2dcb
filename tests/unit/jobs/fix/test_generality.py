"""What the calls near a test's say of a patch: its results, and what the calls that it changes have in common."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

import pytest

from kodo.jobs.fix.generality import Comparison, Family, Trial
from kodo.jobs.fix.special_means import special_means

Version = Callable[..., object]


def trial(before: Version, after: Version, *values: str) -> Trial:
    """A call of two functions, given the sources of the arguments."""
    given = [ast.literal_eval(value) for value in values]
    (first, raised), (second, raises) = (_outcome(version, given) for version in (before, after))
    return Trial(values, False, first != second, first, second, raised, raises)


def _outcome(version: Version, given: Sequence[object]) -> tuple[str, bool]:
    try:
        return repr(version(*given)), False
    except (ValueError, TypeError) as error:
        return type(error).__name__, True


def compared(
    before: Version, after: Version, own: str, near: Sequence[str], added: tuple[str, ...] = ()
) -> str:
    """The objection to a function of one argument."""
    trials = tuple(trial(before, after, value) for value in near)
    family = Family(trial(before, after, own), trials, frozenset({0}))
    return Comparison((family,), added=added).objection()


TEXTS = (
    "'y'",
    "'1'",
    "'-'",
    "'7'",
    "''",
    "' '",
    "'ab'",
    "'12'",
    "'x y'",
    "'xx'",
    "'abc'",
    "'123'",
    "'hello'",
    "'x1'",
    "'y1y'",
)
NUMBERS = tuple(
    map(str, (2023, 2025, 2028, 2048, 1012, 4048, 2026, 3024, 1, 7, 20240, 202, -2024, 2124, 2224, 4, 8))
)


def number_before(text: str) -> object:
    """Raises for what is no number."""
    return int(text)


def number(text: str) -> object:
    """The right version."""
    try:
        return int(text)
    except ValueError:
        return None


def test_a_fix_is_not_accused() -> None:
    """It gives None for every text that is no number, whatever its length or first letter."""
    assert compared(number_before, number, "'x'", TEXTS) == ""


@pytest.mark.parametrize(
    ("trait", "asks"),
    [
        ("the length", lambda text: len(text) == 1),
        ("the length", lambda text: len(text) == 1 and not text.isdigit()),
        ("the first item", lambda text: len(text) > 1 and text[0] == "x"),
        ("the last item", lambda text: text[-1:] == "y" and len(text) > 1),
    ],
)
def test_a_trait_that_all_changed_calls_have_is_named(trait: str, asks: Callable[[str], bool]) -> None:
    """A special case that gives None, which says nothing by itself, for texts like the test's own."""
    own = next(value for value in ("'x'", "'x y'", "'y1y'") if asks(ast.literal_eval(value)))
    near = [value for value in (*TEXTS, "'x'", "'xz'", "'ay'") if value != own]
    found = compared(number_before, lambda text: None if asks(text) else int(text), own, near)
    assert trait in found and "like the test's own" in found


def test_a_result_of_the_tests_own_wherever_one_changes_is_refused() -> None:
    """Of a special case that a near call meets too."""
    found = compared(lambda n: n, lambda n: 365 if n % 4 == 0 else n, "2024", NUMBERS)
    assert "the test's own result, 365" in found


def test_a_common_result_is_refused_with_a_constant_of_the_patchs_own() -> None:
    """True is what many patches give, but a number that nothing names may be the test's."""
    before: Version = lambda year: False  # noqa: E731 - two versions of one function
    after: Version = lambda year: year % 4 == 0  # noqa: E731 - same
    assert compared(before, after, "2024", NUMBERS) == ""
    assert "has 23" in compared(before, after, "2024", NUMBERS, ("23",))


def test_one_result_near_a_single_call_is_seen_beside_others() -> None:
    """A state that is made first gives other results elsewhere; what is looked at gives the test's own one and leaves the rest."""

    def after(text: str) -> object:
        return ["pear"] if text[:1] == "p" else ["apple", text]

    def before(text: str) -> object:
        return ["apple", text]

    near = ["'par'", "'pearx'", "'ear'", "'xpear'", "'qfbs'", "'7777'", "''", "'PEAR'"]
    aside = Trial(("'rgct'",), True, True, "['pple', 'rgct']", "['rgct']")
    family = Family(
        trial(before, after, "'pear'"), (*(trial(before, after, one) for one in near), aside), frozenset({0})
    )
    assert "own result, ['pear']" in Comparison((family,)).objection()
    assert Comparison((family,), known=frozenset({"'pear'"})).objection() == ""


def test_calls_that_did_not_end_are_no_proof() -> None:
    """Without other values nothing is known of the patch."""
    assert "in time" in Comparison((), finished=False).objection()


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ('def f(a):\n    """New 77."""\n    return a + 1\n', ()),
        ("def f(a):\n    return None if a % 400 == 5 else a\n", ("400",)),
        ("def f(a):\n    return None if a == 30 else a\n", ()),
        ("def f(a):\n    return None if len(repr(a)) == 9 else a\n", ("repr", "9")),
        ("def f(a):\n    if not a:\n        raise ValueError('nothing')\n    return f'got {a}'\n", ()),
        ("def f(a):\n    return None if len(str(a)) % 2 else str(a)\n", ("str",)),
        ("def f(a):\n    return str(a)\n", ()),
        ("def f(a):\n    return {'abc': 1}.get(a)\n", ()),
        ("def f(a):\n    return {'bc': 1}.get(a)\n", ("'bc'",)),
        ("def f(a):\n    return a[1:] and a[1] == a[-1]\n", ("a[1] == a[-1]",)),
        ("def f(a):\n    return {'zq': 1}.get(a)\n", ("'zq'",)),
        ("def f(a):\n    one, two = a[1], a[-1]\n    return one == two\n", ("one == two",)),
        ("def f(a):\n    _, one, *_, two = a\n    return 5 if one < two else a\n", ("one < two",)),
        ("def f(a):\n    return (one := a[1:2]) and one == a[-2:-1]\n", ("one == a[-2:-1]",)),
        ("def f(a, b=None):\n    return a[1] == b[1] and a[0] < b[0]\n", ()),
        ("def f(a):\n    first, last = a[0], a[-1]\n    return first, last\n", ()),
    ],
)
def test_constants_that_nothing_names_are_found(after: str, found: tuple[str, ...]) -> None:
    """Those of the code before, of what it says, and of the test are named; those of errors and formats do not count."""
    before = 'def f(a):\n    """Every 5 days, or 30."""\n    return a\n'
    assert set(special_means(before, after, "assert f('abc') == 3")) == set(found)
