"""What a value does wrong, in the words, codes and paths of the contract.

msgspec says it in Python's terms (``Expected `int` >= 1 - at `$.max_output_tokens```). The hosted API names each kind of
violation with a code of its own, such as ``integer_below_min_value``, and says what it got; clients show these messages as
they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from kodo.server.wire.echo import MAX_ECHO

HELD: Final = "held"
"""A field that paths leave out: :mod:`~kodo.server.wire.decode` puts what is no object into one."""
_AT = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)
_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`$")
_LENGTH = re.compile(r"^Expected `(?P<type>str|array|object)` of length (?P<side>>=|<=) (?P<bound>\d+)$")
_BOUND = re.compile(r"^Expected `(?P<type>int|float)` (?P<side>>=|<=|>|<) (?P<bound>\S+)$")
_PATTERN = re.compile(r"^Expected `str` matching regex '(?P<pattern>.*)'$", re.DOTALL)
_ENUM = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_PYTHON: Final[dict[str, type[Any] | tuple[type[Any], ...]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "array": (list, tuple),
    "object": dict,
    "null": type(None),
}
_MEASURED: Final = {
    "str": ("string", "a string with {} length {}"),
    "array": ("array", "an array with {} length {}"),
    "object": ("object", "an object with {} length {}"),
}
_JSON: Final = {"True": "true", "False": "false"}
_NOTHING: Final = object()


class Violation(NamedTuple):
    """What is wrong. ``param`` is the path of the field: ``input[2].content[0].type``."""

    message: str
    param: str | None
    code: str


def violation(text: str, value: object, prefix: str = "") -> Violation:
    """What msgspec says of a value, in the terms of the contract. ``prefix``: the path of the value itself."""
    if len(text) > 20 * MAX_ECHO:  # a name of megabytes: the patterns take time in the length
        text = f"{text[: 10 * MAX_ECHO]}…{text[-10 * MAX_ECHO :]}"
    match = _AT.match(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    path, found = _locate(path, value, _breaks(what))
    path = path.removeprefix(f".{HELD}")
    if unknown := _UNKNOWN.match(what):
        param = _join(prefix, f"{path}.{unknown['name']}")
        return Violation(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
    if missing := _MISSING.match(what):
        param = _join(prefix, f"{path}.{missing['name']}")
        return Violation(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if what.startswith("Invalid value"):  # of a tag
        param = _join(prefix, path if path.endswith(".type") or "'type'" not in what else f"{path}.type")
        return Violation(f"{what} for '{param}'.", param or None, "invalid_value")
    param = _join(prefix, path)
    if match and match["key"]:
        named = _of_value(what, param, _NOTHING)
        return named._replace(message=named.message.replace("string", "property name"))
    return _of_value(what, param, found)


def _of_value(what: str, param: str, found: object) -> Violation:
    """A value of a wrong type, or outside of its bounds."""
    named = param or None
    if wrong := _TYPE.match(what):
        wanted = [_NAMES.get(name, name) for name in wrong["wanted"].split(" | ") if name != "null"]
        got = _NAMES.get(wrong["got"], wrong["got"])
        one = " or ".join(wanted) or "null"
        return Violation(
            f"Invalid type for '{param}': expected {one}, but got {got} instead.", named, "invalid_type"
        )
    if length := _LENGTH.match(what):
        return _of_length(length, param, found)
    if bound := _BOUND.match(what):
        kind = "integer" if bound["type"] == "int" else "decimal"
        least = bound["side"].startswith(">")
        number = bound["bound"].removesuffix(".0")
        known = isinstance(found, int | float) and abs(found) < 2**64
        got = f", but got {found} instead" if known else ""
        return Violation(
            f"Invalid '{param}': {kind} {'below minimum' if least else 'above maximum'} value. "
            f"Expected a value {bound['side']} {number}{got}.",
            named,
            f"{kind}_{'below_min' if least else 'above_max'}_value",
        )
    if pattern := _PATTERN.match(what):
        return Violation(
            f"Invalid '{param}': string does not match pattern. "
            f"Expected a string that matches the pattern '{pattern['pattern']}'.",
            named,
            "invalid_value",
        )
    if enum := _ENUM.match(what):
        value = _JSON.get(enum["value"], enum["value"])
        return Violation(f"Invalid value for '{param}': {value}.", named, "invalid_value")
    return Violation(f"Invalid '{param}': {what[:1].lower()}{what[1:]}.", named, "invalid_value")


def _of_length(length: re.Match[str], param: str, found: object) -> Violation:
    kind, expected = _MEASURED[length["type"]]
    least, bound = length["side"] == ">=", length["bound"]
    size = len(found) if isinstance(found, str | list | tuple | dict) else None
    wanted = expected.format("minimum" if least else "maximum", bound)
    if least and (size == 0 or bound == "1"):
        got, short, code = f"an empty {kind}", f"empty {kind}", f"empty_{kind}"
    elif kind == "object":
        got = f"an object with {size} properties"
        short, code = "too many properties", "object_above_max_properties"
        wanted = f"an object with at most {bound} properties"
    else:
        got = f"{'an' if kind == 'array' else 'a'} {kind} with length {size}"
        short = f"{kind} too {'short' if least else 'long'}"
        code = f"{kind}_{'below_min' if least else 'above_max'}_length"
    but = "" if size is None else f", but got {got} instead"
    return Violation(f"Invalid '{param}': {short}. Expected {wanted}{but}.", param or None, code)


def _join(prefix: str, path: str) -> str:
    return prefix + (path.removeprefix(".") if not prefix else path)


def _locate(path: str, root: object, breaks: Callable[[object], bool]) -> tuple[str, object]:
    """A path with the keys in it that msgspec leaves out (``metadata[...]``), and the value there, as far as it is found."""
    steps, here = "", root
    for step in _STEP.finditer(path):
        if step["any"]:
            entry = next(_entries(here, breaks), None) if step.end() == len(path) else None
            if entry is None:
                return path, _NOTHING
            steps, here = f"{steps}.{entry[0]}", entry[1]
        elif step["field"]:
            steps += step[0]
            here = here.get(step["field"], _NOTHING) if isinstance(here, dict) else _NOTHING
        else:
            steps += step[0]
            index = int(step["index"])
            here = here[index] if isinstance(here, list | tuple) and index < len(here) else _NOTHING
    return (steps, here) if steps == path or "[...]" in path else (path, _NOTHING)


def _entries(value: object, breaks: Callable[[object], bool]) -> Iterator[tuple[str, object]]:
    """The entries whose values break a rule, in their order, which is also that of the check."""
    if isinstance(value, dict):
        yield from ((str(key), inner) for key, inner in value.items() if breaks(inner))


def _breaks(what: str) -> Callable[[object], bool]:
    """Whether a value is one of which this can be said."""
    if wrong := _TYPE.match(what):
        kind = _PYTHON.get(wrong["got"], ())
        return lambda value: isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if length := _LENGTH.match(what):
        bound, over = int(length["bound"]), length["side"] == "<="
        measured = _PYTHON[length["type"]]
        return lambda value: (
            isinstance(value, measured)
            and isinstance(value, str | list | tuple | dict)
            and (len(value) > bound if over else len(value) < bound)
        )
    if limit := _BOUND.match(what):
        number, side = float(limit["bound"]), limit["side"]
        return lambda value: isinstance(value, int | float) and not _within(value, side, number)
    return lambda _: False


def _within(value: float, side: str, bound: float) -> bool:
    return {">=": value >= bound, "<=": value <= bound, ">": value > bound, "<": value < bound}[side]
