"""A text with one of its numbers, the case of its letters, what is between two brackets, or an item of a list changed; the rest stays as
it is.

What is between two brackets is nothing, or the whole text once more, as deep as the numbers of the change say. Items are what commas,
semicolons, ampersands, slashes or ends of lines divide: one is left out, there twice, or in another place.

Texts with a grammar (dates, addresses, statements of a language) mostly stay texts of it, so that they come as far as the
code that changed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z]{2,}")
_BRACKETED = re.compile(r"""(?=(\[[^\[\]]+\]|\([^()]+\)|\{[^{}]+\}|<[^<>]+>|"[^"\n]+"|'[^'\n]+'))""")
"""Its group is the bracketed piece; it looks ahead, so that pieces inside others are found too."""
_SPECIAL_NUMBERS = ("0", "00", "-1", "inf", "nan", "1e400", "99999999999999999999")
"""What a parser of numbers may take for one, or just does not any more."""
_SEPARATOR = re.compile(r",\s*|;\s*|&|/|\n")
_LOOKED_AT = 2000
_DEPTHS = (1, 2, 4)
_DIGITS_OF_DEPTH, _MAX_LIMITS, _LONGEST = 3, 3, 20_000
"""The digits of a number that may limit a depth, how many such numbers are tried, and the longest text that is made."""


def varied_tokens(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """The text with one thing changed; None where it has nothing of the kind that was drawn. ``words`` are those of the change:
    the numbers among them take the place of one in the text.
    """
    return rng.choice((_other_number, _other_case, _emptied, _nested, _other_items))(value, words, rng)


def _other_number(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """With a number of the change, one next to it, or a special one, with as many digits as before where it has fewer."""
    found = _one(_NUMBER, value, rng)
    if found is None:
        return None
    known = [word for word in words if word.isdecimal()]
    if known and rng.random() < 0.6:
        number = max(0, int(rng.choice(known)) + rng.choice((0, 0, 0, 1, -1)))
        other = str(number).zfill(len(found[0]))
    else:
        other = rng.choice(_SPECIAL_NUMBERS)
    return value[: found.start()] + other + value[found.end() :]


def _other_case(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """With all letters or those of one word in another case."""
    change = rng.choice((str.lower, str.upper, str.swapcase, str.title))
    found = _one(_WORD, value, rng)
    if found is None:
        return None
    whole = change(value)
    one = value[: found.start()] + change(found[0]) + value[found.end() :]
    other = whole if rng.random() < 0.5 else one
    return other if other != value else None


def _emptied(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """With nothing between two brackets or quotes."""
    found = _one(_BRACKETED, value, rng)
    return None if found is None else value[: found.start(1) + 1] + value[found.end(1) - 1 :]


def _nested(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """With the text itself between two of its brackets, and so on: a few times, or once more than a number of the change."""
    found = _one(_BRACKETED, value, rng)
    if found is None:
        return None
    limits = [int(word) + 1 for word in words if word.isdecimal() and len(word) <= _DIGITS_OF_DEPTH]
    times = rng.choice([*_DEPTHS, *limits[:_MAX_LIMITS] * len(_DEPTHS)])
    before, after = value[: found.start(1) + 1], value[found.end(1) - 1 :]
    whole = before * times + value + after * times
    return whole if len(whole) <= _LONGEST else None


def _other_items(value: str, words: Sequence[str], rng: random.Random) -> str | None:
    """With one of the items that a separator divides left out, there twice, or in the place of another one."""
    found = _one(_SEPARATOR, value, rng)
    if found is None:
        return None
    items = value.split(found[0])
    at = rng.randrange(len(items))
    other = rng.randrange(len(items))
    way = rng.randrange(3)
    if way == 0:
        del items[at]
    elif way == 1:
        items.insert(other, items[at])
    else:
        items[at], items[other] = items[other], items[at]
    made = found[0].join(items)
    return made if made != value and len(made) <= _LONGEST else None


def _one(pattern: re.Pattern[str], value: str, rng: random.Random) -> re.Match[str] | None:
    """One of the first matches of a pattern."""
    found = list(pattern.finditer(value[:_LOOKED_AT]))
    return rng.choice(found) if found else None
