"""Calls a little different from given ones: one or two of their literals changed.

Knows the texts that other calls use and the words of the changed code, so that a change is likely to matter to it.
"""

import ast
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.odd_values import HOLE
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.combination import Arguments, Combinations
from kodo.jobs.execution.worker.definition_variation import (
    calling_back,
    decorated,
    is_plain_call,
    raising,
    retyped_fields,
)
from kodo.jobs.execution.worker.literal_value import NoLiteral, is_literal, literal_value
from kodo.jobs.execution.worker.option_variation import CommandLines
from kodo.jobs.execution.worker.replaced_values import replaced_everywhere
from kodo.jobs.execution.worker.token_variation import varied_tokens

_LOOKALIKES = str.maketrans({"s": "ſ", "k": "\u212a", "i": "ı", "S": "ẞ", "1": "١"})
_NEAR, _SPLICED = 0.5, 0.8
_LONG = 30
_MAX_VAIN = 6
_ALIGNED = 0.35  # of the changed texts, those where whole pieces of others are put in or left out
_COMBINED = 0.2  # of the variations, those with an argument of another call
_MARKED = 0.25  # of the changed texts, those where a word of the change is put between two pieces or at the end of a line
_TOKENS = (
    0.25  # of the changed texts, those where a number, the case of letters or what is in brackets is another
)
_COPIED = 0.2  # of the changed texts, those where a number or word takes the place of another one
_RAISING = 0.15  # of the variations of calls with definitions, those where one of these raises
_CALLING_BACK = 0.1  # of those, those where one does a statement of the setup
_DECORATED = 0.1  # of those, those where a decorator has another option
_OPTIONED = 0.4  # of the variations of calls with a list of texts, those with other options in it
_ODD = 0.12  # of the variations, those with an odd value in the place of a literal, where the change asks for one
_EVERYWHERE = 0.15  # of the variations, those with an odd value in each place of a number or text, where the change asks for one
_BY_CLASS = 0.1  # of the variations, those that ask a class, where the change is of a descriptor
_RETYPED = 0.25  # of the variations, those where a field of a class has another type, where the change is about types
_SEQUENCES = ("'", '"', "[", "(")
"""How literals begin that can be gone through."""
_REPEATED = 0.12  # of the variations of calls with a setup, those that do a statement of it twice
_LONGEST_PIECE = 2000
_FIRST_WORDS, _OF_THE_FIRST = 12, 0.5
_TOKEN = re.compile(r"\w+|[^\w\s]+|\s+")


class Variations:
    """Makes variations of calls, deterministically; ``words`` are what the changed code is about, the most relevant first."""

    def __init__(
        self,
        calls: Sequence[Call],
        words: Sequence[str],
        combinations: Combinations | None = None,
        errors: Sequence[str] = (),
        options: Sequence[str] = (),
        names: Sequence[str] = (),
        odd: Sequence[str] = (),
        *,
        types: bool = False,
        descriptors: bool = False,
    ) -> None:
        """``errors`` are the names of errors in the changed code, ``options`` those of the module's command lines, ``names``
        those by which an option may be called, ``odd`` the sources of odd values. ``types``: fields of classes get other types.
        ``descriptors``: what an object is asked for, its class is asked for.
        """
        self._rng = random.Random(0)  # noqa: S311 - test inputs
        texts = [value for call in calls for arg in call.args if isinstance(value := _value(arg.source), str)]
        self._texts = list(dict.fromkeys(texts))[:400]
        self._words = list(words)
        self._combinations = combinations or Combinations(Arguments(calls))
        self._changed_at: dict[int, tuple[tuple[str, ...], str, tuple[int, ...]]] = {}
        self._vain: Counter[tuple[tuple[str, ...], str, int]] = Counter()
        known: tuple[object, ...] = (*words, *(text for text in self._texts if len(text) < _LONG))
        self._values = Values(self._rng, {}, known)
        rng, lines = self._rng, CommandLines(options, calls)
        ways: list[tuple[float, Callable[[Call, int], Call | None]]] = [
            (_REPEATED, self._repeated),
            (_OPTIONED, lambda call, number: lines.varied(call, number, rng)),
            (_RAISING, lambda call, number: raising(call, number, errors, rng)),
            (_CALLING_BACK, lambda call, number: calling_back(call, number, rng)),
        ]
        if names:
            ways.append((_DECORATED, lambda call, number: decorated(call, number, names, rng)))
        if odd:
            whole = [one for one in odd if HOLE not in one]
            ways.append((_ODD, lambda call, number: self._with_odd(call, number, odd)))
            ways.append((_EVERYWHERE, lambda call, number: replaced_everywhere(call, number, whole, rng)))
        if types:
            ways.append((_RETYPED, lambda call, number: retyped_fields(call, number, rng)))
        if descriptors:
            ways.append((_BY_CLASS, through_class))
        self._ways = (
            *ways,
            (_COMBINED, lambda call, number: self._combinations.combined(call, number, rng)),
        )

    def one(self, call: Call, number: int) -> Call | None:
        """A variation with this number; None for a call without a literal that can be changed."""
        rng = self._rng
        for share, vary in self._ways:
            if rng.random() < share and (made := vary(call, number)):
                return made
        every = [at for at, arg in enumerate(call.args) if _value(arg.source) is not None]
        if not every:
            return None
        places = [at for at in every if self._vain[call.setup, call.expression, at] < _MAX_VAIN] or every
        args = list(call.args)
        chosen = rng.sample(places, min(len(places), rng.choice((1, 1, 1, 2, 3))))
        for at in chosen:
            args[at] = Arg(args[at].name, self._changed(args[at].source))
        self._changed_at[number] = (call.setup, call.expression, tuple(chosen))
        return msgspec.structs.replace(call, id=number, args=tuple(args))

    def learn(self, calls: Sequence[Call], arrived: Collection[int]) -> None:
        """Change literals less whose changes keep calls from where they were to go; ``arrived`` got there."""
        for call in calls:
            self._combinations.learn(call.id, call.id in arrived)
            setup, expression, places = self._changed_at.pop(call.id, ((), "", ()))
            if call.id in arrived or len(places) == 1:  # of several changes, it is not known which one was it
                for at in places:
                    self._vain[setup, expression, at] += -1 if call.id in arrived else 1

    def _repeated(self, call: Call, number: int) -> Call | None:
        """The call with one of the plain calls of its setup made twice; None where it has none."""
        places = [at for at, line in enumerate(call.setup) if is_plain_call(line)]
        if not places:
            return None
        at = self._rng.choice(places)
        return msgspec.structs.replace(call, id=number, setup=(*call.setup[: at + 1], *call.setup[at:]))

    def _with_odd(self, call: Call, number: int, odd: Sequence[str]) -> Call | None:
        """The call with an odd value in the place of a literal; None where it has none."""
        places = [at for at, arg in enumerate(call.args) if is_literal(arg.source)]
        if not places:
            return None
        at = self._rng.choice(places)
        fitting = [one for one in odd if HOLE not in one or call.args[at].source[:1] in _SEQUENCES]
        if not fitting:
            return None
        made = Arg(call.args[at].name, self._rng.choice(fitting).replace(HOLE, call.args[at].source))
        return msgspec.structs.replace(call, id=number, args=(*call.args[:at], made, *call.args[at + 1 :]))

    def _changed(self, source: str) -> str:
        value = _value(source)
        if isinstance(value, str) and self._rng.random() > _NEAR:
            return repr(self._changed_text(value))
        near = self._values.near(source)
        return self._rng.choice(near) if near else source

    def _changed_text(self, value: str) -> str:
        """A text of the same build: pieces repeated, left out, put in from elsewhere, lengthened or replaced."""
        rng = self._rng
        if rng.random() < _TOKENS and (varied := varied_tokens(value, self._words, rng)) is not None:
            return varied
        if self._words and rng.random() < _MARKED:
            return self._marked(value, self._word())
        if rng.random() < _ALIGNED and (aligned := self._aligned(value)) is not None:
            return aligned
        if rng.random() < _COPIED and (copied := self._copied(value)) is not None:
            return copied
        start, end = sorted((rng.randint(0, len(value)), rng.randint(0, len(value))))
        piece = value[start:end]
        lines = value.splitlines(keepends=True) or [""]
        at = rng.randrange(len(lines))
        other = rng.choice(self._texts) if self._texts else ""
        word = self._word() if self._words else ""
        cut = sorted((rng.randint(0, len(other)), rng.randint(0, len(other))))
        options = [
            value[:start] + value[end:],
            value[:end] + piece + value[end:],
            value[:start] + word + value[start:],
            value[:start] + other[cut[0] : cut[1]] + value[start:],
            value[:start] + word + value[end:],
            value[:start] + word,
            word + value[end:],
            "".join([*lines[:at], lines[at], *lines[at:]]),
            "".join([*lines[:at], *lines[at + 1 :]]),
            value[:start] + "\n" + value[start:],
            value[:start] + piece * 20 + value[end:],
            value + other,
            value.translate(_LOOKALIKES),
            value[:start] + piece.translate(_LOOKALIKES) + value[end:],
        ]
        return other if other and rng.random() > _SPLICED else rng.choice(options)[:20_000]

    def _word(self) -> str:
        """A word of the change: half of the time one of the first, which are on its lines or match patterns there."""
        first = self._rng.random() < _OF_THE_FIRST
        return self._rng.choice(self._words[:_FIRST_WORDS] if first else self._words)

    def _marked(self, value: str, word: str) -> str:
        """The text with a word between two pieces of it, at the end of a line, or on a line of its own with the depth of the
        next one: where marks such as comments stand, so that the text mostly means what it meant.
        """
        rng = self._rng
        lines = value.splitlines(keepends=True) or [""]
        at = rng.randrange(len(lines))
        line = lines[at]
        bare = line.rstrip("\r\n")
        way = rng.randrange(3)
        if way == 0:
            cuts = [one.start() for one in _TOKEN.finditer(value[:_LONGEST_PIECE])] or [0]
            cut = rng.choice(cuts)
            return value[:cut] + word + value[cut:]
        if way == 1:
            return "".join(
                [*lines[:at], bare, rng.choice(("", "  ")), word, line[len(bare) :], *lines[at + 1 :]]
            )
        depth = bare[: len(bare) - len(bare.lstrip())]
        return "".join([*lines[:at], depth, word, "\n", *lines[at:]])

    def _copied(self, value: str) -> str | None:
        """The text with one of its numbers or words put over another one; None where it has no two."""
        tokens = list(_TOKEN.finditer(value))[:400]
        words = [one for one in tokens if one[0][0].isalnum()]
        if len(words) < 2:
            return None
        to = self._rng.choice(words)
        alike = [one[0] for one in words if one[0] != to[0] and one[0].isdigit() == to[0].isdigit()]
        return value[: to.start()] + self._rng.choice(alike) + value[to.end() :] if alike else None

    def _aligned(self, value: str) -> str | None:
        """The text with a piece of another one put in, or instead of its own, that begins and ends at the same marks.

        So brackets, tags and blocks mostly stay whole. None where the texts have no mark in common.
        """
        rng = self._rng
        other = rng.choice([*self._texts, value]) if self._texts else value
        mine, theirs = (list(_TOKEN.finditer(text))[:400] for text in (value, other))
        places: dict[str, list[int]] = {}
        for one in theirs:
            places.setdefault(one[0], []).append(one.start())
        marks = [one for one in mine if len(places.get(one[0], ())) >= 1 and not one[0].isspace()]
        if not marks:
            return None
        first = rng.choice(marks)
        start = rng.choice(places[first[0]])
        ends = [at for at in [*places[first[0]], len(other)] if at > start]
        piece = other[start : rng.choice(ends[:3])]
        if len(piece) > _LONGEST_PIECE:
            return None
        own = [one.start() for one in mine if one[0] == first[0] and one.start() > first.start()]
        to = rng.choice([first.start(), *own[:2]])
        return value[: first.start()] + piece + value[to:]


def through_class(call: Call, number: int) -> Call | None:
    """The call with an attribute read through the class in the place of a method called; None where no object is asked for any."""
    tree = ast.parse(call.expression, mode="eval").body
    match tree:
        case (
            ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name))
            | ast.Attribute(value=ast.Name(id=owner), attr=name)
        ):
            return msgspec.structs.replace(call, id=number, expression=f"type({owner}).{name}")
        case _:
            return None


def _value(source: str) -> object:
    try:
        return literal_value(source)
    except NoLiteral:
        return None
