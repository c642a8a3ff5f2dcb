"""What the names in a module's annotations mean, as far as the module itself says.

An annotation may be relied on where every name in it is a builtin, a class of the module, or imported from the standard
library's modules of types. A name imported from elsewhere may mean anything, whatever it is called.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from kodo.jobs.execution.param_types import ParamType, from_annotation

_TYPE_MODULES = frozenset(
    [
        "typing", "typing_extensions", "collections", "collections.abc", "datetime", "decimal", "fractions", "numbers", "os",
        "pathlib", "uuid",
    ]
)  # fmt: skip
_MAX_ALIASES = 4


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one module: its classes, its aliases of types, and what it imports from modules of types."""

    classes: frozenset[str]
    aliases: dict[str, ast.expr]
    imported: frozenset[str]
    texts: Mapping[str, str] = field(default_factory=dict)
    """What names of the module and attributes of its classes are bound to, where that is a text: ``KEY``, ``Keys.SIZE``."""

    def type_of(self, annotation: ast.expr | None) -> tuple[ParamType | None, bool]:
        """The type an annotation means, and whether it may be relied on; (None, False) where it says nothing."""
        if annotation is None:
            return None, False
        expanded = self.expand(annotation)
        type_ = from_annotation(expanded, self.classes)
        return type_, type_ is not None and self.is_known(expanded)

    def expand(self, annotation: ast.expr) -> ast.expr:
        """The annotation with quoted parts read and aliases replaced."""
        for _ in range(_MAX_ALIASES):
            before = ast.dump(annotation)
            annotation = _Expander(self.aliases).visit(ast.parse(ast.unparse(annotation), mode="eval").body)
            if ast.dump(annotation) == before:
                break
        return annotation

    def is_known(self, annotation: ast.expr) -> bool:
        """Whether every name in an expanded annotation means what it says."""
        inside_literals = {
            id(part)
            for node in ast.walk(annotation)
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal")
            for part in ast.walk(node.slice)
        }
        names = (
            node.id
            for node in ast.walk(annotation)
            if isinstance(node, ast.Name) and id(node) not in inside_literals
        )
        return all(name in self.classes or name in self.imported or hasattr(builtins, name) for name in names)


class _Expander(ast.NodeTransformer):
    def __init__(self, aliases: dict[str, ast.expr]) -> None:
        self._aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._aliases.get(node.id, node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            try:
                return ast.parse(node.value, mode="eval").body
            except (
                SyntaxError,
                ValueError,
            ):  # a text that is no annotation may also be none that Python reads
                return node
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in self._aliases:
            return self._aliases[node.value.id]  # of a generic alias, its type variables are left as they are
        if ast.unparse(node.value).endswith("Literal"):  # its texts are values and no annotations
            return node
        return self.generic_visit(node)


def read_scope(
    tree: ast.Module,
    foreign: frozenset[str] = frozenset(),
    aliases: Mapping[str, ast.expr] = MappingProxyType({}),
) -> Scope:
    """The scope of a module; ``foreign`` are the names it imports that are known to be classes, ``aliases`` those of types."""
    classes = _classes(tree) | foreign
    return Scope(classes, dict(aliases) | _aliases(tree, classes), _imported_types(tree), _texts(tree))


def _texts(tree: ast.Module) -> dict[str, str]:
    inner = [
        (f"{node.name}.", one) for node in tree.body if isinstance(node, ast.ClassDef) for one in node.body
    ]
    out: dict[str, str] = {}
    for prefix, node in (*(("", one) for one in tree.body), *inner):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
            ):
                out[f"{prefix}{name}"] = text
    return out


@lru_cache(maxsize=512)
def aliases_of(tree: ast.Module) -> Mapping[str, ast.expr]:
    """The types that a module gives names to. Kept, as the modules of one change import the same ones."""
    return MappingProxyType(_aliases(tree, _classes(tree)))


def _classes(tree: ast.Module) -> frozenset[str]:
    return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))


@lru_cache(maxsize=512)
def _imported_types(tree: ast.Module) -> frozenset[str]:
    """The names that a module imports from modules of types."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in _TYPE_MODULES:
            imported |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            imported |= {
                alias.asname or alias.name.partition(".")[0]
                for alias in node.names
                if alias.name in _TYPE_MODULES
            }
    return frozenset(imported)


def _aliases(tree: ast.Module, classes: frozenset[str]) -> dict[str, ast.expr]:
    """Names that are bound to a type at the top level: ``X = Union[int, str]``, ``X: TypeAlias = "int | None"``."""
    out: dict[str, ast.expr] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value, annotation=note):
                if not ast.unparse(note).endswith("TypeAlias"):
                    continue
            case _:
                continue
        is_type = isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute) or isinstance(
            node, ast.AnnAssign
        )
        if is_type and _means_type(value, out, classes):
            out[name] = value
    return out


def _means_type(value: ast.expr, aliases: dict[str, ast.expr], classes: frozenset[str]) -> bool:
    """Whether a value is a type, with the aliases before it in it."""
    try:
        copied = ast.parse(ast.unparse(value), mode="eval").body
    except (ValueError, RecursionError):  # half of a character in a text
        return False
    return from_annotation(_Expander(aliases).visit(copied), classes) is not None
