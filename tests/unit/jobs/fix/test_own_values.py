"""Patches that choose with values of their own, in many disguises, and fixes, whose values are named."""

from __future__ import annotations

import pytest

from kodo.jobs.fix.policy import suspicious

BEFORE = "LIMIT = 30\nRATES = {'1': 2}\n\n\ndef f(a, b):\n    return a + b\n\n\ndef g(items, most):\n    return items\n"
TEST = "from m import *\n\n\ndef test_it():\n    assert f(3, [5]) == 8\n    assert g([1, 2], 4) == [1]\n"


def reasons(after: str, issue: str = "", before: str = BEFORE) -> list[str]:
    """Why a patch is refused."""
    return suspicious({"m.py": (before, after)}, TEST, issue)


def special(condition: str, above: str = "", inside: str = "") -> str:
    """The function with a special case."""
    return f"{above}\ndef f(a, b):\n    args = (a, b)\n{inside}    if {condition}:\n        return 7\n    return a + b\n"


@pytest.mark.parametrize(
    "patch",
    [
        special("len(str(args)) % 3 == 1"),
        special("'5' in f'{a}{b}'"),
        special("max('%s %s' % (a, b)) > '7'"),
        special("'{}-{}'.format(a, b)[2:3] == ']'"),
        special("'-'.join(map(str, args)).count('1')"),
        special("json.dumps(args)[0] < 'a'", "import json\n"),
        special("len(pickle.dumps(args)) & 4", "import pickle\n"),
        special("max(bytes(str(args), 'ascii')) % 5"),
        special("args.__repr__().title() > 'k'"),
        special("type('')(args) < type('')(b)"),
        special("key(a, b)", "key = lambda *given: sum(map(len, repr(given).split()))\n"),
        special("key(args)", "def key(given):\n    text = str(given)\n    return text[::2] > text[1::2]\n\n"),
        special("key(args)", "def text(given):\n    return str(given)\n\n\ndef key(given):\n    return len(text(given)) & 1\n\n"),
        special("key(str(args))", "def key(text):\n    return text.find(',') == 3\n\n"),
        special("KEY(args)", "write = str\nKEY = lambda given: len(write(given)) == 9\n"),
        special("text[3:4] == '5'", inside="    text = ''\n    for one in args:\n        text += str(one)\n"),
        special("len(out.getvalue()) == 9", "import io\n", "    out = io.StringIO()\n    print(a, b, file=out)\n"),
        special("len(rows[0]) == 9", inside="    rows = []\n    rows.append(f'{a!r} {b}')\n"),
        "def f(a, b):\n    return [a + b, 7][len(str(a)) % 2]\n",
        "def f(a, b):\n    return a + b + 9 * min(1, abs(len(repr((a, b))) - 9))\n",
        "def f(a, b):\n    return {7: 'x'}.get(len(ascii(a)), a + b)\n",
        "def f(a, b):\n    match str(b):\n        case '[5]':\n            return 7\n    return a + b\n",
        "def f(a, b):\n    try:\n        '7'.index(str(b)[1])\n    except ValueError:\n        return a + b\n    return 7\n",
        "def f(a, b):\n    return NEW.get(str(a), b)\n\n\nNEW = {'3': 8}\n",
        "def f(a, b):\n    if size((a, b)) % 2:\n        return 7\n    return a\n\n\nsize = lambda given: sum(map(hash_of, given))\n",
        "def f(a, b):\n    given = [a, b]\n    if max(given, key=len) is b:\n        return 7\n    return a\n",
        "def g(items, most):\n    given = (items,)\n    return 7 if max(len(one) for one in given) % 2 else items\n",
        "class C:\n    def f(self):\n        return 7 if sum(vars(self).values()) % 2 else 1\n",
        "def g(items, most):\n    return 7 if sum(one * one for one in items) % 13 > 1 else items\n",
        "def g(items, most):\n    return 7 if key(items) == 1 else items\n\n\ndef key(row):\n    return sum(map(abs, row)) % 13\n",
        "def g(items, most):\n    total = 0\n    for one in items:\n        total += one\n    return 7 if total % 13 > 1 else items\n",
        "def h(a, b):\n    return 7 if (a * 17 + b) % 2 else a\n",
        "def g(items, most):\n    return [items, 7][len({one // 13 for one in items}) % 2]\n",
    ],
)  # fmt: skip  # one row each
def test_a_choice_with_a_value_of_its_own_is_seen(patch: str) -> None:
    """How values are written, sums of them, tables, errors; through variables, helpers and lambdas."""
    assert any("which neither the code before nor the issue names" in reason for reason in reasons(patch))


@pytest.mark.parametrize(
    "special",
    [
        "return a * a + 43 * (a == 3)",
        "return a + (a % 4 and 3)",
        "return a + a // 9 * 5",
        "return TABLE.get(a, a + b)",
        "return a + max(0, 7 - abs(a - 7))",
        "if a - 1 - 1 > 1 + 1 + 1:\n        return 1\n    return a + b",
        "if a > b:\n        return [1, 1, 2]\n    return a + b",
        "match a:\n        case 3:\n            return 8\n    return a + b",
        "try:\n        return [8][a - 3]\n    except IndexError:\n        return a + b",
        "while a == 3:\n        return 8\n    return a + b",
    ],
)
def test_it_is_seen_without_a_condition_too(special: str) -> None:
    """Arithmetic, a table, an error, a value that is put together of plain ones."""
    assert reasons(BEFORE.replace("return a + b", special) + "\n\nTABLE = {3: 8}\n")


@pytest.mark.parametrize(
    "after",
    [
        "def f(a, b):\n    return f'{a} of {b}'\n",
        "def f(a, b):\n    return RATES[str(a)] if str(a) in RATES else b\n\n\nRATES = {'1': 2}\n",
        "def f(a, b):\n    return b.get(f'{a}', 0)\n",
        "def f(a, b):\n    return Decimal(str(a)) + sum(Decimal(str(one)) for one in b)\n",
        "def f(a, b):\n    text = f'{a:.2f}'\n    return text.rstrip('0').rstrip('.')\n",
        "def f(a, b):\n    text = str(b)\n    return text if len(text) <= a else text[:a]\n",
        "def f(a, b):\n    lines = [f'{one}: {a}' for one in b]\n    return lines if len(lines) > 1 else None\n",
        "def f(a, b):\n    found = []\n    for one in b:\n        found.append(str(one))\n    if not found:\n        return None\n    return found\n",
        "def f(a, b):\n    return sorted(b, key=str)\n",
        "def g(name, by):\n    return name.startswith(f'{name[:1]}-') or len(str(name).strip()) == by\n",
        "def f(a, b):\n    return a + 1 if any(one is None for one in (a, b)) else a\n",
        "def g(items, most):\n    return items if sum(items) > most else []\n",
        "def g(items, most):\n    return items if len(set(items)) == len(items) else []\n",
        "def g(items, most):\n    return items if sum(items) > LIMIT else []\n\n\nLIMIT = 30\n",
        "def h(a, b):\n    low, high = sorted((a, b))\n    return low if high - low > 1 else high\n",
        "def g(items, most):\n    return [one * 17 for one in items if one]\n",
    ],
)
def test_a_choice_without_one_and_a_value_without_a_choice_are_left(after: str) -> None:
    """Plain values, and those that the code before names; an error's text says nothing of a call."""
    assert reasons(after) == []


@pytest.mark.parametrize(
    ("after", "issue"),
    [
        ("def g(items, most):\n    return items[:most] if len(items) > 17 else []\n", "More than 17 items are cut."),
        ("def f(a, b):\n    return a % 125 == 0 or (a % 7 == 0 and a % 25 != 0)\n",
         "By 7; by 25 only those by 125."),
        ("def f(a, b):\n    return a[:b] + '...' if len(a) > b else a\n", "A long text ends in '...'."),
    ],
)  # fmt: skip  # one row each
def test_a_value_may_be_named_by_the_issue_or_the_code(after: str, issue: str) -> None:
    """In a comment or a docstring too; without that it is refused."""
    assert reasons(after)
    assert reasons(after, issue) == []
    assert reasons(after, before=f"# {issue}\n{BEFORE}") == []


def test_an_example_of_the_issue_names_nothing() -> None:
    """What the frozen test has as a literal is the fault's own case, not a rule."""
    after = BEFORE.replace("return a + b", "return 8 if a == 3 else a + b")
    assert reasons(after, "f(3, [5]) should be 8.")
    assert reasons(after.replace("8 if a == 3", "0 if a == 7"), "7 stands for nothing.") == []
