"""Every test has a home of its own and an environment without keys or addresses."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from kodo.client.retry import RetryPolicy

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("kodo", deadline=None)
hypothesis.settings.load_profile("kodo")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("KODO_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def quick() -> RetryPolicy:
    """The usual policy with pauses too short to notice."""
    return RetryPolicy(max_retries=3, base_delay=0.001, max_delay=0.002)
