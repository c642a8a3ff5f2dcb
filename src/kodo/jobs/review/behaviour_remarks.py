"""From differences of behaviour to candidates: which are said, how gravely, and in what words.

A difference is a question where nothing says what is meant, a warning where something does and the change goes against
it, and is not mentioned where the change's own tests or documentation state the new result.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from kodo.jobs.execution.calls import command, filled, written
from kodo.jobs.execution.changed import Affected
from kodo.jobs.execution.definitions import Function
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.execution.worker.both_versions import Compared
from kodo.jobs.execution.worker.difference import Difference, Worth, is_plain, rank, worth
from kodo.jobs.execution.worker.literal_value import NoLiteral, literal_value
from kodo.jobs.execution.worker.outcome import Outcome
from kodo.jobs.execution.worker.smaller import is_odd, size
from kodo.jobs.report.model import EvidenceKind, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks.catalogue import rules
from kodo.jobs.review.excerpts import around_difference, short
from kodo.jobs.review.inputs_of_tests import test_folders
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.python import first_line
from kodo.jobs.review.snippets import GROUP

CHANGED, CONTRADICTS = "kodo/behaviour-changed", "kodo/behaviour-contradicts"
SOURCE = "both versions"
_MAX_CALL = 300
_SHORTEST_STATEMENT = 4
_CHANGED = "after: "
"""How the parts of an outcome begin that the call changed; one that is not there stayed as it was."""
_NUMBER = re.compile(r"\d+")
_NEVER_MEANT = ("NameError", "UnboundLocalError")


def remarks(
    file: ChangedFile,
    module: TargetModule,
    affected: Mapping[str, Affected],
    compared: Sequence[Compared],
    files: Sequence[ChangedFile],
    values: Collection[str] = (),
    said: set[tuple[str, ...]] | None = None,
) -> list[Candidate]:
    """One candidate for each changed function whose behaviour differs, shown by the most telling call, a second one where it differs in
    two ways, and one for each of the ``values`` of the module that does; none that shows the same call as one of those ``said``, to
    which they are added.
    """
    proposed = [one for result in compared if result.function == GROUP for one in result.differences]
    stated = Stated(files)
    of_values = _of_values([one for one in compared if one.function in values], stated)
    compared = [one for one in compared if one.function in affected]
    meant: dict[str, list[Difference]] = {}
    for one in compared:
        where = affected[one.function]
        for difference in one.differences:
            if stated.says(difference, _name_of(where.function)):
                for root in where.roots:
                    meant.setdefault(root, []).append(difference)
    said = set() if said is None else said
    out: list[Candidate] = []
    shown = [
        *_most_telling(compared, affected, module, meant),
        *((name, difference, "") for name, difference in of_values.items()),
    ]
    for name, difference, why in shown:
        what = difference.within or filled(
            difference.call
        )  # by other statements before it, it is the same call
        told = (what, *contrast(difference.before, difference.after, difference.call))
        if told not in said:
            said.add(told)
            out.append(_candidate(file, module, name, difference, why))
    out += [_candidate(file, module, _named_root(one, affected), one, "") for one in proposed]
    return out


def _most_telling(
    compared: Iterable[Compared],
    affected: Mapping[str, Affected],
    module: TargetModule,
    meant: Mapping[str, Sequence[Difference]],
) -> Iterator[tuple[str, Difference, str]]:
    """Each changed function with the difference that shows it best and what says that it is not meant; without such a reason, none
    that is of the kind of a new outcome which is ``meant``. After it another one, where a caller sees both.
    """
    told: dict[str, list[tuple[tuple[int, ...], Difference, str]]] = {}
    for one in compared:
        where = affected[one.function]
        for difference in one.differences:
            why = contradiction(difference, where, module)
            key = (
                int(not why),
                int(bool(difference.varied)) + int(bool(difference.within)),
                *map(int, worth(difference.call, difference.before, difference.after)),
                where.depth,
                int(is_odd(difference.call)),
                size(difference.call),
            )
            for root in where.roots:
                if why or root not in meant or not is_of_kind(difference, meant[root]):
                    told.setdefault(root, []).append((key, difference, why))
    for root, rows in told.items():
        rows.sort(key=lambda row: row[0])
        _, best, why = rows[0]
        yield root, best, why
        others = (row for row in rows[1:] if is_another(best, row[1]))
        if (second := next(others, None)) is not None:
            yield root, *second[1:]


def is_another(one: Difference, other: Difference) -> bool:
    """Whether two differences are two things that a change does, of which a caller sees both: what comes out is of other kinds, before
    or after, as where one input is refused now and another one gives more.
    """
    are_seen = (
        not each.within and is_plain(worth(each.call, each.before, each.after)) for each in (one, other)
    )
    return all(are_seen) and _outcomes(one) != _outcomes(other)


def _outcomes(one: Difference) -> tuple[str, str]:
    """The kinds of the outcomes before and after: a result, or the error that is raised."""
    before, after = (each.parts.get("raises", "") or each.kind for each in (one.before, one.after))
    return before, after


def _of_values(compared: Iterable[Compared], stated: Stated) -> dict[str, Difference]:
    """The most telling difference of each value whose new outcome is not stated."""
    found: dict[str, Difference] = {}
    for one in compared:
        for each in one.differences:
            best = found.get(one.function)
            if best is None or _how_well(each) < _how_well(best):
                found[one.function] = each
    return {
        name: one
        for name, one in found.items()
        if not stated.says(one, name if one.call.origin == "state" else "")
    }


def _how_well(one: Difference) -> tuple[Worth, bool, int]:
    """Smaller for a difference that shows a value better."""
    return worth(one.call, one.before, one.after), is_odd(one.call), size(one.call)


def _named_root(difference: Difference, affected: Mapping[str, Affected]) -> str:
    """The changed function that a snippet names, "" for none."""
    text = written(difference.call)
    names = [name for name, one in affected.items() if one.depth == 0]
    return next((name for name in names if name.rpartition(".")[2] in text), "")


def _candidate(
    file: ChangedFile, module: TargetModule, root: str, difference: Difference, why: str
) -> Candidate:
    name = CONTRADICTS if why else CHANGED
    rule = rules()[name]
    before, after = contrast(difference.before, difference.after, difference.call)
    values = (short(_what(difference), _MAX_CALL), before, after, why)
    return Candidate(
        rule=name,
        category=rule.category,
        severity=Severity.WARNING if why else Severity.INFO,
        line=_line(file, module, root),
        message=rule.en.format(*values),
        source=SOURCE,
        detail=_detail(module, difference),
        kind=EvidenceKind.EXECUTION,
        symbol=root.rpartition(".")[2],
        values=values,
    )


def _what(difference: Difference) -> str:
    """The call to read: the one inside where that differs, and what makes it."""
    text = written(difference.call)
    if not difference.within:
        return text
    how = f"as in {text}, but with {difference.varied}" if difference.varied else f"in {text}"
    return f"{short(difference.within, _MAX_CALL // 2)} ({how})"


def _line(file: ChangedFile, module: TargetModule, name: str) -> int:
    """A touched line of the function or assignment, else its first line, else the first line of the change."""
    function = module.every_function.get(name)
    if function is None:
        bound = [node for node in module.tree.body if name in _bound(node)]
        lines = [line for node in bound for line in file.touched if _holds(node, line)]
        return min(lines, default=min(file.touched))
    first, last = first_line(function.node), function.node.end_lineno or function.node.lineno
    return min((line for line in file.touched if first <= line <= last), default=min(file.touched))


def _bound(node: ast.stmt) -> set[str]:
    """The names that an assignment binds."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return set()
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _holds(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _detail(module: TargetModule, difference: Difference) -> str:
    call = difference.call
    folders = [str(module.import_root.relative_to(module.root))] if module.import_root != module.root else []
    path = ":".join([*folders, *_folders_of_tests(call, module)])
    return "\n".join(
        [
            f"before: {_whole(difference.before)}",
            f"after:  {_whole(difference.after)}",
            (
                f"it is called inside this, there with {difference.varied}: "
                if difference.varied
                else "repeat in both versions: "
            )
            + command(
                call,
                module.name,
                module.readable if call.origin == "example" else module.defined,
                path,
                difference.after.wrap,
                seeded=difference.after.drawn,
                draws_bytes=bool(difference.after.bytes_drawn),
                classes=module.imported,
            ),
        ]
    )


def _folders_of_tests(call: Call, module: TargetModule) -> list[str]:
    """The folders of the test modules that a call imports, which a command has to name."""
    imported = {
        line.split()[1].partition(".")[0] for line in call.setup if line.startswith(("import ", "from "))
    }
    return [
        folder
        for folder in test_folders(module.root)
        if any((module.root / folder / f"{name}.py").is_file() for name in imported)
    ]


def contrast(before: Outcome, after: Outcome, call: Call | None = None) -> tuple[str, str]:
    """The two outcomes in few words, at the place where they differ; an argument that ``call`` changes by its name or source."""
    if before.kind != after.kind:
        return _few_words(before), _few_words(after)
    old, new = _whole(before), _whole(after)
    if before.kind != "value" and old != new:
        return around_difference(old, new)
    name = _differing_part(before, after)
    missing = "as it was" if name.startswith(_CHANGED) else "nothing"
    old, new = before.parts.get(name, missing), after.parts.get(name, missing)
    old, new = around_difference(old, new)
    label = "" if name == "result" else f"{_label(name, call)} = "
    if before.kind == "raises":  # the same error in both, and something else is left behind
        label = f"{before.parts['raises']}; {label}"
    return label + old, label + new


def _differing_part(before: Outcome, after: Outcome) -> str:
    """The part to show of two outcomes: the result, or where its text differs by a number alone, such as a length, the shortest of its
    attributes that differ.
    """
    names = ["result", *sorted({*before.parts, *after.parts} - {"result"})]
    differing = [one for one in names if before.parts.get(one) != after.parts.get(one)]
    old, new = (_NUMBER.sub("0", one.parts.get("result", "")) for one in (before, after))
    inside = [
        one for one in differing if one.startswith("result.") and one in before.parts and one in after.parts
    ]
    if "result" in differing and old == new and old.startswith("<") and inside:
        return min(inside, key=lambda one: len(before.parts[one]) + len(after.parts[one]))
    return differing[0] if differing else "result"


def _label(part: str, call: Call | None) -> str:
    """What a part of an outcome is called: an attribute by its name, an argument that was changed by its name or source."""
    name = part.removeprefix("result").removeprefix(_CHANGED).lstrip(".")
    if call is None or not (name[:1] == "_" and name[1:].isdigit()) or int(name[1:]) >= len(call.args):
        return name
    arg = call.args[int(name[1:])]
    return f"the argument {arg.source}" if arg.name.startswith("literal_") else arg.name


def _few_words(outcome: Outcome) -> str:
    return short(_whole(outcome))


def _whole(outcome: Outcome) -> str:
    match outcome.kind:
        case "value":
            rest = "".join(
                f"; {name} = {text}" for name, text in outcome.parts.items() if name not in ("result", "type")
            )
            return short(outcome.parts.get("result", "") + rest, 1500)
        case "raises":
            message = outcome.parts.get("message", "")
            return f"{outcome.parts['raises']}: {message}" if message else outcome.parts["raises"]
        case "timeout":
            return "no end"
        case _:
            return "the interpreter dies"


def contradiction(difference: Difference, where: Affected, module: TargetModule) -> str:
    """What says that the new outcome is not meant, in a few words; "" where nothing does."""
    before, after, expect = difference.before, difference.after, difference.call.expect
    if expect is not None and expect.kind == "value" and before.kind == "value":
        wanted = _value(expect.text)
        if (
            wanted is not None
            and _value(before.parts.get("result", "")) == wanted
            and _value(after.parts.get("result", "")) != wanted
        ):
            return f'the documentation shows "{short(expect.quote)}"'
    if after.kind == "raises" and before.kind == "value":
        error = after.parts["raises"]
        if error in _NEVER_MEANT:
            return f"{error} is never meant"
        if expect is not None and expect.kind in ("value", "shows") and expect.basis == "example":
            return f'the documentation shows "{short(expect.quote)}"'
        if where.depth and after.accident and _is_certain(where.function, difference.call):
            return f"its caller {where.function.qualname} is unchanged"
    if before.kind == after.kind == "value" and where.depth == 0:
        return _against_annotation(before, after, where.function)
    return ""


def _is_certain(function: Function, call: Call) -> bool:
    """Whether the arguments are what the function takes: shown in the documentation, or typed throughout."""
    typed = bool(function.params) and all(one.typed for one in function.params) and not call.setup
    return call.origin in ("example", "near example") or typed


def _against_annotation(before: Outcome, after: Outcome, function: Function) -> str:
    """Whether the old result is of the annotated type and the new one is not, for annotations of plain types."""
    if function.returns is None or after.wrap:
        return ""
    allowed = {part.strip() for part in ast.unparse(function.returns).strip("'\"").split("|")}
    if not allowed <= {"int", "str", "bool", "bytes", "None", "list", "dict", "tuple", "set"}:
        return ""
    old, new = (_kind(one.parts.get("result", "")) for one in (before, after))
    if old in allowed and new and new not in allowed and not (new == "bool" and "int" in allowed):
        return f"it is annotated to return {' | '.join(sorted(allowed))}"
    return ""


def _kind(source: str) -> str:
    try:
        value = literal_value(source)
    except NoLiteral:
        return ""
    return "None" if value is None else type(value).__name__


def _value(source: str) -> object:
    try:
        return ("value", literal_value(source))
    except NoLiteral:
        return None


class Stated:
    """What the change's own tests and documentation state: the statements on its added lines."""

    def __init__(self, files: Iterable[ChangedFile]) -> None:
        self._tests: list[str] = []
        self._documentation: list[str] = []
        for file in files:
            if file.language == "python":
                self._read(file)

    def _read(self, file: ChangedFile) -> None:
        try:
            tree = ast.parse(file.after)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if is_test(file.path):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _touched(file, node):
                    self._tests.append("\n".join(file.lines[first_line(node) - 1 : node.end_lineno]))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                first = node.body[0] if node.body else None
                if (
                    isinstance(first, ast.Expr)
                    and isinstance(first.value, ast.Constant)
                    and _touched(file, first)
                ):
                    self._documentation.append(str(first.value.value))

    def says(self, difference: Difference, name: str) -> bool:
        """Whether the new outcome of what has this name is stated beside it."""
        after = difference.after
        outcome = after.parts.get("raises" if after.kind == "raises" else "result", "")
        forms = {outcome, outcome.replace("'", '"')} if len(outcome) >= _SHORTEST_STATEMENT else set()
        texts = [text for text in (*self._tests, *self._documentation) if name in text]
        call = _squeezed(filled(difference.call))
        for text in texts:
            if any(form in text for form in forms):
                return True
            if call in _squeezed(text) and (outcome in text or difference.before.of_test):
                return True
        return False


def is_of_kind(difference: Difference, meant: Iterable[Difference]) -> bool:
    """Whether a difference is like one that is meant, so that what states that one covers it.

    It is not where a function now raises on purpose and the others give a result, or the other way round, nor where marks come into a
    text or go out of it that do so in none of the others: that something is done to one text says nothing of them.
    """
    meant = list(meant)
    kinds = {(one.before.kind, one.after.kind) for one in meant}
    how_much = rank(difference.before, difference.after)
    if how_much > 1:
        return True
    if (difference.before.kind, difference.after.kind) not in kinds:
        return False
    return how_much == 1 or _marks(difference) <= set().union(*map(_marks, meant))


def _marks(difference: Difference) -> set[tuple[str, bool]]:
    """The characters other than letters, digits and spaces that came into a text, and those that went; of what is no text, none."""
    old, new = (_value(one.parts.get("result", "")) for one in (difference.before, difference.after))
    match old, new:
        case ("value", str(one)), ("value", str(other)):
            counts = Counter(other), Counter(one)
            return {
                (char, at == 0)
                for at, (more, less) in enumerate((counts, counts[::-1]))
                for char in more - less
                if not (char.isalnum() or char.isspace())
            }
        case _:
            return set()


def _name_of(function: Function) -> str:
    """What a function is called by: a special method by its class."""
    return function.owner if function.name.startswith("__") else function.name


def _squeezed(text: str) -> str:
    return "".join(text.split()).replace('"', "'")


def _touched(file: ChangedFile, node: ast.stmt) -> bool:
    return any(node.lineno <= line <= (node.end_lineno or node.lineno) for line in file.added)
