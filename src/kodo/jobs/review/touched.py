"""What a change touched of a file: its lines in both versions, their texts, and the names on them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from kodo.jobs.execution.changed_lines import visited_lines
from kodo.jobs.execution.relevant_options import compared_values, relevant_names
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.review.changes import ChangedFile

_SHORTEST_WORD, _LONGEST_WORD = 3, 40
"""The lengths of words by which tests are looked for."""


def touched_in(
    file: ChangedFile, before: TargetModule, after: TargetModule, functions: Iterable[str]
) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """The lines of each function that the change touched, before it and after it."""
    removed = _removed_lines(file)
    return {
        name: (visited_lines(before, name, removed), visited_lines(after, name, file.added))
        for name in functions
    }


def touched_names(file: ChangedFile, before: TargetModule, after: TargetModule) -> tuple[str, ...]:
    """The names that the change is about, those of the version after it first."""
    names = (*relevant_names(after, file.added), *relevant_names(before, _removed_lines(file)))
    return tuple(dict.fromkeys(names))


def touched_words(file: ChangedFile, before: TargetModule, after: TargetModule) -> tuple[str, ...]:
    """The texts on the lines that the change touched, then the names there: what tests that are about them say."""
    rows = ((after, file.added), (before, _removed_lines(file)))
    texts = [text for module, lines in rows for text in _texts(module, lines)]
    words = (*texts, *touched_names(file, before, after))
    return tuple(dict.fromkeys(word for word in words if len(word) >= _SHORTEST_WORD))


def _texts(module: TargetModule, lines: Collection[int]) -> Iterator[str]:
    """The literals of some lines that have a letter, but for long ones."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.lineno in lines:
            text = node.value.strip()
            if len(text) <= _LONGEST_WORD and any(map(str.isalpha, text)):
                yield text


def touched_comparisons(
    file: ChangedFile, before: TargetModule, after: TargetModule
) -> dict[str, tuple[str, ...]]:
    """What names are compared with where the change is, in either version, as sources by name."""
    new, old = compared_values(after, file.added), compared_values(before, _removed_lines(file))
    return {name: tuple(dict.fromkeys((*new.get(name, ()), *old.get(name, ())))) for name in {**new, **old}}


def touched_texts(file: ChangedFile) -> list[str]:
    """The text of the lines that the change added or took away."""
    return [
        *(file.lines[line - 1] for line in sorted(file.added) if line <= len(file.lines)),
        *(line for removal in file.removals for line in removal.lines),
    ]


def _removed_lines(file: ChangedFile) -> set[int]:
    """The lines of the version before the change that it took away."""
    return {removal.old_line + at for removal in file.removals for at in range(len(removal.lines))}
