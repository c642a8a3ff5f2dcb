"""Fixtures of the pipeline tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ci.pipeline import BAD_CART, Pipeline, Shop

from kodo.ci.testing.github import FakeGitHub
from kodo.ci.testing.server import GitTree


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
def pipeline(shop: Shop, github: FakeGitHub, tmp_path: Path) -> Pipeline:
    """A change with findings, reviewed and reported; ann may write, bob may read."""
    made = Pipeline(shop, github, tmp_path)
    shop.commit("add", {"shop/cart.py": BAD_CART})
    made.push()
    made.review()
    made.report()
    github.rows.permissions = {"ann": "write", "bob": "read"}
    return made
