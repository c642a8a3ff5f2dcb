"""Rows of arguments for one function: near the documented ones, at boundaries, and random.

A row is a parameter's name -> the source text of its argument. Knows nothing of how a row becomes a call.
"""

import ast
import re
from collections.abc import Callable, Iterator

from kodo.jobs.execution.model import Origin
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.values import Values

_NEAR_EXAMPLES = 0.4  # of the random calls, where the documentation shows arguments

_MAX_FORMS = 3
"""Documented rows whose texts are given in other forms."""
_ALIKE = (
    0.3  # of the random rows of a function whose values may be compared, those where two of them are alike
)
_DERIVED = 0.4  # of the random rows of a function with two texts, those where one follows from the other
_HOLE = re.compile(r"\{[^{}]*\}|<[^<>]*>|\([^()]*\)|\[[^\[\]]+\]|%[sdif]|[*?]")
_FILLERS = ("a", "abc", "x1", "7", "-12", "3.5", "0x1f", "two words", "2024-03-15", "")
_OPTIONAL = 3.0  # optional arguments in a random row, of many


def near_rows(rows: list[dict[str, str]], values: Values) -> Iterator[dict[str, str]]:
    """The documented arguments, one of them a little changed."""
    for row in rows:
        for name, source in row.items():
            for near in values.near(source):
                yield row | {name: near}


def other_forms(rows: list[dict[str, str]], types: dict[str, ParamType]) -> Iterator[dict[str, str]]:
    """The documented texts in the other forms that a parameter may have: as bytes, in a file, in parts out of an iterator."""
    for row in rows[:_MAX_FORMS]:
        for name, source in row.items():
            node = ast.parse(source, mode="eval").body
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and name in types:
                text = node.value.encode(errors="replace").decode()  # halves of characters have no bytes
                kinds = {one.kind for one in (types[name], *types[name].args)}
                for kind in sorted(kinds & FORMS.keys()):
                    yield from (row | {name: form} for form in FORMS[kind](text))


FORMS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "bytes": lambda text: (repr(text.encode()),),
    "file": lambda text: (f"io.BytesIO({text.encode()!r})", f"io.StringIO({text!r})"),
    "iterator": lambda text: (
        f"iter([{text!r}])",
        f"(part for part in [{text[: len(text) // 2]!r}, {text[len(text) // 2 :]!r}])",
    ),
}
"""Kind of type -> a text as values of it."""


def boundary_rows(
    types: dict[str, ParamType], plain: dict[str, str], needed: dict[str, str], values: Values
) -> Iterator[dict[str, str]]:
    """Plain arguments, one of them at a boundary, each parameter in turn; and rows of boundaries alone."""
    edges = {name: values.edges(type_) for name, type_ in types.items()}
    for at in range(max(map(len, edges.values()), default=0)):
        row = {name: found[at] for name, found in edges.items() if at < len(found)}
        for name, edge in row.items():
            yield plain | {name: edge}
            yield needed | {name: edge}
        if len(row) > 1:
            yield plain | {name: found[at % len(found)] for name, found in edges.items() if found}


def random_rows(
    types: dict[str, ParamType],
    needed: dict[str, str],
    rows: list[dict[str, str]],
    values: Values,
    count: int,
) -> Iterator[tuple[dict[str, str], Origin]]:
    """``count`` rows of arguments, random or near a documented one."""
    share = min(0.6, _OPTIONAL / max(1, len(types) - len(needed)))
    for _ in range(count):
        if rows and values.rng.random() < _NEAR_EXAMPLES:
            yield _changed_twice(values.rng.choice(rows), values), "near example"
            continue
        row = {name: values.random(type_) for name, type_ in types.items()}
        if values.deep and values.rng.random() < _DERIVED:
            _derive(row, types, values)
        if values.compares and values.rng.random() < _ALIKE:
            _make_alike(row, types, values)
        yield (
            {
                name: row[name]
                for name in row
                if name in needed or values.wants(name) or values.rng.random() < share
            },
            "random",
        )


def _make_alike(row: dict[str, str], types: dict[str, ParamType], values: Values) -> None:
    """Give a parameter the value of another one of its type, or one near it: what is compared is rarely alike by chance."""
    names = values.rng.sample(sorted(row), len(row))
    for at, name in enumerate(names):
        other = next((one for one in names[at + 1 :] if types[one] == types[name]), None)
        if other is not None:
            row[other] = values.rng.choice([row[name], *values.near(row[name])])
            return


def _derive(row: dict[str, str], types: dict[str, ParamType], values: Values) -> None:
    """Give one text parameter what another one describes: a text with something in the place of each hole of a form."""
    texts = [name for name, type_ in types.items() if _may_be_text(type_)]
    if len(texts) > 1:
        one, other = values.rng.sample(texts, 2)
        node = ast.parse(row[one], mode="eval").body
        form = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if _HOLE.search(form):
            row[other] = repr(_HOLE.sub(lambda _: values.rng.choice(_FILLERS), form))


def _may_be_text(type_: ParamType) -> bool:
    return type_.kind == "str" or (type_.kind == "union" and any(map(_may_be_text, type_.args)))


def _changed_twice(row: dict[str, str], values: Values) -> dict[str, str]:
    """Documented arguments after two small changes, of the same or of two arguments."""
    out = dict(row)
    for _ in range(2 if out else 0):
        name = values.rng.choice(sorted(out))
        near = values.near(out[name])
        out[name] = values.rng.choice(near) if near else out[name]
    return out
