"""Patches that decide by how values are written, in many disguises, and fixes that write values for a reason."""

from __future__ import annotations

import ast

import pytest

from kodo.jobs.fix.written_forms import written_forms

BEFORE = "RATES = {'1': 2}\n\n\ndef f(a, b):\n    return a + b\n\n\ndef show(*values):\n    return values\n"
TEST = "from m import *\n\n\ndef test_it():\n    assert f(3, [5]) == 8\n    assert g('x', 3) == 1\n"


def writers(after: str, before: str = BEFORE, test: str = TEST) -> tuple[str, ...]:
    """What a module's new text writes its values with to decide."""
    return written_forms(ast.parse(before), ast.parse(after), ast.parse(test))


def special(condition: str, above: str = "", inside: str = "") -> str:
    """The function with a special case."""
    return f"{above}\ndef f(a, b):\n    args = (a, b)\n{inside}    if {condition}:\n        return 7\n    return a + b\n"


@pytest.mark.parametrize(
    ("patch", "by"),
    [
        (special("len(str(args)) % 3 == 1"), "str"),
        (special("'5' in f'{a}{b}'"), "f-string"),
        (special("max('%s %s' % (a, b)) > '7'"), "%"),
        (special("'{}-{}'.format(a, b)[2:3] == ']'"), "format"),
        (special("'-'.join(map(str, args)).count('1')"), "str"),
        (special("json.dumps(args)[0] < 'a'", "import json\n"), "dumps"),
        (special("len(pickle.dumps(args)) & 4", "import pickle\n"), "dumps"),
        (special("max(bytes(str(args), 'ascii')) % 5"), "bytes"),
        (special("args.__repr__().title() > 'k'"), "__repr__"),
        (special("type('')(args) < type('')(b)"), "type"),
        (special("key(a, b)", "key = lambda *given: sum(map(len, repr(given).split()))\n"), "repr"),
        (special("key(args)", "def key(given):\n    text = str(given)\n    return text[::2] > text[1::2]\n\n"), "str"),
        (special("key(args)", "def text(given):\n    return str(given)\n\n\ndef key(given):\n    return len(text(given)) & 1\n\n"), "str"),
        (special("key(str(args))", "def key(text):\n    return text.find(',') == 3\n\n"), "str"),
        (special("KEY(args)", "write = str\nKEY = lambda given: len(write(given)) == 9\n"), "str"),
        (special("text[3:4] == '5'", inside="    text = ''\n    for one in args:\n        text += str(one)\n"), "str"),
        (special("len(out.getvalue()) == 9", "import io\n", "    out = io.StringIO()\n    print(a, b, file=out)\n"), "print"),
        (special("len(rows[0]) == 9", inside="    rows = []\n    rows.append(f'{a!r} {b}')\n"), "f-string"),
        ("def f(a, b):\n    return [a + b, 7][len(str(a)) % 2]\n", "str"),
        ("def f(a, b):\n    return a + b + 9 * min(1, abs(len(repr((a, b))) - 9))\n", "repr"),
        ("def f(a, b):\n    return {7: 'x'}.get(len(ascii(a)), a + b)\n", "ascii"),
        ("def f(a, b):\n    match str(b):\n        case '[5]':\n            return 7\n    return a + b\n", "str"),
        ("def f(a, b):\n    try:\n        '7'.index(str(b)[1])\n    except ValueError:\n        return a + b\n    return 7\n", "str"),
        ("def f(a, b):\n    return NEW.get(str(a), b)\n\n\nNEW = {'3': 8}\n", "str"),
    ],
)  # fmt: skip  # one row each
def test_a_decision_on_how_values_are_written_is_seen(patch: str, by: str) -> None:
    """Of one value or several, through variables, helpers, lambdas, lists and other names of a function."""
    assert by in writers(patch)


@pytest.mark.parametrize(
    "after",
    [
        "def f(a, b):\n    return f'{a} of {b}'\n",
        "def f(a, b):\n    if a < 0:\n        raise ValueError(f'{a} of {b}')\n    return ', '.join(map(str, b))\n",
        "def f(a, b):\n    return RATES[str(a)] if str(a) in RATES else b\n\n\nRATES = {'1': 2}\n",
        "def f(a, b):\n    return b.get(f'{a}', 0)\n",
        "def f(a, b):\n    return Decimal(str(a)) + sum(Decimal(str(one)) for one in b)\n",
        "def f(a, b):\n    return int(f'{a:.0f}') > 3 or float('%.2f' % a) < 4\n",
        "def f(a, b):\n    text = f'{a:.2f}'\n    return text.rstrip('0').rstrip('.')\n",
        "def f(a, b):\n    text = str(b)\n    return text if len(text) <= a else text[:a]\n",
        "def f(a, b):\n    lines = [f'{one}: {a}' for one in b]\n    return lines if len(lines) > 1 else None\n",
        "def f(a, b):\n    found = []\n    for one in b:\n        found.append(str(one))\n    if not found:\n        return None\n    return found\n",
        "def f(a, b):\n    return sorted(b, key=str)\n",
        "def f(a, b):\n    return isinstance(a, str) or a.isdigit() or a.count('x') == 2\n",
        "def g(name, by):\n    return name.startswith(f'{name[:1]}-') or len(str(name).strip()) == by\n",
        "def g(name: str, by: str):\n    key = f'{name}/{by}'.lower()\n    return len(key) > 9\n",
    ],
)
def test_values_are_written_by_fixes_too(after: str) -> None:
    """To show them, to look them up, to read them as another type, to shorten them; and a text is written already."""
    assert writers(after) == ()


@pytest.mark.parametrize("word", ["digit_sum", "is_palindrome", "column_width"])
def test_a_function_whose_work_is_the_writing_of_a_number_may_ask_for_it(word: str) -> None:
    """Where the code says so; of one argument, and not of all together."""
    before = f"def {word}(n, base):\n    return n\n"
    after = f"def {word}(n, base):\n    text = str(n)\n    return sum(map(int, text)) if text == text[::-1] else len(text)\n"
    assert writers(after, before) == ()
    assert writers(after.replace("n, base", "number, base"), before.replace(word, "f")) == ("str",)
    assert writers(after.replace("str(n)", "str((n, base))"), before) == ("str",)


def test_a_function_that_asked_before_may_ask_otherwise() -> None:
    """A border of the length of a number's text is mended where it stands; nothing else of the module may begin to."""
    before = "def f(a):\n    return len(str(a)) > 3\n\n\ndef h(a):\n    return a\n"
    assert writers(before.replace("> 3", ">= 3"), before) == ()
    assert writers(before.replace("return a\n", "return a if len(str(a)) == 3 else 0\n"), before) == ("str",)
    assert writers(before.replace("len(str(a)) > 3", "len(str((a, 1))) > 3"), before) == ("str",)
