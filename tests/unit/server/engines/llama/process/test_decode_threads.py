"""Threads for a step of one token: one fewer for a small file, unless the settings say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from kodo.server.engines.llama.options import SMALL_FILE, LlamaOptions


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of no bytes."""
    path = tmp_path / "model.gguf"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("size", "threads", "decode_threads"),
    [(0, 1, 1), (0, 2, 1), (SMALL_FILE - 1, 8, 7), (SMALL_FILE, 2, 2), (SMALL_FILE, 8, 8)],
)
def test_a_small_model_leaves_a_core_to_the_rest(
    model: Path, size: int, threads: int, decode_threads: int
) -> None:
    """By the size of its file; prompts use all threads."""
    with model.open("r+b") as file:
        file.truncate(size)
    child = LlamaOptions(name="m", threads=threads).child(model)
    assert (child.threads, child.decode_threads) == (threads, decode_threads)


def test_the_setting_takes_precedence(model: Path) -> None:
    """Whatever the size."""
    assert LlamaOptions(name="m", threads=4, decode_threads=4).child(model).decode_threads == 4
