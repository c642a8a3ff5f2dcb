"""Write a call and what it did as a test: readable, without fixtures, for pytest or unittest.

A test asserts exactly what ``Observed.same`` compares, so what killed a mutant in the sandbox kills it in
the file. Knows nothing of how the call was found.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kodo.jobs.execution.calls import substitute
from kodo.jobs.execution.model import Basis, Call, Expectation, Observed
from kodo.jobs.execution.operators import statement
from kodo.jobs.execution.worker.call import FIRST_ITEMS
from kodo.jobs.execution.worker.fixtures import FIXTURES, MOCK
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.load import LIBRARY, module_names
from kodo.jobs.testgen.model import Framework

_HELPERS = ("pytest", "unittest", "contextlib", "io", "math", "asyncio")
_INDENT = "    "
_PLACEHOLDER = re.compile(r"\b_\d+\b")
# What `==` or `is` after it would tie up with: `a < b is True` is a chain.
_NEEDS_PARENTHESES = (
    ast.Compare | ast.BoolOp | ast.UnaryOp | ast.IfExp | ast.Lambda | ast.NamedExpr | ast.Await
)


@dataclass(frozen=True, slots=True)
class RenderedTest:
    """One test function: its name and its source, at the left margin, with ``self`` for unittest."""

    name: str
    source: str


def fill(expression: str, call: Call, kept: Iterable[str] = ()) -> str:
    """An expression with the sources of the arguments put in; those in ``kept`` become variables."""
    by = {f"_{at}": arg.source for at, arg in enumerate(call.args)}
    return substitute(expression, by | {name: variable(name, call) for name in kept})


def setup(call: Call, by: Mapping[str, str] | None = None) -> list[str]:
    """The statements before a call, with the sources of the arguments, or ``by``, in the place of placeholders."""
    by = {f"_{at}": arg.source for at, arg in enumerate(call.args)} | dict(by or {})
    return [substitute(line, by) if _PLACEHOLDER.search(line) else line for line in call.setup]


def variable(placeholder: str, call: Call) -> str:
    """The variable an argument is kept in, named for its parameter."""
    at = int(placeholder[1:])
    name = call.args[at].name
    again = sum(arg.name == name for arg in call.args[:at])
    taken = name in {call.receiver, "result", "output", "math", "pytest"} or name in call.function.split(".")
    return f"{name}_{again + 1}" if again else f"{name}_" if taken else name


def body(call: Call, seen: Observed, framework: Framework) -> list[str]:
    """The statements that make the call and assert what it did."""
    kept = sorted({found for name in seen.after for found in _PLACEHOLDER.findall(name)})
    lines = [f"{variable(name, call)} = {call.args[int(name[1:])].source}" for name in kept]
    lines += setup(call, {name: variable(name, call) for name in kept})
    expression = fill(call.expression, call, kept)
    read, expression = reading(seen.wrap, expression)
    lines += read
    names = {name: variable(name, call) for name in kept}
    after = [
        _equals(
            _PLACEHOLDER.sub(lambda found: names.get(found.group(), found.group()), name), text, framework
        )
        for name, text in sorted(seen.after.items())
    ]
    if seen.kind == "raises":
        manager = "pytest.raises" if framework == "pytest" else "self.assertRaises"
        return [*lines, f"with {manager}({seen.text}):", f"{_INDENT}{statement(expression)}", *after]
    return [*lines, *_returning(expression, seen, after, framework)]


def reading(wrap: str, expression: str) -> tuple[list[str], str]:
    """How a call is read: the statements before, and the expression. Of an asynchronous iterator, a function reads the items."""
    how = wrap.partition("isinstance:")[0].removesuffix("facts").strip()
    if how != "async list":
        return [], wrapped(wrap, expression)
    return [
        f"async def read_all():\n{_INDENT}return [value async for value in {expression}]"
    ], "asyncio.run(read_all())"


def wrapped(wrap: str, expression: str) -> str:
    """A call as it is read: an iterator as a list, a coroutine to its end."""
    how = wrap.partition("isinstance:")[0].removesuffix("facts").strip()
    match how:
        case "":
            return expression
        case "each list":
            return f"[list(part) for part in {expression}]"
        case "first":
            return f"list(itertools.islice({expression}, {FIRST_ITEMS}))"
    return f"{how}({expression})"


def _returning(expression: str, seen: Observed, after: Sequence[str], framework: Framework) -> list[str]:
    """The statements for a call that returned: in one line where one assertion is enough."""
    kind = seen.wrap.partition("isinstance:")[2]
    by_facts = bool(kind) or seen.wrap.endswith("facts")
    if not (seen.output or after or by_facts):
        return [_equals(expression, seen.text, framework)]
    if (
        by_facts
        and not (kind or seen.output)
        and len(seen.after) == 1
        and not any(map(_PLACEHOLDER.search, seen.after))
    ):
        ((fact, text),) = seen.after.items()
        return [_equals(substitute(fact, {"result": expression}), text, framework)]
    checks = [] if by_facts or seen.text == "None" else [_equals("result", seen.text, framework)]
    if kind:
        is_one = f"isinstance(result, {kind})"
        checks = [f"assert {is_one}" if framework == "pytest" else f"self.assertIsInstance(result, {kind})"]
    makes = f"result = {expression}" if checks or by_facts else statement(expression)
    return [*_printing(makes, seen.output, framework), *checks, *after]


def _printing(statement: str, output: str, framework: Framework) -> list[str]:
    """A statement and, where it prints, the assertion of what it prints."""
    if not output:
        return [statement]
    if framework == "pytest":
        return [statement, _equals("capsys.readouterr().out", repr(output), framework)]
    lines = ["output = io.StringIO()", "with contextlib.redirect_stdout(output):", f"{_INDENT}{statement}"]
    return [*lines, _equals("output.getvalue()", repr(output), framework)]


def _equals(left: str, right: str, framework: Framework) -> str:
    """One assertion that ``left`` is the value with the source ``right``."""
    plain = framework == "pytest"
    if plain and right in ("True", "False") and isinstance(ast.parse(left, mode="eval").body, ast.Compare):
        return f"assert {left}" if right == "True" else f"assert not {left}"
    if plain and isinstance(ast.parse(left, mode="eval").body, _NEEDS_PARENTHESES):
        left = f"({left})"
    if right in ("None", "True", "False"):
        return f"assert {left} is {right}" if plain else f"self.assertIs({left}, {right})"
    if right == "float('nan')":
        return f"assert math.isnan({left})" if plain else f"self.assertTrue(math.isnan({left}))"
    if re.fullmatch(r"-?\d+\.\d{6,}(e[-+]?\d+)?", right):
        close = f"math.isclose({left}, {right}, rel_tol=1e-9)"
        return f"assert {close}" if plain else f"self.assertTrue({close})"
    return f"assert {left} == {right}" if plain else f"self.assertEqual({left}, {right})"


def documented(call: Call, expect: Expectation, framework: Framework) -> list[str]:
    """The statements that assert what the documentation says, whatever the code does."""
    expression = fill(call.expression, call)
    if expect.kind == "raises":
        manager = "pytest.raises" if framework == "pytest" else "self.assertRaises"
        return [*setup(call), f"with {manager}({expect.text}):", f"{_INDENT}{expression}"]
    if expect.kind == "value":
        return [*setup(call), _equals(expression, expect.text, framework)]
    if expect.kind == "prints":
        return [*setup(call), _equals(f"str({expression})", repr(expect.text), framework)]
    if expect.kind == "shows":
        return [*setup(call), _equals(f"repr({expression})", repr(expect.text), framework)]
    if expect.kind == "returns":
        simple = re.fullmatch(r"\w+( \| \w+)*", expect.text) and expect.text != "None"
        check = (
            f"assert isinstance(result, {expect.text})"
            if simple
            else f"# must be {expect.text}\nassert result is not None"
        )
        return [*setup(call), f"result = {expression}", *check.split("\n")]
    if expect.text == "unchanged":
        keep = [f"_{at}" for at in range(len(call.args))]
        lines = [f"{variable(name, call)} = {arg.source}" for name, arg in zip(keep, call.args, strict=True)]
        checks = [
            _equals(variable(name, call), arg.source, framework)
            for name, arg in zip(keep, call.args, strict=True)
        ]
        named = {name: variable(name, call) for name in keep}
        return [*lines, *setup(call, named), fill(call.expression, call, keep), *checks]
    return [*setup(call), f"result = {expression}", f"assert {fill(expect.text, call)}"]


def function(name: str, lines: Sequence[str], comment: str, framework: Framework) -> RenderedTest:
    """A test function around the statements, with the ground it stands on as a comment."""
    head = f"def {name}({', '.join(fixtures_of(lines))}):" if framework == "pytest" else f"def {name}(self):"
    words = " ".join(comment.split())
    inner = [f"# {words if len(words) < 100 else words[:97] + '...'}", *lines]
    return RenderedTest(
        name, "\n".join([head, *(_INDENT + part for line in inner for part in line.split("\n"))])
    )


def fixtures_of(lines: Sequence[str]) -> tuple[str, ...]:
    """The fixtures of pytest that statements name, sorted."""
    text = "\n".join(lines)
    return tuple(name for name in sorted((*FIXTURES, "capsys")) if re.search(rf"\b{name}\b", text))


def comment(basis: Basis, quote: str) -> str:
    """The ground of a test in words."""
    if basis == "code":
        return "characterisation: the expected value was read off the code"
    return f"{basis}: {quote}"


def name_for(call: Call, seen: Observed, taken: set[str]) -> str:
    """A name that tells the case; unique among ``taken``, which it joins."""
    base = re.sub(r"\W+", "_", call.function.replace(".", "_")).strip("_").lower()
    base = re.sub(r"_+", "_", base)
    words = [_word(arg.source) for arg in call.args[:3]]
    if not call.args:
        tree = ast.parse(call.expression, mode="eval").body
        words = [_word(ast.unparse(arg)) for arg in tree.args[:3]] if isinstance(tree, ast.Call) else []
    case = "_".join(word for word in words if word) or ("example" if call.origin == "example" else "plain")
    outcome = f"raises_{snake(seen.text.rsplit('.', 1)[-1])}_for_" if seen.kind == "raises" else ""
    name = f"test_{base}_{outcome}{case}"[:72].strip("_")
    unique, number = name, 2
    while unique in taken:
        unique = f"{name}_{number}"
        number += 1
    taken.add(unique)
    return unique


def snake(name: str) -> str:
    """CamelCase to snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _word(source: str) -> str:
    known = {"''": "empty_text", "[]": "empty_list", "{}": "empty_dict", "()": "empty_tuple", "set()": "empty_set",
             "None": "none", "' '": "blank", "b''": "no_bytes"}  # fmt: skip
    if source in known:
        return known[source]
    try:
        value = literal_value(source)
    except NoLiteral:
        return re.sub(r"\W+", "_", source).strip("_").lower()[:16]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return ("minus_" if value < 0 else "") + re.sub(r"\W+", "_", repr(abs(value)))[:12]
    if isinstance(value, str):
        return (
            re.sub(r"[^a-z0-9]+", "_", value.lower().encode("ascii", "ignore").decode()).strip("_")[:16]
            or "text"
        )
    return f"{type(value).__name__}_of_{len(value)}" if hasattr(value, "__len__") else type(value).__name__


def file(
    module: str,
    defined: frozenset[str],
    tests: Sequence[RenderedTest],
    framework: Framework,
    class_name: str,
    imported: Mapping[str, str],
) -> str:
    """A whole test file, not yet formatted; ``imported`` maps names of other modules to these."""
    sources = [test.source for test in tests]
    head = (
        f'"""Tests of {module}, written by `kodo tests`; each was seen to pass and to add something."""\n\n'
    )
    text = head + imports(module, defined, sources, framework, imported) + "\n\n\n"
    if framework == "unittest":
        inner = "\n\n".join(_indent(source) for source in sources)
        return text + f'class {class_name}(unittest.TestCase):\n{_INDENT}"""Seen to pass."""\n\n{inner}\n'
    return text + "\n\n\n".join(sources) + "\n"


def _indent(source: str) -> str:
    return "\n".join(_INDENT + line if line else line for line in source.split("\n"))


def imports(
    module: str,
    defined: frozenset[str],
    sources: Iterable[str],
    framework: Framework,
    imported: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The import statements that the tests need."""
    trees = [ast.parse(source) for source in sources]
    names: set[str] = set().union(*map(_free_names, trees))
    own = sorted(names & defined)
    library = (names & {*LIBRARY, *_HELPERS}) - defined - imported.keys()
    if framework == "unittest":
        library.add("unittest")
    raised = {owner for tree in trees for owner in _error_modules(tree)}
    library |= {one for one in raised if one.split(".")[0] in names - defined}
    third = [f"import {name}" for name in sorted(library) if name == "pytest"]
    first = [f"import {name}" for name in sorted(library) if name != "pytest"]
    first += [f"from unittest import {MOCK}"] * (MOCK in names - defined - imported.keys())
    called_by_module = {one for name, one in module_names(module).items() if name in names - defined}
    mine = [_import_of(one) for one in sorted(called_by_module)]
    mine += [f"from {imported[name]} import {name}" for name in sorted((names & imported.keys()) - defined)]
    if own or not mine:
        mine.append(f"from {module} import {', '.join(own)}" if own else f"import {module}")
    return "\n\n".join("\n".join(block) for block in (first, third, mine) if block)


def _import_of(dotted: str) -> str:
    """The import that binds the last part of a dotted module name."""
    parent, _, last = dotted.rpartition(".")
    return f"from {parent} import {last}" if parent else f"import {last}"


def _free_names(tree: ast.AST) -> set[str]:
    """The names that a test reads and does not bind."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {node.id for node in names} - {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _error_modules(tree: ast.AST) -> set[str]:
    """The modules of the exceptions that a test names with their module, as json.JSONDecodeError."""
    dotted = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    found = (re.fullmatch(r"([\w.]+)\.\w*(?:Error|Exception|Warning)", path) for path in dotted)
    return {one.group(1) for one in found if one}


def formatted(text: str, folder: Path) -> str:
    """The text as ruff formats it under the project's own settings, or ruff's where those are broken."""
    for more in ([], ["--isolated"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ruff", "format", *more, "--stdin-filename", "test_kodo.py", "-"],
            input=text, capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        if done.returncode == 0 and done.stdout:
            return done.stdout
    return text
