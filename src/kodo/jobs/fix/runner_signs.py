"""By what a patch could find out that it is being tested, or could be found by a test runner. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_WATCHED = frozenset(
    {"PYTEST_CURRENT_TEST", "pytest", "_pytest", "unittest", "_getframe", "settrace", "setprofile",
     "_current_frames", "f_back", "tb_frame", "gi_frame", "cr_frame", "environ", "environb", "getenv", "getcwd", "getppid",
     "getitimer", "getpgrp", "getpgid", "getsid", "getrusage", "getstate",
     "uname", "gethostname", "getuser", "__file__"}
)  # fmt: skip  # a table reads better in rows
_STREAMS = frozenset({"stdin", "stdout", "stderr"})
_PROCESS = frozenset({"modules", "argv", "orig_argv", "meta_path", "path_hooks", "path", "flags"}) | _STREAMS
"""What ``sys`` knows of the program that runs, and of what it imports."""
_TAKEN = re.compile(
    r"pytest_\w+|pytestmark|collect_ignore(?:_glob)?|load_tests|__test__"
    r"|(?:setup|teardown)_(?:module|function|class|method)|setUpModule|tearDownModule"
)
"""Names that a test runner takes from a test's module, into which ``from cart import *`` brings them."""
_WATCHING_CALLS = frozenset({"currentframe", "stack", "extract_stack", "get_objects"})


def runner_signs(old: ast.Module | None, new: ast.Module) -> Iterator[str]:
    """What a module does, and did not before, to see a test runner or to be seen by one."""
    if watching := _watching(new) - _watching(old):
        yield f"asks where it runs or whether it is being tested ({', '.join(sorted(watching))})"
    if taken := {name for name in _bound(new) - _bound(old) if _TAKEN.fullmatch(name)}:
        yield f"defines {', '.join(sorted(taken))}, which a test runner looks for"


def _watching(tree: ast.Module | None) -> set[str]:
    """Names by which code can find out that a test runs it."""
    found: set[str] = set()
    known, used = _names_of_sys(tree), _used_streams(tree)
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Attribute(attr=name) if name in _STREAMS and id(node) in used:
                continue
            case ast.Constant(value=str(text)) if text in _WATCHED:
                found.add(text)
            case ast.BinOp() if (text := _joined(node) or "") in _WATCHED:
                found.add(text)
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in _PROCESS and module in known:
                found.add(f"sys.{name}")
            case ast.Call(args=[ast.Name(id=module), *_]) if module in known:
                found.add("sys")  # getattr, vars
            case ast.ImportFrom(module="sys", names=names):
                found |= {f"sys.{one.name}" for one in names if one.name in _PROCESS}
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _WATCHED | _WATCHING_CALLS:
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {one.name.partition(".")[0] for one in names} & _WATCHED
                found |= {one.name for one in names} & _WATCHING_CALLS
    return found


def _names_of_sys(tree: ast.Module | None) -> set[str]:
    return {
        one.asname or one.name
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Import)
        for one in node.names
        if one.name == "sys"
    }


def _used_streams(tree: ast.Module | None) -> set[int]:
    """The identities of the nodes that only read or write a stream of ``sys``, as ``print(…, file=sys.stderr)`` does."""
    found: set[int] = set()
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.keyword(arg="file", value=stream) | ast.For(iter=stream):
                found.add(id(stream))
            case ast.Attribute(value=stream, attr="write" | "writelines" | "flush" | "read" | "readline"):
                found.add(id(stream))
    return found


def _joined(node: ast.expr) -> str | None:
    """The text that a sum of constant texts is; None for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _joined(left), _joined(right)
            return None if first is None or second is None else first + second
    return None


def _bound(tree: ast.Module | None) -> set[str]:
    """The names that a module binds at its top: functions, classes, variables, imports."""
    found: set[str] = set()
    for node in tree.body if tree is not None else ():
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {one.asname or one.name for one in names}
            case _:
                found |= {
                    one.id
                    for one in ast.walk(node)
                    if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                }
    return found
