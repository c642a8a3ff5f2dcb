"""The texts and options that a change is about: literals of what changed, and those that share a word with its lines."""

import ast
import random
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from kodo.jobs.execution.regex_texts import matching, regex_texts
from kodo.jobs.execution.stated_facts import constants
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.text_shapes import text_shapes
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_MAX_TEXTS = 80
_MAX_LENGTH = 60
_MAX_NUMBERS, _MAX_DIGITS = 8, 12
_WORD = re.compile(r"[A-Za-z][a-z]{2,}")
_NAME = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_OPTION = re.compile(r"--?[A-Za-z][\w-]*")
_LITERAL = re.compile(
    r"""(?i)\b[rb]{0,2}(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
)
_OPERATOR = re.compile(r"[\\\[(|*+?]")
_MAX_PATTERNS, _OF_A_PATTERN = 8, 6
_COMMON = frozenset(
    {"self", "none", "true", "false", "return", "not", "for", "the", "and", "def", "else", "elif", "with"}
)


def relevant_texts(
    lines: Iterable[str], modules: Sequence[TargetModule], functions: Collection[str]
) -> tuple[str, ...]:
    """Numbers on the changed ``lines`` as texts, and short string literals, the most relevant first: on these lines, then those of the same words (``--config-root``
    for ``config_root``), sharing some words with them, in ``functions``.
    """
    text = "\n".join(lines)
    words = {word.lower() for word in _WORD.findall(text)} - _COMMON
    near: dict[str, float] = {}
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = {word.lower() for word in _WORD.findall(node.value)}
                if not 0 < len(node.value) <= _MAX_LENGTH:
                    continue
                if repr(node.value)[1:-1] in text:
                    near[node.value] = len(words) + 1
                elif found & words:
                    near[node.value] = len(found & words) ** 2 / len(found)
        near |= dict.fromkeys(_named(text, module), len(words) + 1)
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
    matched = _matching_changed(text)
    shapes = list(dict.fromkeys(shapes))
    shapes = shapes[:: max(1, len(shapes) // _MAX_TEXTS)]
    nearest = sorted(near, key=lambda value: -near[value])
    texts = dict.fromkeys(
        [*_numbers(text), *matched, *nearest[: _MAX_TEXTS // 2], *shapes[:_MAX_TEXTS], *nearest, *own]
    )
    return tuple(filter(_is_unicode, texts))[: 2 * _MAX_TEXTS]


def _named(lines: str, module: TargetModule) -> Iterator[str]:
    """The texts that names on some lines stand for, where the module imports them from the project."""
    for name in _NAME.findall(lines):
        match module.imported_values.get(name):
            case ast.Constant(value=str(text)) if 0 < len(text) <= _MAX_LENGTH:
                yield text


def _matching_changed(lines: str) -> list[str]:
    """Texts that the patterns on some lines match, as far as each is a literal on one line."""
    rng = random.Random(0)  # noqa: S311 - test inputs
    values: dict[str, None] = {}
    for source in _LITERAL.findall(lines):
        try:
            value = literal_value(source)
        except NoLiteral:
            continue
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str) and _OPERATOR.search(text):
            values[text] = None
    found = [
        one for pattern in list(values)[:_MAX_PATTERNS] for one in matching(pattern, 0, rng, _OF_A_PATTERN)
    ]
    return [one for one in dict.fromkeys(found) if 0 < len(one) <= _MAX_LENGTH]


def _numbers(lines: str) -> list[str]:
    """The first numbers on some lines, but for very long ones."""
    found = dict.fromkeys(number for number in _NUMBER.findall(lines) if len(number) <= _MAX_DIGITS)
    return list(found)[:_MAX_NUMBERS]


def relevant_options(lines: Iterable[str], modules: Sequence[TargetModule]) -> tuple[str, ...]:
    """The options of command lines that modules hold, those first whose names are on the changed ``lines``: ``--dry-run`` is
    ``dry_run`` there, ``-L`` is ``L``.
    """
    names = set(_NAME.findall("\n".join(lines)))
    words = {word for name in names for word in name.lower().split("_")} - _COMMON
    found = {
        node.value: None
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _OPTION.fullmatch(node.value)
    }

    def distance(option: str) -> tuple[bool, float]:
        name = option.lstrip("-").replace("-", "_")
        own = set(name.lower().split("_"))
        return name not in names, -len(own & words) / len(own)

    return tuple(sorted(found, key=distance))[:_MAX_TEXTS]


def _is_unicode(text: str) -> bool:
    """Whether a text can leave the process: a literal may hold half of a character (``"\\ud83d"``)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
