"""Set a checkout up: the virtual environment, the locked dependencies, kodo itself, the default model.

    python3 scripts/bootstrap.py run|dev

Every step asks whether its outcome is already there, so a second run does nothing, an interrupted one goes on
where it stopped, and a changed lock file installs what changed. What was done is written to `.venv/kodo-setup.json`
after each step. Failures are one line on stderr and exit status 1. Standard library only, and of kodo only the
files that promise the same.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import bubblewrap

ROOT = Path(__file__).resolve().parent.parent
SETS = ("run", "dev")
"""The locked sets of dependencies, `requirements/NAME.txt`; each holds the one before it."""
NEEDED_BYTES = {"run": 700_000_000, "dev": 900_000_000}
"""Free space that a first installation takes: the environment (530 and 690 MB) and pip's temporary files."""

Record = dict[str, object]


class SetupError(Exception):
    """The set-up cannot go on; the text is one line that says what to do."""


def main(arguments: list[str]) -> int:
    """Set up for `run` or `dev`; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in SETS:
        sys.stderr.write("usage: bootstrap.py run|dev\n")
        return 2
    checkout = Checkout(ROOT, arguments[0])
    try:
        if not checkout.ready():
            checkout.set_up()
    except SetupError as error:
        sys.stderr.write(f"kodo: set-up failed: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"kodo: set-up failed: {explain(error)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nkodo: set-up interrupted; run it again and it goes on from here\n")
        return 130
    return 0


def explain(error: OSError) -> str:
    """One line for what the operating system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space and run it again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = error.filename or "the checkout"
        return f"cannot write {what}: run it as the owner of the checkout, or clone it to a writable disk"
    return str(error)


def digest(path: Path) -> str:
    """The sha256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkout:
    """One checkout at `root`, to be set up with the dependencies of `wanted` (`run` or `dev`)."""

    def __init__(self, root: Path, wanted: str) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.sets = SETS[: SETS.index(wanted) + 1]
        self.lock = root / "requirements" / f"{wanted}.txt"
        self.stamp = self.venv / "kodo-setup.json"

    # What is there already

    def ready(self) -> bool:
        """Is everything set up as these files say? Takes a few milliseconds."""
        record = self.record()
        return self.environment_ready(record) and self.installed(record) and self.model_ready(record)

    def record(self) -> Record:
        """What the last set-up wrote down; empty if there was none, or if it cannot be read."""
        try:
            record = json.loads(self.stamp.read_bytes())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def environment_ready(self, record: Record) -> bool:
        """Was `.venv` made here, with this version of Python, and does it still run?"""
        return record.get("environment") == self.identity() and self.python.exists()

    def identity(self) -> list[str]:
        """What a virtual environment is tied to: its own place and the version of Python."""
        return [str(self.root), "{}.{}".format(*sys.version_info)]

    def installed(self, record: Record) -> bool:
        """Are the wanted dependencies and kodo itself installed as locked?"""
        same = all(record.get(name) == value for name, value in self.inputs().items())
        return same and (self.venv / "bin" / "kodo").exists()

    def inputs(self) -> dict[str, str]:
        """The digests of the files that decide what is installed."""
        files = {name: self.root / "requirements" / f"{name}.txt" for name in self.sets}
        return {
            name: digest(path) for name, path in {**files, "project": self.root / "pyproject.toml"}.items()
        }

    def model_ready(self, record: Record) -> bool:
        """Is the default model in this user's KODO_HOME?"""
        model = record.get("model")
        if not isinstance(model, dict) or model.get("home") != home():
            return False
        try:
            return Path(model["path"]).stat().st_size == model["size"]
        except OSError:
            return False

    # What is done about it

    def set_up(self) -> None:
        """Do the steps that are left, one process at a time."""
        check_venv_module()
        with self.alone() as held:
            record = self.record()
            if not self.environment_ready(record):
                self.check_space()
                self.make_environment()
                record = self.write({"environment": self.identity()})
            if not self.installed(record):
                self.install_dependencies(held)
                self.install_kodo(held)
                sys.stderr.write(f"kodo: {bubblewrap.ensure()}\n")
                record = self.write({**record, **self.inputs()})
            if not self.model_ready(record):
                self.write({**record, "model": self.pull_model()})

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Wait for other set-ups of this checkout; yields the lock, which a child process keeps held too."""
        descriptor = os.open(self.root / "requirements", os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.stderr.write("kodo: another set-up of this checkout is at work; waiting for it\n")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks, such as some NFS: its user has to see to it
            yield descriptor
        finally:
            os.close(descriptor)

    def check_space(self) -> None:
        """Refuse early what would fail after minutes. Raises SetupError."""
        needed = NEEDED_BYTES[self.sets[-1]]
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise SetupError(
                f"{self.root} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed: "
                "free some space, or clone to another disk"
            )

    def make_environment(self) -> None:
        """Make `.venv`, in place of one that belongs to another Python or another folder."""
        with bar("virtual environment") as progress:
            progress.show(0, 0)
            done = subprocess.run(
                [sys.executable, "-m", "venv", "--clear", str(self.venv)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        if done.returncode != 0:
            raise SetupError(venv_failure(done.stdout, self.venv))

    def install_dependencies(self, held: int) -> None:
        """Install the locked versions, and nothing whose sha256 is not in the lock file."""
        self.drop_half_installed()
        total = len(re.findall(r"^\S+==", self.lock.read_text(), re.MULTILINE))
        with bar("dependencies", "packages") as progress:

            def tick(output: str) -> None:
                if "Installing collected packages" in output:
                    progress.show(len(self.packages()), total, "installed")
                else:
                    seen = output.count("Collecting ") + output.count("Requirement already satisfied: ")
                    progress.show(seen, total, "fetched")

            # Without --no-deps pip would check the lock against itself; only wheels, because building from
            # source would fetch build tools that are not in the lock.
            locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(self.lock)]
            self.pip(["install", *locked], tick, held)

    def install_kodo(self, held: int) -> None:
        """Install the checkout itself, editable, built by the locked hatchling."""
        with bar("kodo") as progress:
            progress.show(0, 0)
            editable = ["--no-deps", "--no-build-isolation", "--editable", str(self.root)]
            self.pip(["install", *editable], lambda output: None, held)

    def pip(self, arguments: list[str], tick: Callable[[str], None], held: int) -> None:
        """Run the environment's pip; its words are kept in `.venv/setup.log`. Raises SetupError."""
        pip = module("server/engines/weights/pip.py")
        try:
            # A `user` or `target` in someone's pip.conf must not lead away from the environment.
            pip.run(
                self.python,
                arguments,
                self.venv / "setup.log",
                tick=tick,
                environment={"PIP_USER": "0"},
                pass_fds=(held,),
            )
        except pip.PipError as error:
            raise SetupError(f"{error} (the whole story is in {self.venv / 'setup.log'})") from None

    def packages(self) -> list[Path]:
        """The installed distributions' folders of metadata."""
        return list(self.venv.glob("lib/python*/site-packages/*.dist-info"))

    def drop_half_installed(self) -> None:
        """Forget packages whose installation was killed: pip writes RECORD last, and trusts one without it."""
        for folder in self.packages():
            if not (folder / "RECORD").exists():
                shutil.rmtree(folder)

    def pull_model(self) -> Record:
        """Have `kodo model pull` fetch the default model; it draws its own progress and says its own errors."""
        command = [str(self.venv / "bin" / "kodo"), "model", "pull"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SetupError("the model is missing: see the line above, then run it again")
        path = Path(done.stdout.strip())
        return {"home": home(), "path": str(path), "size": path.stat().st_size}

    def write(self, record: Record) -> Record:
        """Replace the record of what is set up, in one move."""
        fresh = self.stamp.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=2) + "\n")
        fresh.replace(self.stamp)
        return record


def home() -> list[str | None]:
    """What decides where models live, without asking kodo."""
    return [os.environ.get(name) for name in ("KODO_HOME", "XDG_DATA_HOME", "HOME")]


def check_venv_module() -> None:
    """Raises SetupError where the system's Python comes without venv (Debian splits it off)."""
    try:
        import ensurepip  # noqa: F401 - venv needs it, and Debian leaves out just this
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(NO_VENV) from None


NO_VENV = "this Python cannot make virtual environments: install python3-venv (Debian, Ubuntu: apt install python3-venv)"


def venv_failure(output: str, venv: Path) -> str:
    """One line for a failed `python -m venv`, from what it printed."""
    if "ensurepip is not available" in output:
        return NO_VENV
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        if os.strerror(number) in output:
            return explain(OSError(number, os.strerror(number), str(venv)))
    lines = output.strip().splitlines()
    return f"no virtual environment: {lines[-1] if lines else 'python -m venv failed without a word'}"


def bar(label: str, unit: str = ""):
    """The progress bar of the `kodo` command."""
    return module("cli/progress.py").Bar(label, unit)


def module(path: str) -> ModuleType:
    """One file of kodo that needs nothing but the standard library; its package is not imported, which may need more."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "src" / "kodo" / path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
