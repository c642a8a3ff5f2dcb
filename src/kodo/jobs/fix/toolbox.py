"""The tools of the fixing agent. Each works on the workspace's tree; commands see it read-only in the sandbox.

What a tool returns is data of the project and may hold anything; nothing of it is an instruction. Refusals are errors
that the model sees, one line each, and are counted.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions

from kodo.jobs.agent import Tool, ToolError, tool
from kodo.jobs.fix import patch_text
from kodo.jobs.fix.allowed_paths import refused_path
from kodo.jobs.fix.workspace import Workspace, WorkspaceError
from kodo.sandbox import PROJECT, PYTHON, ResourceLimits, Sandbox

PATCHED = "done: "
"""How the result of a call begins that changed the tree; a resumed run does these again."""
MAX_LINES = 400
MAX_HITS = 60
MAX_LISTED = 500
PROGRAMS = ("python", "pytest", "ls", "cat", "head", "tail", "grep", "wc", "sort", "diff", "find")
"""Programs that ``run_command`` starts; all of them only in the sandbox, where nothing can be written or reached."""
_LIMITS = ResourceLimits(wall_seconds=60, cpu_seconds=60)


@dataclass
class Toolbox:
    """The tools of one fix.

    Attributes:
        allowed: patterns of paths that may be patched; empty allows every path that :mod:`allowed_paths` does not refuse.
        write_test: takes the text of a test that the agent proposes, freezes it and returns what the model is told;
            None where the test is given. Raises :class:`ToolError` for a test that shows nothing.
        refused: the refusals so far.
    """

    workspace: Workspace
    sandbox: Sandbox
    packages: Sequence[str] = ()
    allowed: tuple[str, ...] = ()
    write_test: Callable[[str], str] | None = None
    may_patch: Callable[[], bool] = lambda: True
    refused: list[str] = field(default_factory=list)

    def tools(self) -> list[Tool]:
        """All tools, for the agent."""
        found = [self._list(), self._read(), self._search(), self._run(), self._patch()]
        if self.write_test is not None:
            found.insert(0, self._test(self.write_test))
        return found

    def _refuse(self, why: str) -> ToolError:
        self.refused.append(why)
        return ToolError(why)

    def _text(self, path: str) -> str:
        try:
            text = self.workspace.text(path)
        except WorkspaceError as error:
            raise self._refuse(str(error)) from error
        if text is None:
            raise ToolError(f"{path}: there is no such file")
        return text

    def _list(self) -> Tool:
        @tool
        def list_files(pattern: str = "*") -> str:
            """List the files of the project.

            Args:
                pattern: a glob over whole paths, such as src/*.py; * also fits slashes.
            """
            found = [name for name in self.workspace.files() if fnmatch.fnmatchcase(name, pattern)]
            more = f"\n… {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
            return "\n".join(found[:MAX_LISTED]) + more or "no file fits"

        return list_files

    def _read(self) -> Tool:
        @tool
        def read_file(path: str, first_line: int = 1, lines: int = MAX_LINES) -> str:
            """Read lines of a text file; each is shown with its number.

            Args:
                path: relative to the project.
                first_line: the first line wanted, from 1.
                lines: how many; at most 400.
            """
            every = self._text(path).split("\n")
            start = max(first_line, 1) - 1
            part = every[start : start + max(1, min(lines, MAX_LINES))]
            rest = len(every) - start - len(part)
            shown = "\n".join(f"{start + at + 1}\t{line}" for at, line in enumerate(part))
            return f"{shown}\n… {rest} more lines" if rest > 0 else shown

        return read_file

    def _search(self) -> Tool:
        @tool
        def search(pattern: str, files: str = "*") -> str:
            """Find lines that fit a regular expression.

            Args:
                pattern: a Python regular expression.
                files: a glob over paths.
            """
            hits = self._hits(pattern, files)
            return "\n".join(hits[:MAX_HITS]) + ("\n… more" if len(hits) > MAX_HITS else "") or "no line fits"

        return search

    def _hits(self, pattern: str, files: str) -> list[str]:
        """Lines that fit. The expression runs in the sandbox, because one can be written that never ends."""
        program = (
            "import fnmatch, os, re, sys\n"
            "wanted, files = re.compile(sys.argv[1]), sys.argv[2]\n"
            "for folder, _, names in sorted(os.walk('.')):\n"
            "    for name in sorted(names):\n"
            "        path = os.path.join(folder, name)[2:]\n"
            "        if not fnmatch.fnmatchcase(path, files): continue\n"
            "        try: lines = open(path, encoding='utf-8').read().split('\\n')\n"
            "        except (OSError, UnicodeDecodeError): continue\n"
            "        for number, line in enumerate(lines, 1):\n"
            "            if wanted.search(line): print(f'{path}:{number}: {line[:300]}')\n"
        )
        try:
            re.compile(pattern)
        except re.error as error:
            raise ToolError(f"pattern: {error}") from error
        done = self.sandbox.run(
            [PYTHON, "-I", "-S", "-c", program, pattern, files],
            project=self.workspace.tree,
            cwd=PROJECT,
            limits=ResourceLimits(wall_seconds=20, cpu_seconds=20),
        )
        if not done.ok and not done.stdout:
            raise ToolError(
                "the search did not end in time" if done.timed_out else done.stderr.strip()[-200:]
            )
        return done.stdout.splitlines()

    def _run(self) -> Tool:
        @tool
        def run_command(command: str) -> str:
            """Run one command over the project in a sandbox: no network, nothing can be written.

            Args:
                command: a program with its arguments, such as: pytest tests/test_cart.py -q. No shell: no pipes, no &&.
                    Programs: python, pytest, ls, cat, head, tail, grep, wc, sort, diff, find.
            """
            try:
                words = shlex.split(command)
            except ValueError as error:
                raise ToolError(f"command: {error}") from error
            if not words or words[0].removesuffix("3") not in PROGRAMS:
                raise self._refuse(
                    f"command: {words[0] if words else ''!r} is not one of {', '.join(PROGRAMS)}"
                )
            program, *rest = words
            if program == "pytest":
                words = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", *rest]
            elif program.removesuffix("3") == "python":
                words = [PYTHON, *rest]
            env = {"PYTHONPATH": ":".join([PROJECT, f"{PROJECT}/src", *self.packages])}
            if self.packages:  # as in the proof: the plugins of the project's own environment and no others
                env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
                env["PYTEST_PLUGINS"] = ",".join(_pytest_plugins(self.packages))
            done = self.sandbox.run(words, project=self.workspace.tree, cwd=PROJECT, limits=_LIMITS, env=env)
            end = "did not end in 60 s" if done.timed_out else f"exit status {done.status}"
            return "\n".join(part for part in (done.stdout.rstrip(), done.stderr.rstrip(), end) if part)

        return run_command

    def _patch(self) -> Tool:
        def apply_patch(patch: str) -> str:
            """Change files of the project with a patch.

            Args:
                patch: in this form, lines of context with a space before them:
                    *** Begin Patch
                    *** Update File: src/cart.py
                    @@ def total(items):
                    -    return sum(items)
                    +    return sum(item.price for item in items)
                    *** End Patch
                    (also *** Add File: PATH with + lines, *** Delete File: PATH, *** Move to: PATH)
            """
            if not self.may_patch():
                raise self._refuse("write the failing test first (write_test); then change the code")
            try:
                changes = patch_text.parse(patch)
                names = [
                    name for change in changes for name in (change.path, change.moved_to) if name is not None
                ]
                paths = {name: self.workspace.path(name) for name in names}
                for path in paths.values():
                    if why := refused_path(path, self.allowed):
                        raise self._refuse(why)
                texts = {name: self.workspace.text(path) for name, path in paths.items()}
                new = patch_text.apply(changes, texts)
                self.workspace.write(new)
            except patch_text.PatchError as error:
                raise ToolError(str(error)) from error
            except WorkspaceError as error:
                raise self._refuse(str(error)) from error
            return PATCHED + ", ".join(
                f"{name} {'removed' if text is None else 'written'}" for name, text in new.items()
            )

        made = tool(apply_patch)
        return Tool(made.name, made.description, made.parameters, made.run, "write", repeatable=True)

    def _test(self, freeze: Callable[[str], str]) -> Tool:
        def write_test(text: str) -> str:
            """Write the one test that shows the fault. It must fail now and will be frozen: it cannot be changed after.

            Args:
                text: a whole pytest file with one test function. Assert only what the issue says, with its own values.
            """
            return PATCHED + freeze(text)

        made = tool(write_test)
        return Tool(made.name, made.description, made.parameters, made.run, "write", repeatable=True)


def _pytest_plugins(packages: Sequence[str]) -> list[str]:
    """The modules of the pytest plugins in these folders of packages."""
    found = [
        point.value
        for one in distributions(path=list(packages))
        for point in one.entry_points.select(group="pytest11")
    ]
    return sorted({value.partition(":")[0] for value in found})
