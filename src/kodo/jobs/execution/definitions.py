"""Read functions and classes from their source: what a call of one is given, and how to make an instance; no code is run."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kodo.jobs.execution.awaited_calls import awaited_calls
from kodo.jobs.execution.imports import ImportedClass, Importer
from kodo.jobs.execution.param_types import ANY
from kodo.jobs.execution.parameters import FunctionNode, Param, read_params
from kodo.jobs.execution.scope import Scope, read_scope

ClassKind = Literal["plain", "dataclass", "enum", "namedtuple", "model", "abstract"]
"""A named tuple is any class whose constructor takes its fields because of its base, a model one that takes them by name alone."""
_OF_FIELDS = frozenset({"dataclass", "define", "mutable", "frozen", "attrs"})
"""Decorators that make a constructor of a class's fields."""
_FIELD = frozenset({"field", "Field"})
"""Functions that describe one field."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function or method under test; ``owner`` is its class, or empty."""

    name: str
    owner: str
    kind: Literal["function", "method", "static", "class", "property"]
    params: tuple[Param, ...]
    returns: ast.expr | None
    node: FunctionNode
    doc: str
    line: int

    @property
    def qualname(self) -> str:
        """As in Python: Class.method."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(frozen=True, slots=True)
class Class:
    """One class: how to make an instance, and what kind of class it is."""

    name: str
    kind: ClassKind
    init: tuple[Param, ...]
    members: tuple[str, ...]
    doc: str
    line: int
    bases: tuple[str, ...] = ()


def is_private(name: str) -> bool:
    """Whether a name is its module's or class's own by convention."""
    return name.startswith("_")


def decorator_name(node: ast.expr) -> str:
    """The last name of a decorator or of a call: ``field`` for ``attr.field()``; empty for anything else."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def read_function(node: FunctionNode, owner: str, scope: Scope) -> Function:
    """A function of a module, or a method of its class ``owner``."""
    marks = {decorator_name(one) for one in node.decorator_list}
    kind: Literal["function", "method", "static", "class", "property"] = "function"
    if owner:
        kind = "static" if "staticmethod" in marks else "class" if "classmethod" in marks else "method"
        if any(mark.endswith("property") for mark in marks):
            kind = "property"
    params = read_params(node, scope, skip_first=kind in ("method", "class", "property"))
    doc = ast.get_docstring(node) or ""
    return Function(node.name, owner, kind, params, node.returns, node, doc, node.lineno)


def read_imported(found: ImportedClass, importer: Importer, known: frozenset[str], depth: int) -> Class:
    """A class of another module, with what it inherits from classes of its own file and of files that this imports from, at most
    ``depth`` of them above one another.
    """
    bases: dict[str, Class] = {}
    for base in found.node.bases if depth else ():
        if isinstance(base, ast.Name):
            above = importer.imported_class(base.id, found.path, found.tree, found.module)
            if above is not None and above.node is not found.node:
                bases[base.id] = read_imported(above, importer, known, depth - 1)
    return read_class(found.node, read_scope(found.tree, known), bases)


def read_class(node: ast.ClassDef, scope: Scope, known: Mapping[str, Class]) -> Class:
    """A class; what it inherits of its constructor comes from ``known``."""
    names = tuple(ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases)
    bases = [known[name] for name in names if name in known]
    kind = _class_kind(node)
    if kind == "plain":
        kind = next((one.kind for one in bases if one.kind in ("enum", "namedtuple", "model")), kind)
    members = _enum_members(node) if kind == "enum" else ()
    init = () if kind == "enum" else _constructor_params(node, kind, scope, bases)
    return Class(node.name, kind, init, members, ast.get_docstring(node) or "", node.lineno, names)


def _constructor_params(
    node: ast.ClassDef, kind: ClassKind, scope: Scope, bases: Sequence[Class]
) -> tuple[Param, ...]:
    """The parameters of a class's own constructor, of its fields, or of the constructor it inherits."""
    own = {one.name: one for one in node.body if isinstance(one, ast.FunctionDef)}
    constructor = own.get("__init__") or own.get("__new__")
    if constructor is not None:
        return read_params(constructor, scope, skip_first=True, owner=node.body)
    if kind in ("dataclass", "namedtuple", "model"):
        by_name = kind == "model" or _takes_keywords_only(node)
        fields = [replace(one, keyword_only=by_name) for one in _read_fields(node, scope)]
        inherited = {param.name: param for one in bases for param in one.init}
        return tuple((inherited | {param.name: param for param in fields}).values())
    return next((one.init for one in bases if one.init), ())


def _class_kind(node: ast.ClassDef) -> ClassKind:
    bases = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
    if bases & {"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"}:
        return "enum"
    if _OF_FIELDS & {decorator_name(one) for one in node.decorator_list}:
        return "dataclass"
    if bases & {"NamedTuple", "Struct"}:
        return "namedtuple"
    if bases & {"BaseModel", "BaseSettings"}:
        return "model"
    methods = [item for item in node.body if isinstance(item, FunctionNode)]
    marks = {decorator_name(one) for method in methods for one in method.decorator_list}
    return "abstract" if "abstractmethod" in marks or bases & {"Protocol", "TypedDict"} else "plain"


def _takes_keywords_only(node: ast.ClassDef) -> bool:
    """Whether a class says that its fields are given by name, in its own statement or in its decorator."""
    made = [one for one in node.decorator_list if isinstance(one, ast.Call)]
    given = [*node.keywords, *(keyword for one in made for keyword in one.keywords)]
    return any(
        one.arg == "kw_only" and isinstance(one.value, ast.Constant) and one.value.value is True
        for one in given
    )


def _enum_members(node: ast.ClassDef) -> tuple[str, ...]:
    targets = [one for item in node.body if isinstance(item, ast.Assign) for one in item.targets]
    return tuple(one.id for one in targets if isinstance(one, ast.Name) and not is_private(one.id))


def _read_fields(node: ast.ClassDef, scope: Scope) -> tuple[Param, ...]:
    """The fields of a dataclass or named tuple that its constructor takes."""
    annotated = [
        one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    ]
    fields = [
        _read_field(one, scope, node.body)
        for one in annotated
        if "ClassVar" not in ast.unparse(one.annotation)
    ]
    return tuple(one for one in fields if one.default != "field(init=False)")


def _first_is_default(call: ast.Call) -> bool:
    """Whether a field's description begins with its default, as that of a model's field may."""
    first = call.args[0] if call.args else None
    return first is not None and not (isinstance(first, ast.Constant) and first.value is Ellipsis)


def _read_field(item: ast.AnnAssign, scope: Scope, owner: Sequence[ast.stmt]) -> Param:
    type_, typed = scope.type_of(item.annotation)
    default = ast.unparse(item.value) if item.value else None
    if isinstance(item.value, ast.Call) and decorator_name(item.value) in _FIELD:
        given = {keyword.arg: keyword.value for keyword in item.value.keywords}
        off = given.get("init")
        if isinstance(off, ast.Constant) and off.value is False:
            default = "field(init=False)"
        elif not given.keys() & {"default", "default_factory", "factory"} and not _first_is_default(
            item.value
        ):
            default = None
    assert isinstance(item.target, ast.Name)  # noqa: S101 - the caller asked
    talked_to = not typed and (type_ is None or type_.only_none)
    awaited = awaited_calls(item.target.id, (), owner)
    return Param(item.target.id, type_ or ANY, typed, default, talked_to=talked_to, awaited=awaited)
