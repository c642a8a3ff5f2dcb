"""What a small model may write as a call's arguments: values that the question holds, where it holds them.

A model of this size knows which tool is meant and loses the words on the way: ``city`` becomes a paragraph, ``unit`` is
made up. So the schema of a call is narrowed before it is written: a text becomes one of the spans of the question that fit
its name and description, a number one that stands in the question, an enum what is named there; an optional argument that
nothing in the question speaks of is left out. Whatever fits the narrowed schema fits the whole one, and where the question
holds nothing for an argument, the model writes it freely.

`bench/bench_arguments.py` measures it. Knows schemas and spans; knows nothing of prompts or grammars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kodo.server.engines.llama.tools.argument_words import (
    KINDS,
    OBJECT_WORDS,
    PREPOSITIONS,
    SHAPE_SCORES,
    UNITS,
)
from kodo.server.engines.llama.tools.question_spans import Span, date_of, number_of, question_spans
from kodo.server.engines.llama.tools.tool_ranking import STOP_WORDS, contains_word, meaningful_words

PLAIN_KEYS = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "title",
        "description",
        "$schema",
        "$defs",
        "definitions",
    }
)
"""Keywords of an object whose arguments can be taken one by one."""
MIN_REQUIRED = 1.0
MIN_OPTIONAL = 3.0
"""Scores from which on a span counts as an argument's value."""
CLOSE_SHARE = 0.9
"""Spans within this share of the best are left for the model to choose from."""
_BESIDE = 2.0
"""For a word of the argument beside the span."""
_NEARER = 0.5
"""For a second word of its name, and for one right before the span."""
_MARKED = 1.5
"""For a preposition that fits the argument's name."""

_NUMBERS = ("number", "number_word")
_WORDY = ("words", "japanese", "identifier", "proper")
"""Shapes of plain words."""
_JAPANESE_PARTICLE = re.compile(r"[\s」』`]*(から|まで|という|へ|に|を|で|の|と)")


class _Argument(Struct, frozen=True):
    """One property of the schema. ``order``: among its properties."""

    name: str
    schema: dict[str, Any]
    order: int
    is_required: bool
    name_words: frozenset[str]
    words: frozenset[str]

    @property
    def type(self) -> object:
        return self.schema.get("type")

    @property
    def kind(self) -> str:
        """Of a text: what it is."""
        form = self.schema.get("format")
        if form in ("email", "date", "time", "uri"):
            return "url" if form == "uri" else str(form)
        for words in (self.name_words, self.words):
            for kind, known in KINDS:
                if words & known:
                    return kind
        return "other"


def narrow_to_question(schema: dict[str, Any], question: str, tool: str = "") -> dict[str, Any]:
    """A schema that only allows what the question holds, where it holds something; the schema itself where it is not plain.

    Args:
        tool: the tool's name and description; a span that only repeats them is no argument.
    """
    arguments = _arguments(schema) if question else None
    if not arguments:
        return schema
    narrowing = _Narrowing(arguments, question, tool)
    narrowed = {one.name: part for one in arguments if (part := narrowing.of(one)) is not None}
    required = schema.get("required", [])
    required = [*required, *(name for name in narrowed if name not in required)]
    return {"additionalProperties": False, **schema, "properties": narrowed, "required": required}


def argument_fit(schema: dict[str, Any], question: str, tool: str = "") -> float:
    """How well the spans of a question fit the required arguments of a tool: 0 (not at all) to about 6."""
    arguments = _arguments(schema) if question else None
    return _Narrowing(arguments, question, tool).fit if arguments else 0.0


def _arguments(schema: dict[str, Any]) -> list[_Argument] | None:
    """The arguments of a plain object; None of another."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or schema.keys() - PLAIN_KEYS:
        return None
    if not all(isinstance(part, dict) for part in properties.values()):
        return None
    return [_argument(name, part, order, schema) for order, (name, part) in enumerate(properties.items())]


def _argument(name: str, part: dict[str, Any], order: int, schema: dict[str, Any]) -> _Argument:
    required = schema.get("required")
    description = part.get("description")
    return _Argument(
        name=name,
        schema=part,
        order=order,
        is_required=isinstance(required, list) and name in required,
        name_words=_all_words(name),
        words=_all_words(f"{name} {description if isinstance(description, str) else ''}"),
    )


class _Narrowing:
    """One question, for the arguments of one tool."""

    def __init__(self, arguments: Sequence[_Argument], question: str, tool: str) -> None:
        self._arguments = arguments
        self._question = question.lower()
        self._asked = meaningful_words(question) | _translated(question)
        names = " ".join(one.name for one in arguments)
        self._own = meaningful_words(f"{tool} {names}")
        listed = [str(value) for one in arguments for value in _enum(one.schema)]
        listed_words = frozenset(word for value in listed for word in _all_words(value))
        self._spans = [
            span
            for span in map(self._without_own_words, question_spans(question))
            if not (words := _all_words(span.text) | _translated(span.text)) or words - listed_words
        ]
        self.fit = 0.0
        self._chosen = self._choose()

    def of(self, argument: _Argument) -> dict[str, Any] | None:
        """The schema of one argument; None: it is left out."""
        spans = self._chosen.get(argument.name)
        narrowed: dict[str, Any] | None = None
        if "enum" in argument.schema:
            named = [value for value in _enum(argument.schema) if self._names(str(value))]
            narrowed = {**argument.schema, "enum": named} if named else None
        elif argument.type == "boolean":
            narrowed = {"const": True} if self._speaks_of(argument) else None
        elif spans:
            narrowed = {"enum": [_value(span, argument.type) for span in spans]}
        if narrowed is None and (argument.is_required or "const" in argument.schema):
            return argument.schema
        return narrowed

    def _without_own_words(self, span: Span) -> Span:
        """A phrase without the tool's own words at its ends: "user torvalds" is torvalds."""
        words = span.text.split(" ")
        if span.shape not in ("words", "proper") or len(words) < 2:
            return span
        begin, end = 0, len(words)
        while begin < end and self._is_own(words[begin]):
            begin += 1
        while begin < end and self._is_own(words[end - 1]):
            end -= 1
        if begin == end or (begin, end) == (0, len(words)):
            return span
        skipped = " ".join(words[:begin])
        start = span.start + (len(skipped) + 1 if skipped else 0)
        before = f"{span.before}{skipped.lower()} " if skipped else span.before
        behind = f" {' '.join(words[end:]).lower()}{span.behind}" if end < len(words) else span.behind
        return Span(" ".join(words[begin:end]), span.shape, start, before, behind)

    def _is_own(self, word: str) -> bool:
        meaning = meaningful_words(word)
        return bool(meaning) and meaning <= self._own and not word[:1].isupper()

    def _names(self, value: str) -> bool:
        words = _all_words(value)
        asked = _all_words(self._question) | self._asked
        return bool(words) and all(word in asked for word in words)

    def _speaks_of(self, argument: _Argument) -> bool:
        """Whether the question has a word of an argument's name; one that also denies something is left to the model."""
        if re.search(r"\b(not|no|without|never|don't)\b|ない|なし", self._question):
            return False
        return any(
            len(word) > 2 and contains_word(self._asked | _all_words(self._question), word)
            for word in argument.name_words
        )

    # --- which spans ---

    def _choose(self) -> dict[str, tuple[Span, ...]]:
        """The spans for each argument, the best first: each span is taken once, where it fits best."""
        chosen: dict[str, tuple[Span, ...]] = self._choose_repository()
        scores = {
            (one.name, index): score
            for one in self._arguments
            if one.name not in chosen and "enum" not in one.schema and _takes_spans(one)
            for index, span in enumerate(self._spans)
            if (score := self._score(one, span)) >= (MIN_REQUIRED if one.is_required else MIN_OPTIONAL)
        }
        by_name = {one.name: one for one in self._arguments}

        def precedence(key: tuple[str, int]) -> tuple[float, int, int]:
            argument = by_name[key[0]]
            return -scores[key] - argument.is_required, argument.order, self._spans[key[1]].start

        best: dict[str, int] = {}
        for name, index in sorted(scores, key=precedence):
            if name not in best and self._is_free(index, best):
                best[name] = index
        for name, index in best.items():
            near = CLOSE_SHARE * scores[name, index]
            close = [
                other
                for other in range(len(self._spans))
                if scores.get((name, other), 0) >= near and self._is_free(other, best)
            ]
            chosen[name] = tuple(self._spans[one] for one in (index, *close))
        self.fit = self._fit(chosen, {name: scores[name, index] for name, index in best.items()})
        return chosen

    def _is_free(self, index: int, taken: dict[str, int]) -> bool:
        return not any(_overlap(self._spans[index], self._spans[other]) for other in taken.values())

    def _fit(self, chosen: Container[str], scores: Mapping[str, float]) -> float:
        """The mean score of the required arguments."""
        required = [one.name for one in self._arguments if one.is_required and _takes_spans(one)]
        found = [scores.get(name, MIN_OPTIONAL) if name in chosen else 0.0 for name in required]
        return sum(found) / len(found) if found else 0.0

    def _choose_repository(self) -> dict[str, tuple[Span, ...]]:
        """``owner/name``, where a tool takes the two apart."""
        owner = [one.name for one in self._arguments if one.name_words & {"owner", "org", "organization"}]
        repository = [one.name for one in self._arguments if one.name_words & {"repo", "repository"}]
        pairs = [
            span
            for span in self._spans
            if span.shape == "path" and re.fullmatch(r"[\w.-]+/[\w.-]+", span.text)
        ]
        if len(owner) != 1 or len(repository) != 1 or len(pairs) != 1:
            return {}
        left, right = pairs[0].text.split("/")
        return {
            owner[0]: (Span(left, "identifier", pairs[0].start),),
            repository[0]: (Span(right, "identifier", pairs[0].start + len(left) + 1),),
        }

    def _score(self, argument: _Argument, span: Span) -> float:
        if argument.type in ("integer", "number"):
            return self._number_score(argument, span)
        if argument.type == "array":
            return MIN_OPTIONAL if span.shape == "list" and _fits_list(span.text, argument.schema) else 0.0
        score = SHAPE_SCORES[argument.kind].get(span.shape, 0.0)
        if score == 0 or not _fits(span.text, argument.schema):
            return 0.0
        if span.shape in _WORDY and meaningful_words(span.text) <= self._own:
            score -= 2.0
        elif _is_unit(span):
            score -= 1.5
        return score + _beside(argument, span) + _marked(argument, span)

    def _number_score(self, argument: _Argument, span: Span) -> float:
        value = number_of(span.text) if span.shape in _NUMBERS else None
        if value is None or not _is_within(value, argument.schema):
            return 0.0
        if argument.type == "integer" and not isinstance(value, int):
            return 0.0
        numbers = sum(one.shape in _NUMBERS for one in self._spans)
        takers = sum(one.type in ("integer", "number") for one in self._arguments)
        only = _BESIDE if numbers == takers == 1 else 0.0
        return 1.0 + max(_beside(argument, span), only)


def _takes_spans(argument: _Argument) -> bool:
    if argument.type in ("integer", "number", "array"):
        return True
    form = argument.schema.get("format")
    return (
        argument.type == "string"
        and "pattern" not in argument.schema
        and form in (None, "email", "date", "time", "uri")
    )


def _beside(argument: _Argument, span: Span) -> float:
    """For words of the argument that stand beside the span: more for those of its name, and for the nearest one."""
    previous = [word for word in span.previous_words if word not in STOP_WORDS][:2]
    near = {*previous, *span.next_words[:1]}
    near |= {UNITS[word] for word in near & UNITS.keys()}
    near |= {english for japanese, english in OBJECT_WORDS.items() if _stands_beside(japanese, span)}
    near = {_singular(word) for word in near - STOP_WORDS}
    if named := near & argument.name_words:
        nearest = bool(span.previous_words) and _singular(span.previous_words[0]) in named
        return _BESIDE + _NEARER * (len(named) - 1 + nearest)
    return min(len(near & argument.words) * _BESIDE / 2, _BESIDE)


def _stands_beside(japanese: str, span: Span) -> bool:
    before, behind = span.before.rstrip(" 「『\"'`:：、はの"), span.behind.lstrip(" 」』\"'`")
    return before.endswith(japanese) or behind.removeprefix("という").removeprefix("の").startswith(japanese)


def _marked(argument: _Argument, span: Span) -> float:
    words = argument.name_words
    if span.previous_words and words & PREPOSITIONS.get(span.previous_words[0], frozenset()):
        return _MARKED
    if (
        len(span.previous_words) > 1
        and span.previous_words[0] in ("the", "a")
        and words & PREPOSITIONS.get(span.previous_words[1], frozenset())
    ):
        return _MARKED
    particle = _JAPANESE_PARTICLE.match(span.behind)
    return _MARKED if particle and words & PREPOSITIONS[particle[1]] else 0.0


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.start + len(other.text) and other.start < one.start + len(one.text)


def _is_unit(span: Span) -> bool:
    """Whether it is what a number before it counts: 日間 behind 5."""
    counts = span.shape == "japanese" and re.search(r"\d\s*$", span.before)
    return bool(counts) and any(span.text.startswith(word) for word in OBJECT_WORDS)


def _fits(text: str, schema: dict[str, Any]) -> bool:
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
    return isinstance(least, int) and isinstance(most, int) and least <= len(text) <= most


def _is_within(value: object, schema: dict[str, Any]) -> bool:
    if not isinstance(value, int | float) or schema.keys() - {
        "type",
        "description",
        "title",
        "default",
        "minimum",
        "maximum",
        "format",
        "examples",
    }:
        return False
    least, most = schema.get("minimum", value), schema.get("maximum", value)
    return isinstance(least, int | float) and isinstance(most, int | float) and least <= value <= most


def _value(span: Span, kind: object) -> object:
    if kind in ("integer", "number"):
        return number_of(span.text)
    if kind == "array":
        return _list_of(span.text)
    return date_of(span.text) or span.text if span.shape == "date" else span.text


def _list_of(text: str) -> list[Any] | None:
    """The list that a span is, as JSON or as Python has it; None if it is none."""
    for literal in (text, text.replace("'", '"')):
        try:
            value = json.loads(literal)
        except ValueError:
            continue
        return value if isinstance(value, list) else None
    return None


def _fits_list(text: str, schema: dict[str, Any]) -> bool:
    """Whether a list of plain values fits an array; only where its items have nothing but a type."""
    items, value = schema.get("items", {}), _list_of(text)
    if value is None or schema.keys() - {"type", "items", "description", "title"}:
        return False
    if not isinstance(items, dict) or items.keys() - {"type", "description", "title"}:
        return False
    types: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}
    kind = types.get(str(items.get("type")))
    return kind is not None and all(isinstance(one, kind) and not isinstance(one, bool) for one in value)


def _enum(schema: dict[str, Any]) -> list[Any]:
    values = schema.get("enum")
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _translated(text: str) -> frozenset[str]:
    return _all_words(" ".join(english for japanese, english in OBJECT_WORDS.items() if japanese in text))


def _all_words(text: str) -> frozenset[str]:
    """All words of a name or sentence, without their plural."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()
    return frozenset(_singular(word) for word in re.findall(r"[a-z]+", spaced))


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word
