"""What the code and the documentation of a module state about a function: constants, instances, invariants.

Knows nothing of how inputs are made from it.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache

from kodo.jobs.execution import doc_contracts
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Expectation
from kodo.jobs.execution.operators import GIVES_OTHER
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.worker.literal_value import is_literal

_PLAIN_DECORATORS = frozenset(
    {"staticmethod", "classmethod", "property", "cached_property", "cache", "lru_cache", "override", "final"}
)
_GIVE_OTHERS = GIVES_OTHER | {"__init__"}
_OPEN_KINDS = frozenset({"any", "callable", "awaitable", "kind"})
MAX_INSTANCES = 12
"""Ways to make an instance that are tried for one class."""


@lru_cache(maxsize=512)
def constants(module: TargetModule, function: Function) -> tuple[object, ...]:
    """The literals in a function, and in the constants that it names: of its module, of its class, then those imported from the project."""
    bodies: list[ast.AST] = list(function.node.body)
    used = {node.id for node in ast.walk(function.node) if isinstance(node, ast.Name)}
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id in used for target in targets):
                bodies.append(statement.value)
    bodies += _of_class(module, function)
    bodies += [value for name, value in module.imported_values.items() if name in used]
    found: list[object] = []
    for body in bodies:
        literals = [node.value for node in ast.walk(body) if isinstance(node, ast.Constant)]
        found += [value for value in literals if type(value) in (int, float, str, bytes)]
    unique = list(
        dict.fromkeys(
            (type(value), value) for value in found if value != ast.get_docstring(function.node, clean=False)
        )
    )
    return tuple(value for _, value in unique)[:60]


def _of_class(module: TargetModule, function: Function) -> Iterator[ast.expr]:
    """The attributes of its own class that a function reads, such as a table of names."""
    owner = next(
        (one for one in module.tree.body if isinstance(one, ast.ClassDef) and one.name == function.owner),
        None,
    )
    read = {node.attr for node in ast.walk(function.node) if isinstance(node, ast.Attribute)}
    for statement in owner.body if owner is not None else ():
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id in read for target in targets):
                yield statement.value


def documented_instances(module: TargetModule) -> dict[str, tuple[str, ...]]:
    """Class -> the calls that make one in the documentation, with literal arguments: ``C(1)``, ``C.parse("x")``."""
    docs = [ast.get_docstring(module.tree) or ""]
    docs += [one.doc for one in module.classes.values()] + [one.doc for one in module.functions]
    makers = {(one.owner, one.name) for one in module.functions if one.kind in ("class", "static")}
    out: dict[str, list[str]] = {}
    for node in (node for doc in docs for node in _documented_calls(doc)):
        match node.func:
            case ast.Name(id=name) if name in module.classes:
                out.setdefault(name, []).append(ast.unparse(node))
            case ast.Attribute(value=ast.Name(id=name), attr=method) if (
                name,
                method,
            ) in makers and node.args:
                out.setdefault(name, []).append(ast.unparse(node))
    return {name: tuple(dict.fromkeys(sources))[:MAX_INSTANCES] for name, sources in out.items()}


def _documented_calls(doc: str) -> Iterator[ast.Call]:
    """The calls of literals in the doctests of a docstring."""
    for source in doc_contracts.statements(doc):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                given = (*node.args, *(word.value for word in node.keywords))
                if all(is_literal(ast.unparse(one)) for one in given) and all(
                    word.arg for word in node.keywords
                ):
                    yield node


def invariants(module: TargetModule, function: Function) -> tuple[Expectation, ...]:
    """What must hold for every call: the return annotation and the stated properties."""
    out: list[Expectation] = []
    returns = module.scope.expand(function.returns) if function.returns is not None else None
    if (
        returns is not None
        and module.scope.is_known(returns)
        and function.name not in _GIVE_OTHERS
        and not _is_generator(function)
        and not _is_wrapped(function)
        and all(map(_is_sure, (*function.params, *_made_with(module, function))))
    ):
        out.append(Expectation("returns", ast.unparse(returns), "types", f"-> {ast.unparse(returns)}"))
    siblings = frozenset(one.name for one in module.functions)
    stated = [claim.expect for claim in doc_contracts.read_contracts(function, siblings) if not claim.given]
    out += [
        one for one in stated if one.kind == "property" and not one.text.startswith(("undoes ", "undone by "))
    ]
    return tuple(out)


def _is_sure(param: Param) -> bool:
    return param.typed and not leaves_open(param.type)


def _made_with(module: TargetModule, function: Function) -> tuple[Param, ...]:
    """What the instance of a method is made with, and a property set to: guessed values of these excuse what it returns."""
    owner, setter = module.constructible.get(function.owner), module.setters.get(function.qualname)
    made = owner.init if owner is not None and function.kind in ("method", "property") else ()
    return (*made, *(setter.params if setter is not None else ()))


def _is_generator(function: Function) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function.node))


def leaves_open(type_: ParamType) -> bool:
    """Whether a type leaves something open, at any depth: then the caller vouches for it, and not the annotation."""
    return type_.kind in _OPEN_KINDS or type_.text.startswith("mock.") or any(map(leaves_open, type_.args))


def _is_wrapped(function: Function) -> bool:
    """Whether a decorator may make something else of what the body returns."""
    names = (
        ast.unparse(one.func if isinstance(one, ast.Call) else one) for one in function.node.decorator_list
    )
    return any(name.rpartition(".")[2] not in _PLAIN_DECORATORS for name in names)
