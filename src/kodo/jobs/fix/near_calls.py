"""Calls near those of a test: its literals a little changed, one, several, or equal ones alike.

Knows neither versions nor what the calls give.
"""

from __future__ import annotations

import ast
import copy
import random
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

MAX_NEAR = 90
_LARGE = 2**53
"""Integers below are all floats too."""
EMPTY: Mapping[str, tuple[str, ...]] = {
    "[]": ("()", "''", "{}", "set()", "range(0)", "b''", "[0]", "[1, 2]", "(1,)", "'a'", "[None]", "[[]]", "{1: 2}", "(3, 5, 4)"),
    "()": ("[]", "''", "{}", "set()", "range(0)", "b''", "(0,)", "(1, 2)", "[1]", "'a'", "(None,)", "((),)", "{1: 2}", "[3, 5]"),
    "{}": ("{'a': 1}", "{1: 2}", "{'': ''}", "{None: None}", "{'a': {}}", "{'b': [1]}", "{'x': 'y'}", "{0: 0}", "{'a': 1, 'b': 2}",
           "{'name': 'n'}", "{True: False}", "{'a': None}"),
    "''": ("' '", "'a'", "'A b'", "'1'", "'-'", "'\\n'", "'  '", "'abc'", "'a,b'", "'.'", "'x' * 40", "b''", "'é'"),
}  # fmt: skip  # a table reads better in rows
"""What stands in the place of an empty container or text."""
_ARGUMENTS = ("{'a': 1}", "'a'", "1", "[1, 2]", "('a', 2)", "2.5", "{'b': [2]}", "'b c'")


def near_calls(own: Sequence[Call], known: Collection[Call] = (), limit: int = MAX_NEAR) -> list[list[Call]]:
    """Variations of each call, none twice and none of ``known``; together at most ``limit``."""
    rng = random.Random(0)  # noqa: S311 - test inputs
    values = Values(rng, {})  # no constants of the test: one would bring the test's own case back
    made = {_key(call) for call in (*own, *known)}
    each = max(1, limit // max(1, len(own)))
    families = []
    for call in own:
        family = []
        for row in _rows(call, values, each)[:each]:
            args = tuple(Arg(arg.name, row.get(at, arg.source)) for at, arg in enumerate(call.args))
            near = msgspec.structs.replace(call, args=args)
            if _key(near) not in made and _letters(args) != _letters(
                call.args
            ):  # nor the same ones in another order
                made.add(_key(near))
                family.append(near)
        families.append(family)
    return families


def looked_at(call: Call) -> frozenset[int]:
    """The places of the literals in what is looked at; of all where there is none."""
    return arguments(call) or frozenset(range(len(call.args)))


def arguments(call: Call) -> frozenset[int]:
    """The places of the literals in what is looked at."""
    return frozenset(int(name[1:]) for name in re.findall(r"\b_\d+\b", call.expression))


def wider_calls(own: Sequence[Call]) -> list[Call]:
    """Where a test makes a state and then calls something without arguments: that call with one of several arguments."""
    found = []
    for call in own:
        seen = ast.parse(call.expression, mode="eval").body
        if isinstance(seen, ast.Call) and not seen.args and not seen.keywords and call.args:
            name = ast.unparse(seen.func)
            found += [msgspec.structs.replace(call, expression=f"{name}({source})") for source in _ARGUMENTS]
    return found


def _rows(call: Call, values: Values, each: int) -> list[dict[int, str]]:
    """What stands in the places of literals: one of what is looked at changed, equal ones alike, or several."""
    rng, seen = values.rng, looked_at(call)
    others = [_others(arg.source, values) for arg in call.args]
    rows = [{at: source} for at in sorted(seen) for source in others[at]]
    rng.shuffle(rows)
    places = [at for at, sources in enumerate(others) if sources]
    for _ in range(each // 2 if len(places) > 1 else 0):
        chosen = rng.sample(places, rng.randint(2, len(places)))
        if not seen.isdisjoint(chosen):
            rows.insert(rng.randint(0, each // 2), {at: rng.choice(others[at]) for at in chosen})
    alike = defaultdict(list)
    for at in places:
        alike[call.args[at].source].append(at)
    for same in alike.values():
        if len(same) > 1 and not seen.isdisjoint(same):
            rows[:0] = [dict.fromkeys(same, source) for source in others[same[0]][: each // 4]]
    return rows


def _key(call: Call) -> tuple[tuple[str, ...], str, tuple[Arg, ...]]:
    return call.setup, call.expression, call.args


def _letters(args: Sequence[Arg]) -> list[str]:
    return sorted("".join(arg.source for arg in args))


def _others(source: str, values: Values) -> list[str]:
    """Other values in the place of a literal: neighbours, other sizes, and other types of the same kind."""
    value = _value(source)
    out = [*EMPTY.get(source, ()), *(found for _ in range(3) for found in values.near(source))]
    match value:
        case bool() | None:
            out += ["True", "False"]
        case int() as number:
            more = (
                number + 1,
                number - 1,
                number + 2,
                number + 3,
                number * 2,
                number * 3,
                number + 4,
                number + 100,
                *((float(number),) if abs(number) < _LARGE else ()),
            )
            out += map(repr, more)
        case float() as number:
            out += map(repr, (number + 0.5, number * 2, number - 1, number / 3))
        case str() as text:
            out += map(
                repr,
                (
                    f"{text}{text}",
                    f"x{text}",
                    f"{text}x",
                    text.title(),
                    text[1:],
                    text[:-1],
                    _shifted(text, 1),
                    _shifted(text, 2),
                    "7" * len(text),
                    f"{text} {text}",
                    text[::-1],
                    *_with_one_other(text),
                    *_of_other_kinds(text),
                ),
            )
        case list() as items:
            out += map(repr, (tuple(items), [*items, *items], items[1:], items[:-1], items[::-1]))
        case tuple() as items:
            out += map(repr, (list(items), (*items, *items), items[1:], items[:-1], items[::-1]))
        case dict() as pairs:
            out += map(repr, _other_pairs(pairs) if pairs else ())
        case _:
            pass
    return [found for found in dict.fromkeys(out) if found != source]


def _other_pairs(pairs: dict[object, object]) -> tuple[dict[object, object], ...]:
    """Other keys, another one with the same value, and all numbers changed alike."""
    first = next(iter(pairs.values()))
    alike = {key: following for key, item in pairs.items() if (following := _next(item)) is not None}
    return (
        {f"x{key}": item for key, item in pairs.items()},
        {**pairs, "a": first},
        {**pairs, "z": first},
        alike,
    )


def _next(value: object) -> object:
    """The next number; None for what is none, so that equal items stay equal."""
    return value + 1 if isinstance(value, int | float) else None


def _with_one_other(text: str) -> tuple[str, ...]:
    """A text with a letter put in or replaced in its middle, or with two letters there that have changed their places."""
    at = len(text) // 2
    return (
        f"{text[:at]}q{text[at:]}",
        f"{text[:at]}q{text[at + 1 :]}",
        f"{text[:at]}{text[at : at + 2][::-1]}{text[at + 2 :]}",
        f"{text[:1]}q{text[2:]}",
    )


def _of_other_kinds(text: str) -> tuple[str, ...]:
    """A text with all its letters of one kind replaced: digits, small ones, capital ones, vowels, spaces, other signs."""
    return (
        text.swapcase(),
        re.sub(r"[0-9]", "x", text),
        re.sub(r"[0-9]", "", text),
        re.sub(r"[a-z]", "5", text),
        re.sub(r"[A-Z]", "", text),
        re.sub(r"(?i)[aeiou]", "z", text),
        re.sub(r"\s", "", text),
        re.sub(r"[^\w\s]", "", text),
    )


def _shifted(text: str, by: int) -> str:
    """A text of the same length, each letter another one."""
    return "".join(chr(ord(char) + by) if char.isalpha() and char.lower() < "x" else char for char in text)


def _value(source: str) -> object:
    try:
        return copy.copy(literal_value(source))
    except NoLiteral:
        return None
