"""One sandbox: finds the strongest level this machine gives, proves it, and runs commands in it.

Knows the levels and the order between them. The command line of each is built in ``bubblewrap.py`` and
``landlock.py``; what an attempt to escape is, is written in ``inside/probes.py``.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Literal

from kodo.sandbox import bubblewrap, landlock, seccomp
from kodo.sandbox.decoys import Decoys
from kodo.sandbox.model import (
    FILES,
    LIB,
    PROJECT,
    PYTHON,
    TMP,
    Isolation,
    IsolationRefused,
    Launch,
    ProcessResult,
    ResourceLimits,
    SandboxError,
)
from kodo.sandbox.process import execute

Mechanism = Literal["bubblewrap", "landlock", "none"]

_INSIDE = Path(__file__).parent / "inside"
_PACKAGE = Path(__file__).parents[1]
_PROBE_LIMITS = ResourceLimits(
    wall_seconds=30, cpu_seconds=20, memory_bytes=512 * 1024 * 1024, processes=24, file_bytes=1024 * 1024
)
# What must hold for the name `partial`: files, TCP and signals.
_PARTIAL_NEEDS = frozenset({"read_host_file", "write_host", "write_project", "tcp_connect", "gain_privilege"})


class Sandbox:
    """Runs commands over a read-only project in the strongest isolation there is.

    ``python`` is the interpreter seen inside; its prefix and that of its virtual environment are readable,
    as are the folders in ``readable``, at their own paths. ``mechanism`` fixes the level for tests and for
    ``kodo doctor``; by default the strongest that starts is taken.
    """

    def __init__(
        self, *, python: Path | None = None, readable: Sequence[Path] = (), mechanism: Mechanism | None = None
    ) -> None:
        self.python = python or Path(sys.executable)
        self._readable = tuple(readable)
        self._wanted = mechanism

    @cached_property
    def mechanism(self) -> Mechanism:
        """The strongest mechanism that starts a command on this machine."""
        return self._wanted or self._chosen[0]

    @cached_property
    def _chosen(self) -> tuple[Mechanism, str]:
        """The mechanism, and why not a stronger one."""
        if bubblewrap.find() is None:
            why = bubblewrap.missing_reason()
        else:
            tried = self._start("bubblewrap")
            if tried.ok:
                return "bubblewrap", ""
            reason = (tried.stderr.strip().splitlines() or [f"status {tried.status}"])[-1]
            why = f"bubblewrap does not start here: {reason}"
        tried = self._start("landlock")
        if tried.ok:
            return "landlock", why
        return "none", why

    def _start(self, mechanism: Mechanism) -> ProcessResult:
        other = Sandbox(python=self.python, readable=self._readable, mechanism=mechanism)
        return other.run([PYTHON, "-I", "-S", "-c", ""], limits=_PROBE_LIMITS)

    def probe(self) -> Isolation:
        """Try from the inside what must fail, and name the level by what did. Cached for this object.

        Raises:
            SandboxError: the probes themselves did not run to their end.
        """
        return self._isolation

    @cached_property
    def _isolation(self) -> Isolation:
        with Decoys() as decoys:
            result = self.run(
                [PYTHON, "-I", "-S", f"{LIB}/kodo/sandbox/inside/probes.py", f"{FILES}/decoys.json"],
                project=decoys.project,
                files={"decoys.json": json.dumps(decoys.describe(_PROBE_LIMITS))},
                limits=_PROBE_LIMITS,
                fds=[decoys.fd],
            )
            if not result.ok:
                said = (result.stderr.strip() or f"status {result.status}").splitlines()[-1]
                raise SandboxError(f"the escape probes did not finish ({self.mechanism}): {said}")
            succeeded = set(json.loads(result.stdout)["open"]) | decoys.touched()
            tried = set(json.loads(result.stdout)["tried"])
        blocked = tried - succeeded
        why = "" if self._wanted else self._chosen[1]
        if self.mechanism == "bubblewrap" and not succeeded:
            level: Literal["full", "partial", "none"] = "full"
        elif self.mechanism != "none" and blocked >= _PARTIAL_NEEDS:
            level = "partial"
        else:
            level = "none"
        return Isolation(level, self.mechanism, tuple(sorted(blocked)), tuple(sorted(succeeded)), why)

    def require(self, *, allow_weak: bool = False) -> Isolation:
        """The isolation, if it is good enough to run generated code in.

        Raises:
            IsolationRefused: it is not ``full``, and ``allow_weak`` (the typed --allow-weak-isolation) was not
                given or kodo runs as root, where a weaker level is never enough.
        """
        isolation = self.probe()
        if isolation.level == "full":
            return isolation
        if os.geteuid() == 0:
            raise IsolationRefused(
                f"{isolation.line()}: refused, and as root --allow-weak-isolation does not apply"
            )
        if not allow_weak:
            raise IsolationRefused(
                f"{isolation.line()}: refused; --allow-weak-isolation runs it all the same"
            )
        return isolation

    def run(
        self,
        argv: Sequence[str],
        *,
        project: Path | None = None,
        files: Mapping[str, str | bytes] | None = None,
        limits: ResourceLimits | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: str = TMP,
        fds: Sequence[int] = (),
        hear: Callable[[bytes], None] | None = None,
    ) -> ProcessResult:
        """Run one command and wait for it.

        Args:
            argv: The command; PROJECT, FILES, TMP, LIB and PYTHON are replaced wherever they stand.
            project: A folder seen read-only as PROJECT. If kodo runs as root, the command runs as the user
                ``nobody``, so it cannot read what only the owner may read.
            files: Relative name -> text or bytes, seen read-only under FILES.
            limits: What the command may use.
            env: The whole environment, except for PATH, HOME, TMPDIR, LANG and PYTHONDONTWRITEBYTECODE.
            stdin: What the command reads from its standard input.
            cwd: Where it starts.
            fds: For the probes alone: descriptors that a leak would hand on; they are closed on entry.
            hear: Is given each piece of standard output as it comes, in this thread.

        Raises:
            SandboxError: the project is not a folder, or a file name leaves FILES.
        """
        limits = limits or ResourceLimits()
        with self.launch(
            argv, project=project, files=files, limits=limits, env=env, cwd=cwd, fds=fds
        ) as ready:
            return execute(
                ready.argv,
                env=ready.env,
                limits=limits,
                fds=ready.fds,
                cwd=ready.cwd,
                stdin=stdin,
                hear=hear,
            )

    @contextmanager
    def launch(
        self,
        argv: Sequence[str],
        *,
        project: Path | None = None,
        files: Mapping[str, str | bytes] | None = None,
        limits: ResourceLimits | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = TMP,
        fds: Sequence[int] = (),
        folders: Mapping[str, int] | None = None,
    ) -> Iterator[Launch]:
        """What to start for a command that the caller starts and ends itself; it must have ended when the block does.

        The caller gives it a session of its own, the environment and the descriptors as they are, and kills it with
        SIGKILL: at ``full`` everything in it ends with it. ``folders``: more empty writable folders inside, with
        their sizes in bytes; they exist at ``full`` only. The other arguments are those of :meth:`run`.

        Raises:
            SandboxError: the project is not a folder, or a file name leaves FILES.
        """
        limits = limits or ResourceLimits()
        if project is not None and not project.is_dir():
            raise SandboxError(f"project: {project} is not a folder")
        with tempfile.TemporaryDirectory(prefix="kodo-sandbox-", ignore_cleanup_errors=True) as scratch:
            place = Path(scratch)
            place.chmod(0o755)
            files_folder, tmp, lib = place / "files", place / "tmp", place / "lib"
            for folder in (files_folder, tmp, lib):
                folder.mkdir()
            _write(files_folder, files or {})
            with _descriptor(seccomp.program()) as filter_fd:
                if self.mechanism == "bubblewrap":
                    names = {PROJECT: "/project", FILES: "/kodo/files", TMP: "/tmp", LIB: "/kodo/lib"}  # noqa: S108 - inside
                    start = _fill(cwd, names)
                    command = self._bubblewrap(project, files_folder, limits, filter_fd, start, folders or {})
                else:
                    (lib / "kodo").symlink_to(_PACKAGE)
                    names = {
                        PROJECT: str((project or files_folder).resolve()),
                        FILES: str(files_folder),
                        TMP: str(tmp),
                        LIB: str(lib),
                    }
                    command = self._bare(project, files_folder, tmp, lib, limits)
                names[PYTHON] = str(self.python)
                base = {
                    "PATH": "/usr/bin:/bin",
                    "HOME": TMP,
                    "TMPDIR": TMP,
                    "LANG": "C.UTF-8",
                    "PYTHONDONTWRITEBYTECODE": "1",
                }
                full = {key: _fill(value, names) for key, value in (base | dict(env or {})).items()}
                if self.mechanism == "bubblewrap":
                    command += [part for key, value in full.items() for part in ("--setenv", key, value)]
                    command += ["--", *self._entry(limits)]
                    start = "/"
                else:
                    start = _fill(cwd, names)
                yield Launch(
                    argv=(*command, *(_fill(part, names) for part in argv)),
                    env=full,
                    cwd=start,
                    fds=(*fds, *(() if filter_fd is None else (filter_fd,))),
                )

    def _bubblewrap(
        self,
        project: Path | None,
        files_folder: Path,
        limits: ResourceLimits,
        fd: int | None,
        cwd: str,
        folders: Mapping[str, int],
    ) -> list[str]:
        program = bubblewrap.find()
        if program is None:
            raise SandboxError(bubblewrap.missing_reason())
        sources = [bubblewrap.Source(path, str(path)) for path in (*self._prefixes, *self._readable)]
        sources.append(bubblewrap.Source(_PACKAGE, "/kodo/lib/kodo"))
        sources.append(bubblewrap.Source(files_folder, "/kodo/files"))
        if project is not None:
            sources.append(bubblewrap.Source(project.resolve(), "/project"))
        return bubblewrap.command(program, sources, limits, fd, cwd, folders)

    def _bare(
        self, project: Path | None, files_folder: Path, tmp: Path, lib: Path, limits: ResourceLimits
    ) -> list[str]:
        if self.mechanism == "none":
            return self._entry(limits)
        readable = [*self._prefixes, *self._readable, _PACKAGE, files_folder, lib]
        if project is not None:
            readable.append(project.resolve())
        return [*landlock.prefix(), *self._entry(limits, {"landlock": landlock.rules(readable, tmp)})]

    def _entry(self, limits: ResourceLimits, more: Mapping[str, object] | None = None) -> list[str]:
        """The start of the command inside: ``inside/entry.py`` with its limits."""
        spec: dict[str, object] = {
            "limits": {
                "RLIMIT_AS": limits.memory_bytes,
                "RLIMIT_NPROC": limits.processes,
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_CPU": limits.cpu_seconds,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_CORE": 0,
            }
        }
        script = str(_INSIDE / "entry.py")
        if self.mechanism == "bubblewrap":
            script = "/kodo/lib/kodo/sandbox/inside/entry.py"
        else:
            spec["seccomp"] = seccomp.program().hex()
        return [str(self.python), "-I", "-S", script, json.dumps(spec | dict(more or {}))]

    @cached_property
    def _prefixes(self) -> tuple[Path, ...]:
        own = Path(sys.executable)
        if self.python == own:
            found = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
        else:
            question = "import sys; print(sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, sep='\\n')"
            answer = execute([str(self.python), "-I", "-c", question], {}, _PROBE_LIMITS, [], "/")
            if not answer.ok:
                raise SandboxError(f"python: {self.python} does not start")
            found = set(answer.stdout.split("\n")) - {""}
        return tuple(sorted(path for path in map(Path, found) if not path.is_relative_to("/usr")))


def _fill(text: str, names: Mapping[str, str]) -> str:
    for token, path in names.items():
        text = text.replace(token, path)
    return text


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise SandboxError(f"files: {name} leaves the folder it is put in")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(0o644)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


@contextmanager
def _descriptor(content: bytes) -> Iterator[int | None]:
    """A descriptor to read ``content`` from; None for none."""
    if not content:
        yield None
        return
    fd = os.memfd_create("kodo-seccomp")
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
