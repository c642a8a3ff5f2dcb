"""A short text that a regular expression matches: the least of each repetition, the first of each choice.

Python's own parser reads the expression; nothing is matched, so no expression can make it run for ever. Knows regular
expressions; knows nothing of schemas. What comes out is a guess: look-arounds and back-references are left out.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

MAX_EXAMPLE = 1_000
"""Characters of an example at most."""
_ANY = "a"
_CATEGORIES = {
    "CATEGORY_DIGIT": "0",
    "CATEGORY_SPACE": " ",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_WORD": " ",
}


def pattern_example(pattern: str) -> str | None:
    """A text that the pattern matches; None where none was found."""
    parser: Any = import_module("re._parser")  # the standard library's own, which has no public name
    try:
        text = _example(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError):
        return None
    return text if len(text) <= MAX_EXAMPLE else None


def _example(parsed: Any) -> str:
    """The example of a sequence of parsed nodes, each a pair of its kind and its arguments."""
    return "".join(_node(str(kind), value) for kind, value in parsed)


def _node(kind: str, value: Any) -> str:
    match kind:
        case "LITERAL":
            return str(chr(value))
        case "NOT_LITERAL":
            return "a" if chr(value) != "a" else "b"
        case "ANY":
            return _ANY
        case "IN":
            return _one_of(value)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least = min(int(value[0]), MAX_EXAMPLE)
            return _example(value[2]) * least
        case "SUBPATTERN":
            return _example(value[-1])
        case "ATOMIC_GROUP":
            return _example(value)
        case "BRANCH":
            examples = [_example(one) for one in value[1]]
            return min(examples, key=len)
        case "CATEGORY":
            return _CATEGORIES.get(str(value), "")
    return ""  # a position, a look-around or a back-reference


def _one_of(members: Any) -> str:
    """A character of a set."""
    if str(members[0][0]) == "NEGATE":
        return next(
            (letter for letter in "a0 -_Z~" if not any(_holds(one, letter) for one in members[1:])), ""
        )
    kind, value = str(members[0][0]), members[0][1]
    if kind == "RANGE":
        return chr(value[0])
    return _node(kind, value)


def _holds(member: Any, letter: str) -> bool:
    kind, value = str(member[0]), member[1]
    if kind == "LITERAL":
        return bool(chr(value) == letter)
    if kind == "RANGE":
        return bool(value[0] <= ord(letter) <= value[1])
    holds = {"DIGIT": letter.isdigit(), "SPACE": letter.isspace(), "WORD": letter.isalnum() or letter == "_"}
    name = str(value).removeprefix("CATEGORY_")
    return not holds[name.removeprefix("NOT_")] if name.startswith("NOT_") else holds.get(name, False)
