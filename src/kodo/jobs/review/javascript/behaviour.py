"""Run a changed JavaScript or TypeScript module in both versions with node, in the sandbox, and say what differs.

Knows how node is started and what its rows mean; inputs come from ``inputs``, types are taken out in ``types``.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kodo.jobs.execution.sandboxed import GRACE
from kodo.jobs.execution.worker.jobs import AFTER, BEFORE
from kodo.jobs.report.model import EvidenceKind, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.checks.catalogue import rules
from kodo.jobs.review.excerpts import around_difference, short
from kodo.jobs.review.javascript.inputs import JsCall, calls_in_tests, inputs
from kodo.jobs.review.javascript.types import TypesError, without_types
from kodo.jobs.review.languages import is_test, language_of
from kodo.jobs.review.trees import Trees
from kodo.sandbox import FILES, PROJECT, ResourceLimits, Sandbox, SandboxError

LANGUAGES = ("javascript", "typescript", "tsx")
RULE = "kodo/behaviour-changed"
SOURCE = "both versions"
INPUTS, CALLER_INPUTS = 220, 80
MAX_TEST_FILES, MAX_FUNCTIONS, MAX_TYPED_FILES = 200, 24, 2000
CALL_SECONDS, START_SECONDS = 1.0, 8.0
_GIB = 1024**3
_ACCIDENTS = frozenset({"TypeError", "ReferenceError", "RangeError"})
_NOT_OURS = frozenset({"node_modules", "dist", "build", ".git"})
_ODD, _ODDNESS = frozenset({"-0", "NaN", "undefined", "null", "Infinity"}), 8
"""Arguments that show a difference less well than plain ones, and how many letters a plain one may be longer."""


class Row(msgspec.Struct, frozen=True):
    """What one call did: ``kind`` value, throws, no end or died; ``changed`` holds the arguments that it changed."""

    at: int
    kind: str
    text: str
    error: str = ""
    changed: tuple[str | None, ...] = ()

    def tells(self, other: Row) -> bool:
        """Whether another outcome of the same call is a difference; two accidents of made-up values are none."""
        if (self.kind, self.text, self.changed) == (other.kind, other.text, other.changed):
            return False
        both = self.kind == other.kind == "throws"
        return not (both and self.error in _ACCIDENTS and other.error in _ACCIDENTS)

    def rank(self, other: Row) -> int:
        """How little a difference says."""
        if self.kind == other.kind == "value":
            return 0
        return 2 if {self.error, other.error} & _ACCIDENTS else 1


@dataclass
class NodeRun:
    """Candidates of one file, and what was run."""

    candidates: list[Candidate] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    inputs: int = 0
    differences: int = 0
    unstable: int = 0
    not_run: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The rows of both versions by the number of the call, and the texts of their functions."""

    rows: tuple[dict[int, Row], dict[int, Row]]
    functions: tuple[dict[str, str], dict[str, str]]
    failed: str = ""


def find_node() -> Path | None:
    """The node program, where there is one outside of the project."""
    found = shutil.which("node", path="/usr/bin:/bin:/usr/local/bin")
    return Path(found) if found else None


def can_run(file: ChangedFile) -> bool:
    """Whether a file is JavaScript or TypeScript that is no test and is there in both versions."""
    return (
        file.language in LANGUAGES
        and file.before is not None
        and file.complete
        and not file.whole
        and not file.path.endswith((".jsx", ".d.ts"))
        and not is_test(file.path)
    )


def compare(file: ChangedFile, made: Trees, root: Path | None, end: float) -> NodeRun:
    """Run one module's functions in both versions until the monotonic time ``end``.

    Never raises for what it is given: what cannot be run is in ``not_run`` with the reason.
    """
    found = NodeRun()
    node = find_node()
    if node is None:
        found.not_run.append(f"{file.path}: node is not installed")
        return found
    try:
        _Compare(file, made, root, node, end, found).run()
    except (SandboxError, TypesError, msgspec.DecodeError) as error:
        found.not_run.append(f"{file.path}: {error}")
    return found


@dataclass
class _Compare:
    file: ChangedFile
    made: Trees
    root: Path | None
    node: Path
    end: float
    found: NodeRun

    def run(self) -> None:
        """Read the functions of both versions, then call those that changed and those that name them."""
        paths = self._modules()
        first, _ = self._node(paths, ())
        if first.failed:
            self.found.not_run.append(f"{self.file.path}: {first.failed}")
            return
        before, after = first.functions
        changed = [name for name in after if name in before and after[name] != before[name]]
        callers = _callers(self.file, before, after, changed)
        calls = self._calls(before, after, changed, callers)
        if not calls:
            return
        one, again = self._node(paths, calls)
        self._judge(calls, one, again)

    def _modules(self) -> tuple[str, str]:
        """The module in both versions below the project; files with types are written without them first."""
        names = (self.file.old_path or self.file.path, self.file.path)
        for tree in (self.made.before, self.made.after):
            _write_plain(tree)
        if self.file.language == "javascript":
            return f"{BEFORE}/{names[0]}", f"{AFTER}/{names[1]}"
        plain = [_plain_name(name) for name in names]
        for tree, name in zip((self.made.before, self.made.after), plain, strict=True):
            if not (tree / name).exists():
                raise TypesError("its types cannot be taken out")
        return f"{BEFORE}/{plain[0]}", f"{AFTER}/{plain[1]}"

    def _node(self, paths: tuple[str, str], calls: Sequence[JsCall]) -> tuple[_Sides, _Sides]:
        """The rows of all calls, made twice.

        Raises:
            SandboxError: no time is left, or node ended early.
        """
        modules = self._installed()
        left = self.end - time.monotonic()
        if left <= 0:
            raise SandboxError("the budget of seconds was used up")
        seconds = left if calls else min(left, START_SECONDS)
        job = {
            "modules": {"before": f"{PROJECT}/{paths[0]}", "after": f"{PROJECT}/{paths[1]}"},
            "roots": {"before": f"{PROJECT}/{BEFORE}", "after": f"{PROJECT}/{AFTER}"},
            "calls": calls,
            "until": (time.time() + seconds) * 1000,
            "seconds": CALL_SECONDS,
            "start": START_SECONDS,
        }
        text = msgspec.json.encode(job).decode().replace(PROJECT, "/project")
        sandbox = Sandbox(
            readable=(self.node.resolve().parent.parent, *modules)
            if not str(self.node.resolve()).startswith("/usr/")
            else modules
        )
        here = Path(__file__).parent
        result = sandbox.run(
            [str(self.node), "--no-warnings", "--max-old-space-size=512", f"{FILES}/compare.mjs", f"{FILES}/job.json"],
            project=self.made.folder,
            files={"job.json": text, **{name: (here / name).read_text() for name in ("compare.mjs", "side.mjs", "hooks.mjs")}},
            limits=ResourceLimits(
                wall_seconds=seconds + GRACE, cpu_seconds=int(seconds + GRACE) + 1,
                memory_bytes=64 * _GIB, output_bytes=_GIB // 16,
            ),
        )  # fmt: skip
        if not result.stdout.endswith("\n"):
            said = (result.stderr.strip() or f"status {result.status}").splitlines()[-1]
            raise SandboxError(f"node ended early: {said}")
        answer = msgspec.json.decode(result.stdout, type=dict[str, list[dict[str, object]]])
        return _sides(answer["first"]), _sides(answer["again"])

    def _installed(self) -> tuple[Path, ...]:
        """The project's installed packages, which are put where imports look for them."""
        place = self.root / "node_modules" if self.root is not None else None
        if place is None or not place.is_dir():
            return ()
        link = self.made.folder / "node_modules"
        if not link.exists():
            link.symlink_to(place.resolve())
        return (place.resolve(),)

    def _calls(
        self,
        before: Mapping[str, str],
        after: Mapping[str, str],
        changed: Sequence[str],
        callers: Sequence[str],
    ) -> list[JsCall]:
        wanted = [*changed, *callers][:MAX_FUNCTIONS]
        seeds = self._seeds({name.rpartition(".")[2]: name for name in wanted})
        out: list[JsCall] = []
        for name in wanted:
            count = INPUTS if name in changed else CALLER_INPUTS
            out += inputs(name, (after[name], before[name]), seeds.get(name, ()), count)
        return out

    def _seeds(self, by_last: Mapping[str, str]) -> dict[str, list[tuple[str, ...]]]:
        found: dict[str, list[tuple[str, ...]]] = {}
        for path in _test_paths(self.made.after)[:MAX_TEST_FILES]:
            text = path.read_text(encoding="utf-8", errors="replace")
            if any(name in text for name in by_last):
                for name, args in calls_in_tests(text, language_of(path.name)):
                    if name in by_last:
                        found.setdefault(by_last[name], []).append(args)
        return found

    def _judge(self, calls: Sequence[JsCall], one: _Sides, again: _Sides) -> None:
        best: dict[str, tuple[tuple[int, int], int]] = {}
        for at, (name, args) in enumerate(calls):
            before, after = one.rows[0].get(at), one.rows[1].get(at)
            if before is None or after is None:
                continue
            self.found.inputs += 1
            self.found.functions.append(f"{self.file.path}: {name}")
            if not before.tells(after):
                continue
            if at not in again.rows[0] or at not in again.rows[1]:
                self._note_out_of_time()
                continue
            if (again.rows[0][at], again.rows[1][at]) != (before, after):
                self.found.unstable += 1
                continue
            self.found.differences += 1
            key = (before.rank(after), sum(len(arg) + _ODDNESS * (arg in _ODD) for arg in args))
            if name not in best or key < best[name][0]:
                best[name] = (key, at)
        said: set[tuple[str, str]] = set()
        for name, (_, at) in best.items():
            shown = (one.rows[0][at].text, one.rows[1][at].text)
            if shown not in said:
                said.add(shown)
                rows = (one.rows[0][at], one.rows[1][at])
                line = self._line(one.functions[1].get(name, ""))
                self.found.candidates.append(self._candidate(name, calls[at][1], *rows, line))

    def _note_out_of_time(self) -> None:
        reason = f"{self.file.path}: the budget ran out before a difference was seen again"
        if reason not in self.found.not_run:
            self.found.not_run.append(reason)

    def _line(self, function: str) -> int:
        """The first touched line of a function, whose text is ``function`` without types; else of the change."""
        text = self.file.after
        if self.file.language != "javascript":
            text = without_types(text, tsx=self.file.language == "tsx")
        start = text.find(function) if function else -1
        if start < 0:
            return min(self.file.touched)
        first = text.count("\n", 0, start) + 1
        last = first + function.count("\n")
        return min(
            (line for line in self.file.touched if first <= line <= last), default=min(self.file.touched)
        )

    def _candidate(self, name: str, args: Sequence[str], before: Row, after: Row, line: int) -> Candidate:
        rule = rules()[RULE]
        call = f"{name}({', '.join(args)})"
        old, new = _contrast(before, after)
        values = (short(call, 300), old, new, "")
        exported = re.sub(r"^new |\(\)?\..*$|\..*$", "", name)
        script = f"import('./{self.file.path}').then((m) => console.log(m.{call.replace('new ', '', 1)}))"
        if name.startswith("new "):
            script = f"import('./{self.file.path}').then((m) => console.log((new m.{exported}()).{call.partition(').')[2]}))"
        return Candidate(
            rule=RULE,
            category=rule.category,
            severity=Severity.INFO,
            line=line,
            message=rule.en.format(*values),
            source=SOURCE,
            detail=f"before: {before.text}\nafter:  {after.text}\nrepeat in both versions: node -e {_quoted(script)}",
            kind=EvidenceKind.EXECUTION,
            symbol=name.rpartition(".")[2],
            values=values,
        )


def _quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def _callers(
    file: ChangedFile, before: Mapping[str, str], after: Mapping[str, str], changed: Sequence[str]
) -> list[str]:
    """The functions that name something on a changed line, or a changed function; of a change that names none, all."""
    lines = [file.lines[line - 1] for line in sorted(file.added) if line <= len(file.lines)]
    lines += [line for removal in file.removals for line in removal.lines]
    names = {name.rpartition(".")[2] for name in changed}
    names |= set(re.findall(r"(?:function\s*\*?|const|let|var|class)\s+([\w$]+)", "\n".join(lines)))
    both = [name for name in after if name in before and name not in changed]
    naming = [name for name in both if names & set(re.findall(r"[\w$]+", after[name]))]
    return naming or ([] if changed else both)


def _sides(answer: Sequence[dict[str, object]]) -> _Sides:
    rows: list[dict[int, Row]] = []
    functions: list[dict[str, str]] = []
    failed = ""
    for side in answer:
        head = msgspec.convert(side.get("head", {}), type=dict[str, object])
        failed = failed or str(head.get("failed", "" if "functions" in head else "its import did not end"))
        functions.append(msgspec.convert(head.get("functions", {}), type=dict[str, str]))
        rows.append({int(key): msgspec.convert(row, type=Row) for key, row in side.items() if key != "head"})
    return _Sides((rows[0], rows[1]), (functions[0], functions[1]), failed)


def _test_paths(tree: Path) -> list[Path]:
    out: list[Path] = []
    for folder, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        paths = (Path(folder) / name for name in files)
        out += [
            path
            for path in paths
            if language_of(path.name) in LANGUAGES and _is_test(path.relative_to(tree).as_posix())
        ]
    return sorted(out)


def _is_test(path: str) -> bool:
    return is_test(path) or bool(re.search(r"\.(test|spec)\.[cm]?[jt]sx?$", path))


def _write_plain(tree: Path) -> None:
    """Write each TypeScript file without its types beside it; those that cannot be are left out, and imports of them fail."""
    for folder, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in files[:MAX_TYPED_FILES]:
            path = Path(folder) / name
            if language_of(name) not in ("typescript", "tsx") or name.endswith(".d.ts"):
                continue
            target = path.with_name(_plain_name(name))
            if not target.exists():
                try:
                    text = path.read_text(encoding="utf-8")
                    target.write_text(without_types(text, tsx=name.endswith("x")), encoding="utf-8")
                except (TypesError, UnicodeDecodeError):
                    continue


def _plain_name(name: str) -> str:
    return re.sub(r"\.[cm]?tsx?$", ".mjs", name)


def _contrast(before: Row, after: Row) -> tuple[str, str]:
    """Both outcomes in few words; where only an argument was changed otherwise, that one."""
    if before.text == after.text and before.kind == after.kind:
        for at, (old, new) in enumerate(zip(before.changed, after.changed, strict=False)):
            if old != new:
                first, second = around_difference(old or "as given", new or "as given")
                return f"argument {at + 1} = {first}", f"argument {at + 1} = {second}"
    return around_difference(before.text, after.text)
