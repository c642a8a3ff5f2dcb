"""A function before and after the change, and what the two have in common.

Statements are compared by their unparsed text, so that spacing, comments and brackets do not matter.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile, Removal
from kodo.jobs.review.checks.catalogue import report_line
from kodo.jobs.review.python import Function, ParsedModule, first_line, own_nodes

MIN_NEW_STATEMENTS = 3
MAX_NEW_SHARE = 0.6


@dataclass(frozen=True)
class ChangeLines:
    """The lines of a whole change, which its functions are compared with: what was moved is not gone."""

    files: Sequence[ChangedFile]

    @cached_property
    def added(self) -> Counter[str]:
        """How often the change added each line, without its indentation."""
        return Counter(
            file.lines[line - 1].strip()
            for file in self.files
            for line in file.added
            if line <= len(file.lines)
        )


@dataclass(frozen=True)
class DefinitionPair:
    """One function in both states (same qualified name); only functions that the change touched are paired.

    ``change`` is all that was changed.
    """

    file: ChangedFile
    name: str
    new_module: ParsedModule
    old: Function
    new: Function
    change: ChangeLines

    @cached_property
    def old_nodes(self) -> list[ast.AST]:
        """The nodes of the old body, inner functions left out."""
        return list(own_nodes(self.old))

    @cached_property
    def new_nodes(self) -> list[ast.AST]:
        """The nodes of the new body, inner functions left out."""
        return list(own_nodes(self.new))

    @cached_property
    def new_text(self) -> str:
        """The new function, unparsed."""
        return ast.unparse(self.new)

    @cached_property
    def removals(self) -> tuple[Removal, ...]:
        """What was taken out of this function, by old line."""
        start, end = first_line(self.old), self.old.end_lineno or self.old.lineno
        return self.file.removed_between(start, end)

    @cached_property
    def documented(self) -> bool:
        """Whether the docstring changed too: then a change of behaviour is meant."""
        return ast.get_docstring(self.old) != ast.get_docstring(self.new)

    @cached_property
    def rewritten(self) -> bool:
        """Whether most of the new statements are new: such a function says little by what it lost."""
        new = Counter(_simple(self.new_nodes))
        added = (new - Counter(_simple(self.old_nodes))).total()
        return added >= MIN_NEW_STATEMENTS and added > MAX_NEW_SHARE * new.total()

    def gone(self, node: ast.AST) -> bool:
        """Whether the first line of an old node was removed or altered."""
        line: int = node.lineno  # type: ignore[attr-defined]  # only nodes with a place are given
        return any(
            removal.old_line <= line < removal.old_line + len(removal.lines) for removal in self.removals
        )

    def anchor(self, node: ast.AST) -> int | None:
        """The touched line that stands where an old node was, inside the new function."""
        line: int = node.lineno  # type: ignore[attr-defined]  # same
        start, end = first_line(self.new), self.new.end_lineno or self.new.lineno
        for removal in self.removals:
            if removal.old_line <= line < removal.old_line + len(removal.lines):
                touched = [number for number in self.file.touched if start <= number <= end]
                if not touched:
                    return None
                wanted = min(removal.anchor + line - removal.old_line, end)
                if wanted in touched:
                    return wanted
                return min(touched, key=lambda number: abs(number - removal.anchor))
        return None

    @cached_property
    def added_here(self) -> Counter[str]:
        """How often the change added each line to this function, without its indentation."""
        start, end = first_line(self.new), self.new.end_lineno or self.new.lineno
        lines = self.file.lines
        return Counter(
            lines[line - 1].strip()
            for line in self.file.touched_between(start, min(end, len(lines)))
            if line in self.file.added
        )

    def moved(self, node: ast.AST) -> bool:
        """Whether the first line of an old node stands in another function or file of the change now."""
        line: int = node.lineno  # type: ignore[attr-defined]  # same
        text = self.file.lines_before[line - 1].strip()
        return self.change.added[text] > self.added_here[text]

    def lost(self, node: ast.AST, name: str, *values: str) -> Iterator[Candidate]:
        """A candidate where an old node was, if that place is in the change and the node was not moved."""
        line = self.anchor(node)
        if line is not None and not self.moved(node):
            yield report_line(line, name, *values)


def changed_definitions(
    file: ChangedFile, before: ParsedModule, after: ParsedModule, change: ChangeLines
) -> Iterator[DefinitionPair]:
    """The functions that are in both states and that the change touched."""
    for name, new in after.functions.items():
        old = before.functions.get(name)
        near = file.touches(
            first_line(new), (new.end_lineno or new.lineno) + 1
        )  # a last line that went is after it
        if old is not None and near and ast.dump(old) != ast.dump(new):
            yield DefinitionPair(file, name, after, old, new, change)


def _simple(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            yield ast.unparse(node)
        elif isinstance(node, (ast.If, ast.While)):
            yield ast.unparse(node.test)
