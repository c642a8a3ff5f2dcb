"""`kodo review` as people run it: on a small real repository, in every way of naming what to review."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml

from kodo.client.testing import FakeResponses, Reply, refusal

sys.path.insert(0, str(Path(__file__).parent))
from kodo_command import Kodo

BASE = {
    "shop/__init__.py": "",
    "shop/cart.py": '''"""A cart."""

from dataclasses import dataclass, field


@dataclass
class Cart:
    """What is bought, by name and amount."""

    items: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, amount: int = 1) -> None:
        """Put something in."""
        if amount <= 0:
            raise ValueError("amount must be above 0")
        self.items[name] = self.items.get(name, 0) + amount

    def total(self, prices: dict[str, int]) -> int:
        """The price of all.

        >>> Cart({"a": 2}).total({"a": 3})
        6
        """
        return sum(prices[name] * amount for name, amount in self.items.items())
''',
    "shop/web.js": "export function show(el, text) {\n  el.textContent = text;\n}\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_total():\n    cart = Cart()\n    cart.add('a', 2)\n    assert cart.total({'a': 3}) == 6\n",
    "README.md": "# shop\n",
}


def git(root: Path, *args: str) -> None:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *args], cwd=root, capture_output=True, check=True)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a branch `work` that loses a check, breaks the sum and puts a hole in the page."""
    root = tmp_path / "shop"
    for name, text in BASE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-qm", "base")
    git(root, "switch", "-qc", "work")
    cart = BASE["shop/cart.py"]
    cart = cart.replace(
        '        if amount <= 0:\n            raise ValueError("amount must be above 0")\n', ""
    )
    cart = cart.replace("prices[name] * amount", "prices[name] + amount")
    (root / "shop/cart.py").write_text(cart)
    (root / "shop/web.js").write_text(BASE["shop/web.js"].replace("textContent", "innerHTML"))
    git(root, "commit", "-qam", "work")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def kodo(tmp_path: Path) -> Kodo:
    return Kodo(tmp_path / "home", "http://127.0.0.1:9/v1")


def rules(text: str) -> set[tuple[str, str, int]]:
    report = json.loads(text)
    return {(item["rule"], item["place"]["path"], item["place"]["line"]) for item in report["findings"]}


EXPECTED = {
    ("kodo/guard-removed", "shop/cart.py", 14),
    ("kodo/turned-round", "shop/cart.py", 22),
    ("kodo/inner-html", "shop/web.js", 2),
}


@pytest.mark.parametrize("way", ["base", "commit", "diff", "stdin diff", "staged"])
def test_every_way_of_naming_a_change_finds_the_same(shop: Path, kodo: Kodo, way: str) -> None:
    """A branch, a commit, a diff from a file or a pipe, and the index give the same findings on the same lines."""
    diff = subprocess.run(
        ["git", "diff", "main"], cwd=shop, capture_output=True, text=True, check=True
    ).stdout
    stdin = None
    if way == "base":
        named = ["--base", "main"]
    elif way == "commit":
        named = ["--commit", "HEAD"]
    elif way == "diff":
        (shop.parent / "c.diff").write_text(diff)
        named = ["--diff", str(shop.parent / "c.diff")]
    elif way == "stdin diff":
        named, stdin = ["--diff", "-"], diff
    else:
        git(shop, "reset", "-q", "--soft", "main")
        named = ["--staged"]
    done = kodo.run("review", *named, "--no-model", "--no-run", "-f", "json", stdin=stdin)
    assert done.returncode == 1, done.stderr
    assert rules(done.stdout) == EXPECTED


def test_without_arguments_it_says_what_it_reviews(shop: Path, kodo: Kodo, tmp_path: Path) -> None:
    """What is not committed yet, else the branch against its base, else a mistake; outside of git there is nothing."""
    done = kodo.run("review", "--no-model", "--no-run", "-f", "json")
    assert done.stderr.startswith("reviewing this branch against main")
    assert json.loads(done.stdout)["source"] == "main...HEAD"
    (shop / "shop" / "more.py").write_text("b = 1\n")
    done = kodo.run("review", "--no-model", "--no-run", "-f", "json")
    assert done.stderr.startswith("reviewing what is not committed yet")
    assert "shop/more.py" in [row["path"] for row in json.loads(done.stdout)["reviewed"]]
    (shop / "shop" / "more.py").unlink()
    git(shop, "switch", "-q", "main")
    done = kodo.run("review", "--no-model", "--no-run")
    assert done.returncode == 2 and "nothing to review" in done.stderr


def test_several_outputs_at_once(shop: Path, kodo: Kodo, tmp_path: Path) -> None:
    """One run writes every format; the text for people goes to stdout."""
    names = ["markdown", "json", "sarif", "codequality", "junit", "github"]
    options = [part for name in names for part in ("-f", f"{name}={tmp_path / name}")]
    done = kodo.run("review", "--base", "main", "--no-model", "--no-run", "-f", "text", *options)
    assert done.returncode == 1
    assert "shop/cart.py:14" in done.stdout
    assert len(json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]) == 3
    assert len(json.loads((tmp_path / "codequality").read_text())) == 3
    assert JUnitXml.fromfile(str(tmp_path / "junit")).failures == 2
    assert (tmp_path / "github").read_text().count("::") == 6
    assert "shop/web.js:2" in (tmp_path / "markdown").read_text()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "never"], 0),
        (["--fail-on", "error"], 0),
        (["--fail-on", "warning"], 1),
        (["--class", "security"], 1),
        (["--class", "performance"], 0),
    ],
)
def test_the_exit_code_follows_the_threshold(shop: Path, kodo: Kodo, options: list[str], code: int) -> None:
    """What counts is chosen; the findings are printed all the same."""
    assert kodo.run("review", "--base", "main", "--no-model", "--no-run", *options).returncode == code


def test_a_baseline_leaves_only_what_is_new(shop: Path, kodo: Kodo, tmp_path: Path) -> None:
    """What a baseline holds no longer counts, also after lines above it came and the branch was pushed again."""
    baseline = str(tmp_path / "baseline.json")
    assert (
        kodo.run(
            "review", "--base", "main", "--no-model", "--no-run", "--write-baseline", baseline
        ).returncode
        == 1
    )
    again = kodo.run(
        "review", "--base", "main", "--no-model", "--no-run", "--baseline", baseline, "-f", "json"
    )
    assert (again.returncode, json.loads(again.stdout)["state"]) == (0, "clean")
    cart = shop / "shop/cart.py"
    cart.write_text(cart.read_text().replace('"""A cart."""\n', '"""A cart.\n\nOf a shop.\n"""\n'))
    git(shop, "commit", "-qa", "--amend", "-m", "again")
    third = kodo.run(
        "review", "--base", "main", "--no-model", "--no-run", "--baseline", baseline, "-f", "json"
    )
    assert (third.returncode, rules(third.stdout)) == (0, set())


def test_files_folders_and_stdin(shop: Path, kodo: Kodo) -> None:
    """Whole files are reviewed by every line, stdin by the name it is given."""
    assert kodo.run("review", "shop", "--no-model", "--fail-on", "error").returncode == 0
    done = kodo.run(
        "review", "-", "--stdin-name", "x.js", "--no-model", "-f", "json", stdin="if (a = b) { f() }\n"
    )
    assert rules(done.stdout) == {("kodo/assignment-in-condition", "x.js", 1)}


def test_japanese(shop: Path, kodo: Kodo) -> None:
    """Messages are in the language that was asked for."""
    done = kodo.run("review", "--base", "main", "--no-model", "--no-run", "--lang", "ja")
    assert "これまで除外されていたケースも通るようになりました" in done.stdout
    assert "指摘あり" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--staged", "--commit", "HEAD"], "--staged, --commit are mutually exclusive"),
        (["nope.py"], "nope.py: no such file"),
        (["--commit", "nope"], "no commit is named 'nope'"),
        (["shop", "-f", "pdf"], "unknown format 'pdf'"),
        (["shop", "-f", "json", "-f", "text"], "only one format can go to stdout"),
        (["shop", "--class", "style"], "unknown class 'style'; choose from bug"),
        (["shop", "--baseline", "README.md"], "--baseline README.md: not a baseline"),
        (["shop", "--size", "capable", "--window", "600"], "--window: 600 tokens are too few"),
    ],
)
def test_a_mistake_is_one_line(shop: Path, kodo: Kodo, arguments: list[str], words: str) -> None:
    """Exit 2, the option named, no traceback."""
    done = kodo.run("review", *arguments, "--no-model")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_never_a_false_green(shop: Path, kodo: Kodo) -> None:
    """Code that could not be reviewed makes the exit code 3, and a server that is away does too."""
    (shop / "a.rb").write_text("puts 1\n")
    git(shop, "add", "a.rb")
    assert kodo.run("review", "--staged", "--no-model").returncode == 3
    git(shop, "reset", "-q", "--hard", "main")
    (shop / "shop/cart.py").write_text(BASE["shop/cart.py"] + "\n\nSIZE = 3\n")
    git(shop, "add", ".")
    assert kodo.run("review", "--staged", "--no-model").returncode == 0
    with FakeResponses(lambda _: refusal(401)) as server:
        away = Kodo(kodo.home, server.base_url).run("review", "--staged", "-f", "json")
    assert away.returncode == 3
    assert json.loads(away.stdout)["state"] == "partial"


def test_a_model_adds_opinions(shop: Path, tmp_path: Path) -> None:
    """What it says is printed as an opinion and does not fail the build unless asked."""
    found = {
        "line": 22,
        "quote": "return sum(prices[name] + amount for name, amount in self.items.items())",
        "class": "performance",
        "severity": "error",
        "message": "Adds the amount to the price.",
        "replacement": None,
    }
    with FakeResponses(lambda _: Reply(text=json.dumps({"findings": [found]}))) as server:
        kodo = Kodo(tmp_path / "home", server.base_url)
        arguments = ["review", "--base", "main", "--size", "capable", "--window", "8000", "--no-run"]
        done = kodo.run(*arguments, "--fail-on", "error", "-f", "json")
        assert done.returncode == 0, done.stderr
        assert ("model/performance", "shop/cart.py", 22) in rules(done.stdout)
        assert kodo.run(*arguments, "--fail-on", "error", "--fail-on-opinions").returncode == 1


def test_a_dry_run_sends_nothing(shop: Path, kodo: Kodo) -> None:
    """It says how often the model would be asked."""
    done = kodo.run("review", "--base", "main", "--dry-run", "--size", "capable", "--window", "8000")
    assert done.returncode == 0
    assert done.stdout.startswith("at most 7 requests and 56,000 input and output tokens")


def test_the_projects_tests_are_evidence(shop: Path, kodo: Kodo) -> None:
    """A test and an example that passed before the change and fail after it are findings that rest on their run."""
    done = kodo.run("review", "--base", "main", "--no-model", "--no-run", "--tests", "-f", "json")
    report = json.loads(done.stdout)
    runs = [item for item in report["findings"] if item["evidence"]["kind"] == "execution"]
    assert done.returncode == 1, done.stderr
    assert len(runs) == 2, report["notes"]
    assert {item["place"]["path"] for item in runs} == {"shop/cart.py"}
    assert any("assert" in item["evidence"]["detail"] for item in runs)
    assert any(note.startswith("isolation: full") for note in report["notes"])
