"""The writers of tests that are scored: kodo with a model and without, and Hypothesis's ghostwriter.

Each gets one module's text and nothing else: not the other version, not the oracle. Knows no score.
"""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from bench.scorecard import ghostwriter
from bench.scorecard.results import JOBS, SCORECARD, code_of, digest
from kodo.jobs.testgen import Options, TestgenError, testgen
from kodo.sandbox import Sandbox

if TYPE_CHECKING:
    from kodo.client.session import Session


_YARDSTICK = tuple(
    SCORECARD / name
    for name in ("contestants.py", "testing.py", "suites.py", "mutants.py", "inside/suites.py")
)


class WrittenSuite(msgspec.Struct, frozen=True):
    """What a writer made of one version of one module."""

    suite: str = ""
    """A pytest file; empty where nothing was written."""
    suspects: tuple[str, ...] = ()
    """Test functions, each of which says: this may be a bug."""
    marked: frozenset[str] = frozenset()
    """Names of tests in the suite that are marked as read off the code."""
    funnel: dict[str, int] = {}
    error: str = ""


class SuiteWriter(Protocol):
    """One contestant."""

    @property
    def session(self) -> Session | None:
        """The way to the model it asks; None where it asks none."""

    accuses_by_failing: bool
    """Whether a failing test of its suite is how it says that something is wrong, there being no other way."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def version(self) -> str:
        """Differs where its options or its code, or the yardstick's, differ."""

    def write(self, filename: str, source: str) -> WrittenSuite:
        """Tests for one module."""


class KodoWriter:
    """kodo's own test generation; without a session, the same pipeline without the model."""

    accuses_by_failing = False

    def __init__(self, name: str, session: Session | None, options: Options, sandbox: Sandbox) -> None:
        self.name = name
        self.session = session
        self._options = options
        self._sandbox = sandbox
        where = (session.settings.base_url or "local") if session else ""
        self.version = digest(repr(options), where, code_of(JOBS / "testgen", *_YARDSTICK))

    def write(self, filename: str, source: str) -> WrittenSuite:
        """Generate tests for the module in a folder of its own."""
        with tempfile.TemporaryDirectory(prefix="kodo-scorecard-") as folder:
            Path(folder).chmod(0o755)  # the sandbox reads it as nobody
            path = Path(folder) / filename
            path.write_text(source, encoding="utf-8")
            try:
                report = testgen(path, self._options, self.session, self._sandbox)
            except TestgenError as error:
                return WrittenSuite(error=str(error))
        return WrittenSuite(
            report.text,
            tuple(suspect.source for suspect in report.suspects),
            frozenset(test.name for test in report.kept if test.characterisation),
            msgspec.structs.asdict(report.funnel),
        )


class Ghostwriter:
    """Hypothesis's ghostwriter, `hypothesis write MODULE`."""

    name = "Hypothesis ghostwriter"
    accuses_by_failing = True

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.session = None
        self.version = code_of(SCORECARD / "ghostwriter.py", *_YARDSTICK)

    def write(self, filename: str, source: str) -> WrittenSuite:
        """The ghostwriter's file; an error where it has nothing to say."""
        try:
            return WrittenSuite(ghostwriter.write(self._sandbox, filename, source))
        except ghostwriter.GhostwriterError as error:
            return WrittenSuite(error=str(error))


def suspects_suite(filename: str, source: str, suspects: tuple[str, ...]) -> str:
    """The accusing tests as one pytest file, each under a name of its own, with everything the module defines at hand."""
    module = filename.removesuffix(".py")
    names = sorted(_defined(ast.parse(source)))
    head = (
        "import asyncio, collections, contextlib, datetime, decimal, io, math, pathlib, re\nimport pytest\n"
    )
    head += f"import {module}\n"
    head += f"from {module} import {', '.join(names)}\n" if names else ""
    tests = [
        re.sub(r"^(async )?def test\w*", f"def test_suspect_{i}", text, count=1, flags=re.MULTILINE)
        for i, text in enumerate(suspects)
    ]
    return "\n\n\n".join([head, *tests]) + "\n"


def _defined(tree: ast.Module) -> set[str]:
    """The names that the module defines at its top level."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
