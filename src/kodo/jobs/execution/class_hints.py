"""Which class an argument is of where no annotation says it: by the words of the documentation and the attributes that are read.

Code without annotations is given instances that its own package makes: a number that was parsed, a node, a call that was
recorded. Reads source only, and knows nothing of how an instance is made.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from kodo.jobs.execution.asked_types import attributes_used
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.param_types import ParamType
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.target import TargetModule

_MAX_CLASSES = 2
_COMMON = 3
"""So many classes that have all the attributes which are read say nothing."""
_LEAST_NAME = 3


def instance_attributes(modules: Iterable[TargetModule]) -> dict[str, frozenset[str]]:
    """Class -> the attributes of its instances, inherited ones included, for the public classes of some modules."""
    found: dict[str, set[str]] = {}
    bases: dict[str, tuple[str, ...]] = {}
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and node.name not in found:
                found[node.name] = set(_own_attributes(node))
                bases[node.name] = tuple(ast.unparse(one).rpartition(".")[2] for one in node.bases)
    for name, parents in bases.items():  # a base stands before what derives from it in most files
        for parent in parents:
            found[name] |= found.get(parent, set())
    return {name: frozenset(attributes) for name, attributes in found.items() if not name.startswith("_")}


def classes_of(
    param: Param, function: Function, known: Mapping[str, frozenset[str]]
) -> tuple[ParamType, ...]:
    """The classes that a parameter without an annotation may be an instance of, at most two; none where nothing says so."""
    if param.typed or param.variadic or not known:
        return ()
    names = _named_in(function.doc, param.name, known) or _with_attributes(param.name, function, known)
    return tuple(ParamType("class", text=name) for name in names[:_MAX_CLASSES])


def _named_in(doc: str, name: str, known: Mapping[str, frozenset[str]]) -> list[str]:
    """The classes that the documentation names where it says what a parameter is: ``:type x: Foo``, ``x (pkg.Foo): ...``."""
    line = re.search(
        rf"^\s*(?::(?:param|type)\s+)?(?:\w+\s+)?\*{{0,2}}`*{re.escape(name)}\b(.*)$", doc, re.MULTILINE
    )
    words = re.findall(r"\b[A-Z]\w+", line.group(1)) if line else []
    return [word for word in dict.fromkeys(words) if word in known]


def _with_attributes(name: str, function: Function, known: Mapping[str, frozenset[str]]) -> list[str]:
    """The classes whose instances have all that the body reads of a parameter; those that are named like it first."""
    read = attributes_used(name, function.node.body)
    if not read:
        return []
    fitting = [one for one, attributes in known.items() if read <= attributes]
    alike = [one for one in fitting if _is_alike(one, name)]
    if alike or len(fitting) > _COMMON:
        return alike
    return sorted(fitting, key=lambda one: len(known[one])) if len(read) > 1 or len(fitting) == 1 else []


def _is_alike(kind: str, name: str) -> bool:
    bare = name.replace("_", "").lower()
    return len(bare) >= _LEAST_NAME and kind.lower().endswith(bare)


def _own_attributes(node: ast.ClassDef) -> Iterator[str]:
    """What the class itself defines, and what its methods set of ``self``."""
    for one in node.body:
        match one:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
                yield from _set_attributes(one)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))


@lru_cache(maxsize=2048)
def _set_attributes(node: ast.AST) -> tuple[str, ...]:
    return tuple(
        one.attr
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute)
        and isinstance(one.ctx, ast.Store)
        and isinstance(one.value, ast.Name)
        and one.value.id == "self"
    )
