"""How many slots of how large a context a model gets."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from kodo.server.engines.llama.process.memory_fit import MemoryFit, available_memory, fit_memory
from kodo.server.engines.weights.gguf import read_head, read_numbers

GIB = 2**30
SHAPE = {
    "context_length": 4096,
    "embedding_length": 512,
    "block_count": 16,
    "attention.head_count": 8,
    "attention.head_count_kv": 4,
}
"""A token's state: 16 layers x 4 heads x (64 + 64) numbers x 2 bytes = 16,384 bytes; 4,096 tokens are 64 MiB."""


def _model(path: Path, **changes: int | None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in {**SHAPE, **{key.replace("__", "."): value for key, value in changes.items()}}.items():
        if value is not None:
            writer.add_uint32(f"llama.{name}", value)
    writer.add_token_list([b"a", b"b"])
    writer.add_uint32("llama.behind_the_vocabulary", 7)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(("memory", "slots"), [(GIB, 4), (3 * GIB, 6), (4 * GIB, 8), (64 * GIB, 8)])
def test_slots_take_an_eighth_of_the_memory(tmp_path: Path, memory: int, slots: int) -> None:
    """4 to 8, and in between what fits: 64 MiB each."""
    assert fit_memory(_model(tmp_path / "m.gguf"), 8192, memory) == MemoryFit(context=4096, slots=slots)


def test_a_smaller_context_makes_room(tmp_path: Path) -> None:
    """The context wished for is kept where it is the smaller one."""
    assert fit_memory(_model(tmp_path / "m.gguf"), 1024, GIB) == MemoryFit(context=1024, slots=8)


def test_heads_of_their_own_width_count(tmp_path: Path) -> None:
    """Key and value length, where the model names them, and not the embedding's share of a head."""
    wide = _model(tmp_path / "m.gguf", attention__key_length=128, attention__value_length=128)
    assert fit_memory(wide, 8192, 6 * GIB).slots == 6


def test_a_model_that_does_not_say_gets_the_fewest(tmp_path: Path) -> None:
    """No shape, or no GGUF at all: nothing is guessed, and the engine that loads it says what is wrong."""
    assert fit_memory(_model(tmp_path / "m.gguf", block_count=None), 8192, 64 * GIB) == MemoryFit(4096, 4)
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"PK not a model")
    assert fit_memory(bad, 8192, 64 * GIB) == MemoryFit(8192, 4)


def test_numbers_are_read_as_far_as_the_vocabulary(tmp_path: Path) -> None:
    """What stands behind it would cost the reading of every token."""
    numbers = read_numbers(_model(tmp_path / "m.gguf"))
    assert numbers["llama.block_count"] == 16
    assert "llama.behind_the_vocabulary" not in numbers
    assert read_head(tmp_path / "m.gguf").text["general.architecture"] == "llama"


def test_a_container_has_the_memory_it_was_given(tmp_path: Path) -> None:
    """Its limit where there is one; "max", or no such file, is the machine's."""
    limit = tmp_path / "memory.max"
    whole = available_memory(limit)
    limit.write_text("max\n")
    assert available_memory(limit) == whole > GIB // 4
    limit.write_text("268435456\n")
    assert available_memory(limit) == GIB // 4
