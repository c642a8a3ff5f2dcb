"""Whether a test that the agent wrote asserts what the issue says, and nothing else.

Such a test would prove whatever the agent likes, if its values were its own. So what a check looks at has to stand in
the issue as it stands in the test, and what it expects has to follow it there as what should be ("should be", "must
return", "expected:", 「べき」, 「期待」). White space, the case of letters and the kind of quotes do not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kodo.jobs.execution.worker.literal_value import is_literal, literal_value

_FILLER = re.compile(r" |:|,|\b(?:exactly|the|an?|value|string|list|text|number|of|to)\b")
_CUE = re.compile(
    r"(?:should|must|ought to|shall|has to|needs to) (?:be|return|give|yield|equal|print|become|produce|evaluate to|result in)"
    r"(?: equal to)?|expect(?:s|ed|ing)?(?: (?:value|result|output))?(?: (?:is|was|to (?:be|return|get)))?|==|=>|->|→|正しくは|期待(?:される)?(?:値|結果)?[はが:]?"
)
_AFTER = re.compile(
    r"(?:で|に|を|と|が)?(?:ある|なる|返す|返る|返される|等しい|一致する|です)?(?:べき|はず|が?正しい|が?期待|ことを期待|と期待)"
)
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
_WORDS = re.compile(r"\w", re.UNICODE)


def unstated(test: str, issue: str) -> tuple[str, ...]:
    """What a test assumes that the text of an issue does not say, as source texts; empty where all of it is said.

    Raises:
        SyntaxError, ValueError: the test does not parse.
    """
    tree = ast.parse(test)
    said = _folded(issue)
    found = [shown for shown, value in dict.fromkeys(_constants(tree)) if not _is_said(value, said, issue)]
    found += [ast.unparse(call) for call in _calls(tree) if _folded(ast.unparse(call)) not in said]
    checks = list(_checks(tree))
    for check in checks:
        found += _unsaid_check(check, said)
    if not checks:
        found.append("nothing")
    return tuple(dict.fromkeys(found))


def _unsaid_check(check: ast.expr, said: str) -> Iterator[str]:
    """The parts of one check that are not said."""
    match check:
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values[:-1]:  # those before the last one bring about its state
                if not isinstance(value, ast.Call):
                    yield from _unsaid_check(value, said)
            yield from _unsaid_check(values[-1], said)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            seen, expected = (right, left) if is_literal(left) and not is_literal(right) else (left, right)
            if not is_literal(expected) or not _expects(_folded(ast.unparse(seen)), expected, said):
                yield ast.unparse(check)
        case ast.UnaryOp(op=ast.Not(), operand=operand) if isinstance(operand, ast.Call):
            if _folded(ast.unparse(operand)) not in said:
                yield ast.unparse(check)
        case ast.Call():
            if _folded(ast.unparse(check)) not in said:
                yield ast.unparse(check)
        case _:
            yield ast.unparse(check)


def _expects(seen: str, expected: ast.expr, said: str) -> bool:
    """Whether the first thing that is to be after what is looked at, somewhere in the issue, is the expected value."""
    start = said.find(seen)
    while start >= 0:
        rest = said[start + len(seen) :]
        cue = _CUE.search(rest)
        at = cue.end() if cue is not None else None
        while at is not None:
            if _begins(rest[at:], expected):
                return True
            filler = _FILLER.match(rest, at)
            at = filler.end() if filler is not None else None
        if cue is None and any(_AFTER.match(rest, end) for end in _ends(rest, expected)):
            return True
        start = said.find(seen, start + 1)
    return False


def _ends(text: str, expected: ast.expr) -> Iterator[int]:
    """Where the value ends in a text, each time it is there."""
    for form in _forms(expected):
        at = text.find(form)
        while at >= 0:
            yield at + len(form)
            at = text.find(form, at + 1)


def _begins(text: str, expected: ast.expr) -> bool:
    """Whether a text begins with the value: a number of the same size, or the same source, or the text without quotes."""
    value = literal_value(expected)
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _NUMBER.match(text)
        return number is not None and float(number.group().rstrip(".")) == value
    return any(
        text.startswith(form)
        and not (_WORDS.match(form[-1:]) and _WORDS.match(text[len(form) : len(form) + 1]))
        for form in _forms(expected)
    )


def _forms(expected: ast.expr) -> list[str]:
    """How a value may be written, folded."""
    forms = [_folded(ast.unparse(expected))]
    value = literal_value(expected)
    if isinstance(value, str) and value.strip():
        forms.append(_folded(value))
    return forms


def _checks(tree: ast.Module) -> Iterator[ast.expr]:
    """What the test asserts; a ``pytest.raises`` as the call in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(test=test):
                yield test
            case ast.With(
                items=[ast.withitem(context_expr=ast.Call(func=ast.Attribute(attr="raises")))], body=[inner]
            ):
                if isinstance(inner, ast.Expr | ast.Assign):
                    yield inner.value


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """The outermost calls with constants in them, but for those of the test's own tools."""
    inner: set[int] = set()
    for node in ast.walk(tree):  # from the outside to the inside
        if not isinstance(node, ast.Call) or id(node) in inner:
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("raises", "approx"):
            continue
        inner |= {id(one) for one in ast.walk(node)}
        if any(isinstance(one, ast.Constant) for one in ast.walk(node)):
            yield node


def _is_said(value: str | int | float, said: str, issue: str) -> bool:
    if isinstance(value, str):
        return _folded(value) in said
    return float(value) in {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", issue)}


def _folded(text: str) -> str:
    """In lower case, with one kind of quotes, and without white space but for one space between two words."""
    plain = re.sub(r"\s+", " ", text).casefold().translate(_QUOTES)
    return re.sub(r"(?<![a-z0-9_]) | (?![a-z0-9_])", "", plain)


_QUOTES = str.maketrans({'"': "'", "“": "'", "”": "'", "‘": "'", "’": "'", "`": None, "「": "'", "」": "'"})


def _constants(tree: ast.Module) -> Iterator[tuple[str, str | int | float]]:
    """The constants of a test's functions and the exceptions it expects, each with how it is written."""
    texts = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="raises"), args=[exception, *_]):
                yield ast.unparse(exception), ast.unparse(exception).rpartition(".")[2]
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                texts.add(id(node.operand))
                yield f"-{number!r}", -number
            case ast.Constant(value=bool()):
                continue
            case ast.Constant(value=str() | int() | float() as value) if (
                id(node) not in texts and value != ""
            ):
                yield repr(value), value
