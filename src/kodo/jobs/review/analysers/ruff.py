"""ruff, run once over all Python texts, with the selection of ``ruff_rules`` and no settings file.

Comments that switch ruff off are not applied here: ``suppression`` applies them and lists what they suppress.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.model import Category, Severity
from kodo.jobs.review import python
from kodo.jobs.review.analysers.one_file import NO_TIME
from kodo.jobs.review.analysers.ruff_rules import FRAMEWORK_DEFAULTS, IN_TESTS_IGNORED, RULES
from kodo.jobs.review.candidate import AnalyserResult, Candidate, Edit, Subject
from kodo.jobs.review.languages import is_test

T = TypeVar("T")
NAME = "ruff"
_TIMEOUT = 120.0
_MAX_TIMEOUTS = 2
"""Files that may use up the time alone before the rest of a batch is given up."""
_BATCH = 400
_TARGETS = ("py37", "py38", "py39", "py310", "py311", "py312", "py313", "py314")
_OF_TYPE_CHECKERS = ("reveal_type", "reveal_locals")
"""Names that a type checker knows: tests of types are read by one, and never run. Anywhere else they were forgotten."""
_QUOTED = re.compile(r"`([A-Za-z_][\w.]*)`")
_ASKS_FOR_NAN = re.compile(r"`([\w.]+) (?:!=|==) \1`")
_GETATTR = re.compile(r"^def __getattr__\(|^__getattr__\b[^=\n]*=|^from .*\b__getattr__\b", re.MULTILINE)


class _At(msgspec.Struct):
    row: int
    column: int


class _Edit(msgspec.Struct):
    content: str
    location: _At
    end_location: _At


class _Fix(msgspec.Struct):
    applicability: str
    edits: list[_Edit]


class _Diagnostic(msgspec.Struct):
    code: str | None
    filename: str
    location: _At
    end_location: _At
    message: str
    fix: _Fix | None = None


def target_of(requires: str) -> str:
    """ruff's name for the oldest Python of a ``requires-python`` value such as ``>=3.10``; "" if it says none."""
    match = re.search(r">=?\s*3\.(\d+)", requires)
    name = f"py3{match[1]}" if match else ""
    return name if name in _TARGETS else ""


def run(subjects: Sequence[Subject], target: str = "", deadline: Deadline | None = None) -> AnalyserResult:
    """Candidates for every Python file. A file that ends ruff is a failure of that file alone."""
    mine = [index for index, subject in enumerate(subjects) if subject.language == "python"]
    if not mine:
        return AnalyserResult({}, frozenset())
    candidates: dict[int, list[Candidate]] = {index: [] for index in mine}
    failures: dict[int, str] = {}
    for batch in batches(mine):
        if deadline is not None and deadline.up:
            failures |= dict.fromkeys(batch, f"ruff could not run: {NO_TIME}")
            continue
        with TemporaryDirectory(prefix="kodo-ruff-") as name:
            folder = Path(name)
            files = {write(folder, index, subjects[index]): index for index in batch}
            ask = partial(_ask_in_time, folder, target, deadline)
            diagnostics, failed = halve(list(files), ask, deadline)
            root = folder.resolve()
        failures |= {files[file]: f"ruff could not run: {reason}" for file, reason in failed.items()}
        for diagnostic in diagnostics:
            index = files[Path(diagnostic.filename).relative_to(root).as_posix()]
            candidate = _candidate(diagnostic, subjects[index])
            if candidate is not None:
                candidates[index].append(candidate)
    looked = {index: found for index, found in candidates.items() if index not in failures}
    return AnalyserResult(looked, frozenset(looked), failures)


def _ask_in_time(
    folder: Path, target: str, deadline: Deadline | None, files: Sequence[str]
) -> list[_Diagnostic]:
    return _ask(folder, files, target, seconds_for(deadline))


def seconds_for(deadline: Deadline | None) -> float:
    """How long a program may take for a batch: what is left, a little where nothing is."""
    return _TIMEOUT if deadline is None else min(_TIMEOUT, max(deadline.left, 0.1))


def batches(files: Sequence[int]) -> Iterator[Sequence[int]]:
    """Files in portions for one call of a program: the length of a command line is limited, and so is the time."""
    for start in range(0, len(files), _BATCH):
        yield files[start : start + _BATCH]


def halve(
    batch: Sequence[str], ask: Callable[[Sequence[str]], list[T]], deadline: Deadline | None = None
) -> tuple[list[T], dict[str, str]]:
    """Ask about a batch of files, and about its halves where that fails, down to the files that make it fail.

    Returns:
        The answers, and each file that could not be asked about with the reason. Where nothing at all can be asked
        (the program is missing, the time is up) every file has that reason.
    """
    answers: list[T] = []
    failures: dict[str, str] = {}
    todo = [list(batch)]
    while todo:
        part = todo.pop()
        if deadline is not None and deadline.up:
            failures |= dict.fromkeys(part, NO_TIME)
            continue
        try:
            answers += ask(part)
        except (subprocess.CalledProcessError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            if len(part) == 1:
                failures[part[0]] = type(error).__name__
            else:
                todo += [part[len(part) // 2 :], part[: len(part) // 2]]
        except subprocess.TimeoutExpired as error:
            if len(part) == 1 or len(failures) >= _MAX_TIMEOUTS:
                failures |= dict.fromkeys(part, type(error).__name__)
            else:
                todo += [part[len(part) // 2 :], part[: len(part) // 2]]
        except OSError as error:
            failures |= dict.fromkeys(part, type(error).__name__)
    return answers, failures


def write(folder: Path, index: int, subject: Subject) -> str:
    """Put a subject into a folder of its own under a name that says what it is; returns the path in ``folder``.

    The project's own names are not used: they may be long, absolute, or no text.
    """
    pure = PurePosixPath(subject.path)
    if pure.name in {"__init__.py", "conftest.py", "__main__.py"}:
        name = pure.name
    else:
        name = ("test_module" if is_test(subject.path) else "module") + (
            ".pyi" if pure.suffix == ".pyi" else ".py"
        )
    path = f"f{index}/{name}"
    (folder / path).parent.mkdir()
    (folder / path).write_bytes(subject.text.encode("utf-8", errors="surrogateescape"))
    return path


def _ask(folder: Path, files: Sequence[str], target: str, seconds: float) -> list[_Diagnostic]:
    command = [
        sys.executable, "-P", "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet", "--ignore-noqa", "--exit-zero",
        "--preview", "--no-fix", "--output-format", "json", "--select", ",".join(RULES),
        "--config", "lint.explicit-preview-rules=true", "--config", "lint.mccabe.max-complexity=15",
    ]  # fmt: skip  # one row of options
    if target:
        command += ["--target-version", target]
    done = subprocess.run(
        [*command, "--", *files], cwd=folder.resolve(), capture_output=True, timeout=seconds, check=True
    )
    return msgspec.json.decode(done.stdout, type=list[_Diagnostic])


def _candidate(diagnostic: _Diagnostic, subject: Subject) -> Candidate | None:
    quoted = _QUOTED.search(diagnostic.message)
    symbol = quoted[1] if quoted else ""
    if diagnostic.code is None or diagnostic.code not in RULES:
        if diagnostic.code not in {None, "invalid-syntax"}:
            return None
        rule, category, severity = "syntax", Category.BUG, Severity.ERROR
    else:
        rule = diagnostic.code
        category, severity = RULES[rule]
        if _is_meant(diagnostic, subject, symbol):
            return None
        if rule == "F821" and _is_in_annotation(subject.text, diagnostic.location.row, symbol):
            severity = Severity.INFO
    end = diagnostic.end_location
    return Candidate(
        rule=rule,
        category=category,
        severity=severity,
        line=diagnostic.location.row,
        column=diagnostic.location.column,
        end_line=end.row,
        end_column=end.column,
        message=diagnostic.message,
        source="compiler" if rule == "syntax" else NAME,
        detail=diagnostic.message,
        symbol=symbol,
        edits=_edits(diagnostic.fix),
    )


def _is_meant(diagnostic: _Diagnostic, subject: Subject, symbol: str) -> bool:
    """Whether what a rule finds is no mistake where it stands."""
    if diagnostic.code in IN_TESTS_IGNORED and is_test(subject.path):
        return True
    match diagnostic.code:
        case "F821":
            return symbol in _OF_TYPE_CHECKERS and is_test(subject.path)
        case "F822":
            return _makes_names(subject.text)
        case "PLR0124":
            return _ASKS_FOR_NAN.search(diagnostic.message) is not None
        case "PLW1641":
            return _names_hash(subject.text, diagnostic.location.row)
        case "B008":
            return bool(FRAMEWORK_DEFAULTS.intersection(re.findall(r"\w+", diagnostic.message)))
        case _:
            return False


@lru_cache(maxsize=4)
def _makes_names(text: str) -> bool:
    """Whether a module makes names when it is asked for them (PEP 562)."""
    return _GETATTR.search(text) is not None


def _names_hash(text: str, row: int) -> bool:
    """Whether the class around a line says something of ``__hash__`` without a method of that name: a slot, or an attribute."""
    module = python.parse(text)
    classes = [] if module is None else [node for node in module.nodes if isinstance(node, ast.ClassDef)]
    around = [node for node in classes if node.lineno <= row <= (node.end_lineno or node.lineno)]
    inside = ast.walk(max(around, key=lambda node: node.lineno)) if around else ()
    return any(
        (isinstance(node, ast.Constant) and node.value == "__hash__")
        or (isinstance(node, ast.Attribute) and node.attr == "__hash__" and isinstance(node.ctx, ast.Store))
        for node in inside
    )


def _is_in_annotation(text: str, row: int, name: str) -> bool:
    """Whether a name on a line stands in an annotation that Python does not evaluate: quoted, postponed, or of a local.

    From 3.14 on (PEP 649) no annotation is evaluated where it stands, so a class may be defined further down; before, the
    module cannot even be imported, which nobody needs to be told by a review.
    """
    return any(name in given.unevaluated or name in given.quoted for given in _annotations(text).get(row, []))


@dataclass(frozen=True, slots=True)
class _Annotation:
    """An annotation: the names in it that Python does not evaluate, and its quoted texts."""

    unevaluated: frozenset[str]
    quoted: str


@lru_cache(maxsize=4)
def _annotations(text: str) -> dict[int, list[_Annotation]]:
    """The annotations of a text by the lines that they stand on."""
    module = python.parse(text)
    if module is None:
        return {}
    postponed = _postpones(module.tree)
    defined = {node.name for node in module.nodes if isinstance(node, ast.ClassDef)}
    found: dict[int, list[_Annotation]] = {}
    for node in module.nodes:
        given = getattr(node, "annotation", None) or getattr(node, "returns", None)
        if not isinstance(given, ast.expr):
            continue
        is_local = isinstance(node, ast.AnnAssign) and isinstance(
            _scope(module, node), ast.FunctionDef | ast.AsyncFunctionDef
        )
        inside = list(ast.walk(given))
        names = [
            one.id
            for one in inside
            if isinstance(one, ast.Name) and (postponed or is_local or one.id in defined)
        ]
        quoted = "\0".join(
            one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )
        annotation = _Annotation(frozenset(names), quoted)
        for line in range(given.lineno, (given.end_lineno or given.lineno) + 1):
            found.setdefault(line, []).append(annotation)
    return found


def _postpones(tree: ast.Module) -> bool:
    """Whether a module has ``from __future__ import annotations``."""
    return any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" and "annotations" in ast.dump(node)
        for node in tree.body
    )


def _scope(module: python.ParsedModule, node: ast.AST) -> ast.AST | None:
    """The function or class that a node stands in."""
    at = module.parents.get(node)
    while at is not None and not isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        at = module.parents.get(at)
    return at


def _edits(fix: _Fix | None) -> tuple[Edit, ...]:
    if fix is None or fix.applicability == "display":
        return ()
    return tuple(
        Edit(
            edit.location.row,
            edit.location.column,
            edit.end_location.row,
            edit.end_location.column,
            edit.content,
        )
        for edit in fix.edits
    )
