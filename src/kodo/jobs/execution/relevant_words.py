"""The texts of a module that a change is about: literals of what changed, and those that share a word with its lines."""

import ast
import re
from collections.abc import Collection, Iterable, Sequence

from kodo.jobs.execution.regex_texts import regex_texts
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.text_shapes import text_shapes

_MAX_TEXTS = 80
_MAX_LENGTH = 60
_WORD = re.compile(r"[A-Za-z][a-z]{2,}")
_COMMON = frozenset(
    {"self", "none", "true", "false", "return", "not", "for", "the", "and", "def", "else", "elif", "with"}
)


def relevant_texts(
    lines: Iterable[str], modules: Sequence[TargetModule], functions: Collection[str]
) -> tuple[str, ...]:
    """Short string literals, the most relevant first: on the changed ``lines``, sharing a word with them, in ``functions``."""
    text = "\n".join(lines)
    words = {word.lower() for word in _WORD.findall(text)} - _COMMON
    near: list[str] = []
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = {word.lower() for word in _WORD.findall(node.value)}
                if 0 < len(node.value) <= _MAX_LENGTH and (found & words or repr(node.value)[1:-1] in text):
                    near.append(node.value)
    own = [
        value
        for module in modules
        for name in functions
        if name in module.every_function
        for value in constants(module, module.every_function[name])
        if isinstance(value, str) and 0 < len(value) <= _MAX_LENGTH
    ]
    shapes = [
        shape
        for module in modules
        for name in functions
        if name in module.every_function
        for shape in (
            *text_shapes(module.every_function[name].node),
            *regex_texts(module, module.every_function[name]),
        )
    ]
    shapes = list(dict.fromkeys(shapes))
    shapes = shapes[:: max(1, len(shapes) // _MAX_TEXTS)]
    near.sort(key=lambda value: repr(value)[1:-1] not in text)
    texts = dict.fromkeys([*near[: _MAX_TEXTS // 2], *shapes[:_MAX_TEXTS], *near, *own])
    return tuple(filter(_is_unicode, texts))[: 2 * _MAX_TEXTS]


def _is_unicode(text: str) -> bool:
    """Whether a text can leave the process: a literal may hold half of a character (``"\\ud83d"``)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
