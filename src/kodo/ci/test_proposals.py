"""Tests for the Python files of a change, when somebody with write access asked for them (``/kodo tests``).

The files are laid out apart, as they are after the change; generated tests run in the sandbox, and only what passed is
returned. Needs the extra ``tests``.
"""

from __future__ import annotations

from dataclasses import dataclass

from kodo.jobs.review import reading
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.reading import SourceError
from kodo.jobs.review.runnable import can_run
from kodo.jobs.review.source import BaseSource
from kodo.jobs.review.trees import TreeError, Trees, trees
from kodo.sandbox import SandboxError

MAX_FILES = 3
MAX_CHARACTERS = 40_000
"""Of the tests; a file whose tests do not fit is left out with a note."""
_MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class TestProposal:
    """Tests as the text of one file (empty for none), and what could not be done."""

    __test__ = False  # the name starts with Test; pytest is not to collect it

    text: str
    notes: tuple[str, ...]


def propose_tests(source: BaseSource) -> TestProposal:
    """Tests for the changed and new Python files of ``source``, at most three. Never raises for what it is given."""
    try:
        material = reading.read(source, _MAX_FILE_BYTES)
        files = [file for file in material.files if _is_testable(file)]
        notes = [f"{file.path}: more than {MAX_FILES} files" for file in files[MAX_FILES:]]
        parts: list[str] = []
        with trees(material) as made:
            for file in files[:MAX_FILES]:
                text, note = _tests_of(file, made)
                notes += [note] if note else []
                if sum(map(len, parts)) + len(text) > MAX_CHARACTERS:
                    notes.append(f"{file.path}: its tests are longer than {MAX_CHARACTERS} characters")
                elif text:
                    parts.append(f"# {file.path}\n{text}")
    except (SourceError, TreeError) as error:
        return TestProposal("", (str(error),))
    if not files:
        notes.append("no Python file that could be tested was changed")
    return TestProposal("\n".join(parts), tuple(notes))


def _is_testable(file: ChangedFile) -> bool:
    new = (
        file.language == "python"
        and file.before is None
        and file.path.endswith(".py")
        and not is_test(file.path)
    )
    return new or can_run(file)


def _tests_of(file: ChangedFile, made: Trees) -> tuple[str, str]:
    """The tests of one file, or the reason why there are none."""
    try:
        from kodo.jobs.testgen.job import testgen  # here: the extra "tests" may not be installed
        from kodo.jobs.testgen.model import Options, TestgenError
    except ModuleNotFoundError as error:
        return "", f"the extra 'tests' is not installed ({error.name})"
    try:
        report = testgen(made.after / file.path, Options(inputs=120, rounds=1, mutants=60, kill_seconds=20.0))
    except (TestgenError, SandboxError) as error:
        return "", f"{file.path}: {error}"
    return report.text, "" if report.text else f"{file.path}: no test could be kept"
