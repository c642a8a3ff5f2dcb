"""Code against the words beside it: a name, a comment or a docstring that says something else than the code does."""

import ast
import re
from collections.abc import Iterator

from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_line, report_node
from kodo.jobs.review.python import Function, ParsedModule

_UNITS = {
    "ms": 0.001, "millisecond": 0.001, "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "day": 86400, "week": 604800,
}  # fmt: skip  # a table
_SIZES = {"b": 1, "byte": 1, "kb": 1, "kib": 1, "mb": 2, "mib": 2, "gb": 3, "gib": 3}
_STATED = re.compile(
    r"^#\s*(?:=\s*|about\s+|i\.e\.\s+)?(\d+(?:\.\d+)?|one|an?|two|three|five|ten|thirty)[ -]?([A-Za-z]+)\b"
)
_WORDS = {"one": 1.0, "a": 1.0, "an": 1.0, "two": 2.0, "three": 3.0, "five": 5.0, "ten": 10.0, "thirty": 30.0}
_DEFAULT = re.compile(
    r"^\s*[:*-]?\s*(?:param\s+)?(\w+)\b[^\n]{0,160}?\bdefaults?(?:\s+(?:is|to|value))?(?:\s+of)?\s*[:=]?\s*`{0,2}(-?\d+(?:\.\d+)?|True|False|None)\b(?!\.?\d| ?[a-z%]{2,})",
    re.MULTILINE,
)
_OPERATORS: dict[str, tuple[type[ast.operator], ...]] = {
    "add": (ast.Sub, ast.Div), "plus": (ast.Sub, ast.Div), "subtract": (ast.Add, ast.Mult), "minus": (ast.Add, ast.Mult),
    "multiply": (ast.Add, ast.Sub, ast.Div), "times": (ast.Add, ast.Sub, ast.Div), "divide": (ast.Mult, ast.Add, ast.Sub),
}  # fmt: skip  # a table


def constant_against_comment(module: ParsedModule) -> Iterator[Candidate]:
    """``TIMEOUT = 300  # 30 seconds``: no common unit makes both right."""
    for node in module.nodes:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        value = _number(node.value)
        line = node.end_lineno or node.lineno
        if value is None or isinstance(node.value, ast.UnaryOp) or "#" not in module.lines[line - 1]:
            continue
        match = _STATED.match(comment := module.comments.get(line, ""))
        if match is None:
            continue
        amount = _WORDS.get(match[1].lower()) or float(match[1])
        unit = match[2].lower()
        if not _possible(value, amount, unit):
            yield report_node(
                module, node, "constant-against-comment", ast.unparse(node.value), comment.strip("# ")
            )


def _possible(value: float, amount: float, unit: str) -> bool:
    """Whether ``value`` can be ``amount`` of a unit, in any unit that is usual for it; an unknown unit always can."""
    singular = unit.rstrip("s") or unit
    if unit in _UNITS or singular in _UNITS:
        seconds = amount * _UNITS.get(unit, _UNITS.get(singular, 1))
        return any(
            abs(value - seconds / other) < 1e-9 * max(1.0, abs(value))
            for other in (0.001, 1, 60, 3600, 86400)
        )
    power = _SIZES.get(unit, _SIZES.get(singular))
    if power is not None and unit not in {"b"}:
        return (
            any(value == amount * base**exponent for base in (1000, 1024) for exponent in range(4))
            or value == amount
        )
    return unit not in {"percent"} or value in {amount, amount / 100}


MAX_NUMBER = 10**100
"""No comment speaks of a larger one, and far above it a whole number is no float any more."""


def _number(node: ast.expr) -> float | None:
    """The value of a literal or of a product of literals."""
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float))
        and not isinstance(node.value, bool)
    ):
        return float(node.value) if abs(node.value) < MAX_NUMBER else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _number(node.left), _number(node.right)
        return None if left is None or right is None else left * right
    return None


def default_against_docstring(module: ParsedModule) -> Iterator[Candidate]:
    """A parameter's default that is not the one its docstring names."""
    for function in module.functions.values():
        documentation = ast.get_docstring(function)
        if not documentation or "default" not in documentation.lower():
            continue
        defaults = _defaults(function)
        for match in _DEFAULT.finditer(documentation):
            default = defaults.get(match[1])
            if default is None or not isinstance(default, ast.Constant):
                continue
            try:
                stated = literal_value(match[2])
            except NoLiteral:  # "defaults to 007" is no number of Python
                continue
            if default.value is None or stated is None or isinstance(default.value, str):
                continue
            if (type(default.value) is bool) == (type(stated) is bool) and default.value != stated:
                last = function.body[0].end_lineno or default.lineno
                values = (match[1], repr(default.value), match[2])
                yield report_line(default.lineno, "default-against-docstring", *values, end_line=last)


def _defaults(function: Function) -> dict[str, ast.expr]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    found = {
        parameter.arg: default
        for parameter, default in zip(
            positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True
        )
    }
    found |= {
        parameter.arg: value
        for parameter, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value is not None
    }
    return found


def name_against_body(module: ParsedModule) -> Iterator[Candidate]:
    """A function of one return whose name says the opposite: ``is_even`` with ``% 2 == 1``, ``add`` with a minus."""
    for function in module.functions.values():
        returned = _only_return(function)
        if returned is None:
            continue
        name = function.name.strip("_").lower()
        text = ast.unparse(returned)
        if _contradicts(name, returned, text):
            yield report_node(module, returned, "name-against-body", function.name, text)


def _contradicts(name: str, returned: ast.expr, text: str) -> bool:
    if name in {"is_even", "even"}:
        return bool(re.fullmatch(r"\w+ % 2 (== 1|!= 0)", text))
    if name in {"is_odd", "odd"}:
        return bool(re.fullmatch(r"\w+ % 2 (== 0|!= 1)", text))
    if name in {"is_empty", "empty"}:
        return bool(re.fullmatch(r"(len\(.+\) (!= 0|> 0|>= 1)|bool\([\w.]+\))", text))
    if name in {"is_positive", "is_negative"}:
        return bool(re.fullmatch(r"\w+ <=? 0" if name == "is_positive" else r"\w+ >=? 0", text))
    if name.startswith("is_not_none"):
        return bool(re.fullmatch(r"[\w.]+ is None", text))
    if name in {"is_none", "is_missing", "is_unset"}:
        return bool(re.fullmatch(r"[\w.]+ is not None", text))
    if name in {"minimum", "get_min", "find_min", "smallest", "min_value"}:
        return text.startswith("max(")
    if name in {"maximum", "get_max", "find_max", "largest", "max_value"}:
        return text.startswith("min(")
    if (
        isinstance(returned, ast.BinOp)
        and isinstance(returned.left, ast.Name)
        and isinstance(returned.right, ast.Name)
    ):
        return isinstance(returned.op, _OPERATORS.get(name, ()))
    return False


def _only_return(function: Function) -> ast.expr | None:
    body = function.body
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None


CHECKS = (constant_against_comment, default_against_docstring, name_against_body)
