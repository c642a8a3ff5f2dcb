"""Turn a stated condition ("n is negative", "the list is empty") into values of parameters that make it true.

One row of ``CONDITIONS`` reads one form. The first row that matches and gives values decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.doc_properties import NUMBER, SIZED
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.parameters import Param

NUMBER_WORDS = {"zero": "0", "one": "1", "two": "2"}
_EMPTY = {
    "str": "''", "bytes": "b''", "dict": "{}", "set": "set()", "frozenset": "frozenset()", "tuple": "()",
    "deque": "collections.deque([])",
}  # fmt: skip

Values = tuple[Param, tuple[str, ...]]
"""A parameter and the sources of values."""


@dataclass(frozen=True, slots=True)
class ConditionSubject:
    """What a condition speaks of: the parameter it names, or the only one of a fitting type."""

    text: str
    named: Param | None
    number: Param | None
    sized: Param | None

    @property
    def is_float(self) -> bool:
        """Whether the number is a float."""
        return self.number is not None and self.number.type.kind == "float"

    def numbers(self, sign: str, limit: float) -> tuple[str, ...]:
        """Numbers that compare so with the limit, as source."""
        step = 0.5 if self.is_float else 1
        below, above = [limit - step, limit - 10], [limit + step, limit + 10]
        match sign:
            case "<" | "less than" | "below":
                values = below
            case ">" | "greater than" | "above" | "exceeds":
                values = above
            case "<=" | "less than or equal to" | "at most":
                values = [limit, *below]
            case _:
                values = [limit, *above]
        return tuple(repr(value if self.is_float else int(value)) for value in values)


@dataclass(frozen=True, slots=True)
class Condition:
    """One form: its pattern, the values that make it true, and whether it may stand in a negated sentence."""

    pattern: str
    build: Callable[[re.Match[str], ConditionSubject], Values | None]
    negated: bool = False


def _compared(found: re.Match[str], subject: ConditionSubject) -> Values | None:
    number = subject.number
    if found.group(1) == "is not" or number is None or number.type.kind not in ("int", "float"):
        return None
    limit = float(NUMBER_WORDS.get(found.group(2), found.group(2)))
    return number, subject.numbers(found.group(1), limit)


def _outside(found: re.Match[str], subject: ConditionSubject) -> Values | None:
    if subject.number is None:
        return None
    low, high = (
        subject.numbers(sign, float(limit)) for sign, limit in zip("<>", found.groups(), strict=True)
    )
    return subject.number, (*low, *high)


def _number(*values: str) -> Callable[[re.Match[str], ConditionSubject], Values | None]:
    return lambda found, subject: None if subject.number is None else (subject.number, values)


def _negative(_: re.Match[str], subject: ConditionSubject) -> Values | None:
    if subject.number is None or "non" in subject.text:
        return None
    return subject.number, ("-1", "-5", "-100")


def _zero(_: re.Match[str], subject: ConditionSubject) -> Values | None:
    return None if subject.number is None else (subject.number, ("0.0",) if subject.is_float else ("0",))


def _empty(_: re.Match[str], subject: ConditionSubject) -> Values | None:
    return None if subject.sized is None else (subject.sized, (empty_source(subject.sized.type),))


def _none(found: re.Match[str], subject: ConditionSubject) -> Values | None:
    named = subject.named
    if named is None or found.group(1) != named.name.lower() or not named.type.nullable:
        return None
    return named, ("None",)


def _odd_or_even(found: re.Match[str], subject: ConditionSubject) -> Values | None:
    if subject.named is None or subject.named.type.kind != "int":
        return None
    return subject.named, ("1", "7") if found.group(1) == "odd" else ("0", "8")


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        r"(<=|>=|<|>|is not|less than or equal to|greater than or equal to|less than|greater than|below|above"
        rf"|exceeds|at least|at most)\s*({NUMBER}|zero|one|two)\b",
        _compared,
    ),
    Condition(
        r"(?:outside|not (?:in|within|between))\s+(?:the range\s+)?(?:of\s+|from\s+|between\s+)?"
        rf"({NUMBER})\s*(?:to|and|-|\.\.)\s*({NUMBER})",
        _outside,
        negated=True,
    ),
    Condition(
        r"\bnot (?:strictly )?positive\b|\bnon-?positive\b",
        _number("0", "-1", "-7"),
        negated=True,
    ),
    Condition(r"\bnegative\b", _negative),
    Condition(r"\b(?:is|are|equals|==|by)\s+(?:zero|0)\b|^zero$|^0$", _zero),
    Condition(r"\bempty\b", _empty),
    Condition(r"^(?:the )?(\w+) is none$", _none),
    Condition(r"\bis (odd|even)\b", _odd_or_even),
)


def satisfying(text: str, named: Param | None, function: Function) -> Values | None:
    """Values of one parameter that make a condition in lower case true; None for a condition not understood."""
    numbers = [one for one in function.params if one.type.kind in ("int", "float")]
    sized = [one for one in function.params if one.type.kind in SIZED]
    subject = ConditionSubject(text, named, named or _only(numbers), named or _only(sized))
    negated = bool(re.search(r"\bnot\b|n't\b|\bno\b", text))
    for form in CONDITIONS:
        found = re.search(form.pattern, text)
        if found and (form.negated or not negated) and (values := form.build(found, subject)):
            return values
    return None


def _only(params: list[Param]) -> Param | None:
    return params[0] if len(params) == 1 else None


def empty_source(type_: ParamType) -> str:
    """The source of the empty value of a sized type."""
    return _EMPTY.get(type_.kind, "[]")
