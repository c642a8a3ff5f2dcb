"""One Python text as a tree with the questions that the checks ask of it.

Positions are the compiler's: lines from 1, columns as UTF-8 bytes from 0, which ``column`` turns into characters
from 1. Raises nothing of its own: ``parse`` returns None for what this Python cannot read.
"""

import ast
import io
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import Lock

Function = ast.FunctionDef | ast.AsyncFunctionDef
MAX_TREE_DEPTH = 200
"""Nodes inside each other; Python's own unparse takes several frames for each and stops at 1000 frames."""
_PARSING = Lock()
"""Two threads that parse at the same time end in a SystemError of this interpreter, whose parser counts the depth for all of them
together; and what one ignores of warnings, all ignore."""
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class ParsedModule:
    """A parsed text and its lines."""

    text: str
    tree: ast.Module

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines without LF."""
        return self.text.split("\n")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, outermost first; each check asks for them, so they are collected once."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Each node's parent."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def comments(self) -> dict[int, str]:
        """The comment on each line that has one, with its ``#``."""
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(self.text).readline))
        except (tokenize.TokenError, SyntaxError):
            return {}
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Every function by its qualified name; of two with one name the last."""
        return {
            name: node
            for name, node in self.definitions
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }

    @cached_property
    def definitions(self) -> list[tuple[str, Function | ast.ClassDef]]:
        """Every function and class with its qualified name, outermost first."""
        return list(_definitions(self.tree, ""))

    @cached_property
    def binding_counts(self) -> Counter[str]:
        """How often each name is bound anywhere in the text: defined, assigned or imported."""
        names = Counter(name for name, _ in self.definitions)
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] += 1
            elif isinstance(node, ast.alias):
                names[(node.asname or node.name).partition(".")[0]] += 1
        return names

    def definition_at(self, line: int) -> str:
        """The qualified name of the innermost function or class around a line, "" for the module."""
        return self._innermost.get(line, "")

    @cached_property
    def _innermost(self) -> dict[int, str]:
        """The innermost definition around each line: an inner one comes after the one that it is in."""
        return {
            line: name
            for name, node in self.definitions
            for line in range(first_line(node), (node.end_lineno or node.lineno) + 1)
        }

    def column(self, line: int, offset: int) -> int:
        """The character column, from 1, of a byte offset in a line."""
        return len(self.lines[line - 1].encode()[:offset].decode(errors="replace")) + 1

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, innermost first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def function_of(self, node: ast.AST) -> Function | None:
        """The function that a node is in, if any."""
        for parent in self.ancestors(node):
            if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return parent
            if isinstance(parent, (ast.ClassDef, ast.Lambda)):
                return None
        return None


@lru_cache(maxsize=32)
def parse(text: str) -> ParsedModule | None:
    """The tree of a text, or None where this Python cannot parse it (or it is nested too deep)."""
    try:
        with _PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return ParsedModule(text, tree) if _depth(tree) <= MAX_TREE_DEPTH else None


def _depth(tree: ast.AST) -> int:
    """How many nodes lie inside each other at most."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level and depth <= MAX_TREE_DEPTH:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def first_line(node: Function | ast.ClassDef) -> int:
    """The line a definition begins on, decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions and classes inside it."""
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*_SCOPES, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a chain of names, else ""."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            name = f"{prefix}{child.name}"
            yield name, child
            yield from _definitions(child, f"{name}.")
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, prefix)
