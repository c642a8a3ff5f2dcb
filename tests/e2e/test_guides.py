"""The commands and programs of the guides, run as they stand there; a script or an echo for a model.

Those on hosted tools are run on the default model (test_guides_tools.py), the steps of pipelines in tests/ci.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ci.pipeline import Shop
from tests.e2e.conftest import KODO, Server, start
from tests.paths import DOCS
from tests.stand_in_hub import serving_hub
from tests.tiny_model import write_tiny_model
from tests.tiny_projector import write_tiny_projector
from tests.unit.test_docs_snippets import blocks

from kodo.home import kodo_home
from kodo.server.engines.weights.catalogue import entries

pytestmark = [pytest.mark.xdist_group("guides"), pytest.mark.timeout(600)]
GUIDES = DOCS / "guides"
LANGUAGES = ["", ".ja"]
DEFAULT = "smollm2-135m-instruct"
TURNS = [
    {"match": "apples if|りんご", "steps": [{"type": "call", "name": "stock", "arguments": {"article": "apple"}}]},
    {"match": "^12$", "steps": [{"type": "call", "name": "order", "arguments": {"article": "apple", "pieces": 8}}]},
    {"match": "^ordered", "steps": [{"type": "text", "text": "Eight were ordered."}]},
    {"match": "hello|closure|^…$", "steps": [{"type": "text", "text": "Nothing to say."}]},
]  # fmt: skip
PRICES = '''"""Prices."""


def discount(total: float, percent: float) -> float:
    """The total after a discount.

    >>> discount(200.0, 10.0)
    180.0
    """
    return total * (100 - percent) / 100


class Cart:
    """A cart."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def add(self, item: str) -> int:
        """Add an item; the new number of items."""
        self.items.append(item)
        return len(self.items)
'''
CART = '''"""The cart."""


def total(price, pieces):
    """The price of so many pieces."""
    return price + pieces
'''
TEST_CART = (
    '"""Tests of the cart."""\n\nfrom cart import total\n\n\ndef test_total():\n    assert total(3, 2) == 6\n'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`kodo serve` with a model that plays the turns."""
    folder = tmp_path_factory.mktemp("guides")
    script = folder / "turns.json"
    script.write_text(json.dumps({"turns": TURNS}))
    started = start(
        folder / "home",
        config=f'[models.codex-mini-latest]\nengine = "scripted"\ntarget = {json.dumps(str(script))}\n',
    )
    yield started
    started.stop()


def environment(server: Server, home: Path) -> dict[str, str]:
    """That of somebody who has the server, and nothing else of kodo's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KODO_", "OPENAI_"))}
    path = f"{Path(KODO).parent}:{os.environ['PATH']}"
    own = {"KODO_HOME": str(home), "KODO_BASE_URL": f"{server.url}/v1", "KODO_LANG": "en"}
    return {**kept, "PATH": path, "LANG": "C.UTF-8", **own}


def shell(line: str, server: Server, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a guide in a folder."""
    env = environment(server, folder.parent / "home") | more
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )  # fmt: skip


def program(code: str, server: Server, folder: Path) -> str:
    """What a program of a guide prints."""
    env = environment(server, folder.parent / "home")
    code = code.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def lines(guide: str, block: int = 0) -> list[str]:
    """The commands of a block of a guide, without comments."""
    text = blocks(GUIDES / guide, "", "sh", "bash")[block]
    return [re.sub(r"\s+# .*", "", line) for line in text.splitlines() if not line.startswith("#")]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A project with a module in src, a failing test, and a change on its branch."""
    shop = Shop.create(tmp_path / "shop")
    shop.commit("modules", {"src/shop/__init__.py": "", "src/shop/prices.py": PRICES, "cart.py": CART,
                            "tests/test_cart.py": TEST_CART, "x.py": "def f(x=[]):\n    return x\n"})  # fmt: skip  # one row
    (shop.root / "x.py").write_text("def f(x={}):\n    return x\n")
    shop.git("add", "x.py")
    return shop


def test_anthropic(server: Server, tmp_path: Path) -> None:
    """Its SDK gets an answer with usage."""
    [code] = blocks(GUIDES / "anthropic.md", "python")
    assert re.match(r"Nothing to say\. Usage\(.*input_tokens=\d+", program(code, server, tmp_path))


def test_assistants(server: Server, tmp_path: Path) -> None:
    """The run's message is printed."""
    [code] = blocks(GUIDES / "assistants.md", "python")
    assert program(code, server, tmp_path) == "Nothing to say.\n"


def test_batch(server: Server, tmp_path: Path) -> None:
    """The line that the guide shows is answered under its own id."""
    (tmp_path / "requests.jsonl").write_text(blocks(GUIDES / "batch.md", "json")[0])
    answer = json.loads(program(blocks(GUIDES / "batch.md", "python")[0], server, tmp_path))
    assert (answer["custom_id"], answer["response"]["status_code"]) == ("a", 200)


@pytest.mark.parametrize("language", LANGUAGES)
def test_agent(language: str, server: Server, tmp_path: Path) -> None:
    """By the command and by the library, with the guide's own tools: the stock is asked for, and apples are ordered."""
    guide = f"agent{language}.md"
    tools, library = blocks(GUIDES / guide, "python")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "tools.py").write_text(tools)
    [command] = lines(guide)
    done = shell(command, server, folder)
    assert (done.returncode, done.stdout.strip()) == (0, "Eight were ordered."), done.stderr
    assert 'order {"article":"apple","pieces":8}' in done.stderr
    assert program(library, server, folder).startswith("Eight were ordered. finished")


def test_models(server: Server, tmp_path: Path) -> None:
    """Listed, fetched by a word, from a file and from the hub, and removed; those that serve or run for long are other tests'."""
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    (home / "models").mkdir(parents=True)
    (home / "models" / DEFAULT).symlink_to(kodo_home() / "models" / DEFAULT)
    weights = write_tiny_model(folder / "some-model.gguf").read_bytes()
    projector = write_tiny_projector(tmp_path / "projector.gguf").read_bytes()
    commands = [
        line for block in (0, 1, 2) for line in lines("models.md", block) if not re.search("serve|make", line)
    ]
    with serving_hub() as hub:
        hub.files = {one.file: weights for one in entries()}
        hub.files |= dict.fromkeys(("FILE.gguf", "Qwen2.5-Coder-7B-Instruct-Q4_K_M.gguf"), weights)
        hub.files["mmproj-F16.gguf"] = projector
        hubs = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        for line in commands:
            line = line.replace("SOURCE", "./some-model.gguf").replace(
                "NAME", "coder-7b" if "remove" in line else "own"
            )
            done = shell(line, server, folder, **hubs)
            if "remove" in line:
                assert "no local model is called" in done.stderr, "it is fetched by the last command"
            else:
                assert done.returncode == 0, (line, done.stderr)
        done = shell("kodo model list", server, folder, **hubs)
        assert {"coder-7b", "own", "some-model", "file"} <= set(done.stdout.split())
        assert shell("kodo model remove coder-7b", server, folder).returncode == 0
        assert "coder-7b" not in shell("kodo model list", server, folder).stdout


def test_any_pipeline(server: Server, shop: Shop) -> None:
    """The review writes its folder, and the description names the change."""
    shop.commit("change", {})
    origin = shop.root.parent / "origin"
    shop.git("clone", "-q", "--bare", str(shop.root), str(origin))
    shop.git("remote", "add", "origin", str(origin))
    shop.git("fetch", "-q", "origin")
    done = shell(lines("ci.md")[0], server, shop.root)
    assert done.returncode in (0, 1), done.stderr
    assert (shop.root / "kodo-review" / "report.json").exists()
    [command] = re.findall(r"`(kodo ci describe [^`]*)`", (GUIDES / "ci.md").read_text())
    done = shell(command.replace("--base main", "--base origin/main"), server, shop.root)
    assert done.returncode == 0, done.stderr
    assert "x.py" in done.stdout
