"""Read what the documentation promises: examples, stated results and errors, and stated properties.

Only sentences that name a condition and a result in one of the forms below are read; everything else is
left to the reader. A claim carries the words it rests on, so that a report can quote them.

    examples    doctest blocks; ``f(1, 2) == 3``, ``f(1, 2) -> 3``, ``f(1, 2) returns 3`` in running text
    results     "Returns 0 for an empty list", "None if the name is empty"
    errors      "Raises ValueError if n is negative" (in a sentence, or Google, NumPy and Sphinx sections)
    properties  "between 0 and 1", "never negative", "in ascending order", "without duplicates",
                "does not modify", "same length", "at most N", "inverse of f"
"""

import ast
import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.doc_conditions import NUMBER_WORDS, satisfying
from kodo.jobs.execution.doc_properties import NUMBER, read_properties
from kodo.jobs.execution.model import Expectation
from kodo.jobs.execution.parameters import Param
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value


@dataclass(frozen=True, slots=True)
class Example:
    """One documented call: statements before it, the call, and what must be seen."""

    setup: tuple[str, ...]
    expression: str
    expect: Expectation


@dataclass(frozen=True, slots=True)
class Contract:
    """Parameter values under which ``expect`` must be seen; ``given`` empty means for every call."""

    given: dict[str, tuple[str, ...]]
    expect: Expectation


@lru_cache(maxsize=1024)
def examples(doc: str, names: frozenset[str]) -> tuple[Example, ...]:
    """The documented calls of ``names`` in a docstring.

    As doctest has it, the statements before an example are its setup; of those, an expression that touches no
    variable of the block is left out, because it is an example of its own.
    """
    out: list[Example] = []
    setup: list[str] = []
    bound: set[str] = set()
    try:
        parsed = doctest.DocTestParser().get_examples(doc)
    except ValueError:  # a malformed block is the author's slip, not a claim
        parsed = []
    for one in parsed:
        source = one.source.strip()
        if one.options.get(doctest.SKIP):
            continue
        shown = _is_expression(source) and bool(one.want or one.exc_msg)
        if shown:
            out.append(_shown(tuple(setup), source, one))
        named, binds = _names(source)
        bound |= binds
        if not shown or named & bound:
            setup.append(source)
    return (*out, *_inline(doc, names))


def skipped(doc: str) -> list[str]:
    """The expressions that a docstring shows and tells doctest not to run: what is given in them is meant all the same."""
    try:
        parsed = doctest.DocTestParser().get_examples(doc)
    except ValueError:  # a malformed block is the author's slip, not a claim
        return []
    sources = [one.source.strip() for one in parsed if one.options.get(doctest.SKIP)]
    return [source for source in sources if _is_expression(source)]


def _shown(setup: tuple[str, ...], source: str, one: doctest.Example) -> Example:
    """A documented expression; of ``print(x)`` it is x, and the text is what print makes of it."""
    expect = _wanted(one, f">>> {source}")
    match ast.parse(source, mode="eval").body:
        case ast.Call(func=ast.Name(id="print"), args=[ast.expr() as printed], keywords=[]) if (
            expect.kind == "shows" and not isinstance(printed, ast.Starred)
        ):
            return Example(
                setup, ast.unparse(printed), Expectation("prints", expect.text, expect.basis, expect.quote)
            )
    return Example(setup, source, expect)


def statements(doc: str) -> list[str]:
    """The statements of the doctests of a docstring that are Python."""
    try:
        parsed = doctest.DocTestParser().get_examples(doc)
    except ValueError:  # a malformed block is the author's slip, not a claim
        return []
    return [one.source for one in parsed if _is_statement(one.source)]


def _is_statement(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a statement reads, and those that it binds; none for one that does not parse."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return frozenset(), frozenset()
    read = {node.id for node in nodes if isinstance(node, ast.Name)}
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return frozenset(read), frozenset(bound)


def _wanted(one: doctest.Example, quote: str) -> Expectation:
    if one.exc_msg:
        name = one.exc_msg.split(":")[0].strip()
        return Expectation("raises", name.rsplit(".", 1)[-1], "example", f"{quote} -> {one.exc_msg.strip()}")
    want = one.want.strip()
    quote = f"{quote} -> {want}"
    try:
        literal_value(want)
    except NoLiteral:
        return Expectation("shows", want, "example", quote)
    prints = re.search(r"\bp?print\(", one.source)  # then the text is what is printed, and the result is None
    loose = prints or doctest.ELLIPSIS in one.options or doctest.NORMALIZE_WHITESPACE in one.options
    return Expectation("shows" if loose else "value", want, "example", quote)


def _is_expression(source: str) -> bool:
    try:
        ast.parse(source, mode="eval")
    except SyntaxError:
        return False
    return True


def _inline(doc: str, names: frozenset[str]) -> Iterator[Example]:
    """``f(1) == 2`` and its like outside doctest blocks."""
    for line in doc.splitlines():
        if line.lstrip().startswith((">>>", "...")):
            continue
        for found in re.finditer(r"(?<![.\w])([A-Za-z_]\w*)\(", line):
            if found.group(1) not in names:
                continue
            end = _closing(line, found.end() - 1)
            rest = re.match(r"[`\s]*(?:==|->|=>|→|returns|gives|is)\s+`?(.+)", line[end:]) if end else None
            value = _leading_literal(rest.group(1)) if rest else None
            if value is not None and _is_literal_call(line[found.start() : end]):
                quote = line.strip()
                yield Example((), line[found.start() : end], Expectation("value", value, "example", quote))


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    return 0


def _is_literal_call(text: str) -> bool:
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call):
            return False
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            literal_value(argument)
    except (SyntaxError, NoLiteral):
        return False
    return True


def _leading_literal(text: str) -> str | None:
    """The longest literal at the start of the text, of those that end it or stand before punctuation."""
    for end in range(len(text), 0, -1):
        if text[end - 1] == "," or (end < len(text) and text[end] not in " `.,;)#"):
            continue
        try:
            literal_value(text[:end].strip().rstrip("`"))
        except NoLiteral:
            continue
        return text[:end].strip().rstrip("`")
    return None


def read_contracts(function: Function, siblings: frozenset[str]) -> list[Contract]:
    """What the docstring says of results, errors and properties of a function."""
    doc = re.sub(r"(?m)^\s*(>>>|\.\.\.).*$", "", function.doc)
    out: list[Contract] = []
    for sentence in _sentences(doc):
        plain = sentence.replace("`", "")
        out += _errors(plain, sentence, function)
        out += _results(plain, sentence, function)
        out += _properties(plain, sentence, function, siblings)
    return out


def _sentences(doc: str) -> list[str]:
    """Sentences, with the name of a Raises section put before each of its lines."""
    out: list[str] = []
    section = ""
    for block in re.split(r"\n\s*\n", doc):
        text: list[str] = []
        for line in block.splitlines():
            stripped = line.strip()
            head = re.fullmatch(
                r"(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):?", stripped
            )
            if head:
                section = head.group(1)
            elif (
                section == "Raises"
                and (found := re.match(r"(\w*(?:Error|Exception|Iteration))\s*:?\s*(.*)", stripped))
            ) or (found := re.match(r":raises?\s+(\w+)\s*:\s*(.*)", stripped)):
                text.append(f". Raises {found.group(1)} {found.group(2)}")
            elif found := re.match(r":returns?:\s*(.*)", stripped):
                text.append(f". Returns {found.group(1)}")
            elif stripped and not set(stripped) <= set("-="):
                text.append(stripped)
        if not (section == "Returns" and text):
            section = section if block.rstrip().endswith(":") or section == "Raises" else ""
        joined = " ".join(text)
        if section == "Returns":
            joined = "Returns " + joined
            section = ""
        out += [part.strip(" .") for part in re.split(r"(?<=[a-z0-9`)\]'\"])[.;]\s+|(?:^|\s)\.\s", joined)]
    return [part for part in out if part]


def _errors(plain: str, quote: str, function: Function) -> list[Contract]:
    out: list[Contract] = []
    form = r"\b[Rr]aises?\s+(?:an?\s+)?(\w*(?:Error|Exception|StopIteration))\b\s*(?:if|when|for|on|:)?\s*(?:if|when)?\s*(.*)"
    for found in re.finditer(form, plain):
        expect = Expectation("raises", found.group(1), "docstring", quote)
        out += [Contract(given, expect) for given in _condition(found.group(2), function)]
    return out


def _results(plain: str, quote: str, function: Function) -> list[Contract]:
    out: list[Contract] = []
    literal = rf"(None|True|False|{NUMBER}|zero|an empty (?:list|string|dict|dictionary|tuple|set)|''|\"\"|\[\]|'[^']*'|\"[^\"]*\")"
    for found in re.finditer(rf"{literal}\s+(?:if|when|for)\s+(.+)", plain):
        before = plain[: found.start()].lower()
        if not re.search(r"(returns?|gives?|yields?|is|or|and|,|^)\s*$", before) or " not " in before[-12:]:
            continue
        expect = Expectation("value", _literal(found.group(1)), "docstring", quote)
        condition = re.split(r",| else\b| otherwise\b| or (?=None|True|False|\d)", found.group(2))[0]
        out += [Contract(given, expect) for given in _condition(condition, function)]
    return out


def _literal(text: str) -> str:
    empty = {"list": "[]", "string": "''", "dict": "{}", "dictionary": "{}", "tuple": "()", "set": "set()"}
    if text.startswith("an empty "):
        return empty[text.removeprefix("an empty ")]
    return NUMBER_WORDS.get(text, text)


def _condition(text: str, function: Function) -> list[dict[str, tuple[str, ...]]]:
    """Values of parameters that make a stated condition true; empty for a condition not understood."""
    text = re.split(
        r"\b(?:because|since|so that|and (?:else|otherwise|returns?|raises?))\b", text.lower().strip(" .,")
    )[0].strip()
    if re.search(r"\b(?:and|unless|but|except)\b", text):
        return []  # only a part of the condition would be read
    if " or " in text:
        left, _, right = text.partition(" or ")
        subject = re.match(r"(?:the )?(\w+) (?:is|are) ", left)
        if subject and not re.search(r"\b(is|are|<|>)\b", right):
            right = subject.group(0) + right
        parts = [found for part in (left, right) for found in _condition(part, function)]
        return parts if len(parts) >= 2 else []
    params = {param.name.lower(): param for param in function.params if not param.variadic}
    named = [params[word] for word in re.findall(r"\w+", text) if word in params]
    pair = _pair(text, params)
    if pair is not None:
        return [pair]
    subject_param = named[0] if named else None
    if subject_param is not None and len({param.name for param in named}) > 1:
        return []
    values = satisfying(text, subject_param, function)
    return [{values[0].name: values[1]}] if values else []


def _pair(text: str, params: dict[str, Param]) -> dict[str, tuple[str, ...]] | None:
    """``low is greater than high``, ``start > stop``: values for both."""
    found = re.fullmatch(
        r"(?:the )?(\w+)\s+(?:is\s+)?(greater than|larger than|above|exceeds|>|less than|below|smaller than|<)\s+(?:the )?(\w+)",
        text,
    )
    if not found or found.group(1) not in params or found.group(3) not in params:
        return None
    more, less = params[found.group(1)], params[found.group(3)]
    if found.group(2) in ("less than", "below", "smaller than", "<"):
        more, less = less, more
    if not {more.type.kind, less.type.kind} <= {"int", "float", "any"}:
        return None
    return {more.name: ("9", "3"), less.name: ("2", "2")}


def _properties(plain: str, quote: str, function: Function, siblings: frozenset[str]) -> list[Contract]:
    """Statements about every result."""
    stated = read_properties(plain, function, siblings)
    return [Contract({}, Expectation("property", one, "docstring", quote)) for one in stated]
