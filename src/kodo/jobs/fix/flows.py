"""What flows into an expression of a module: through variables, parameters of new functions, their results, and lists that are filled.

Names are followed without an order, so this finds rather too much than too little. Pure: nothing is run.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef
_FILLING = frozenset(
    {"append", "extend", "insert", "add", "update", "write", "writelines", "appendleft", "setdefault"}
)

MAX_NODES = 800
"""Of what flows into one expression: in a large class all attributes hang together, and what is that far away tells nothing."""


class Flows:
    """The flows of one module."""

    def __init__(self, tree: ast.Module, old: Collection[str] = ()) -> None:
        """``old`` are functions that were there before; what their parameters are given is not followed."""
        self.tree = tree
        self.functions: dict[str, list[FunctionNode]] = defaultdict(list)
        self._old = frozenset(old)
        self._scopes: dict[int, ast.AST] = {}
        self._values: dict[tuple[int, str], list[ast.expr]] = defaultdict(list)
        self._summed: set[tuple[int, str]] = set()
        self._place()
        self._find_functions()
        for node in ast.walk(tree):
            for target, value in (*_bound(node), *self._given(node)):
                self._bind(node, target, value)
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                self._summed |= {
                    (id(self.scope(one)), one.target.id)
                    for one in ast.walk(node)
                    if isinstance(one, ast.AugAssign) and isinstance(one.target, ast.Name)
                }

    def nodes(self, functions: Collection[str]) -> Iterator[ast.AST]:
        """The nodes of the module that are in some functions; "" is what is in none."""
        return (node for node in ast.walk(self.tree) if getattr(self.scope(node), "name", "") in functions)

    def is_summed(self, name: ast.Name) -> bool:
        """Whether a loop adds to a variable."""
        return (id(self.scope(name)), name.id) in self._summed

    def scope(self, node: ast.AST) -> ast.AST:
        """The outermost function that a node is in, or the lambda at the top of the module; else the module."""
        return self._scopes.get(id(node), self.tree)

    def values(self, name: ast.Name | ast.Attribute) -> Sequence[ast.expr]:
        """What a variable, a parameter or an attribute is bound to."""
        if isinstance(name, ast.Attribute):
            return self._values.get((0, name.attr), ())
        own = self._values.get((id(self.scope(name)), name.id), [])
        return [
            *own,
            *(self._values.get((id(self.tree), name.id), []) if self.scope(name) is not self.tree else []),
        ]

    def reaching(
        self, node: ast.AST, leave_out: Callable[[ast.AST], bool] = lambda _: False
    ) -> Iterator[ast.AST]:
        """The nodes of an expression and of all that flows into it, but those to leave out and what flows into these."""
        seen: set[int] = set()
        pending = [node]
        while pending and len(seen) < MAX_NODES:
            one = pending.pop()
            if id(one) in seen or leave_out(one):
                continue
            seen.add(id(one))
            yield one
            pending += self._sources(one)

    def _sources(self, node: ast.AST) -> Iterator[ast.AST]:
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name() as counted]):
                for value in self.values(
                    counted
                ):  # what the items of a list are does not tell how many they are
                    match value:
                        case ast.ListComp(generators=generators):
                            yield from generators
                        case ast.List() | ast.Tuple():
                            continue
                        case _:
                            yield value
                return
            case ast.Name() | ast.Attribute():
                name = node.id if isinstance(node, ast.Name) else node.attr
                yield from self.values(node)
                for function in self.functions.get(name, ()):
                    yield from results(function)
        yield from ast.iter_child_nodes(node)

    def _place(self) -> None:
        pending: list[tuple[ast.AST, ast.AST]] = [(self.tree, self.tree)]
        while pending:
            node, scope = pending.pop()
            self._scopes[id(node)] = scope
            for inner in ast.iter_child_nodes(node):
                opens = scope is self.tree and isinstance(inner, _DEFINITION | ast.Lambda)
                pending.append((inner, inner if opens else scope))

    def _find_functions(self) -> None:
        for node in ast.walk(self.tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self.functions[name].append(node)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as value):
                    self.functions[name].append(value)

    def _bind(self, at: ast.AST, target: ast.AST, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                scope = self.scope(target) if id(target) in self._scopes else self.scope(at)
                self._values[id(scope), name].append(value)
            case ast.arg(arg=name):
                self._values[id(self.scope(target)), name].append(value)
            case ast.Attribute(attr=name):
                self._values[0, name].append(value)
            case ast.Subscript(value=inner) | ast.Starred(value=inner):
                self._bind(at, inner, value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = (
                    value.elts
                    if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets)
                    else None
                )
                for number, one in enumerate(targets):
                    self._bind(at, one, parts[number] if parts else value)

    def _given(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr]]:
        """What a call gives to the parameters of new functions: its own, and one that it is given with other arguments."""
        if not isinstance(node, ast.Call):
            return
        for function in self._new(node.func):
            yield from _arguments(function, node)
        for at, handed in enumerate(node.args):
            others = [arg for other, arg in enumerate(node.args) if other != at]
            for function in self._new(handed):
                yield from ((arg, other) for arg in parameters(function) for other in others)

    def _new(self, node: ast.expr) -> Sequence[FunctionNode]:
        match node:
            case ast.Lambda():
                return [node]
            case ast.Name(id=name) | ast.Attribute(attr=name) if name not in self._old:
                return self.functions.get(name, ())
        return ()


def function_names(tree: ast.AST) -> frozenset[str]:
    """The names of all functions and methods of a module."""
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, _DEFINITION))


def touched(before: ast.Module, after: ast.Module) -> frozenset[str]:
    """The functions that a patch changes or adds, and those that name one of these; "" is what is in none."""
    old, new = _bodies(before), _bodies(after)
    found = {name for name, bodies in new.items() if bodies != old.get(name)}
    callers = {
        name
        for name, nodes in _outermost(after).items()
        if any(
            getattr(one, "id", getattr(one, "attr", "")) in found for node in nodes for one in ast.walk(node)
        )
    }
    return frozenset({"", *found, *callers})


def _outermost(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """The functions at the top of a module and the methods of its classes, by their names."""
    found: dict[str, list[ast.AST]] = defaultdict(list)
    pending: list[ast.AST] = [tree]
    while pending:
        for inner in ast.iter_child_nodes(pending.pop()):
            if isinstance(inner, _DEFINITION):
                found[inner.name].append(inner)
            else:
                pending.append(inner)
    return found


def _bodies(tree: ast.Module) -> dict[str, list[str]]:
    return {name: [ast.dump(node) for node in nodes] for name, nodes in _outermost(tree).items()}


def parameters(function: FunctionNode) -> list[ast.arg]:
    """All parameters of a function, those by their place first."""
    args = function.args
    more = [one for one in (args.vararg, args.kwarg) if one is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *more]


def results(function: FunctionNode) -> list[ast.expr]:
    """What a function returns or yields."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None
    ]


def _arguments(function: FunctionNode, call: ast.Call) -> Iterator[tuple[ast.arg, ast.expr]]:
    """Which parameter gets which argument; each may get each where one is given by a star."""
    every = parameters(function)
    places = [*function.args.posonlyargs, *function.args.args]
    if isinstance(call.func, ast.Attribute) and places and places[0].arg in ("self", "cls"):
        places = places[1:]
    if any(isinstance(arg, ast.Starred) for arg in call.args) or any(
        one.arg is None for one in call.keywords
    ):
        values = [*call.args, *(one.value for one in call.keywords)]
        yield from ((arg, value) for arg in every for value in values)
        return
    for at, value in enumerate(call.args):
        if at < len(places):
            yield places[at], value
        elif function.args.vararg is not None:
            yield function.args.vararg, value
    named = {arg.arg: arg for arg in every}
    for keyword in call.keywords:
        if (arg := named.get(keyword.arg or "", function.args.kwarg)) is not None:
            yield arg, keyword.value


def _bound(node: ast.AST) -> list[tuple[ast.AST, ast.expr]]:
    """What a statement or an expression binds, with its value."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(target, value) for target in targets]
        case (
            ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.AugAssign(target=target, value=value)
            | ast.NamedExpr(target=target, value=value)
            | ast.For(target=target, iter=value)
            | ast.AsyncFor(target=target, iter=value)
            | ast.comprehension(target=target, iter=value)
            | ast.withitem(optional_vars=ast.expr() as target, context_expr=value)
        ):
            return [(target, value)]
        case ast.Match(subject=value, cases=cases):
            names = [
                one.name
                for case in cases
                for one in ast.walk(case.pattern)
                if isinstance(one, ast.MatchAs | ast.MatchStar)
            ]
            return [(ast.Name(name, ast.Store()), value) for name in names if name]
        case ast.Call(func=ast.Name(id="print"), keywords=keywords):
            return [(one.value, node) for one in keywords if one.arg == "file"]
        case ast.Call(func=ast.Attribute(value=filled, attr=name), args=args) if name in _FILLING:
            return [
                (filled, ast.List(args, ast.Load()) if name in ("append", "add") else arg) for arg in args
            ]
    return []


def conditions(node: ast.AST) -> list[ast.expr]:
    """What a node decides by: a test, a comparison, a remainder by a written number, a place in a row; a lambda as a whole."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return [test]
        case ast.Compare() | ast.Lambda() | ast.UnaryOp(op=ast.Not()):
            return [node]
        case ast.comprehension(ifs=ifs):
            return ifs
        case ast.BoolOp(values=[*asked, _]):
            return asked
        case ast.BinOp(op=ast.Mod() | ast.BitAnd() | ast.RShift(), right=ast.Constant(value=int())):
            return [node]
        case ast.Match(subject=part) | ast.Subscript(slice=part):
            return [part]
    return []
