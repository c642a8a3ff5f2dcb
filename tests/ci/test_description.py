"""`kodo ci describe`: from a real diff, with what execution showed."""

from __future__ import annotations

from pathlib import Path

from tests.ci.pipeline import MAIN, Shop, kodo


def test_a_change_is_described(shop: Shop, tmp_path: Path) -> None:
    """Title, counts, files with their definitions, the difference that a run showed, and a changelog line."""
    text = MAIN["shop/cart.py"].replace("price * amount", "price + amount")
    shop.commit("Fix the total | of @a `cart`", {"shop/cart.py": text, "docs/a|b.md": "x\n"})
    folder = tmp_path / "artifact"
    kodo(shop.root, {"KODO_CI_BASE": "main"}, "ci", "review", "--artifact", str(folder))
    done = kodo(shop.root, {}, "ci", "describe", "--base", "main", "--artifact", str(folder), "--number", "7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Fix the total \\| of @\u2060a \\`cart\\`\n")
    assert "2 files, 2 lines added, 1 removed, 1 commits." in done.stdout
    assert "| `shop/cart.py` | changed | +1 -1 | `total` |" in done.stdout
    assert "| `docs/a\\|b.md` | new | +1 -0 |  |" in done.stdout
    assert "## What execution showed" in done.stdout
    line = kodo(shop.root, {}, "ci", "describe", "--base", "main", "--changelog")
    assert line.stdout == "Fixed: Fix the total \\| of @\u2060a \\`cart\\`\n"


def test_several_commits_are_titled_by_what_changed(shop: Shop) -> None:
    """The definitions, since no one subject speaks for all."""
    shop.commit(
        "one",
        {
            "shop/new.py": "def first():\n    return 1\n\n\ndef second():\n    return 2\n\n\ndef third():\n    return 3\n"
        },
    )
    shop.commit(
        "two",
        {
            "shop/new.py": "def first():\n    return 1\n\n\ndef second():\n    return 2\n\n\ndef third():\n    return 4\n"
        },
    )
    done = kodo(shop.root, {}, "ci", "describe", "--base", "main")
    assert done.stdout.startswith("# Change first, second and 1 more\n")
