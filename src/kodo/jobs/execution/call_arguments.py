"""How arguments are written into a call: by position or keyword, recorded, and varied with what the call says elsewhere."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.value_sources import EACH
from kodo.jobs.execution.values import Values
from kodo.jobs.execution.worker.literal_value import is_literal, literal_value

_PLACE = re.compile(r"\b_\d+$")
_EACH_GENERATOR = f"async def {EACH}(values):\n    for value in values:\n        yield value"
_SAME = 0.4
"""Of the operands of a comparison, those that are made just as the receiver is."""
_KNOWN_KEYS = 0.6
"""Of the dicts given to a method, those with a key out of what its instance was made of."""


def pass_arguments(
    params: Iterable[Param], given: Mapping[str, str], values: Values
) -> tuple[list[Arg], list[str]]:
    """The arguments of a call and how each is written in it: by position, and by keyword after one that is left out.

    A parameter that takes positions only cannot follow one that is left out, nor can the values of ``*args``.
    """
    args: list[Arg] = []
    passed: list[str] = []
    left_out = False
    for param in params:
        if param.variadic:
            count = 0 if left_out else values.rng.randint(0, 3)
            sources = [values.random(param.type) for _ in range(count)]
        elif param.name in given and not (param.positional_only and left_out):
            sources = [given[param.name]]
        else:
            left_out, sources = True, []
        named = param.keyword_only or (left_out and not param.variadic)
        for source in sources:
            passed.append(f"{param.name}=_{len(args)}" if named else f"_{len(args)}")
            args.append(Arg(param.name, source))
    return args, passed


def recorded(params: Iterable[Param], args: list[Arg], passed: list[str]) -> tuple[list[Arg], list[str]]:
    """The arguments with a list in the place of each function, whose ``append`` is passed: it keeps what it was given."""
    called = {one.name for one in params if not one.variadic and _is_called(one.type)}
    return (
        [Arg(one.name, "[]") if one.name in called else one for one in args],
        [f"{text}.append" if one.name in called else text for one, text in zip(args, passed, strict=True)],
    )


def asynchronous(args: list[Arg], passed: list[str]) -> tuple[list[Arg], list[str], tuple[str, ...]]:
    """The arguments with the plain list in the place of each asynchronous iterator, which is made of it in the call; and the
    statement that defines the generator that makes it, where there is one.
    """
    lists = {f"_{at}": values for at, one in enumerate(args) if (values := listed(one.source)) != one.source}
    if not lists:
        return args, passed, ()
    args = [Arg(one.name, listed(one.source)) for one in args]
    passed = [
        _PLACE.sub(lambda found: f"{EACH}({found[0]})" if found[0] in lists else found[0], one)
        for one in passed
    ]
    return args, passed, (_EACH_GENERATOR,)


def listed(source: str) -> str:
    """The list that an asynchronous iterator is made of; another source as it is."""
    return source[len(EACH) + 1 : -1] if source.startswith(f"{EACH}([") and source.endswith("])") else source


def _is_called(type_: ParamType) -> bool:
    return type_.kind == "callable" or (type_.kind == "union" and any(map(_is_called, type_.args)))


def words_of(call: Call) -> tuple[str, ...]:
    """The texts in a call and the words in them: what a receiver was made of is what it may be asked for."""
    return _words_in((*call.setup, *(arg.source for arg in call.args)))


@lru_cache(maxsize=512)
def _words_in(sources: tuple[str, ...]) -> tuple[str, ...]:
    texts = [
        node.value
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return tuple(dict.fromkeys([*texts, *(word for text in texts for word in re.findall(r"\w+", text))]))[:20]


def with_known_keys(source: str, setup: Iterable[str], rng: random.Random) -> str:
    """A dict of texts with one key, now and then, that is a word of the setup: what an instance was made of is asked for."""
    if not source.startswith("{'") or rng.random() > _KNOWN_KEYS:
        return source
    words = [word for word in _words_in(tuple(setup)) if re.fullmatch(r"\w+", word)]
    tree = ast.parse(source, mode="eval").body if words else None
    if not isinstance(tree, ast.Dict):
        return source
    tree.keys[rng.randrange(len(tree.keys))] = ast.Constant(rng.choice(words))
    return ast.unparse(tree)


def with_words(args: Sequence[Arg], words: Iterable[object]) -> Iterator[tuple[Arg, ...]]:
    """The arguments with one literal replaced by each word of its type, and of a number by those beside it."""
    for word in dict.fromkeys(words):
        sources = [repr(word)]
        if type(word) in (int, float):
            sources = [repr(word + step) for step in (0, 1, -1)]  # type: ignore[operator] # it is a number
        for at, arg in enumerate(args):
            if is_literal(arg.source) and type(literal_value(arg.source)) is type(word):
                for source in sources:
                    yield (*args[:at], Arg(arg.name, source), *args[at + 1 :])


def operand(setup: Iterable[str], receiver: str, otherwise: str, values: Values) -> str:
    """Another instance for a comparison: made as the receiver is, or of one argument that is a little different."""
    made = [line for line in setup if line.startswith(f"{receiver} = ")]
    if not made:
        return otherwise
    line = made[-1] if values.rng.random() < _SAME else near_receiver(made[-1], receiver, values)
    return line.removeprefix(f"{receiver} = ")


def near_receiver(line: str, receiver: str, values: Values) -> str:
    """The statement that makes a receiver with one literal argument a little changed; other statements as they are."""
    if not line.startswith(f"{receiver} = "):
        return line
    made = ast.parse(line.removeprefix(f"{receiver} = "), mode="eval").body
    given = [*made.args, *(word.value for word in made.keywords)] if isinstance(made, ast.Call) else []
    literals = [node for node in given if is_literal(ast.unparse(node))]
    if not literals:
        return line
    old = ast.unparse(values.rng.choice(literals))
    near = values.near(old)
    return line.replace(old, values.rng.choice(near), 1) if near else line
