"""Which functions and values of a module a change touched, and which of the module call them. Reads source only."""

import ast
import copy
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.parameters import FunctionNode
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.worker.literal_value import is_literal

_CALL_DEPTH = 2
_MAX_INHERITING = 4
"""The classes whose inherited methods are run because an attribute of the class changed."""


@dataclass(frozen=True, slots=True)
class Affected:
    """A function to run: ``roots`` are the changed functions it leads to (its own name where it changed itself)."""

    function: Function
    roots: tuple[str, ...]
    depth: int


def affected_functions(before: TargetModule, after: TargetModule) -> list[Affected]:
    """The functions of ``after`` that a change may have given another behaviour: changed ones first, then callers.

    Those that only one version has are listed for what goes through them; they cannot be compared by calling them.

    A function is changed where its code (not its documentation) differs, or that of a constant, a class statement or a
    new function it uses. Where an attribute of a class changed that an inherited method reads, the method is also listed under the
    name of that class, since an instance of the class that defines it does not show the change.
    """
    old, new = before.every_function, after.every_function
    names, classes = _changed_values(before, after)
    roots = {
        name
        for name, function in new.items()
        if name in old
        and (
            _differs(before.definitions[name], after.definitions[name])
            or function.owner in classes
            or _used(function.node) & names
        )
    }
    roots |= {name for name in new if name not in old and name.rpartition(".")[2] == "__init__"}
    helpers = {name for name in new.keys() ^ old.keys() if name not in roots}
    order = dict.fromkeys(roots, 0)
    leads_to: dict[str, set[str]] = {name: {name} for name in roots}
    frontier = {name: {name} for name in roots | helpers}
    for depth in range(1, _CALL_DEPTH + 1):
        frontier = _callers(new.values(), frontier, helpers)
        frontier = {name: found for name, found in frontier.items() if name not in order}
        for name, found in frontier.items():
            order[name] = depth
            leads_to.setdefault(name, set()).update(found)
    chosen = [Affected(new[name], tuple(sorted(leads_to[name])), depth) for name, depth in order.items()]
    either = {**old, **new}
    chosen += [Affected(either[name], (name,), 1) for name in helpers if name not in order]
    chosen += _inherited(chosen, before, after)
    return sorted(chosen, key=lambda one: (one.depth, one.function.name.startswith("_"), one.function.line))


def _inherited(chosen: Sequence[Affected], before: TargetModule, after: TargetModule) -> Iterator[Affected]:
    """The methods among ``chosen`` that lead to what reads a changed attribute of a class, once more for each class that changed
    it and inherits them from another class of the module.
    """
    changed: dict[str, set[str]] = {}
    for owner, name in sorted(_changed_keys(before, after)):
        if owner:
            changed.setdefault(owner, set()).add(name)
    either = {**before.every_function, **after.every_function}
    for owner, names in list(changed.items())[:_MAX_INHERITING]:
        readers = {one for each in chosen for one in each.roots if _used(either[one].node) & names}
        found: dict[str, Affected] = {}
        for base in _bases(owner, after.tree):
            for one in chosen:
                if (
                    one.function.owner == base
                    and one.function.name != "__init__"
                    and readers & set(one.roots)
                ):
                    found.setdefault(one.function.name, one)
        for name, one in found.items():
            if f"{owner}.{name}" not in either:
                yield Affected(dataclasses.replace(one.function, owner=owner), one.roots, max(one.depth, 1))


def _bases(name: str, tree: ast.Module) -> list[str]:
    """The classes of a module that a class inherits from, directly or not, the nearest first."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found: dict[str, None] = {}
    todo = [name]
    while todo:
        for node in classes[todo.pop(0)].bases:
            base = ast.unparse(node).partition("[")[0]
            if base in classes and base not in found:
                found[base] = None
                todo.append(base)
    return list(found)


def changed_values(before: TargetModule, after: TargetModule) -> list[str]:
    """The public names of both modules that are bound to another value than before and that no function of them reads.

    Literals are left out: the change itself shows their values.
    """
    old, new = ({name for owner, name in _assigned(one.tree) if not owner} for one in (before, after))
    names, _ = _changed_values(before, after)
    names |= _made_by_changed_classes(before, after)
    read = set().union(
        *(_used(one.node) for module in (before, after) for one in module.every_function.values())
    )
    shown = {
        name
        for module in (before, after)
        for (owner, name), value in _assigned(module.tree).items()
        if not owner and is_literal(ast.unparse(value))
    }
    return sorted(
        name for name in (names & old & new) - read - shown - after.every_function.keys() if name[0] != "_"
    )


def read_elsewhere(before: TargetModule, after: TargetModule) -> list[str]:
    """The public names of both modules, but for functions, that are bound to another value than before, or whose class has another
    attribute, and that no function of them reads: who calls other modules may see that, such as a table of patterns or words, or one
    that a class holds for what it inherits.
    """
    changed = _changed_keys(before, after)
    owners = {owner or name for owner, name in changed}
    if not owners:
        return []
    old, new = ({owner or name for owner, name in _assigned(one.tree)} for one in (before, after))
    functions = after.every_function.values()
    read = set().union(*(_used(one.node) for one in (*functions, *before.every_function.values())))
    heirs = {node.name for node in after.tree.body if isinstance(node, ast.ClassDef) and node.bases}
    for_others = {owner for owner, name in changed if owner in heirs and name not in read}
    seen_here = read | {one.owner for one in functions}
    return sorted(name for name in (owners & old & new) - (seen_here - for_others) if name[0] != "_")


def _made_by_changed_classes(before: TargetModule, after: TargetModule) -> set[str]:
    """The names bound to something that is made of a class whose text changed."""
    old, new = (
        {node.name: ast.dump(node) for node in one.tree.body if isinstance(node, ast.ClassDef)}
        for one in (before, after)
    )
    classes = {name for name in new if old.get(name) != new[name]}
    return {
        name
        for (owner, name), value in _assigned(after.tree).items()
        if not owner and any(isinstance(one, ast.Call) for one in ast.walk(value)) and _used(value) & classes
    }


def has_other_decorators(name: str, before: TargetModule, after: TargetModule) -> bool:
    """Whether a function of both modules has other decorators than before, which may make another object of it."""
    old, new = (one.definitions.get(name, ()) for one in (before, after))
    return bool(old and new) and _decorators(old) != _decorators(new)


def _decorators(nodes: Iterable[FunctionNode]) -> list[str]:
    return [ast.dump(one) for node in nodes for one in node.decorator_list]


def _callers(
    functions: Iterable[Function], frontier: dict[str, set[str]], one_sided: Collection[str]
) -> dict[str, set[str]]:
    """Function -> the changed functions that it reaches by what it names."""
    by_name: dict[str, set[str]] = {}
    for name, found in frontier.items():
        owner, _, last = name.rpartition(".")
        called = owner if last in ("__init__", "__new__", "__post_init__") else last
        by_name.setdefault(called, set()).update(found)
        if owner and name in one_sided:  # what overrides a method is called by whatever called that
            by_name.setdefault(owner, set()).update(found)
    out: dict[str, set[str]] = {}
    for function in functions:
        reached = set().union(*(by_name[name] for name in _used(function.node) & by_name.keys()))
        if function.owner in by_name:  # a constructor changed: every method stands on it
            reached |= by_name[function.owner]
        if reached - {function.qualname}:
            out[function.qualname] = reached
    return out


@lru_cache(maxsize=8192)
def _used(node: ast.AST) -> frozenset[str]:
    """The names and attributes that a function's code mentions; kept, as each question about a change asks for it."""
    inner = list(ast.walk(node))
    return frozenset(one.id for one in inner if isinstance(one, ast.Name)) | frozenset(
        one.attr for one in inner if isinstance(one, ast.Attribute)
    )


def _differs(before: Sequence[FunctionNode], after: Sequence[FunctionNode]) -> bool:
    """Whether a function's definitions do something else: not only their layout, documentation or annotations changed."""
    if [ast.dump(one) for one in before] == [ast.dump(one) for one in after]:
        return False
    return [_code(one) for one in before] != [_code(one) for one in after]


def _code(node: FunctionNode) -> str:
    """A function without its documentation and annotations, in a form that layout and comments do not change."""
    node = _Plain().visit(copy.deepcopy(node))
    return "\n".join(ast.dump(part) for part in (node.args, *node.decorator_list, *node.body))


class _Plain(ast.NodeTransformer):
    """Take annotations and statements that are texts alone out of a function."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node  # its annotations may be its fields

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def _changed_values(before: TargetModule, after: TargetModule) -> tuple[set[str], set[str]]:
    """The names of constants and class attributes whose value changed, and the classes that changed as a whole.

    A constant that is made of a changed one has changed too. A class changes as a whole where no function of the module
    names the attribute: then something elsewhere reads it.
    """
    changed = _changed_keys(before, after)
    used = set().union(*(_used(one.node) for one in after.every_function.values()))
    unread = {owner for owner, name in changed if owner and name not in used}
    return {name for _, name in changed}, unread | _changed_classes(before.tree, after.tree)


def _changed_keys(before: TargetModule, after: TargetModule) -> set[tuple[str, str]]:
    """Class, "" for the module itself, and name of what is bound to another value than before, to what a changed function makes, or made of
    such a value.
    """
    old, new = _assigned(before.tree), _assigned(after.tree)
    changed = {key for key in new if key in old and ast.dump(old[key]) != ast.dump(new[key])}
    changed |= {key for key in new if key not in old and not key[0]}
    changed |= {key for key in new if _called(new[key]) & _changed_at_top(before, after)}
    while more := {key for key in new.keys() - changed if _used(new[key]) & {name for _, name in changed}}:
        changed |= more
    return changed


def _changed_at_top(before: TargetModule, after: TargetModule) -> set[str]:
    """The functions of the module itself, of no class, whose code changed."""
    return {
        name
        for name, nodes in after.definitions.items()
        if "." not in name and name in before.definitions and _differs(before.definitions[name], nodes)
    }


def _called(node: ast.AST) -> set[str]:
    """The names that an expression calls."""
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return {one.id for one in calls if isinstance(one, ast.Name)}


def _assigned(tree: ast.Module) -> dict[tuple[str, str], ast.expr]:
    """Class, "" for the module itself, and name -> what is assigned to it."""
    out = {("", name): value for name, value in _constants(tree.body)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            plain = [one for one in node.body if _is_attribute(one)]
            out |= {(node.name, name): value for name, value in _constants(plain)}
    return out


def _is_attribute(node: ast.stmt) -> bool:
    """Whether a statement of a class body binds an attribute of the class itself; one with another annotation may be a field."""
    is_class_var = isinstance(node, ast.AnnAssign) and "ClassVar" in ast.unparse(node.annotation)
    return isinstance(node, ast.Assign) or is_class_var


def _changed_classes(before: ast.Module, after: ast.Module) -> set[str]:
    """The classes whose bases, decorators, fields or own statements changed, but for plain attributes."""
    old, new = _class_statements(before), _class_statements(after)
    return {name for name in new if name in old and old[name] != new[name]}


def _constants(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        yield name.id, node.value
        elif isinstance(node, ast.If | ast.Try):
            yield from _constants([*node.body, *node.orelse])


def _class_statements(tree: ast.Module) -> dict[str, str]:
    out: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            own = [
                one
                for one in node.body
                if not (isinstance(one, FunctionNode | ast.Expr | ast.ClassDef) or _is_attribute(one))
            ]
            out[node.name] = "\n".join(ast.dump(part) for part in [*node.bases, *node.decorator_list, *own])
    return out
