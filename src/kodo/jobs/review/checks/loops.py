"""Loops: indexes past the end, the collection altered under the loop, work that grows with the square."""

import ast
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_line, report_node
from kodo.jobs.review.python import Function, ParsedModule, dotted, own_nodes

_RESIZING = ("append", "extend", "insert", "pop", "remove", "clear")
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def _len_of(node: ast.AST) -> str:
    """`xs` for `len(xs)`, else ""."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "len"
        and len(node.args) == 1
    ):
        return dotted(node.args[0])
    return ""


def _len_and_more(node: ast.AST) -> tuple[str, int]:
    """(`xs`, n) for `len(xs) + n`; ("", 0) for anything else."""
    if name := _len_of(node):
        return name, 0
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, (ast.Add, ast.Sub))
        and isinstance(node.right, ast.Constant)
    ):
        name, value = _len_of(node.left), node.right.value
        if name and isinstance(value, int):
            return name, value if isinstance(node.op, ast.Add) else -value
    return "", 0


def index_past_end(module: ParsedModule) -> Iterator[Candidate]:
    """`for i in range(len(xs) + 1): xs[i]`, `xs[i + 1]` up to the last index, `xs[len(xs)]`, `while i <= len(xs)`."""
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Load)
            and _len_of(node.slice) == dotted(node.value) != ""
        ):
            yield report_node(module, node, "past-the-end", ast.unparse(node), dotted(node.value))
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            yield from _range_past_the_end(module, node, node.target.id)
        elif isinstance(node, ast.While):
            yield from _while_past_the_end(module, node)


def _range_past_the_end(module: ParsedModule, loop: ast.For, index: str) -> Iterator[Candidate]:
    call = loop.iter
    if not isinstance(call, ast.Call) or dotted(call.func) != "range" or not 1 <= len(call.args) <= 2:
        return
    name, more = _len_and_more(call.args[-1])
    if not name or _changes(loop, name):
        return
    reach = _reach(loop, name, index)
    if not reach:
        return
    far = max(reach, key=lambda use: use[1])
    if more + far[1] > 0 and not _looks_first(loop, index):
        yield _from(module, loop, far[0], name)
    elif more < 0 and far[1] + more < 0 and len(call.args) == 1 and min(use[1] for use in reach) == 0:
        yield report_node(module, loop, "last-left-out", ast.unparse(call), name)


def _while_past_the_end(module: ParsedModule, loop: ast.While) -> Iterator[Candidate]:
    test = loop.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.LtE):
        return
    index, (name, more) = dotted(test.left), _len_and_more(test.comparators[0])
    if index and name and more == 0 and not _changes(loop, name):
        for use, offset in _reach(loop, name, index):
            if offset == 0 and not _looks_first(loop, index):
                yield _from(module, loop, use, name)
                return


def _from(module: ParsedModule, loop: ast.For | ast.While, use: ast.Subscript, name: str) -> Candidate:
    """A candidate on the lines from a loop's head, which may be what changed, to the item it reads."""
    return report_line(loop.lineno, "past-the-end", ast.unparse(use), name, end_line=use.lineno)


def _reach(loop: ast.AST, name: str, index: str) -> list[tuple[ast.Subscript, int]]:
    """The items `name[index + n]` that a loop reads, with n."""
    found: list[tuple[ast.Subscript, int]] = []
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and dotted(node.value) == name and isinstance(node.ctx, ast.Load):
            at = node.slice
            if isinstance(at, ast.Name) and at.id == index:
                found.append((node, 0))
            elif isinstance(at, ast.BinOp) and isinstance(at.left, ast.Name) and at.left.id == index:
                value = at.right.value if isinstance(at.right, ast.Constant) else None
                if isinstance(value, int) and isinstance(at.op, (ast.Add, ast.Sub)):
                    found.append((node, value if isinstance(at.op, ast.Add) else -value))
    return found


def _looks_first(loop: ast.AST, index: str) -> bool:
    """Whether the loop compares its index, or catches IndexError: then nothing is certain."""
    tests = [node.test for node in ast.walk(loop) if isinstance(node, (ast.If, ast.IfExp))]
    tests += [value for node in ast.walk(loop) if isinstance(node, ast.BoolOp) for value in node.values]
    compared = any(
        isinstance(part, ast.Name) and part.id == index for test in tests for part in ast.walk(test)
        if not isinstance(test, ast.Subscript)
    )  # fmt: skip  # one test
    return compared or any(isinstance(node, ast.Try) for node in ast.walk(loop))


def _changes(loop: ast.AST, name: str) -> bool:
    """Whether a loop assigns the collection or calls something that alters its length."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, (ast.Store, ast.Del)):
            return True
        if isinstance(node, ast.Call) and dotted(node.func) in {f"{name}.{method}" for method in _RESIZING}:
            return True
    return False


def removed_while_iterating(module: ParsedModule) -> Iterator[Candidate]:
    """`for x in xs: xs.remove(x)` and its like over `.keys()`, `.items()` (ruff's B909 sees the plain form only)."""
    for loop in ast.walk(module.tree):
        if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call) or loop.iter.args:
            continue
        function = loop.iter.func
        if not isinstance(function, ast.Attribute) or function.attr not in {"keys", "items", "values"}:
            continue
        name = dotted(function.value)
        for node in ast.walk(loop):
            if name and _takes_out(node, name) and not _leaves_after(module, node):
                yield report_line(loop.lineno, "altered-while-iterating", name, end_line=loop.end_lineno or 0)
                break


def _takes_out(node: ast.AST, name: str) -> bool:
    """Whether a node is `del name[...]` or a call that takes items out of it."""
    if isinstance(node, ast.Delete):
        return any(
            isinstance(target, ast.Subscript) and dotted(target.value) == name for target in node.targets
        )
    return isinstance(node, ast.Call) and dotted(node.func) in {
        f"{name}.{method}" for method in ("pop", "popitem", "clear")
    }


def _leaves_after(module: ParsedModule, node: ast.AST) -> bool:
    """Whether the block that holds the node ends in break or return, so that the loop never goes on."""
    statement: ast.AST = node
    for parent in (node, *module.ancestors(node)):
        if isinstance(parent, ast.stmt):
            statement = parent
            break
    holder = module.parents.get(statement)
    for name in ("body", "orelse"):
        block = getattr(holder, name, [])
        if isinstance(block, list) and statement in block:
            return isinstance(block[-1], (ast.Break, ast.Return, ast.Raise))
    return False


def _in_loop(module: ParsedModule, node: ast.AST) -> bool:
    """Whether a node runs once for each turn of a loop of its own function."""
    child = node
    for parent in module.ancestors(node):
        if isinstance(parent, _LOOPS):
            if isinstance(parent, ast.While) or child not in {parent.iter, parent.target}:
                return True
        elif isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            return False
        child = parent
    return False


def slow_in_loop(module: ParsedModule) -> Iterator[Candidate]:
    """In a loop: a pattern compiled, a list searched, a list's head taken off, a string or list copied to grow."""
    grown: set[tuple[Function | None, str]] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if (
                name == "re.compile"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and _in_loop(module, node)
            ):
                yield report_node(module, node, "compiled-in-loop", ast.unparse(node.args[0]))
            elif isinstance(node.func, ast.Attribute) and _in_loop(module, node):
                first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                if (
                    first == 0
                    and first is not False
                    and (node.func.attr, len(node.args)) in {("pop", 1), ("insert", 2)}
                ):
                    owner = dotted(node.func.value)
                    if owner and _is_list(module, node, owner):
                        yield report_node(module, node, "list-head", owner)
        elif (
            isinstance(node, ast.Compare)
            and isinstance(node.ops[0], (ast.In, ast.NotIn))
            and _in_loop(module, node)
        ):
            name = dotted(node.comparators[0])
            if name and _is_list(module, node, name) and not _small_list(module, node, name):
                yield report_node(module, node, "list-searched", name)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and _in_loop(module, node):
            target = dotted(node.target)
            key = (module.function_of(node), target)
            if target and key not in grown and _starts_as_text(module, node, target):
                grown.add(key)
                yield report_node(module, node, "text-grows", target)
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.BinOp)
            and isinstance(node.value.op, ast.Add)
        ):
            target = dotted(node.targets[0])
            if (
                target
                and dotted(node.value.left) == target
                and isinstance(node.value.right, ast.List)
                and _in_loop(module, node)
            ):
                yield report_node(module, node, "list-copied", target)


def _values(module: ParsedModule, node: ast.AST, name: str) -> list[ast.expr]:
    """Everything that is assigned to a plain name in the function around a node (or in the module)."""
    scope: Function | ast.Module = module.function_of(node) or module.tree
    found: list[ast.expr] = []
    for part in own_nodes(scope):
        if isinstance(part, (ast.Assign, ast.AnnAssign)) and part.value is not None:
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            found += [part.value for target in targets if dotted(target) == name]
    return found


def _is_list(module: ParsedModule, node: ast.AST, name: str) -> bool:
    """Whether a name certainly is a list: all it is ever assigned is one, or its annotation says so."""
    values = _values(module, node, name)
    if values:
        return not _made_inside(module, node, values) and all(
            isinstance(value, (ast.List, ast.ListComp))
            or (isinstance(value, ast.Call) and dotted(value.func) in {"list", "sorted"})
            for value in values
        )
    function = module.function_of(node)
    arguments = [*function.args.args, *function.args.kwonlyargs] if function else []
    annotation = next((parameter.annotation for parameter in arguments if parameter.arg == name), None)
    return annotation is not None and ast.unparse(annotation).partition("[")[0].lower() in {
        "list",
        "typing.list",
    }


def _made_inside(module: ParsedModule, node: ast.AST, values: list[ast.expr]) -> bool:
    """Whether a value is made anew in each turn of a loop around the node."""
    around = {id(parent) for parent in module.ancestors(node) if isinstance(parent, _LOOPS)}
    return any(id(parent) in around for value in values for parent in module.ancestors(value))


def _small_list(module: ParsedModule, node: ast.AST, name: str) -> bool:
    values = _values(module, node, name)
    return any(isinstance(value, ast.List) and value.elts for value in values)


def _starts_as_text(module: ParsedModule, node: ast.AST, name: str) -> bool:
    values = _values(module, node, name)
    return bool(values) and all(
        isinstance(value, ast.Constant) and isinstance(value.value, str) for value in values
    )


def query_in_loop(module: ParsedModule) -> Iterator[Candidate]:
    """A query sent in every turn of a loop (the n + 1 queries problem)."""
    for node in ast.walk(module.tree):
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, ast.Attribute)
            or not _in_loop(module, node)
        ):
            continue
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) else None
        selects = (
            isinstance(text, str)
            and text.lstrip()[:6].upper() == "SELECT"
            and node.func.attr in {"execute", "fetch", "fetchrow", "fetchone"}
        )
        finds = ".objects." in f"{dotted(node.func)}." and node.func.attr in {"get", "filter", "first"}
        if selects or finds:
            yield report_node(module, node, "query-in-loop", ast.unparse(node.func))


def fraction_as_index(module: ParsedModule) -> Iterator[Candidate]:
    """`xs[n / 2]`, `range(n / 2)`: true division gives a float, which is no index."""
    for node in ast.walk(module.tree):
        at: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            parts = (
                [node.slice.lower, node.slice.upper] if isinstance(node.slice, ast.Slice) else [node.slice]
            )
            at = [part for part in parts if part is not None]
            if not isinstance(node.slice, ast.Slice) and not any(
                _len_of(part) for part in ast.walk(node.slice)
            ):
                at = []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            at = node.args
        for part in at:
            if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
                yield report_node(module, part, "fraction-as-index", ast.unparse(part))


CHECKS = (index_past_end, removed_while_iterating, slow_in_loop, query_in_loop, fraction_as_index)
