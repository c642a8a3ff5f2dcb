"""Command lines a little different: a list of texts in a call gets an option, loses an item, or both.

``main(["-q", "a.py"])`` makes ``main(["--root", ".", "-q", "a.py"])``. Of an option no more is known than that what follows
it may be its value.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Sequence

import msgspec

from kodo.jobs.execution.model import Arg, Call
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value

_MAX_ARGS = 20
_VALUES = (".", "a", "1", "")
_MAX_VALUES = 60
_NEAR, _AWAY = 0.7, 8
"""How often one of the first options is taken, and how many these are about: those come first that the change is about."""


class CommandLines:
    """The ``options`` of a module, the nearest first, and what lists of ``calls`` hold; :meth:`varied` puts them into a call."""

    def __init__(self, options: Sequence[str], calls: Iterable[Call]) -> None:
        given = [item for call in calls for arg in call.args for item in _texts(arg.source)]
        self._options = list(options)
        self._values = list(dict.fromkeys(one for one in given if not one.startswith("-")))[:_MAX_VALUES]

    def varied(self, call: Call, number: int, rng: random.Random) -> Call | None:
        """The call with a changed list; None where it has no list of texts or no option is known."""
        if not self._options:
            return None
        expression = ast.parse(call.expression, mode="eval")
        sources = {f"_{at}": arg.source for at, arg in enumerate(call.args)}
        lists = [node for node in ast.walk(expression) if _is_list(node, sources)]
        whole = [at for at, arg in enumerate(call.args) if arg.source[:1] in "[(" and _texts(arg.source)]
        if not (lists or whole):
            return None
        at = rng.randrange(len(lists) + len(whole))
        if at >= len(lists):
            place = whole[at - len(lists)]
            value = literal_value(call.args[place].source)
            changed = Arg(call.args[place].name, repr(type(value)(self._changed(list(value), rng))))
            return msgspec.structs.replace(
                call, id=number, args=(*call.args[:place], changed, *call.args[place + 1 :])
            )
        node = lists[at]
        assert isinstance(node, ast.List)  # noqa: S101 - it was just chosen so
        items: list[ast.expr | str] = self._changed([*node.elts], rng)
        args = list(call.args)
        node.elts = []
        for item in items:
            if isinstance(item, str):
                node.elts.append(ast.Name(f"_{len(args)}", ast.Load()))
                args.append(Arg(f"literal_{len(args)}", repr(item)))
            else:
                node.elts.append(item)
        if len(args) > _MAX_ARGS:
            return None
        text = ast.unparse(ast.fix_missing_locations(expression))
        return msgspec.structs.replace(call, id=number, args=tuple(args), expression=text)

    def _changed(self, items: list[ast.expr | str], rng: random.Random) -> list[ast.expr | str]:
        """The items with an option put in, alone or with a value, without one of them, or both."""
        if len(items) > 1 and rng.random() < 0.4:
            del items[rng.randrange(len(items))]
        for _ in range(rng.choice((0, 1, 1, 2))):
            at = rng.randint(0, len(items))
            near = int(rng.expovariate(2 / _AWAY)) if rng.random() < _NEAR else rng.randrange(10**6)
            option = self._options[near % len(self._options)]
            value = [rng.choice([*_VALUES, *self._values])] if rng.random() < 0.5 else []
            items[at:at] = [option, *value]
        return items


def _texts(source: str) -> Sequence[str]:
    """The items of a literal list or tuple of texts; none for anything else."""
    if source[:1] not in ("[", "("):
        return ()
    try:
        value = literal_value(source)
    except NoLiteral:
        return ()
    is_texts = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return value if is_texts else ()


def _is_list(node: ast.AST, sources: dict[str, str]) -> bool:
    """Whether a node is a list in which a text stands, itself or as an argument of the call."""
    return isinstance(node, ast.List) and any(
        isinstance(one, ast.Name) and sources.get(one.id, "")[:1] in ("'", '"') for one in node.elts
    )
