"""Patterns in JavaScript, TypeScript, Go, Java, Rust and C that are wrong in nearly any program.

There is no type information here, so there are few. Each is a tree-sitter query with one capture, ``@at``.
"""

from dataclasses import dataclass

from tree_sitter import Language, Node, Query, QueryCursor

from kodo.jobs.report.model import Category, Severity
from kodo.jobs.review.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Pattern:
    """A query, the languages it is written for, and what a match means."""

    rule: str
    languages: frozenset[str]
    category: Category
    severity: Severity
    query: str
    message: str


_JS = frozenset({"javascript", "typescript", "tsx"})
_C = frozenset({"c"})
PATTERNS = (
    Pattern(
        "kodo/assignment-in-condition", _JS | _C, Category.BUG, Severity.ERROR,
        "(if_statement condition: (parenthesized_expression . (assignment_expression) .) @at)",
        "`=` assigns where a comparison was probably meant",
    ),
    Pattern(
        "kodo/nan-comparison", _JS, Category.BUG, Severity.ERROR,
        '(binary_expression operator: ["==" "===" "!=" "!=="] right: (identifier) @name (#eq? @name "NaN")) @at',
        "nothing equals NaN; use Number.isNaN",
    ),
    Pattern(
        "kodo/debugger-left", _JS, Category.PRACTICE, Severity.WARNING, "(debugger_statement) @at",
        "a debugger statement was left in",
    ),
    Pattern(
        "kodo/eval", _JS, Category.SECURITY, Severity.ERROR,
        '(call_expression function: (identifier) @name arguments: (arguments . [(identifier) (member_expression) '
        '(binary_expression) (template_string) (call_expression)]) (#eq? @name "eval")) @at',
        "eval runs whatever the string holds",
    ),
    Pattern(
        "kodo/inner-html", _JS, Category.SECURITY, Severity.WARNING,
        "(assignment_expression left: (member_expression property: (property_identifier) @name) right: "
        '[(identifier) (member_expression) (binary_expression) (template_string (template_substitution))] '
        '(#any-of? @name "innerHTML" "outerHTML")) @at',
        "text put into innerHTML is parsed as HTML; use textContent, or sanitise it",
    ),
    Pattern(
        "kodo/tls-unverified", _JS, Category.SECURITY, Severity.ERROR,
        '(pair key: (property_identifier) @name value: (false) (#eq? @name "rejectUnauthorized")) @at',
        "certificates are no longer verified",
    ),
    Pattern(
        "kodo/async-foreach", _JS, Category.BUG, Severity.WARNING,
        "(call_expression function: (member_expression property: (property_identifier) @name) arguments: "
        '(arguments . (arrow_function "async")) (#eq? @name "forEach")) @at',
        "forEach does not wait for an async function; use for...of or Promise.all",
    ),
    Pattern(
        "kodo/empty-catch", _JS | {"java"}, Category.PRACTICE, Severity.WARNING,
        r'(catch_clause body: (_) @body (#match? @body "^[{][^A-Za-z0-9/]*[}]$")) @at',
        "the error is swallowed",
    ),
    Pattern(
        "kodo/unsafe-c-call", _C, Category.SECURITY, Severity.ERROR,
        '(call_expression function: (identifier) @name (#any-of? @name "gets" "strcpy" "strcat" "sprintf" "vsprintf")) @at',
        "writes past the end of its buffer when the input is long",
    ),
    Pattern(
        "kodo/format-string", _C, Category.SECURITY, Severity.ERROR,
        '(call_expression function: (identifier) @name arguments: (argument_list . (identifier) .) (#eq? @name "printf")) @at',
        "the format string is a variable; use printf(\"%s\", ...)",
    ),
    Pattern(
        "kodo/stray-semicolon", _C, Category.BUG, Severity.WARNING,
        '(if_statement consequence: (expression_statement . ";" .) @at)',
        "a semicolon ends this if: what follows always runs",
    ),
    Pattern(
        "kodo/string-identity", frozenset({"java"}), Category.BUG, Severity.ERROR,
        '(binary_expression operator: ["==" "!="] [(string_literal)]) @at',
        "== compares references; use equals",
    ),
    Pattern(
        "kodo/sql-concatenation", frozenset({"java", "javascript", "typescript", "tsx", "go"}), Category.SECURITY,
        Severity.ERROR,
        '(binary_expression left: (_) @sql operator: "+" right: (_) '
        '(#match? @sql "^[\\"\'`](SELECT|INSERT|UPDATE|DELETE)\\\\s.*(=|VALUES|LIKE|IN)\\\\s*\\\\(?\'?[\\"\'`]$")) @at',
        "SQL put together from strings; pass the value as a parameter",
    ),
    Pattern(
        "kodo/defer-in-loop", frozenset({"go"}), Category.BUG, Severity.WARNING,
        "(for_statement body: (block (statement_list (defer_statement) @at)))",
        "deferred calls run when the function returns, not at the end of each turn",
    ),
    Pattern(
        "kodo/error-ignored", frozenset({"go"}), Category.BUG, Severity.WARNING,
        "(if_statement condition: (binary_expression left: (identifier) @name operator: \"!=\" right: (nil)) "
        r'consequence: (block) @body (#eq? @name "err") (#match? @body "^[{][^A-Za-z0-9/]*[}]$")) @at',
        "the error is looked at and dropped",
    ),
)  # fmt: skip  # one pattern in few rows


def patterns_in(root: Node, raw: bytes, language: str, grammar: Language) -> list[Candidate]:
    """A candidate for every match, in order of place."""
    lines = raw.decode("utf-8", errors="surrogateescape").split("\n")
    found: list[Candidate] = []
    for pattern in PATTERNS:
        if language not in pattern.languages:
            continue
        for node in QueryCursor(Query(grammar, pattern.query)).captures(root).get("at", []):
            line = lines[node.start_point.row].encode("utf-8", errors="surrogateescape")
            column = len(line[: node.start_point.column].decode("utf-8", errors="surrogateescape")) + 1
            found.append(
                Candidate(
                    rule=pattern.rule,
                    category=pattern.category,
                    severity=pattern.severity,
                    line=node.start_point.row + 1,
                    column=column,
                    end_line=node.end_point.row + 1,
                    message=pattern.message,
                    source="kodo",
                    detail=node.type,
                )
            )
    return sorted(found, key=lambda candidate: (candidate.line, candidate.column, candidate.rule))
