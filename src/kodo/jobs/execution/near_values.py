"""Values near a given one: a character more or less, an item in another place, a number next to it."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kodo.jobs.execution.values import Values

LETTERS = "abcdeXYZ019 _-.,;:/@#\n\té=&?%[](){}\"'+*<>|\\~ßİ\u200b\u0301\u3000\U0001f600\U000f0001"
"""Characters that texts are made of."""
_LAST_DAYS = (28, 30, 31)
"""The last days of months: a small number may be a day."""


def _near_text(values: Values, value: str, _: int) -> list[object]:
    rng = values.rng
    at = rng.randint(0, len(value))
    out = [
        "",
        value[:at],
        value[at:],
        value + value,
        value.upper(),
        value.swapcase(),
        value[::-1],
        f" {value} ",
    ]
    out += [
        value[:at] + rng.choice(LETTERS) + value[at:],
        value[: max(at - 1, 0)] + value[at:],
        " ".join(value.split()[::-1]),
    ]
    for word in values.words(4):
        out += [value + word, word + value, value[:at] + word + value[at:], word]
    marks = [char for char in sorted(set(value)) if not char.isalnum()][:4]
    return [
        *out,
        *(value.replace(char, "", 1) for char in marks),
        *(value.replace(char, char * 2, 1) for char in marks),
    ]


def _near_sequence(values: Values, value: list[object] | tuple[object, ...], depth: int) -> list[object]:
    kind = type(value)
    out: list[object] = [
        kind(value[:0]),
        kind(value[::-1]),
        kind(value[:1]),
        kind(value[1:]),
        kind((*value, *value)),
    ]
    if value and all(isinstance(item, str) for item in value):
        for word in values.words(4):
            at = values.rng.randint(0, len(value))
            out.append(kind((*value[:at], word, *value[at:])))
    for at, item in enumerate(value[:4] if depth < 2 else ()):
        near = values.neighbours(item, depth + 1)
        changed = values.rng.sample(near, min(3, len(near)))
        out += [kind((*value[:at], one, *value[at + 1 :])) for one in changed]
    return out


def _near_dict(values: Values, value: dict[object, object], depth: int) -> list[object]:
    pairs = list(value.items())
    out: list[object] = [{}, dict(pairs[:1]), dict(pairs[1:])]
    names = values.words(4)
    for name in names:
        out += [value | {name: pairs[0][1] if pairs else 1}, value | {name: values.rng.choice(names)}]
    for key, item in pairs[:3]:
        out += [value | {key: one} for one in values.neighbours(item, depth + 1)[:3]]
    if values.deep and pairs:
        found = values.near_kinds()
        out += [value | {values.rng.choice(pairs)[0]: one} for one in found]
    return out


def _near_bytes(values: Values, value: bytes, depth: int) -> list[object]:
    """As texts of the same codes; what has no place in a byte is left out."""
    near = (one for one in _near_text(values, value.decode("latin-1"), depth) if isinstance(one, str))
    return [one.encode("latin-1") for one in near if all(ord(char) < 256 for char in one)]


NEIGHBOURS: tuple[tuple[type | types.UnionType, Callable[[Values, Any, int], list[object]]], ...] = (
    (bool, lambda _, value, __: [not value]),
    (
        int,
        lambda _, value, __: [
            *(value + 1, value - 1, -value, value * 2, 0, value // 2, value * 10),
            *(_LAST_DAYS if 1 <= value <= _LAST_DAYS[-1] else ()),
        ],
    ),
    (float, lambda _, value, __: [value + 1, -value, value / 2, 0.0, value + 0.005, value * 10]),
    (str, _near_text),
    (bytes, _near_bytes),
    (list | tuple, _near_sequence),
    (dict, _near_dict),
    (set, lambda _, value, __: [set(), set(list(value)[:1])]),
)
"""Type -> the values near one of it; bool is an int, so it comes first."""
