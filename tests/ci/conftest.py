"""Fixtures of the pipeline tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ci.pipeline import BAD_CART, Pipeline, Shop

from kodo.ci.testing.github import FakeGitHub
from kodo.ci.testing.server import GitTree


@pytest.fixture(scope="session")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as job 1 leaves it: the ``shop`` with a bad commit on its branch, and the ``artifact`` of its review."""
    folder = tmp_path_factory.mktemp("reviewed")
    shop = Shop.create(folder / "shop")
    shop.commit("add", {"shop/cart.py": BAD_CART})
    with FakeGitHub(GitTree(shop.root)) as fake:
        made = Pipeline(shop, fake, folder)
        made.push()
        done = made.review()
    assert (folder / "artifact").exists(), done.stderr
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A repository with one commit on main."""
    return Shop.create(tmp_path / "shop")


@pytest.fixture
def github(shop: Shop) -> Iterator[FakeGitHub]:
    """A fake GitHub over the shop's repository."""
    with FakeGitHub(GitTree(shop.root)) as fake:
        yield fake


@pytest.fixture
def pipeline(reviewed: Path, tmp_path: Path) -> Iterator[Pipeline]:
    """A change with findings, reviewed and reported; ann may write, bob may read."""
    for name in ("shop", "artifact"):
        shutil.copytree(reviewed / name, tmp_path / name)
    shop = Shop(tmp_path / "shop")
    with FakeGitHub(GitTree(shop.root)) as fake:
        made = Pipeline(shop, fake, tmp_path)
        made.push()
        made.report()
        fake.rows.permissions = {"ann": "write", "bob": "read"}
        yield made
