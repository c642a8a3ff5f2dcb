"""Calls against what they call: arguments exchanged, too few or too many, a coroutine that is never awaited.

Only functions defined once, without decorators or ``*args``, in the same text are judged.
"""

import ast
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_node
from kodo.jobs.review.python import Function, ParsedModule, dotted


def _callable(module: ParsedModule, call: ast.Call) -> tuple[Function, bool] | None:
    """The function that a call means and whether its first parameter is bound, where there is no doubt."""
    name, bound = "", False
    if isinstance(call.func, ast.Name):
        name = call.func.id
        if any(isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) and _binds(scope, name)
               for scope in module.ancestors(call)):  # fmt: skip  # one test
            return None
    elif isinstance(call.func, ast.Attribute) and dotted(call.func.value) in {"self", "cls"}:
        owner = next((node for node in module.ancestors(call) if isinstance(node, ast.ClassDef)), None)
        if owner is None:
            return None
        qualified = next((key for key, node in module.definitions if node is owner), "")
        if owner.bases and f"{qualified}.{call.func.attr}" not in module.functions:
            return None
        name, bound = f"{qualified}.{call.func.attr}", True
    function = module.functions.get(name)
    if function is None or module.binding_counts[name] != 1:
        return None
    decorators = {dotted(decorator) for decorator in function.decorator_list}
    if decorators - {"staticmethod", "classmethod"}:
        return None
    return function, bound and "staticmethod" not in decorators


def _binds(function: Function, name: str) -> bool:
    arguments = function.args
    parameters = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    return any(parameter is not None and parameter.arg == name for parameter in parameters)


def _plain(call: ast.Call) -> bool:
    return not any(isinstance(argument, ast.Starred) for argument in call.args) and all(
        keyword.arg for keyword in call.keywords
    )


def swapped(module: ParsedModule) -> Iterator[Candidate]:
    """``f(b, a)`` where the function is ``def f(a, b)``."""
    for call, function, bound in _judged(module):
        parameters = [parameter.arg for parameter in (*function.args.posonlyargs, *function.args.args)][
            bound:
        ]
        names = [_name(argument) for argument in call.args]
        for i, one in enumerate(names[: len(parameters)]):
            for j in range(i + 1, min(len(names), len(parameters))):
                if (
                    one
                    and names[j]
                    and one != names[j]
                    and one == parameters[j]
                    and names[j] == parameters[i]
                ):
                    yield report_node(
                        module, call, "swapped-arguments", one, names[j], function.name, symbol=function.name
                    )


def _name(node: ast.expr) -> str:
    """What an argument is called: a variable by its name, an attribute by its last part."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def wrong_number(module: ParsedModule) -> Iterator[Candidate]:
    """A call that raises TypeError: an argument missing, one too many, or of an unknown name."""
    for call, function, bound in _judged(module):
        arguments = function.args
        positional = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)][bound:]
        if arguments.vararg is None and len(call.args) > len(positional):
            yield report_node(
                module,
                call,
                "wrong-arguments",
                function.name,
                f"{len(call.args)} > {len(positional)}",
                symbol=function.name,
            )
            continue
        given = {keyword.arg for keyword in call.keywords if keyword.arg}
        known = set(positional) | {parameter.arg for parameter in arguments.kwonlyargs}
        if arguments.kwarg is None and (unknown := given - known):
            yield report_node(
                module, call, "wrong-arguments", function.name, f"{min(unknown)}=?", symbol=function.name
            )
            continue
        needed = positional[: len(positional) - len(arguments.defaults)][len(call.args) :]
        needed += [
            parameter.arg
            for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is None
        ]
        if missing := [name for name in needed if name not in given]:
            yield report_node(
                module,
                call,
                "wrong-arguments",
                function.name,
                f"{', '.join(missing)} missing",
                symbol=function.name,
            )


def _judged(module: ParsedModule) -> Iterator[tuple[ast.Call, Function, bool]]:
    for call in module.nodes:
        if isinstance(call, ast.Call) and _plain(call) and (found := _callable(module, call)) is not None:
            yield call, *found


def lost_await(module: ParsedModule) -> Iterator[Candidate]:
    """A call of an async function of this text whose coroutine is dropped, or used as if it were the result."""
    for call, function, _ in _judged(module):
        if not isinstance(function, ast.AsyncFunctionDef) or _yields(function):
            continue
        parent = module.parents.get(call)
        inside = module.function_of(call)
        if isinstance(parent, ast.Attribute) and parent.attr in {"__await__", "send", "throw", "close"}:
            continue
        dropped = isinstance(parent, ast.Expr)
        used = isinstance(
            parent,
            (ast.Attribute, ast.Subscript, ast.BinOp, ast.Compare, ast.BoolOp, ast.If, ast.UnaryOp, ast.For),
        )
        if isinstance(parent, ast.For) and parent.iter is not call:
            used = False
        kept = (
            isinstance(parent, ast.Assign)
            and isinstance(inside, ast.AsyncFunctionDef)
            and not _awaited_later(parent, inside)
        )
        if dropped or used or kept:
            yield report_node(module, call, "lost-await", function.name, symbol=function.name)


def _yields(function: ast.AST) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function))


def _awaited_later(assignment: ast.Assign, function: ast.AST) -> bool:
    """Whether a coroutine kept in a variable is awaited or handed on somewhere in the function."""
    names = {target.id for target in assignment.targets if isinstance(target, ast.Name)}
    if not names:
        return True
    for node in ast.walk(function):
        if isinstance(node, (ast.Await, ast.Return, ast.Yield, ast.List, ast.Tuple, ast.Dict)):
            holds = ast.walk(node)
        elif isinstance(node, ast.Call):
            holds = iter([*node.args, *(keyword.value for keyword in node.keywords)])
        else:
            continue
        if any(isinstance(part, ast.Name) and part.id in names for part in holds):
            return True
    return False


def builtin_order(module: ParsedModule) -> Iterator[Candidate]:
    """Arguments of well-known functions in the wrong order: ``isinstance(str, x)``, ``json.dump(file, data)``."""
    types = {"str", "int", "float", "bytes", "list", "dict", "tuple", "set", "bool"}
    for call in module.nodes:
        if not isinstance(call, ast.Call) or len(call.args) != 2:
            continue
        name, (one, two) = dotted(call.func), call.args
        if name == "isinstance":
            wrong = (
                dotted(one) in types
                and isinstance(two, ast.Name)
                and two.id[0].islower()
                and two.id not in types
            )
        elif name in {"json.dump", "pickle.dump", "yaml.dump"}:
            wrong = _opened(module, one)
        else:
            text = one.value if isinstance(one, ast.Constant) else None
            wrong = name.endswith("datetime.strptime") and isinstance(text, str) and "%" in text
        if wrong:
            yield report_node(module, call, "swapped-arguments", ast.unparse(one), ast.unparse(two), name)


def _opened(module: ParsedModule, node: ast.expr) -> bool:
    """Whether a name is the file of a ``with open(...) as name`` around it."""
    return isinstance(node, ast.Name) and any(
        isinstance(item.optional_vars, ast.Name)
        and item.optional_vars.id == node.id
        and isinstance(item.context_expr, ast.Call)
        and dotted(item.context_expr.func).rpartition(".")[2] == "open"
        for parent in module.ancestors(node)
        if isinstance(parent, ast.With)
        for item in parent.items
    )


CHECKS = (swapped, wrong_number, lost_await, builtin_order)
