"""Read the module under test without running it: where it is imported from, and what it defines.

Knows source text and ``ast`` only. What the documentation promises is read in ``doc_contracts.py``.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from kodo.jobs.execution.asked_types import questions
from kodo.jobs.execution.awaited_calls import awaited_calls
from kodo.jobs.execution.imports import ImportedClass, Importer, dotted_classes, imported_names
from kodo.jobs.execution.keyword_options import options_read
from kodo.jobs.execution.mocks import is_talked_to
from kodo.jobs.execution.model import ExecutionError
from kodo.jobs.execution.operators import OPERATORS
from kodo.jobs.execution.param_types import ANY, ParamType, from_name, from_use, from_value
from kodo.jobs.execution.sandboxed import site_packages
from kodo.jobs.execution.scope import Scope, aliases_of, read_scope

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ClassKind = Literal["plain", "dataclass", "enum", "namedtuple", "model", "abstract"]
"""A named tuple is any class whose constructor takes its fields because of its base, a model one that takes them by name alone."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_MARKERS = ("pyproject.toml", "setup.cfg", "setup.py", ".git", "tox.ini", "pytest.ini")
_TAKE_ITERABLES = frozenset(
    ["chain", "zip", "zip_longest", "product", "map", "starmap", "merge", "union", "intersection", "difference", "update",
     "intersection_update", "difference_update"]
)  # fmt: skip
"""Functions and methods that take any number of iterables, or any number after a function."""
_READ_ITERABLES = frozenset(
    ["tuple", "list", "set", "frozenset", "iter", "len", "sorted", "sum", "reversed", "max", "min", "any", "all"]
)  # fmt: skip
"""Functions that read an iterable: what each of the values is that one of them is mapped over."""

_OF_FIELDS = frozenset({"dataclass", "define", "mutable", "frozen", "attrs"})
"""Decorators that make a constructor of a class's fields."""
_FIELD = frozenset({"field", "Field"})
"""Functions that describe one field."""
_MAX_BASES = 5

# A guess may be wrong, so a parameter that nothing is known of gets values of these as well.
_FALLBACK_TYPES = (ParamType("str"), ParamType("int"), ParamType("list", (ParamType("int"),)))


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter. ``typed`` says whether ``type`` comes from an annotation, and so may be relied on; ``annotation`` is its text.

    ``talked_to``: nothing is known of its type, but that it is an object whose methods are called. ``awaited``: its calls that the
    code awaits.
    """

    name: str
    type: ParamType
    typed: bool
    default: str | None = None
    keyword_only: bool = False
    variadic: bool = False
    positional_only: bool = False
    annotation: str = ""
    talked_to: bool = False
    awaited: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class TargetModule:
    """The module under test."""

    path: Path
    root: Path
    import_root: Path
    name: str
    source: str
    tree: ast.Module

    @cached_property
    def scope(self) -> Scope:
        """What the names in the module's annotations mean."""
        aliases: dict[str, ast.expr] = {}
        for tree in Importer((self.import_root,)).sources(self.path, self.tree, self.name):
            aliases |= aliases_of(tree)
        return read_scope(self.tree, frozenset(self._foreign), aliases)

    @cached_property
    def classes(self) -> dict[str, Class]:
        """The classes at the top level, by name."""
        out: dict[str, Class] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                out[node.name] = _read_class(node, self.scope, self.foreign_classes | out)
        return out

    @cached_property
    def foreign_classes(self) -> dict[str, Class]:
        """The classes that the module imports and whose source is in the project or its environment, by name."""
        known = frozenset(self._foreign)
        return {
            name: _read_imported(found, self._importer, known, _MAX_BASES)
            for name, found in self._foreign.items()
        }

    @cached_property
    def imported(self) -> dict[str, str]:
        """Name of a foreign class -> the module that defines it."""
        return {name: found.module for name, found in self._foreign.items()}

    @cached_property
    def constructible(self) -> dict[str, Class]:
        """Every class that an argument may be an instance of, by name."""
        return self.foreign_classes | self.classes

    @cached_property
    def _importer(self) -> Importer:
        return Importer(tuple(dict.fromkeys((self.import_root, self.root, *site_packages(self.root)))))

    @cached_property
    def _foreign(self) -> dict[str, ImportedClass]:
        importer = self._importer
        found = {
            name: importer.imported_class(name, self.path, self.tree, self.name)
            for name in imported_names(self.tree)
            if not _is_private(name)
        }
        for name, module in dotted_classes(self.tree, self.name, self.path).items():
            if found.get(name) is None and not _is_private(name):
                found[name] = importer.class_of(module, name)
        own = {node.name for node in self.tree.body if isinstance(node, ast.ClassDef)}
        return {name: one for name, one in found.items() if one is not None and name not in own}

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """The public functions and methods, in the order of the file."""
        out: list[Function] = []
        for node in self.tree.body:
            if isinstance(node, FunctionNode) and not _is_private(node.name) and _is_tested(node):
                out.append(_read_function(node, "", self.scope))
            elif isinstance(node, ast.ClassDef) and not _is_private(node.name):
                methods = [inner for inner in node.body if isinstance(inner, FunctionNode)]
                out += [
                    _read_function(inner, node.name, self.scope) for inner in methods if _is_tested(inner)
                ]
        last = {one.qualname: one for one in out}  # a name that is bound again means the later function
        return tuple(one for one in out if last[one.qualname] is one)

    @cached_property
    def every_function(self) -> dict[str, Function]:
        """All functions and methods by qualified name, private ones included; of two with one name the last."""
        out: dict[str, Function] = {}
        for owner, node in _functions_in(self.tree.body, ""):
            if not {"overload", "setter", "deleter"} & {_decorator(one) for one in node.decorator_list}:
                function = _read_function(node, owner, self.scope)
                out[function.qualname] = function
        return out

    @cached_property
    def definitions(self) -> dict[str, tuple[FunctionNode, ...]]:
        """All definitions of each function by qualified name: of a property also its setter, of a function under ``if``
        those of every branch.
        """
        out: dict[str, tuple[FunctionNode, ...]] = {}
        for owner, node in _functions_in(self.tree.body, ""):
            if "overload" not in {_decorator(one) for one in node.decorator_list}:
                name = f"{owner}.{node.name}" if owner else node.name
                out[name] = (*out.get(name, ()), node)
        return out

    @cached_property
    def bound(self) -> dict[str, tuple[ast.expr, ...]]:
        """The values that names of the module and of its classes are bound to at the top level, by name."""
        out: dict[str, tuple[ast.expr, ...]] = {}
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        for node in (*self.tree.body, *(inner for one in classes for inner in one.body)):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else (node.target,):
                    if isinstance(target, ast.Name):
                        out[target.id] = (*out.get(target.id, ()), node.value)
        return out

    @cached_property
    def setters(self) -> dict[str, Function]:
        """The functions that set properties, by the qualified name of the property."""
        found = ((owner, node) for owner, node in _functions_in(self.tree.body, "") if owner)
        return {
            f"{owner}.{node.name}": _read_function(node, owner, self.scope)
            for owner, node in found
            if "setter" in {_decorator(one) for one in node.decorator_list}
        }

    @cached_property
    def defined(self) -> frozenset[str]:
        """The names that the module itself defines, which tests may import from it."""
        names: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, FunctionNode | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {
                    inner.id
                    for target in targets
                    for inner in ast.walk(target)
                    if isinstance(inner, ast.Name)
                }
        return frozenset(names)

    @cached_property
    def readable(self) -> frozenset[str]:
        """The names that can be read from the module: those that it defines, and those that it imports at its top level."""
        imports = (node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom))
        names = {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
        return self.defined | (names - {"*"})

    def pick(self, name: str | None) -> tuple[Function, ...]:
        """The functions that ``name`` means: one function, one method, a whole class; all for None.

        Raises:
            ExecutionError: nothing is called so.
        """
        if name is None:
            return self.functions
        private = [
            _read_function(node, "", self.scope)
            for node in self.tree.body
            if isinstance(node, FunctionNode) and node.name == name
        ]
        found = [one for one in self.functions if name in (one.qualname, one.owner)] or private
        if not found:
            known = ", ".join(one.qualname for one in self.functions) or "none"
            raise ExecutionError(f"{self.path.name}::{name}: no such function or class (there are: {known})")
        return tuple(found)


def _functions_in(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, FunctionNode]]:
    """The functions of a module and the methods of its classes and of classes in these, also under ``if`` and ``try``."""
    for node in body:
        if isinstance(node, FunctionNode):
            yield owner, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions_in(node.body, f"{owner}.{node.name}" if owner else node.name)
        elif isinstance(node, ast.If):
            yield from _functions_in([*node.body, *node.orelse], owner)
        elif isinstance(node, ast.Try):
            yield from _functions_in([*node.body, *node.orelse, *node.finalbody], owner)


def load(path: Path) -> TargetModule:
    """Read a module.

    Raises:
        ExecutionError: there is no such file, it is not Python, or it does not parse.
    """
    path = path.resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ExecutionError(f"{path}: {'not a Python file' if path.exists() else 'there is no such file'}")
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise ExecutionError(f"{path}: does not parse: {error}") from error
    import_root = path.parent
    while (import_root / "__init__.py").exists() and import_root != import_root.parent:
        import_root = import_root.parent
    installed = [one for one in path.parents if one.name in _INSTALLED]
    if installed:  # a folder without __init__ may be a package there
        import_root = installed[0]
    parts = path.relative_to(import_root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if not all(part.isidentifier() for part in name.split(".")):
        raise ExecutionError(f"{path}: its name cannot be imported")
    root = next(
        (
            one
            for one in (import_root, *import_root.parents)
            if any((one / mark).exists() for mark in _MARKERS)
        ),
        None,
    )
    home = Path.home()
    if root is None or root == home or root == Path(root.anchor):
        root = import_root
    return TargetModule(path, root, import_root, name, source, tree)


def _is_private(name: str) -> bool:
    return name.startswith("_")


def _is_tested(node: FunctionNode) -> bool:
    if any(
        _decorator(one) in ("overload", "abstractmethod", "setter", "deleter") for one in node.decorator_list
    ):
        return False
    return not _is_private(node.name) or node.name in OPERATORS or node.name == "__init__"


def _decorator(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _read_function(node: FunctionNode, owner: str, scope: Scope) -> Function:
    marks = {_decorator(one) for one in node.decorator_list}
    kind: Literal["function", "method", "static", "class", "property"] = "function"
    if owner:
        kind = "static" if "staticmethod" in marks else "class" if "classmethod" in marks else "method"
        if any(mark.endswith("property") for mark in marks):
            kind = "property"
    params = _read_params(node, scope, skip_first=kind in ("method", "class", "property"))
    doc = ast.get_docstring(node) or ""
    return Function(node.name, owner, kind, params, node.returns, node, doc, node.lineno)


def _read_params(
    node: FunctionNode, scope: Scope, *, skip_first: bool, owner: Sequence[ast.stmt] = ()
) -> tuple[Param, ...]:
    """The parameters of a function; ``owner`` are the statements of the class that it is the constructor of."""
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults)) + list(
        arguments.defaults
    )
    rows = list(zip(plain, defaults, strict=True))[1 if skip_first else 0 :]
    out = [
        _read_param(arg, default, scope, node.body, keyword_only=False, owner=owner) for arg, default in rows
    ]
    positional = {arg.arg for arg in arguments.posonlyargs}
    out = [replace(one, positional_only=one.name in positional) for one in out]
    if arguments.vararg:
        one = _read_param(arguments.vararg, None, scope, node.body, keyword_only=False)
        type_ = one.type if one.typed else _item_of(one.name, node.body)
        out.append(Param(one.name, type_, one.typed, variadic=True, annotation=one.annotation))
    keyword_only = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    out += [
        _read_param(arg, default, scope, node.body, keyword_only=True, owner=owner)
        for arg, default in keyword_only
    ]
    if arguments.kwarg:
        names = {one.name for one in out} | {arg.arg for arg in plain}
        read = options_read(node, arguments.kwarg.arg, scope.texts)
        out += [_read_option(name, value) for name, value in read.items() if name not in names]
    return tuple(out)


def _asked_items(name: str, body: list[ast.stmt]) -> ParamType | None:
    """What loops over the values ask each of them for, as ``read``; None where they ask nothing."""
    nodes = [inner for statement in body for inner in ast.walk(statement)]
    loops = [node for node in nodes if isinstance(node, ast.For | ast.comprehension)]
    for node in loops:
        match node:
            case (
                ast.For(target=ast.Name(id=item), iter=ast.Name(id=found))
                | ast.comprehension(target=ast.Name(id=item), iter=ast.Name(id=found))
            ) if found == name:
                asked = [one for one in questions(item, body, frozenset()) if one.kind != "none"]
                if asked:
                    return ParamType("union", tuple(asked))
    return None


def _item_of(name: str, body: list[ast.stmt]) -> ParamType:
    """What one of the values of ``*args`` is, by what the body does with all of them; a number where it says nothing.

    Where the first one is read by itself, it may also be a list that stands for all of them; where all are handed on to
    what takes iterables, each is a list.
    """
    if (asked := _asked_items(name, body)) is not None:
        return asked
    type_ = from_use(name, body)
    item = type_.args[0] if type_ is not None and type_.kind == "list" and type_.args else ParamType("int")
    for node in (inner for statement in body for inner in ast.walk(statement)):
        match node:
            case ast.Subscript(value=ast.Name(id=found), slice=ast.Constant(value=0)) if found == name:
                return ParamType("union", (item, ParamType("list", (item,))))
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[*_, ast.Starred(value=ast.Name(id=found))],
            ) if found == name and called in _TAKE_ITERABLES:
                return ParamType("list", (item,))
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=called), given]) if (
                called in _READ_ITERABLES and _names(given, name)
            ):
                return ParamType("list", (item,))
    return item


def _names(node: ast.AST, name: str) -> bool:
    return any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(node))


def _read_option(name: str, default: ast.expr | None) -> Param:
    """An option that a body takes out of its ``**options``, as a parameter by keyword."""
    type_ = (from_value(default) if default is not None else None) or ParamType(
        "union", (from_name(name), *_FALLBACK_TYPES)
    )
    return Param(
        name, type_, typed=False, default=ast.unparse(default or ast.Constant(None)), keyword_only=True
    )


def _read_param(
    arg: ast.arg,
    default: ast.expr | None,
    scope: Scope,
    body: list[ast.stmt],
    *,
    keyword_only: bool,
    owner: Sequence[ast.stmt] = (),
) -> Param:
    type_, typed = scope.type_of(arg.annotation)
    talked_to = not typed and type_ is not None and type_.only_none
    if type_ is None and default is not None:
        type_ = from_value(default)
    if type_ == ANY:  # the annotation leaves it open, the name or the body may not
        guess = from_use(arg.arg, body) or from_name(arg.arg)
        if guess != ANY:
            type_ = ParamType("union", (guess, ANY))
    if type_ is None:
        guess = from_use(arg.arg, body) or from_name(arg.arg)
        sure = guess.kind == "callable"  # what is called can be nothing else
        talked_to = guess == ANY and (arg.annotation is not None or is_talked_to(arg.arg, body, owner))
        others = () if sure else tuple(other for other in _FALLBACK_TYPES if other != guess)
        type_ = ParamType("union", (guess, *others))
    return Param(
        arg.arg,
        type_,
        typed,
        ast.unparse(default) if default else None,
        keyword_only,
        annotation=ast.unparse(arg.annotation) if arg.annotation else "",
        talked_to=talked_to,
        awaited=awaited_calls(arg.arg, body, owner),
    )


def _read_imported(found: ImportedClass, importer: Importer, known: frozenset[str], depth: int) -> Class:
    """A class of another module, with what it inherits from classes of its own file and of files that this imports from, at most
    ``depth`` of them above one another.
    """
    bases: dict[str, Class] = {}
    for base in found.node.bases if depth else ():
        if isinstance(base, ast.Name):
            above = importer.imported_class(base.id, found.path, found.tree, found.module)
            if above is not None and above.node is not found.node:
                bases[base.id] = _read_imported(above, importer, known, depth - 1)
    return _read_class(found.node, read_scope(found.tree, known), bases)


def _read_class(node: ast.ClassDef, scope: Scope, known: Mapping[str, Class]) -> Class:
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
        return _read_params(constructor, scope, skip_first=True, owner=node.body)
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
    if _OF_FIELDS & {_decorator(one) for one in node.decorator_list}:
        return "dataclass"
    if bases & {"NamedTuple", "Struct"}:
        return "namedtuple"
    if bases & {"BaseModel", "BaseSettings"}:
        return "model"
    methods = [item for item in node.body if isinstance(item, FunctionNode)]
    marks = {_decorator(one) for method in methods for one in method.decorator_list}
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
    return tuple(one.id for one in targets if isinstance(one, ast.Name) and not _is_private(one.id))


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
    if isinstance(item.value, ast.Call) and _decorator(item.value) in _FIELD:
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
