"""Inputs for JavaScript functions: calls of literals out of tests, their neighbours, boundaries, and the code's own literals.

Reads source only. An argument is JavaScript source text.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

JsCall = tuple[str, tuple[str, ...]]
"""A function's name as the worker knows it, and its arguments."""

_PLAIN = ("'abc'", "3", "[1, 2, 3]", "{a: 1}")
_EDGES = (
    "''", "'a'", "' A b '", "'a-b_c'", "'123'", "'\\u00e9t\\u00e9 \\u{1F600}'", "'line\\nline'", "'x'.repeat(100)", "0", "1", "-1", "2.5",
    "-0", "NaN", "Infinity", "10 ** 20", "null", "undefined", "true", "false", "[]", "['b', 'a']", "[3, 1, 2, 1]", "[[1], [2]]",
    "{}", "{a: {b: 2}}", "new Date(0)", "/a+/g", "(x) => x", "new Map([['a', 1]])", "new Set([1])",
)  # fmt: skip
_MAX_LITERALS, _ROUNDS = 24, 400
_LITERAL = frozenset({"string", "number", "true", "false", "null", "undefined", "regex", "template_string"})
_PARAMETERS = re.compile(r"^(?:async\s+)?(?:function\b[^(]*|[\w$]+\s*)?\*?\s*[\w$]*\s*\(([^)]*)\)")


def inputs(name: str, sources: Iterable[str], seeds: Iterable[tuple[str, ...]], count: int) -> list[JsCall]:
    """At most ``count`` calls of one function; ``sources`` are its texts in both versions, ``seeds`` arguments out of tests."""
    texts = list(sources)
    given = list(dict.fromkeys(seeds))
    arity = max([_arity(text) for text in texts] + [len(row) for row in given] + [0])
    own = [literal for text in texts for literal in literals(text)][:_MAX_LITERALS]
    rng = random.Random(name)  # noqa: S311 - test inputs
    rows = _rows(arity, given, list(dict.fromkeys([*own, *_EDGES])), own, rng)
    out: dict[tuple[str, ...], None] = {}
    for row in rows:
        out[row] = None
        if len(out) >= count:
            break
    return [(name, row) for row in out]


def _rows(
    arity: int, seeds: list[tuple[str, ...]], edges: list[str], own: list[str], rng: random.Random
) -> Iterator[tuple[str, ...]]:
    yield from seeds
    if not arity:
        yield ()
        return
    base = seeds[0] if seeds and len(seeds[0]) == arity else tuple(_PLAIN[at % 2] for at in range(arity))
    for edge in edges:
        for at in range(arity):
            yield (*base[:at], edge, *base[at + 1 :])
    for edge in edges:
        yield (edge,) * arity
    for _ in range(_ROUNDS):
        if seeds and rng.random() < 0.6:
            row = list(rng.choice(seeds))
            if row:
                at = rng.randrange(len(row))
                row[at] = _near(row[at], own, rng)
            yield tuple(row)
        else:
            yield tuple(rng.choice(edges) for _ in range(arity))


def _near(source: str, own: list[str], rng: random.Random) -> str:
    """A literal a little changed; another value where it is no text or number."""
    try:
        value = json.loads(source if source[:1] != "'" else json.dumps(source[1:-1]))
    except ValueError:
        return rng.choice([*own, *_EDGES])
    if isinstance(value, str):
        at = rng.randint(0, len(value))
        word = rng.choice([one[1:-1] for one in own if one[:1] in "'\""] or ["-"])
        changed = (
            value[:at] + word + value[at:],
            value + value,
            value[:at],
            value[at:],
            value.upper(),
            f" {value} ",
        )
        return json.dumps(rng.choice(changed))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return rng.choice(_EDGES)
    return repr(rng.choice((value + 1, value - 1, -value, 0, value * 10, value / 2)))


def _arity(text: str) -> int:
    """How many parameters a function's text lists."""
    found = _PARAMETERS.match(text)
    inner = found[1] if found else text.partition("=>")[0] if "=>" in text else ""
    return min(4, inner.count(",") + 1) if inner.strip() else 0


def literals(text: str) -> list[str]:
    """The texts, numbers and patterns in a function's source, in the order they stand there."""
    found = [node for node in _nodes(f"({text})", "javascript") if node.type in ("string", "number")]
    found = found or [
        node for node in _nodes(f"({{{text}}})", "javascript") if node.type in ("string", "number")
    ]
    return list(dict.fromkeys(one for node in found if (one := _text(node)) and len(one) < 80))


def calls_in_tests(text: str, language: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The name, and the arguments, of each call whose arguments are literals or containers of them."""
    for node in _nodes(text, language):
        if node.type != "call_expression":
            continue
        function, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is None or given is None:
            continue
        if function.type == "member_expression":
            function = function.child_by_field_name("property") or function
        args = given.named_children
        if all(_is_literal(one) for one in args):
            yield _text(function), tuple(_text(one) for one in args)


def _is_literal(node: Node) -> bool:
    if node.type == "template_string":
        return not any(one.type == "template_substitution" for one in node.children)
    if node.type in ("array", "object", "pair", "unary_expression"):
        return all(
            _is_literal(one)
            or (node.type == "pair" and one.type in ("property_identifier", "computed_property_name"))
            for one in node.named_children
        )
    return node.type in _LITERAL


def _nodes(text: str, language: str) -> Iterator[Node]:
    grammar = {
        "typescript": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }.get(language, tree_sitter_javascript.language)
    todo = [Parser(Language(grammar())).parse(text.encode()).root_node]
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(node.children)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
