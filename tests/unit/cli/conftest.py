"""A home of its own for every test, and a server to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.server import FaultServer


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """KODO_HOME is a folder of this test; the settings of whoever runs it are kept out."""
    for name in ("KODO_LANG", "KODO_PROFILE", "OPENAI_BASE_URL", "OPENAI_API_KEY", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A Responses API that answers `echo: <input>`, already configured."""
    with FaultServer() as made:
        monkeypatch.setenv("OPENAI_BASE_URL", made.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield made
