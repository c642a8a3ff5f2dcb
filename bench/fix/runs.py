"""One run of ``kodo fix`` over one fault, and what came of it, judged by the hidden test.

The command runs in a process that is forked from one in which everything is imported: it is the same code as the
installed command's, without the second that the imports take.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.fix.faults import Fault
from bench.fix.models import SECRET, Model, reply
from bench.fix.projects import hidden_passes, make_project, outside_of, touched
from kodo.cli.main import run as run_kodo
from kodo.client.testing import FakeResponses
from kodo.jobs.fix import FixReport
from kodo.sandbox import Sandbox

_NEEDED = (
    "kodo.cli.fix", "kodo.cli.context", "kodo.cli.failures", "kodo.jobs.generate.job", "openai.resources.responses", "openai.types.responses", "aiohttp"
)  # fmt: skip  # one row
PYTHON = [sys.executable, "-m", "kodo"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run. ``error`` is the last line of standard error where there was no report.

    ``leaked``: the secret was in a request; ``changed``: something besides the run's own folder is other than before.
    """

    model: str
    kind: str
    fault: str
    mode: str
    verdict: str = "error"
    solved: bool = False
    leaked: bool = False
    changed: bool = False
    seconds: float = 0.0
    steps: int = 0
    cost: float = 0.0
    reasons: tuple[str, ...] = ()
    error: str = ""

    @property
    def false_proof(self) -> bool:
        """Whether it was called proven and the hidden test fails."""
        return self.verdict == "proven" and not self.solved


def preload() -> None:
    """Do once what every fix of this bench would do again: import, and find and prove the sandbox of this machine."""
    for name in _NEEDED:
        importlib.import_module(name)
    sandbox = Sandbox()
    for name in ("_chosen", "_isolation"):  # cached properties: from here on of all sandboxes
        setattr(Sandbox, name, getattr(sandbox, name))


def arguments(fault: Fault, mode: str, report: Path, *more: str) -> list[str]:
    """The command line of one fix, after the name of the program."""
    what = [fault.issue] if mode == "issue" else ["--test", f"tests/test_{fault.name}.py::test_fault"]
    return ["fix", *what, "--format", f"json={report}", "--test-seconds", "300", *more]


def run_one(
    model: Model | None, fault: Fault, mode: str, base_url: str = "", more: Sequence[str] = ()
) -> Row:
    """One fix of one fault; ``model`` None for a real one behind ``base_url``."""
    with tempfile.TemporaryDirectory(prefix="kodo-fix-bench-") as name:
        folder = Path(name)
        root = make_project(fault, folder, with_failing=mode == "test")
        report, errors = folder / "report.json", folder / "errors.txt"
        started = time.monotonic()
        with _forked(arguments(fault, mode, report, *more), root, folder, errors) as go:
            if model is None:
                go(base_url)
                said = ""
            else:
                with FakeResponses(lambda seen: reply(model, fault, seen)) as server:
                    go(server.base_url)
                said = str([seen.body for seen in server.requests])
        row = Row(
            model.name if model else "real", fault.kind, fault.name, mode, leaked=SECRET in said,
            changed=bool(touched(root)) or bool(outside_of(folder)), seconds=round(time.monotonic() - started, 2),
        )  # fmt: skip  # one row
        if not report.exists():
            last = (errors.read_text().strip().splitlines() or ["no report"])[-1]
            return _with(row, error=last)
        found = msgspec.json.decode(report.read_bytes(), type=FixReport)
        work = found.work
        return _with(
            row,
            verdict=str(found.verdict),
            solved=bool(found.patch) and hidden_passes(fault, root, found.patch, folder),
            steps=work.steps if work else 0,
            cost=float(work.cost) if work else 0.0,
            reasons=found.reasons,
        )


def _with(row: Row, **changes: object) -> Row:
    return msgspec.convert({**msgspec.to_builtins(row), **changes}, Row)


def environment(folder: Path, base_url: str) -> dict[str, str]:
    """What the command sees: a home of its own, the secret in a variable and in the user's folder."""
    here = {key: value for key, value in os.environ.items() if not key.startswith(("KODO_", "OPENAI_"))}
    return here | {
        "KODO_HOME": str(folder / "home"),
        "KODO_BASE_URL": base_url,
        "KODO_LANG": "en",
        "HOME": str(folder / "user"),
        "DEPLOY_TOKEN": SECRET,
    }


@contextmanager
def _forked(argv: Sequence[str], root: Path, folder: Path, errors: Path) -> Iterator[Callable[[str], None]]:
    """A child that waits for the address of its model; the function starts it and waits for its end.

    It is forked before the model's server has a thread.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        _run_child(argv, root, folder, errors, reader)
    os.close(reader)

    def go(base_url: str) -> None:
        os.write(writer, base_url.encode())
        os.close(writer)
        os.waitpid(child, 0)

    yield go


def _run_child(argv: Sequence[str], root: Path, folder: Path, errors: Path, reader: int) -> None:
    """Run the command and end; never returns."""
    status = 1
    try:
        base_url = os.read(reader, 4096).decode()
        output = os.open(errors, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.chdir(root)
        os.environ.clear()
        os.environ.update(environment(folder, base_url))
        status = run_kodo(list(argv))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - a forked child must end here, whatever it was
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(int(status))


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; none where there is no file."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines()]


def row_line(row: Row) -> bytes:
    """One line of a file of rows."""
    return msgspec.json.encode(row) + b"\n"


def keyed(rows: Sequence[Row]) -> Mapping[tuple[str, str, str], Row]:
    """The rows by model, fault and mode."""
    return {(row.model, row.fault, row.mode): row for row in rows}
