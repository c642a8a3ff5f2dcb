"""`kodo serve --model WORD` on a machine that has no model yet: fetched from the hub, served, sampled as recommended."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Server
from tests.stand_in_hub import serving_hub
from tests.tiny_model import write_tiny_model
from tests.tiny_projector import write_tiny_projector

from kodo.server.engines.llama.process.memory_fit import available_memory
from kodo.server.engines.weights.catalogue import CatalogueEntry, choose, entries

MODEL = "codex-mini-latest"


@pytest.mark.parametrize("word", ["coder", "small", "qwen3-coder-30b-a3b"])
def test_one_step_from_a_word_to_an_answer(word: str, serve: Callable[..., Server], tmp_path: Path) -> None:
    """By use the best that fits, by name that one; its maker's sampling holds, the client's own comes first."""
    weights = write_tiny_model(tmp_path / "tiny.gguf").read_bytes()
    projector = write_tiny_projector(tmp_path / "projector.gguf").read_bytes()
    entry = choose(word, available_memory(), 8192)
    assert isinstance(entry, CatalogueEntry)
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    with serving_hub() as hub:
        hub.files = {one.file: weights for one in entries()} | {"mmproj-F16.gguf": projector}
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        server = serve("--model", word, home=home, env=environment)
        sdk = server.sdk()
        asked = {"model": MODEL, "input": "Hi", "max_output_tokens": 8}
        first = sdk.responses.create(**asked)
        own = sdk.responses.create(**asked, temperature=0)
        models = {one.id for one in sdk.models.list()}
        code, said = server.stop()
        assert code == 0
        again = serve("--model", word, "--no-fetch", home=home, env=environment)
        assert again.sdk().responses.create(**asked, temperature=0).output_text == own.output_text
    assert (first.temperature, first.top_p) == (entry.temperature, entry.top_p)
    assert (own.temperature, own.top_p) == (0.0, entry.top_p)
    assert {MODEL, entry.name} <= models
    size = f"{entry.download_bytes / 1e9:.1f} GB from {entry.repo}, {entry.licence}"
    assert re.search(rf"^{re.escape(entry.name)}: {re.escape(size)}", said, re.MULTILINE)
    assert any((home / "models" / entry.name).glob("*.gguf"))


def test_a_model_that_is_missing_is_not_fetched_where_that_is_forbidden(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    """`--no-fetch`: an error in one line that names the command."""
    (tmp_path / "home" / "models").mkdir(parents=True)
    with pytest.raises(RuntimeError, match="`kodo model pull gpt-oss-20b` fetches it"):
        serve("--model", "gpt-oss-20b", "--no-fetch", home=tmp_path / "home")
