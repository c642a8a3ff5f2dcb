"""What a change took away and should not have: checks of input, awaits, locks, time limits, re-raised errors.

Each is silent where the function was largely rewritten, or where the same protection stands elsewhere in it.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.checks.catalogue import report_line, report_node
from kodo.jobs.review.checks.control_flow import falls_through, is_none, is_not_none
from kodo.jobs.review.checks.definition_pairs import DefinitionPair
from kodo.jobs.review.python import Function, dotted

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_GUARDING = {
    "timeout": ("performance", "it can wait for ever"),
    "check": ("bug", "a failing command goes unnoticed"),
    "encoding": ("bug", "the platform decides how bytes become text"),
    "usedforsecurity": ("security", ""),
    "verify": ("security", ""),
    "autoescape": ("security", "text is no longer escaped"),
    "filter": ("security", "members may be written outside of the folder"),
    "tz": ("bug", "the time has no zone"),
    "tzinfo": ("bug", "the time has no zone"),
    "exist_ok": ("bug", "an existing folder is an error"),
}
_CLEANERS = re.compile(
    r"(?:^|\.)(?:escape|quote|quote_plus|secure_filename|sanitize\w*|clean|bleach\.\w+|compare_digest|realpath|resolve|"
    r"normpath|is_relative_to|validate\w*|verify\w*|check_\w+|require_\w+|ensure_\w+|authorize\w*|has_perm\w*|full_clean)$"
)
_ACCESS = re.compile(
    r"(?:^|[._])(?:login|auth\w*|permission\w*|csrf\w*|require\w*|admin\w*|role\w*|rate_?limit\w*|throttl\w*)"
)
_STRUCTURE = frozenset({"staticmethod", "classmethod", "property", "abstractmethod", "abc.abstractmethod", "contextmanager",
                        "contextlib.contextmanager", "asynccontextmanager", "contextlib.asynccontextmanager", "override",
                        "atomic", "transaction.atomic"})  # fmt: skip  # one set


def guard(pair: DefinitionPair) -> Iterator[Candidate]:
    """An early exit (``if x is None: return``) that is gone although the code that it guarded still runs."""
    if pair.rewritten:
        return
    tests = set(_tests(pair))
    for node in pair.old_nodes:
        if isinstance(node, ast.If) and pair.gone(node) and isinstance(node.body[-1], _LEAVES):
            yield from _lost_guard(pair, node, tests)


def _tests(pair: DefinitionPair) -> list[str]:
    """The conditions of the new function, unparsed."""
    kinds = (ast.If, ast.IfExp, ast.While, ast.Assert)
    return [ast.unparse(node.test) for node in pair.new_nodes if isinstance(node, kinds)]


def _lost_guard(pair: DefinitionPair, node: ast.If, tests: set[str]) -> Iterator[Candidate]:
    """Report a removed early exit, unless the new function tests the names in another way or no longer uses them."""
    text = ast.unparse(node.test)
    names = {dotted(part) for part in ast.walk(node.test) if isinstance(part, (ast.Name, ast.Attribute))} - {
        ""
    }
    if text in tests or any(_mentions(test, names) for test in tests) or _called_checks(pair, names):
        return
    if _leaves_otherwise(pair, node):
        return
    used = {name for name in names if _still_used(pair, name)}
    if not used or not all(_same_origin(pair, name) for name in names):
        return
    negated = dotted(node.test.operand) if isinstance(node.test, ast.UnaryOp) else ""
    none = is_none(node.test) or negated
    if none in used and _taken_apart(pair, none):
        yield from pair.lost(node, "none-check-removed", none)
    elif none in used or isinstance(node.body[-1], ast.Raise):
        yield from pair.lost(node, "guard-removed", text)


def _leaves_otherwise(pair: DefinitionPair, node: ast.If) -> bool:
    """Whether a new condition leads to the same early exit: it may say the same in other words."""
    old = {ast.unparse(one.test) for one in pair.old_nodes if isinstance(one, ast.If)}
    leaving = ast.unparse(node.body[-1])
    return any(
        isinstance(one, ast.If)
        and ast.unparse(one.test) not in old
        and isinstance(one.body[-1], _LEAVES)
        and ast.unparse(one.body[-1]) == leaving
        for one in pair.new_nodes
    )


def _same_origin(pair: DefinitionPair, name: str) -> bool:
    """Whether a name gets its value in the same way in both states."""
    return _comes_from(pair.old_nodes, pair.old, name) == _comes_from(pair.new_nodes, pair.new, name)


def _mentions(test: str, names: set[str]) -> bool:
    """Whether a test of the new function is about one of the names: the guard may only have changed its form."""
    return any(
        re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", test)
        for name in names
        if name not in {"self", "len", "isinstance"}
    )


def _called_checks(pair: DefinitionPair, names: set[str]) -> bool:
    """Whether a new call takes the name to a function that checks it."""
    old = Counter(ast.unparse(node) for node in pair.old_nodes if isinstance(node, ast.Call))
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node) not in old
        and any(dotted(argument) in names for argument in node.args)
        for node in pair.new_nodes
    )


def _comes_from(nodes: list[ast.AST], function: Function, name: str) -> list[str]:
    """Where a name has its value from: what is assigned to it, and its annotation. If that changed, so did what it can be."""
    found = [
        ast.unparse(node.value)
        for node in nodes
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if dotted(target) == name
    ]
    found += [
        ast.unparse(node.items[0])
        for node in nodes
        if isinstance(node, (ast.With, ast.AsyncWith)) and name in _bound(node)
    ]
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found += [ast.unparse(one) for one in parameters if one.arg == name.partition(".")[0]]
    return sorted(found)


def _bound(node: ast.With | ast.AsyncWith) -> set[str]:
    return {dotted(item.optional_vars) for item in node.items if item.optional_vars is not None}


def _still_used(pair: DefinitionPair, name: str) -> bool:
    return any(
        isinstance(node, (ast.Name, ast.Attribute)) and dotted(node) == name for node in pair.new_nodes
    )


def _taken_apart(pair: DefinitionPair, name: str) -> bool:
    """Whether the new function takes an attribute or item of ``name``, or computes with it."""
    return any(
        (isinstance(node, (ast.Attribute, ast.Subscript)) and dotted(node.value) == name)
        or (isinstance(node, ast.BinOp) and name in {dotted(node.left), dotted(node.right)})
        or (isinstance(node, (ast.For, ast.comprehension)) and dotted(node.iter) == name)
        for node in pair.new_nodes
    )


def wrapped_guard(pair: DefinitionPair) -> Iterator[Candidate]:
    """``if x is not None:`` (or ``if x:``) taken off a block that takes ``x`` apart and is still there."""
    if pair.rewritten:
        return
    tests = _tests(pair)
    new = {ast.unparse(node) for node in pair.new_nodes if isinstance(node, ast.stmt)}
    for node in pair.old_nodes:
        if not isinstance(node, ast.If) or not pair.gone(node) or node.orelse:
            continue
        name = is_not_none(node.test) or dotted(node.test)
        kept = all(ast.unparse(statement) in new for statement in node.body)
        same = _same_origin(pair, name)
        if (
            name
            and kept
            and same
            and not any(_mentions(test, {name}) for test in tests)
            and _taken_apart(pair, name)
        ):
            yield from pair.lost(node, "none-check-removed", name)


def removed_await(pair: DefinitionPair) -> Iterator[Candidate]:
    """A call that was awaited and is now made without await, in a function that is still async."""
    if not isinstance(pair.new, ast.AsyncFunctionDef):
        return
    awaited = {ast.unparse(node.value) for node in pair.old_nodes if isinstance(node, ast.Await)}
    still = {id(node.value) for node in pair.new_nodes if isinstance(node, ast.Await)}
    defined = pair.new_module.functions
    for node in pair.new_nodes:
        if not isinstance(node, ast.Call) or id(node) in still or ast.unparse(node) not in awaited:
            continue
        parent = pair.new_module.parents.get(node)
        handed_on = isinstance(
            parent, (ast.Call, ast.List, ast.Tuple, ast.Starred, ast.GeneratorExp, ast.ListComp, ast.Return)
        )
        name = dotted(node.func)
        became_plain = isinstance(defined.get(name.rpartition(".")[2]), ast.FunctionDef)
        if not handed_on and not became_plain and node.lineno in pair.file.touched:
            yield from _at(pair, node, "await-removed", name or ast.unparse(node.func))


def _at(pair: DefinitionPair, node: ast.expr | ast.stmt, name: str, *values: str) -> Iterator[Candidate]:
    yield report_node(pair.new_module, node, name, *values)


def keyword(pair: DefinitionPair) -> Iterator[Candidate]:
    """A call that lost the argument that bounded or secured it (``timeout=``, ``check=True``, ``encoding=``)."""
    old = {
        _without(node, word): (node, word)
        for node in pair.old_nodes
        if isinstance(node, ast.Call)
        for word in _words(node)
    }
    for node in pair.new_nodes:
        if (
            isinstance(node, ast.Call)
            and (found := old.get(ast.unparse(node)))
            and node.lineno in pair.file.touched
        ):
            was, word = found
            if ast.unparse(was) not in pair.new_text:
                yield from _at(
                    pair,
                    node,
                    f"argument-removed-{_GUARDING[word][0]}",
                    word,
                    dotted(node.func),
                    _GUARDING[word][1],
                )


def _words(call: ast.Call) -> list[str]:
    return [
        word.arg
        for word in call.keywords
        if word.arg in _GUARDING
        and not (isinstance(word.value, ast.Constant) and word.value.value in {None, False})
    ]


def _without(call: ast.Call, word: str) -> str:
    return ast.unparse(
        ast.Call(call.func, call.args, [other for other in call.keywords if other.arg != word])
    )


def lock(pair: DefinitionPair) -> Iterator[Candidate]:
    """A ``with lock:`` (or transaction) taken off statements that are still there; a file that is no longer closed."""
    new_managers = {
        _callee(part)
        for node in pair.new_nodes
        if isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items
        for part in (item.context_expr, *_choices(item.context_expr))
    }
    new = {ast.unparse(node) for node in pair.new_nodes if isinstance(node, ast.stmt)}
    for node in pair.old_nodes:
        if not isinstance(node, (ast.With, ast.AsyncWith)) or not pair.gone(node):
            continue
        for item in node.items:
            text = ast.unparse(item.context_expr)
            if _callee(item.context_expr) in new_managers:
                continue
            kept = [statement for statement in node.body if ast.unparse(statement) in new]
            if (
                re.search(r"(?i)lock|mutex|semaphore|atomic|transaction", text)
                and kept
                and not _acquires(pair)
            ):
                yield from pair.lost(node, "lock-removed", text)
            elif (
                text in pair.new_text and ".close(" not in pair.new_text and "ExitStack" not in pair.new_text
            ):
                yield from pair.lost(node, "closing-removed", text)


def _choices(node: ast.expr) -> tuple[ast.expr, ...]:
    """What a conditional expression gives."""
    return (node.body, node.orelse) if isinstance(node, ast.IfExp) else ()


def _acquires(pair: DefinitionPair) -> bool:
    return bool(re.search(r"(?i)\.acquire\(|lock|mutex|semaphore|atomic|transaction", pair.new_text))


def cleanup(pair: DefinitionPair) -> Iterator[Candidate]:
    """A ``finally`` whose statements are gone, or now only run when nothing fails."""
    kept = {
        _last_name(inner) for node in pair.new_nodes if isinstance(node, ast.Try) for inner in node.finalbody
    }
    managed = any(
        isinstance(node, (ast.With, ast.AsyncWith)) for node in pair.new_nodes if node not in pair.old_nodes
    )
    for node in pair.old_nodes:
        if isinstance(node, ast.Try):
            for statement in node.finalbody:
                gone = _last_name(statement) not in kept
                new_with = managed and len(_withs(pair.new_nodes)) > len(_withs(pair.old_nodes))
                if (
                    gone
                    and isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Call)
                    and not new_with
                    and not pair.rewritten
                ):
                    yield from pair.lost(statement, "cleanup-removed", ast.unparse(statement))


def _callee(node: ast.AST) -> str:
    """What a call calls: with other arguments it is still there. Any other code is its own text."""
    call = node.value if isinstance(node, ast.Expr) else node
    call = call.value if isinstance(call, ast.Await) else call
    return ast.unparse(call.func if isinstance(call, ast.Call) else node)


def _last_name(node: ast.AST) -> str:
    """The last name of what is called: what is closed may be renamed, or be held elsewhere."""
    return _callee(node).rpartition(".")[2]


def _withs(nodes: list[ast.AST]) -> list[ast.AST]:
    return [node for node in nodes if isinstance(node, (ast.With, ast.AsyncWith))]


def raising(pair: DefinitionPair) -> Iterator[Candidate]:
    """An except that raised and now swallows the error; the statements around it did not change."""
    new = [node for node in pair.new_nodes if isinstance(node, ast.ExceptHandler)]
    for old in (node for node in pair.old_nodes if isinstance(node, ast.ExceptHandler)):
        if not _raises(old):
            continue
        caught = ast.unparse(old.type) if old.type else ""
        same = [node for node in new if (ast.unparse(node.type) if node.type else "") == caught]
        if len(same) == 1 and not _raises(same[0]) and not _leaves(same[0]):
            place = min(
                (line for line in pair.file.touched if same[0].lineno <= line <= (same[0].end_lineno or 0)),
                default=0,
            )
            if place:
                yield report_line(place, "raise-removed", caught or "everything")


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _leaves(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(handler))


def check_call(pair: DefinitionPair) -> Iterator[Candidate]:
    """A call that cleaned or checked its input and is gone although the input is still used."""
    if pair.rewritten:
        return
    new_calls = {dotted(node.func) for node in pair.new_nodes if isinstance(node, ast.Call)}
    if any(
        _CLEANERS.search(name)
        and name not in {dotted(n.func) for n in pair.old_nodes if isinstance(n, ast.Call)}
        for name in new_calls
    ):
        return
    for node in pair.old_nodes:
        if isinstance(node, ast.Call) and pair.gone(node) and _CLEANERS.search(dotted(node.func)):
            name = dotted(node.func)
            arguments = [dotted(argument) for argument in node.args if dotted(argument)]
            if name not in new_calls and any(_still_used(pair, argument) for argument in arguments):
                yield from pair.lost(node, "check-call-removed", name)


def decorator(pair: DefinitionPair) -> Iterator[Candidate]:
    """A decorator that restricted access, or that callers rely on."""
    new = {_decorator(node) for node in pair.new.decorator_list}
    for node in pair.old.decorator_list:
        name = _decorator(node)
        if name in new or not pair.gone(node):
            continue
        if _ACCESS.search(name) and not any(_ACCESS.search(other) for other in new):
            yield from pair.lost(node, "access-check-removed", name)
        elif name in _STRUCTURE and not new and not (name.endswith("contextmanager") and not _yields(pair)):
            yield from pair.lost(node, "decorator-removed", name)


def _yields(pair: DefinitionPair) -> bool:
    """Whether the new function is a generator still; without it, it may give a manager that is an object."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in pair.new_nodes)


def _decorator(node: ast.expr) -> str:
    return dotted(node.func if isinstance(node, ast.Call) else node)


def returned(pair: DefinitionPair) -> Iterator[Candidate]:
    """A function that gave a value on every path and no longer does on one."""
    gives = any(isinstance(node, ast.Return) and node.value is not None for node in pair.old_nodes)
    generator = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in pair.new_nodes)
    if gives and not generator and not falls_through(pair.old.body) and falls_through(pair.new.body):
        returns = [node for node in pair.old_nodes if isinstance(node, ast.Return) and pair.gone(node)]
        if returns:
            yield from pair.lost(returns[-1], "return-removed", pair.new.name)


def base_call(pair: DefinitionPair) -> Iterator[Candidate]:
    """A method that no longer calls the method it overrides."""
    for node in pair.old_nodes:
        is_super = isinstance(node, ast.Call) and ast.unparse(node.func) == f"super().{pair.old.name}"
        kept = f"super().{pair.new.name}" in pair.new_text
        if is_super and not kept and pair.gone(node) and not pair.rewritten:
            yield from pair.lost(node, "super-removed", pair.new.name)


CHECKS = (
    guard,
    wrapped_guard,
    removed_await,
    keyword,
    lock,
    cleanup,
    raising,
    check_call,
    decorator,
    returned,
    base_call,
)
