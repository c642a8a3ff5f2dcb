"""Whoever replaces a tutorial's pasted helpers by ``from kodo import …`` changes nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kodo.client.endpoint import StartedServer

sys.path.insert(0, str(Path(__file__).parent))
from article_samples import IMPORTED, PASTED, PROGRAM

ECHO = '[models.codex-mini-latest]\nengine = "scripted"\ntarget = ""\n'
EXPECTED = """\
回答: True
ストリーム: True
続き: True
再試行: 3 completed
位置引数: True
飾り: True ask 一つの質問
費用: $0.00
レビュー: True True True
テスト: True True
成功: True
失敗: 200000
成功: True
件数: 3
同期: 1
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A server that echoes, and the variables that a reader of such a tutorial sets."""
    for name in [name for name in os.environ if name.startswith(("KODO_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KODO_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text(ECHO)
    server = StartedServer.start(120)
    try:
        yield {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-local"}
    finally:
        server.stop()


@pytest.mark.parametrize("helpers", ["pasted", "imported"])
def test_every_sample_runs(environment: dict[str, str], tmp_path: Path, helpers: str) -> None:
    """The same program, with the helpers pasted and imported, ends well and says the same of every sample."""
    program = tmp_path / "article.py"
    head = PASTED if helpers == "pasted" else IMPORTED
    program.write_text(f"HELPERS = {helpers!r}\n{head}\n{PROGRAM}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for expected in EXPECTED.splitlines():
        assert any(line.startswith(expected) for line in lines), (expected, done.stdout)
    assert sum(line == "成功: True" for line in lines) == 2
    assert next(line for line in lines if line.startswith("費用")).endswith(" True True True")
    assert any("入力" in line or "total" in line for line in lines), "report() prints"
