"""Read properties that hold for every result from a docstring: ranges, order, length, no duplicates, round trips.

One row of ``PROPERTIES`` reads one form of sentence. A builder gives the property as Python source over ``result``,
``_0``, ``_1``..., or nothing where the sentence is about something else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from kodo.jobs.execution.definitions import Function

NUMBER = r"-?\d+(?:\.\d+)?"
SIZED = frozenset({"list", "set", "frozenset", "tuple", "dict", "str", "bytes", "deque"})
"""Kinds of values that have a length."""

_ABOUT_RESULT = re.compile(r"\breturn|\bresult|\balways\b|\bvalue\b")
_ARGUMENT_WORDS = frozenset({"input", "argument", "original", "list", "items", "values", "caller"})
_ROUND_TRIPS = (
    (r"\binverse of (?::\w+:)?(\w+)", "undoes"),
    (
        r"\b(?:that|which|what) (?::\w+:)?(\w+) (?:wrote|writes|made|makes|returned|returns|produced|encoded)\b",
        "undoes",
    ),
    (r"\b(?:that|which|what) (?::\w+:)?(\w+) (?:reads back|can read back|decodes again)\b", "undone by"),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in lower case, and the function it documents."""

    text: str
    function: Function
    about_result: bool

    @property
    def placeholders(self) -> dict[str, str]:
        """Parameter name -> its placeholder in a property."""
        return {p.name: f"_{at}" for at, p in enumerate(self.function.params) if not p.variadic}

    @property
    def takes_sized(self) -> bool:
        """Whether the first parameter has a length."""
        return bool(self.function.params) and self.function.params[0].type.kind in SIZED


@dataclass(frozen=True, slots=True)
class Property:
    """One form of sentence: its pattern, what it means, and when it may be read so."""

    pattern: str
    build: Callable[[re.Match[str], Sentence], str]
    about_result: bool = False
    """Only in sentences about the result."""
    sized: bool = False
    """Only where the first parameter has a length."""


def _range(found: re.Match[str], sentence: Sentence) -> str:
    low, high = (sentence.placeholders.get(one, one) for one in found.groups())
    known = all(re.fullmatch(rf"{NUMBER}|_\d+", one) for one in (low, high))
    if not known or re.search(r"random|exclusive", sentence.text):
        return ""
    return f"not {low} <= {high} or {low} <= result <= {high}"


def _not_negative(_: re.Match[str], sentence: Sentence) -> str:
    about_parameter = any(
        re.search(rf"\b{re.escape(name.lower())} (?:is|must|should|may|can)\b", sentence.text)
        for name in sentence.placeholders
    )
    return "" if about_parameter else "result >= 0"


def _unchanged(found: re.Match[str], sentence: Sentence) -> str:
    return "unchanged" if found.group(1) in {*_ARGUMENT_WORDS, *sentence.placeholders} else ""


def _same_length(_: re.Match[str], sentence: Sentence) -> str:
    first = sentence.placeholders.get(sentence.function.params[0].name)
    return f"len(result) == len({first})" if first else ""


def _at_most(found: re.Match[str], sentence: Sentence) -> str:
    limit = sentence.placeholders.get(found.group(1), found.group(1))
    returned = ast.unparse(sentence.function.returns).lower() if sentence.function.returns else ""
    holders = ("list", "tuple", "set")
    fits = returned == "str" if found.group(2) == "characters" else returned.startswith(holders)
    if not fits or not re.fullmatch(r"\d+|_\d+", limit):
        return ""
    return f"{limit} < 1 or len(result) <= {limit}" if limit.startswith("_") else f"len(result) <= {limit}"


def _constant(text: str) -> Callable[[re.Match[str], Sentence], str]:
    return lambda found, sentence: text


PROPERTIES: tuple[Property, ...] = (
    Property(
        r"(?:always |is |lies |score |value |result |a number )(?:is |lies )?(?:between|from|in the range) "
        rf"({NUMBER}|\w+) (?:and|to) ({NUMBER}|\w+)",
        _range,
        about_result=True,
    ),
    Property(
        r"\bnever (?:be )?negative\b|\bnon-?negative (?:int|number|float|value|result)",
        _not_negative,
        about_result=True,
    ),
    Property(
        r"\bin ascending order\b|\breturns? (?:a |the )?(?:new )?sorted (?:list|copy)",
        _constant("list(result) == sorted(result)"),
        about_result=True,
        sized=True,
    ),
    Property(
        r"\bin descending order\b",
        _constant("list(result) == sorted(result, reverse=True)"),
        about_result=True,
        sized=True,
    ),
    Property(
        r"\bwithout (?:any )?(?:duplicates|repeats)\b|\bduplicates? (?:are |is )?removed\b|\bremoves? duplicates?\b",
        _constant("all(one not in list(result)[:at] for at, one in enumerate(result))"),
        sized=True,
    ),
    Property(
        r"\b(?:does not|doesn't|never|without|not be) "
        r"(?:modify|modif(?:ying|ied)|mutat(?:e|ing|ed)|chang(?:e|ing|ed)) (?:the |its |any )?(\w+)",
        _unchanged,
    ),
    Property(r"\b(?:of|has|with|keeps?) the same length\b", _same_length, sized=True),
    Property(rf"\bat most ({NUMBER}|\w+) (characters|items|elements)\b", _at_most),
)


def read_properties(plain: str, function: Function, siblings: frozenset[str]) -> list[str]:
    """The properties that a sentence without back quotes states of every result of ``function``."""
    text = plain.lower()
    about_result = bool(_ABOUT_RESULT.search(text)) or plain == function.doc.splitlines()[0].strip(" .")
    sentence = Sentence(text, function, about_result)
    out = [found for form in PROPERTIES if (found := _read(form, sentence))]
    if len(function.params) == 1:
        out += _round_trips(plain, siblings)
    return out


def _read(form: Property, sentence: Sentence) -> str:
    if (form.about_result and not sentence.about_result) or (form.sized and not sentence.takes_sized):
        return ""
    built = (form.build(found, sentence) for found in re.finditer(form.pattern, sentence.text))
    return next(filter(None, built), "")


def _round_trips(plain: str, siblings: frozenset[str]) -> list[str]:
    """``undoes f``: this function gives back what went into f; ``undone by f``: f gives back what went into this one."""
    return [
        f"{word} {found.group(1)}"
        for form, word in _ROUND_TRIPS
        for found in re.finditer(form, plain)
        if found.group(1) in siblings
    ]
