"""What the reader of GGUF heads accepts, tells and refuses."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from tests.weights_files import tiny_gguf

from kodo.server.engines.weights.errors import BadWeightsError
from kodo.server.engines.weights.gguf import BLOCKS, read_head


def test_a_whole_file_tells_its_texts_and_its_exact_size(tmp_path: Path) -> None:
    """The size computed from the table of tensors is the file's own, up to padding after the last tensor."""
    path = tiny_gguf(tmp_path / "tiny.gguf")
    head = read_head(path)
    assert head.text["general.name"] == "tiny"
    assert head.text["general.license"] == "apache-2.0"
    assert 0 <= path.stat().st_size - head.size < 32


@pytest.mark.parametrize("missing", [33, 200, 400])
def test_a_file_cut_short_is_refused(tmp_path: Path, missing: int) -> None:
    """Cut in the last tensor, in the first one or in the head: never taken for a whole model."""
    path = tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(BadWeightsError, match=r"cut short|not a whole GGUF"):
        read_head(path)


def test_every_cut_of_the_head_is_refused_in_one_line(tmp_path: Path) -> None:
    """Whatever byte a download stopped at, the answer is a sentence, not a struct error."""
    whole = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(0, len(whole) - 32, 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(BadWeightsError) as caught:
            read_head(cut)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 a zip", "does not begin with GGUF"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "a count of"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 50), "a count of"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "a value of type 99"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    """Another format, an unknown version and absurd counts are told apart."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(BadWeightsError, match=reason):
        read_head(path)


def test_one_part_of_a_split_model_is_refused(tmp_path: Path) -> None:
    """A part loads nowhere, so it is refused with what to do about it."""
    with pytest.raises(BadWeightsError, match="llama-gguf-split --merge"):
        read_head(tiny_gguf(tmp_path / "tiny-00001-of-00002.gguf", split=2))


def test_the_block_sizes_are_those_of_ggml() -> None:
    """The table agrees with the reference implementation's for every type in it."""
    theirs = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in BLOCKS} == BLOCKS
