"""Fixtures of the pipeline tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ci.pipeline import Shop

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
