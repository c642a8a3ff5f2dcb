"""The fixtures of pytest that a call may name in its setup and arguments, made for one call and undone after it; and ``mock``,
the module of the standard library for mocks, which few calls need and whose import takes long.
"""

import functools
import importlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from kodo.jobs.execution.model import Call

FIXTURES = ("monkeypatch", "tmp_path")
"""Those that generated calls use."""
TEST_FIXTURES = ("capsys", *FIXTURES, "tmpdir")
"""Those that calls out of a project's tests may name."""
MOCK = "mock"
_MOCK_MODULE = "unittest.mock"
_FIXTURE = re.compile(rf"\b(?:{'|'.join(TEST_FIXTURES)})\b")
_OWN = re.compile(r"\bmock\.(?:MagicMock|AsyncMock|ANY)\b")


def needed(call: Call) -> tuple[str, ...]:
    """The fixtures that a call names, sorted."""
    return _named("\n".join((call.expression, *call.setup, *(arg.source for arg in call.args))))


@functools.lru_cache(maxsize=20_000)
def _named(text: str) -> tuple[str, ...]:
    found = set(_FIXTURE.findall(text))
    return (*sorted(found), MOCK) if _OWN.search(text) else tuple(sorted(found))


def preload(calls: Sequence[Call], source: str = "") -> None:
    """Import what calls of a module with this source need, once, before the children are forked that make them."""
    if any({"monkeypatch", "tmpdir"}.intersection(needed(call)) for call in calls):
        importlib.import_module("pytest")
    if any(MOCK in needed(call) for call in calls):
        importlib.import_module(_MOCK_MODULE)
    if any(call.expect is not None and call.expect.kind in ("shows", "prints") for call in calls):
        importlib.import_module("doctest")
    if "async " in source:
        importlib.import_module("asyncio.runners")


class _Captured:
    """What was printed so far, as pytest's ``capsys`` gives it; standard error is not kept."""

    def readouterr(self) -> "_Output":
        """The output since the last time."""
        text = sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""
        if isinstance(sys.stdout, io.StringIO):
            sys.stdout.seek(0)
            sys.stdout.truncate()
        return _Output(text, "")


class _Output(NamedTuple):
    """Output and errors, as texts."""

    out: str
    err: str


@contextmanager
def fixtures(call: Call) -> Iterator[dict[str, object]]:
    """The fixtures of a call by name, for the time of the block."""
    with ExitStack() as stack:
        yield {name: _make(name, stack) for name in needed(call)}


def _make(name: str, stack: ExitStack) -> object:
    if name == MOCK:
        return importlib.import_module(_MOCK_MODULE)
    if name == "capsys":
        return _Captured()
    if name in ("tmp_path", "tmpdir"):
        folder = Path(tempfile.mkdtemp(prefix="files-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder if name == "tmp_path" else importlib.import_module("py").path.local(str(folder))
    import pytest  # here, because a worker that needs no fixture does not wait for it

    patch = pytest.MonkeyPatch()
    stack.callback(patch.undo)
    return patch


def written_files(folder: Path) -> dict[str, str]:
    """Expression over ``tmp_path`` -> source: the names of the files in it, and the text of each small one."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())[:_MAX_FILES]
    out = {
        "sorted(path.name for path in tmp_path.rglob('*') if path.is_file())": repr(
            sorted(path.name for path in paths)
        )
    }
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if len(text) <= _MAX_TEXT:
            out[f"(tmp_path / {str(path.relative_to(folder))!r}).read_text(encoding='utf-8')"] = repr(text)
    return out


_MAX_FILES = 5
_MAX_TEXT = 1000
