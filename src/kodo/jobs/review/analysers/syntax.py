"""Whether a text can be parsed at all: the compiler for Python, tree-sitter and the parsers of data formats.

For Python, ruff's parser speaks first (it knows newer Pythons than the one kodo runs on); the compiler adds what
only it refuses. tree-sitter also finds a handful of patterns that are wrong in any program (``PATTERNS``).
"""

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice

import tree_sitter_c
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_rust
import tree_sitter_typescript
import yaml
from tree_sitter import Language, Node, Parser

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.report.model import Category, Severity
from kodo.jobs.review.analysers.one_file import in_time
from kodo.jobs.review.analysers.patterns import patterns_in
from kodo.jobs.review.candidate import AnalyserResult, Candidate, Subject

NAME = "syntax"
_GRAMMARS: Mapping[str, Callable[[], object]] = {
    "javascript": tree_sitter_javascript.language,
    "typescript": tree_sitter_typescript.language_typescript,
    "tsx": tree_sitter_typescript.language_tsx,
    "go": tree_sitter_go.language,
    "java": tree_sitter_java.language,
    "rust": tree_sitter_rust.language,
    "c": tree_sitter_c.language,
}
MAX_SYNTAX_ERRORS = 5
"""Syntax errors reported for one file; a parser that has lost its way reports many more."""


def run(subjects: Sequence[Subject], deadline: Deadline | None = None) -> AnalyserResult:
    """Candidates for every file in a language that has a parser."""
    candidates: dict[int, list[Candidate]] = {}
    failures: dict[int, str] = {}
    for index, subject in enumerate(subjects):
        if subject.language in {"python", "json", "toml", "yaml"} or subject.language in _GRAMMARS:
            candidates[index], problem = in_time(partial(_look, subject), deadline)
            if problem:
                failures[index] = problem
    return AnalyserResult(candidates, frozenset(candidates) - failures.keys(), failures)


def _look(subject: Subject, found: list[Candidate]) -> str:
    """Add what is wrong in one file; return why it could not be read, or ""."""
    if subject.language == "python":
        candidates, problem = _python(subject.text)
        found += candidates
        return problem
    found += _tree(subject) if subject.language in _GRAMMARS else _data(subject)
    return ""


def _python(text: str) -> tuple[list[Candidate], str]:
    """What the compiler refuses of a text that parses; for one that does not, the parser's own words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(
                text, "<code under review>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
    except SyntaxError as error:
        line = error.lineno or 1
        return [_error(line, error.offset or 0, error.end_lineno or line, 0, error.msg)], ""
    except (ValueError, RecursionError, MemoryError) as error:
        return [], f"the compiler gave up: {type(error).__name__}"
    return [], ""


@cache
def _grammar(language: str) -> Language:
    return Language(_GRAMMARS[language]())


@cache
def _parser(language: str) -> Parser:
    return Parser(_grammar(language))


def _tree(subject: Subject) -> list[Candidate]:
    raw = subject.text.encode("utf-8", errors="surrogateescape")
    root = _parser(subject.language).parse(raw).root_node
    if root.has_error:
        conditional = subject.language == "c" and re.search(
            r"^\s*#\s*(if|define)", subject.text, re.MULTILINE
        )
        return (
            [] if conditional else [_broken(node, raw) for node in islice(_errors(root), MAX_SYNTAX_ERRORS)]
        )
    return patterns_in(root, raw, subject.language, _grammar(subject.language))


def _errors(node: Node) -> Iterator[Node]:
    """The outermost error nodes, in order of place."""
    todo = [node]
    while todo:
        node = todo.pop()
        if node.is_error or node.is_missing:
            yield node
        elif node.has_error:
            todo.extend(reversed(node.children))


def _broken(node: Node, raw: bytes) -> Candidate:
    line, column = node.start_point.row + 1, node.start_point.column
    start = raw.rfind(b"\n", 0, node.start_byte) + 1
    characters = len(raw[start : start + column].decode(errors="replace")) + 1
    what = f"missing {node.type!r}" if node.is_missing else "this cannot be parsed"
    return _error(line, characters, line, 0, what)


def _error(line: int, column: int, end_line: int, end_column: int, message: str) -> Candidate:
    return Candidate(
        rule="syntax",
        category=Category.BUG,
        severity=Severity.ERROR,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        message=message,
        source="compiler",
        detail=message,
    )


def _data(subject: Subject) -> list[Candidate]:
    """The first error of a JSON, TOML or YAML text. JSON with comments (tsconfig and its like) is not judged."""
    try:
        if subject.language == "json":
            json.loads(subject.text)
        elif subject.language == "toml":
            tomllib.loads(subject.text)
        else:
            for _ in yaml.parse(subject.text, Loader=yaml.SafeLoader):
                pass
    except json.JSONDecodeError as error:
        if re.search(r"^\s*(//|/\*)", subject.text, re.MULTILINE) or subject.text.count("\n{") > 1:
            return []
        return [_error(error.lineno, error.colno, error.lineno, 0, error.msg)]
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+), column (\d+)", str(error))
        line = int(match[1]) if match else subject.text.count("\n") + (not subject.text.endswith("\n"))
        return [_error(max(1, line), 0, max(1, line), 0, str(error))]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is None or re.search(r"\{\{|\{%", subject.text):  # a template that makes YAML
            return []
        last = subject.text.count("\n") + (not subject.text.endswith("\n"))
        return [_error(max(1, min(mark.line + 1, last)), 0, mark.line + 1, 0, error.problem or "not YAML")]
    except (yaml.YAMLError, RecursionError, ValueError):  # ValueError: a number of thousands of digits
        return []
    return []
