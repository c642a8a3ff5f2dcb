"""What a project's own tests give as inputs: calls that are written in them, calls they make when they run, instances.

Finds the files of tests and puts those first that are about the changed module. What a call is good for is not known here.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec

from kodo.jobs.execution.calls import DEFINITIONS
from kodo.jobs.execution.calls_of_tests import TestSource, calls_of_tests, parsed
from kodo.jobs.execution.changed import Affected
from kodo.jobs.execution.instances_of_tests import instances_of_tests
from kodo.jobs.execution.model import Call
from kodo.jobs.execution.settings_of_tests import settings_of_tests
from kodo.jobs.execution.target import TargetModule
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.import_distance import import_distances
from kodo.jobs.review.languages import is_test
from kodo.jobs.review.trees import Trees

T = TypeVar("T")
MAX_TEST_FILES = 400
MAX_NAMING_FILES = 15
MAX_TEST_CALLS_A_FILE = 120
MAX_TEST_CALLS = 1000
_MAX_TELLING = 40
"""The calls of a file that say a word of the change."""
_FEW_FILES = 5
"""The files of tests that may have a word which still says what they are about."""
_UNRELATED = 100
"""The distance of a file of tests that imports the changed module over no others."""
_LONG_RUNNING = re.compile(r"bench|integration|functional|perf|slow|e2e|fuzz")


def instances(made: Trees, file: ChangedFile, module: TargetModule) -> dict[str, tuple[str, ...]]:
    """How the tests make instances of the module's classes, those that name the module first."""
    classes = module.constructible.keys()
    words = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(classes)))})\(") if classes else None
    if words is None:
        return {}
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in _nearest_files(made.after, file))
    naming = itertools.islice((text for text in texts if words.search(text)), MAX_NAMING_FILES)
    trees = (tree for text in naming if (tree := parsed(text)) is not None)
    return instances_of_tests(trees, classes, module.name.partition(".")[0])


def set_by_tests(
    made: Trees, file: ChangedFile, affected: Mapping[str, Affected]
) -> dict[str, tuple[str, ...]]:
    """What the tests set on objects of what the changed functions and those that lead to them read, as ``.open`` or ``.config['DEBUG']``."""
    nodes = (inner for one in affected.values() for inner in ast.walk(one.function.node))
    names = {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    if not names:
        return {}
    words = re.compile(rf"\.(?:{'|'.join(map(re.escape, sorted(names)))})(?:\[.+\] =|\.update\(| =) ?[^=]")
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in _nearest_files(made.after, file))
    setting = itertools.islice((text for text in texts if words.search(text)), MAX_NAMING_FILES)
    return settings_of_tests(tree for text in setting if (tree := parsed(text)) is not None)


def written_calls(
    made: Trees,
    file: ChangedFile,
    affected: Mapping[str, Affected],
    module: TargetModule,
    touched: Sequence[str] = (),
) -> Iterator[Call]:
    """Calls out of the project's tests: those first that say one of the words on the ``touched`` lines which few files of tests have,
    then those of the changed module.
    """
    words = public_names(affected)
    mention = _mention(words)
    first: list[Iterator[Call]] = []
    others: list[Iterator[Call]] = []
    stem = _stem(file)
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace") for path in _nearest_files(made.after, file)
    }
    rare = _rare(touched, texts.values())
    telling: list[Iterator[Call]] = []
    for path, text in texts.items():
        is_near = (mention and mention.search(text)) or stem in path.stem
        source = TestSource(
            text,
            _package(path, made.after),
            tuple(_conftests(path, made.after)),
            _place(path, made.after, module),
        )
        name = path.relative_to(made.after).as_posix()
        calls = _named(calls_of_tests(source, words), name)
        (first if is_near else others).append(itertools.islice(calls, MAX_TEST_CALLS_A_FILE))
        if rare and rare.search(text):
            saying = (call for call in calls_of_tests(source, words) if _says(call, rare))
            telling.append(itertools.islice(_named(saying, f"{name} "), _MAX_TELLING))
    every = itertools.chain(in_turn(telling), in_turn(first), in_turn(others))
    for number, call in enumerate(itertools.islice(every, MAX_TEST_CALLS)):
        yield msgspec.structs.replace(call, id=number)


def _rare(words: Sequence[str], texts: Collection[str]) -> re.Pattern[str] | None:
    """The words that some of the texts have, but few of them; None for none."""
    lower = [text.lower() for text in texts]
    counts = {word: sum(word.lower() in text for text in lower) for word in words}
    rare = [word for word, count in counts.items() if 0 < count <= _FEW_FILES]
    return re.compile("|".join(map(re.escape, rare)), re.IGNORECASE) if rare else None


def _says(call: Call, words: re.Pattern[str]) -> bool:
    """Whether a call's own statements or arguments have one of the words."""
    own = (line for line in call.setup if not line.startswith(("import ", "from ", *DEFINITIONS)))
    return any(words.search(text) for text in (call.expression, *(arg.source for arg in call.args), *own))


def _named(calls: Iterable[Call], path: str) -> Iterator[Call]:
    """The calls with the file they are from in the place of a function."""
    return (msgspec.structs.replace(call, function=path) for call in calls)


def in_turn(streams: Iterable[Iterator[T]], count: int = 4) -> Iterator[T]:
    """A few items of each stream in turn."""
    left = list(streams)
    while left:
        for stream in list(left):
            items = list(itertools.islice(stream, count))
            yield from items
            if len(items) < count:
                left.remove(stream)


def _package(path: Path, root: Path) -> str:
    """The dotted package of a test file, "" where it lies in none."""
    return ".".join(path.parent.relative_to(root).parts) if (path.parent / "__init__.py").exists() else ""


def _conftests(path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """The text and package of each conftest that pytest would read for a test file, the outermost first."""
    folders = [one for one in (path.parent, *path.parent.parents) if one.is_relative_to(root)]
    for folder in reversed(folders):
        conftest = folder / "conftest.py"
        if conftest.is_file() and conftest != path:
            yield conftest.read_text(encoding="utf-8", errors="replace"), _package(conftest, root)


def _place(path: Path, root: Path, module: TargetModule) -> str:
    """An expression for the path of a test file, from where the module under test was imported."""
    up = len(module.path.relative_to(root.resolve()).parts) - 1
    imported = f"__import__({module.name!r}, fromlist=['_']).__file__"
    return (
        f"str(__import__('pathlib').Path({imported}).parents[{up}] / {path.relative_to(root).as_posix()!r})"
    )


def _test_files(root: Path) -> list[Path]:
    """The Python files of tests below a folder."""
    return [root / name for name in names_of_tests(root)]


@lru_cache(maxsize=4)
def _python_names(root: Path) -> tuple[str, ...]:
    return tuple(
        f"{folder}/{name}"[len(str(root)) + 1 :]
        for folder, _, files in os.walk(root)
        for name in files
        if name.endswith(".py")
    )


def names_of_tests(root: Path) -> tuple[str, ...]:
    """The paths of the Python files of tests below a folder, relative to it."""
    return tuple(name for name in _python_names(root) if is_test(name))


def test_folders(root: Path) -> tuple[str, ...]:
    """The folders of tests that are no packages: pytest puts them on the import path."""
    found = {path.parent for path in _test_files(root) if not (path.parent / "__init__.py").exists()}
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))[:20]


def nearest_tests(made: Trees, file: ChangedFile, affected: Mapping[str, Affected]) -> list[Path]:
    """The files of tests in the version before the change that are worth running for their calls, the nearest first."""
    words, stem = public_names(affected), _stem(file)
    mention = _mention(words)
    distances = import_distances(made.before, _python_names(made.before), file.old_path or file.path)
    rows: list[tuple[bool, bool, int, int, Path]] = []
    for path in _nearest_files(made.before, file):
        if _holds_tests(path):
            text = path.read_text(encoding="utf-8", errors="replace")
            is_far = stem not in path.stem and not (mention and mention.search(text))
            name = path.relative_to(made.before).as_posix()
            distance, tests = (distances.get(name, _UNRELATED), text.count("def test")) if is_far else (0, 0)
            rows.append((is_far, bool(_LONG_RUNNING.search(name)), distance, -tests, path))
    return [row[-1] for row in sorted(rows, key=lambda row: row[:4])]


def _holds_tests(path: Path) -> bool:
    """Whether a file has tests to run, by its name."""
    stem = path.stem
    return stem != "conftest" and (stem.startswith("test") or stem.endswith(("test", "tests")))


def is_alike(call: Call, files: Iterable[ChangedFile], module: str) -> bool:
    """Whether a call that is made in both versions stands on the same files of tests: it imports none that the change
    touched, so that what differs comes from the code under test, which is in ``module``.
    """
    paths = {path for file in files for path in (file.path, file.old_path) if path and is_test(path)}
    names = {name for path in paths for name in _names(path)}
    touched = {name for name in names if not f"{module}.".startswith(f"{name}.")}
    return all(touched.isdisjoint(_imports(line)) for line in call.setup)


def _names(path: str) -> Iterator[str]:
    """The dotted names that a module may be imported by: its folders from any one on."""
    parts = path.removesuffix(".py").removesuffix("/__init__").split("/")
    return (".".join(parts[start:]) for start in range(len(parts)))


@lru_cache(maxsize=4096)
def _imports(line: str) -> frozenset[str]:
    """The modules that a line of Python imports anywhere."""
    return frozenset(name for node in ast.walk(ast.parse(line)) for name in _imported(node))


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports; of ``from a import b`` both ``a`` and ``a.b``, which may be one."""
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
        yield from (f"{node.module}.{one.name}" if node.module else one.name for one in node.names)


def public_names(affected: Mapping[str, Affected]) -> set[str]:
    """The public names of the changed functions and of those that call them."""
    near = [name for name, one in affected.items() if one.depth <= 1]
    return {part for name in near for part in name.split(".") if not part.startswith("_")}


def _mention(words: Collection[str]) -> re.Pattern[str] | None:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b") if words else None


def _stem(file: ChangedFile) -> str:
    return file.path.rpartition("/")[2].removesuffix(".py").strip("_")


def _nearest_files(root: Path, file: ChangedFile) -> list[Path]:
    """The files of tests, those first that are named like the changed file."""
    stem = _stem(file)

    def distance(path: Path) -> tuple[bool, bool, str]:
        name = path.relative_to(root).as_posix()
        return stem not in path.stem, bool(_LONG_RUNNING.search(name)), name

    return sorted(_test_files(root), key=distance)[:MAX_TEST_FILES]
