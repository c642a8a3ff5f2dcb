"""What a patch brings that a special case is made of: constants that nothing names, and questions how a value is written.

Many fixes have some too, so this is asked where nothing else can tell the two apart. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from kodo.jobs.fix.flows import conditions

_PLAIN = frozenset({0, 1, 2, -1, "", " "})
_DIGESTS = frozenset(
    {"hash", "id", "crc32", "adler32", "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "getsizeof"}
)  # fmt: skip  # a table reads better in rows
"""Functions that make one number or text of anything."""
_ASKING = _DIGESTS | {"repr", "ascii", "ord", "dumps", "fullmatch", "search", "match", "compile"}
"""These, and functions that ask what a text looks like."""


def special_means(
    before: str, after: str, test: str = "", *, said: str = "", example: str = ""
) -> tuple[str, ...]:
    """The constants and functions, as sources, that the text after has and nothing names.

    Args:
        before, after: a module without and with the patch; what its comments and docstrings say counts as named.
        test: the source of a test that names them too.
        said: words that name them too, but what stands as a literal in ``example``, the source of a test.

    Raises:
        SyntaxError: a module or a test does not parse.
    """
    named, texts = f"{before}\n{test}", "\n".join([*_said(before), *_said(test)])
    old = set(_means(ast.parse(before)))
    examples = {
        value
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Constant)
        for value in [node.value]
    }

    def is_named(value: object) -> bool:
        in_words = bool(said) and value not in examples and _is_named(value, said)
        return in_words or _is_named(value, texts if isinstance(value, str) else named)

    return tuple(
        dict.fromkeys(
            repr(value) if kind == "constant" else str(value)
            for kind, value in _means(ast.parse(after))
            if (kind, value) not in old and not (kind == "constant" and is_named(value))
        )
    )


def _said(source: str) -> Iterator[str]:
    """The texts, names and comments of a module; not how it writes anything else."""
    yield from re.findall(r"#.*", source)
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Constant(value=str(text))
                | ast.Name(id=text)
                | ast.Attribute(attr=text)
                | ast.arg(arg=text)
            ):
                yield text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text) | ast.alias(name=text):
                yield text


def _is_named(value: object, text: str) -> bool:
    if isinstance(value, str):  # a part of a word does not name it
        start, end = (r"(?<!\w)" if value[:1].isalnum() else ""), (r"(?!\w)" if value[-1:].isalnum() else "")
        return re.search(f"{start}{re.escape(value)}{end}", text) is not None
    return re.search(rf"(?<![\w.]){re.escape(repr(value))}(?![\w.]*\d)", text) is not None


def _means(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Each constant and function, but for what an error says, a docstring, or a format; and comparisons of a value's own items."""
    yield from (("function", text) for text in _compared_items(tree))
    pending: list[ast.AST] = [tree]
    while pending:
        match pending.pop():
            case ast.Raise() | ast.JoinedStr() | ast.Expr(value=ast.Constant()):
                continue
            case ast.BinOp() | ast.List() | ast.Tuple() as node if _is_made_of_constants(node):
                yield "made", ast.unparse(node)
                pending += ast.iter_child_nodes(node)
            case ast.Constant(value=str() | int() | float() | bytes() as value) as node:
                if not isinstance(node.value, bool) and value not in _PLAIN:
                    yield "constant", value
            case ast.Call(
                func=ast.Name(id="len" | "sum" | "sorted" | "list" | "tuple" | "set"),
                args=[ast.Call(func=ast.Name(id="str" | "format") as inner) as argument],
            ):
                yield "function", inner.id  # how a value is written, counted or taken apart
                pending.append(argument)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) as node:
                if name in _ASKING:
                    yield "function", name
                pending += ast.iter_child_nodes(node)
            case node:
                pending += ast.iter_child_nodes(node)


def _is_made_of_constants(node: ast.AST) -> bool:
    """Whether a sum or a row is of several constants and nothing else: the value that it makes is written nowhere."""
    inner = list(ast.walk(node))
    return sum(isinstance(one, ast.Constant) for one in inner) > 1 and not any(
        isinstance(one, ast.Name | ast.Attribute | ast.Call | ast.Subscript) for one in inner
    )


Item = tuple[str, str]
"""A value and a place in it, both as sources."""


def _compared_items(tree: ast.Module) -> Iterator[str]:
    """The comparisons of two items of one value, also of items that variables hold."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in (tree, *functions):
        held: dict[str, Item] = {name: item for node in ast.walk(scope) for name, item in _bindings(node)}
        for node in ast.walk(scope):
            for part in (inner for one in conditions(node) for inner in ast.walk(one)):
                if not isinstance(part, ast.Compare | ast.BinOp):
                    continue
                items = {item for inner in ast.walk(part) if (item := _item(inner, held)) is not None}
                if len(items) > len({value for value, _ in items}):
                    yield ast.unparse(part)


def _bindings(node: ast.AST) -> Iterator[tuple[str, Item]]:
    """The variables that a statement binds to items of a value, each by its own place or out of the value in a row."""
    match node:
        case ast.Assign(targets=[ast.Name() as name], value=value) | ast.NamedExpr(target=name, value=value):
            pairs: list[tuple[ast.expr, ast.expr]] = [(name, value)]
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            pairs = list(zip(names, values, strict=False))
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Name() | ast.Attribute() as value):
            pairs = [
                (name, ast.Subscript(value, ast.Constant(at), ast.Load())) for at, name in enumerate(names)
            ]
        case _:
            return
    for target, source in pairs:
        if isinstance(target, ast.Name) and (item := _item(source, {})) is not None:
            yield target.id, item


def _item(node: ast.AST, held: Mapping[str, Item]) -> Item | None:
    """The item that an expression is: a subscript with written places, or a variable that holds one; None for anything else."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return held.get(name)
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
            places = [one for one in (lower, upper) if one is not None]
        case ast.Subscript(value=value, slice=place):
            places = [place]
        case _:
            return None
    if not places or not all(map(_is_whole, places)):
        return None
    return ast.unparse(value), ast.unparse(node.slice)


def _is_whole(node: ast.expr) -> bool:
    """Whether an expression is a whole number that is written there."""
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, int)
