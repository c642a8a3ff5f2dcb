"""Fixes that need no model: what an analyser's verified fix does, a missing import, a name that is written wrongly.

Each is only a proposal; the proof decides. Read off the failing test's output, so there are few of them.
"""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from kodo.jobs.fix.workspace import Workspace
from kodo.jobs.report.model import Finding
from kodo.jobs.review.changes import split_lines
from kodo.jobs.review.languages import is_test

MAX_PROPOSALS = 12
_PLACE = re.compile(r"^(?P<path>[^\s:/<][^\s:]*\.py):(?P<line>\d+): ", re.MULTILINE)
_NAME = re.compile(r"NameError: name '(?P<name>\w+)' is not defined")
_ATTRIBUTE = re.compile(r"AttributeError: .*has no attribute '(?P<name>\w+)'")
_MEANT = re.compile(r"Did you mean: '(?P<name>\w+)'")
_IMPORT = re.compile(r"ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")
_KEYWORD = re.compile(r"TypeError: .*got an unexpected keyword argument '(?P<name>\w+)'")


@dataclass(frozen=True, slots=True)
class Proposal:
    """New texts of files, and in a few words what they do."""

    texts: dict[str, str]
    what: str


def from_finding(workspace: Workspace, finding: Finding) -> Proposal | None:
    """The fix that a review tried and reported with a finding; None where it has none."""
    text = workspace.text(finding.place.path)
    if finding.fix is None or text is None:
        return None
    lines = text.split("\n")
    lines[finding.fix.line - 1 : finding.fix.end_line] = (
        finding.fix.text.removesuffix("\n").split("\n") if finding.fix.text else []
    )
    return Proposal({finding.place.path: "\n".join(lines)}, f"the verified fix of {finding.rule}")


def from_failure(workspace: Workspace, failure: str) -> Iterator[Proposal]:
    """Proposals for a failing test's output, the likeliest first; at most MAX_PROPOSALS."""
    places = [(match["path"], int(match["line"])) for match in _PLACE.finditer(failure)]
    own = [(path, line) for path, line in places if not is_test(path)]
    seen: set[tuple[tuple[str, str], ...]] = set()
    for proposal in _proposals(workspace, failure, own[-1] if own else None):
        key = tuple(sorted(proposal.texts.items()))
        if key not in seen:
            seen.add(key)
            yield proposal
        if len(seen) >= MAX_PROPOSALS:
            return


def _proposals(workspace: Workspace, failure: str, place: tuple[str, int] | None) -> Iterator[Proposal]:
    if match := _IMPORT.search(failure):
        yield from _missing_name(workspace, match["module"], match["name"])
    if place is None or (text := workspace.text(place[0])) is None:
        return
    path, line = place
    if match := _NAME.search(failure):
        yield from _imports(workspace, path, text, match["name"])
        for other in _similar(match["name"], _names(text)):
            yield from _renamed(path, text, line, match["name"], other)
    if match := _ATTRIBUTE.search(failure):
        meant = _MEANT.search(failure)
        known = [meant["name"]] if meant else []
        for other in dict.fromkeys([*known, *_similar(match["name"], _attributes(workspace))]):
            yield from _renamed(path, text, line, match["name"], other)
    if match := _KEYWORD.search(failure):
        meant = _MEANT.search(failure)
        known = [meant["name"]] if meant else []
        for other in dict.fromkeys([*known, *_similar(match["name"], _parameters(workspace))]):
            yield from _renamed(path, text, line, match["name"], other)


def _similar(name: str, known: set[str]) -> list[str]:
    return difflib.get_close_matches(name, sorted(known - {name}), n=3, cutoff=0.7)


def _renamed(path: str, text: str, line: int, old: str, new: str) -> Iterator[Proposal]:
    """The name replaced on its line, and, as a second proposal, everywhere in the file."""
    lines = split_lines(text)
    word = re.compile(rf"\b{re.escape(old)}\b")
    if 0 < line <= len(lines) and word.search(lines[line - 1]):
        changed = [*lines[: line - 1], word.sub(new, lines[line - 1]), *lines[line:]]
        yield Proposal({path: _joined(changed, text)}, f"{path}:{line}: {old} is {new}")
    if len(word.findall(text)) > 1:
        yield Proposal({path: word.sub(new, text)}, f"{path}: {old} is {new}")


def _imports(workspace: Workspace, path: str, text: str, name: str) -> Iterator[Proposal]:
    """An import of a module of the standard library, or of the one module of the project that defines the name."""
    if name in sys.stdlib_module_names and not name.startswith("_"):
        yield Proposal({path: _with_import(text, f"import {name}")}, f"{path}: import {name}")
    for module in _defining(workspace, name)[:3]:
        if module != path:
            dotted = _dotted(module)
            yield Proposal(
                {path: _with_import(text, f"from {dotted} import {name}")},
                f"{path}: import {name} from {dotted}",
            )


def _missing_name(workspace: Workspace, module: str, name: str) -> Iterator[Proposal]:
    """A module lacks a name that is imported: the importer's name corrected, or the old name kept as another one."""
    path = next(
        (found for found in workspace.files() if found.endswith(".py") and _dotted(found) == module), None
    )
    text = workspace.text(path) if path else None
    if path is None or text is None:
        return
    for other in _similar(name, _defined(text)):
        for importer in workspace.files():
            if importer.endswith(".py") and not is_test(importer):
                old = workspace.text(importer) or ""
                pattern = re.compile(
                    rf"(from\s+[\w.]*{re.escape(module.rpartition('.')[2])}\s+import\s[^\n]*?)\b{name}\b"
                )
                if pattern.search(old):
                    new = re.sub(rf"\b{name}\b", other, old)
                    yield Proposal({importer: new}, f"{importer}: {name} is {other}")
        yield Proposal(
            {path: f"{text.rstrip()}\n\n\n{name} = {other}\n"}, f"{path}: {name} is another name of {other}"
        )


def _with_import(text: str, line: str) -> str:
    """The text with an import after its docstring and ``__future__`` imports."""
    lines = split_lines(text)
    at = 0
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        body = []
    for number, node in enumerate(body):
        docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (docstring or future):
            break
        at = node.end_lineno or at
    return _joined([*lines[:at], line, *lines[at:]], text)


def _joined(lines: list[str], text: str) -> str:
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def _dotted(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _trees(workspace: Workspace) -> Iterator[tuple[str, ast.Module]]:
    for path in workspace.files():
        if path.endswith(".py") and not is_test(path):
            try:
                yield path, ast.parse(workspace.text(path) or "")
            except (SyntaxError, ValueError, RecursionError):
                continue


def _defined(text: str) -> set[str]:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _defining(workspace: Workspace, name: str) -> list[str]:
    return [path for path, _ in _trees(workspace) if name in _defined(workspace.text(path) or "")]


def _names(text: str) -> set[str]:
    """Every name that a module binds: variables, parameters, functions, imports."""
    found: set[str] = set()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return found
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
    return found


def _attributes(workspace: Workspace) -> set[str]:
    """Every attribute that a class or module of the project has."""
    found: set[str] = set()
    for _, tree in _trees(workspace):
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Store()):
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    found.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found


def _parameters(workspace: Workspace) -> set[str]:
    return {node.arg for _, tree in _trees(workspace) for node in ast.walk(tree) if isinstance(node, ast.arg)}
