"""Imports of the project that a change breaks, in files that it leaves as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kodo.jobs.report.model import ReviewReport, State
from kodo.jobs.review import ReviewOptions, review
from kodo.jobs.review.source import PendingSource

PRICES = "RATE = 2\n\n\ndef price(n):\n    return n * RATE\n\n\ndef tax(n):\n    return n\n"
WITHOUT_TAX = PRICES.partition("\n\n\ndef tax")[0] + "\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a package of one module."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/prices.py").write_text(PRICES)
    return tmp_path


def reviewed(root: Path, importer: str, after: dict[str, str | None]) -> ReviewReport:
    """The review of a change in a project with a file that imports; a text of None removes a file."""
    (root / "shop/cart.py").write_text(importer)
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *argv], cwd=root, check=True
        )
    for path, text in after.items():
        if text is None:
            (root / path).unlink()
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
    return review(PendingSource(root), ReviewOptions(run=False), None)


@pytest.mark.parametrize(
    ("importer", "after", "said"),
    [
        ("from shop.prices import tax\n", {"shop/prices.py": WITHOUT_TAX}, "takes `tax` out of shop.prices"),
        ("from .prices import price, tax\n", {"shop/prices.py": WITHOUT_TAX}, "takes `tax` out of"),
        ("def f():\n    from shop.prices import tax\n", {"shop/prices.py": WITHOUT_TAX}, "`tax`"),
        ("import shop.prices\n", {"shop/prices.py": None}, "removes the module `shop.prices`"),
        ("from shop import prices\n", {"shop/prices.py": None}, "removes the module `shop.prices`"),
        ("from .prices import price\n", {"shop/prices.py": None, "shop/cost.py": PRICES}, "the module"),
    ],
)
def test_a_broken_import_is_found_where_it_stands(
    project: Path, importer: str, after: dict[str, str | None], said: str
) -> None:
    """In a file that the change leaves as it is, also where nothing is left to review."""
    report = reviewed(project, importer, after)
    (finding,) = report.findings
    assert said in finding.message and finding.place.path == "shop/cart.py"
    assert report.state is State.FINDINGS


@pytest.mark.parametrize(
    ("importer", "after"),
    [
        ("from shop.prices import price\n", {"shop/prices.py": WITHOUT_TAX}),
        (
            "try:\n    from shop.prices import tax\nexcept ImportError:\n    tax = None\n",
            {"shop/prices.py": None},
        ),
        ("import sys\nif sys.argv:\n    from shop.prices import tax\n", {"shop/prices.py": WITHOUT_TAX}),
        ("from shop.prices import tax\n", {"shop/prices.py": f"{WITHOUT_TAX}\n\nfrom shop import tax\n"}),
        ("from shop.prices import tax\n", {"shop/prices.py": f"{WITHOUT_TAX}\n\nfrom json import *\n"}),
        ("from shop.prices import tax\n", {"shop/prices.py": f"{WITHOUT_TAX}\n\nglobals()['tax'] = 1\n"}),
        (
            "from shop.prices import tax\n",
            {"shop/prices.py": f"{WITHOUT_TAX}\n\ndef __getattr__(name):\n    return 1\n"},
        ),
        ("from shop.prices import tax\n", {"shop/prices.py": None, "shop/prices/__init__.py": PRICES}),
        ("import shop.prices\n", {"shop/prices.py": None, "src/shop/prices.py": PRICES}),
        ("import prices\n", {"shop/prices.py": None}),
        ("from shop.prices import tax\n", {"shop/prices.py": WITHOUT_TAX, "shop/cart.py": "total = sum\n"}),
        ("from shop.prices import tax\n", {"shop/prices.py": None, ".gitignore": "prices.py\n"}),
    ],
)
def test_an_import_that_holds_or_may_hold_is_not(
    project: Path, importer: str, after: dict[str, str | None]
) -> None:
    """The name or the module is still there, may be made, or the import is guarded."""
    report = reviewed(project, importer, after)
    assert [one.rule for one in report.findings if "gone" in one.rule] == []


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (PRICES.replace("(n)", "(n, seen=[])") + "\n\nimport os\n", {"E402", "F401"}),
        ("def price(n, seen=[]):\n    return n\n", {"B006"}),
    ],
)
def test_what_was_in_a_moved_file_before_is_no_finding(project: Path, text: str, rules: set[str]) -> None:
    """It is the same file under another name where it keeps half of its lines; what is new in it is found."""
    (project / "shop/prices.py").write_text(PRICES.replace("(n)", "(n, seen=[])"))
    report = reviewed(project, "", {"shop/prices.py": None, "shop/cost.py": text})
    found = {one.rule for one in report.findings}
    assert found <= rules and found


def test_a_file_that_is_not_utf_8_is_a_gap(project: Path) -> None:
    """Also in the working tree, where its bytes are no other characters."""
    (project / "shop/name.py").write_bytes(b"NAME = 'caf\xe9'\n")
    (project / "shop/other.py").write_text("")
    reviewed(project, "", {"shop/other.py": "X = 1\n"})
    (project / "shop/name.py").write_bytes(b"NAME = 'caf\xe9s'\n")
    report = review(PendingSource(project), ReviewOptions(run=False), None)
    assert [one.reason for one in report.unreviewed] == ["not UTF-8"]
    assert report.state is State.PARTIAL
