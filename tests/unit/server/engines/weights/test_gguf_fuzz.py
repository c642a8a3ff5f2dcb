"""The reader of GGUF heads under mutated files: only its own errors, quickly. ``make fuzz-gguf`` runs 200,000 of them."""

from __future__ import annotations

import os
import random
import struct
import time
from pathlib import Path

import pytest
from tests.tiny_model import write_tiny_model

from kodo.server.engines.weights.errors import BadWeightsError
from kodo.server.engines.weights.gguf import read_head, read_numbers

INPUTS = int(os.environ.get("KODO_FUZZ_GGUF", "2000"))
INTERESTING = (0, 1, 7, 8, 9, 127, 255, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)


def mutated(data: bytes, draw: random.Random) -> bytes:
    """One to four changes: bytes, numbers of interest, pieces cut out, doubled or moved."""
    made = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(made) or 1)
        match draw.randrange(5):
            case 0:
                made[place : place + 1] = draw.randbytes(1)
            case 1:
                width = draw.choice(("<I", "<Q"))
                value = draw.choice(INTERESTING) % 2 ** (8 * struct.calcsize(width))
                made[place : place + struct.calcsize(width)] = struct.pack(width, value)
            case 2:
                del made[place : place + draw.randrange(64)]
            case 3:
                made[place:place] = made[place : place + draw.randrange(256)]
            case _:
                del made[place:]
    return bytes(made)


def head_of(tmp_path: Path) -> bytes:
    """The beginning of a whole model, as long as its head."""
    return write_tiny_model(tmp_path / "tiny.gguf").read_bytes()[:16_384]


def test_mutated_heads_raise_errors_of_ours_only(tmp_path: Path) -> None:
    """Whatever was changed: a head, or ``BadWeightsError``; none takes long."""
    seed = head_of(tmp_path)
    draw = random.Random(20_261_129)
    memory = os.memfd_create("mutated.gguf")  # four fifths of the time went into files on a disk
    file = Path(f"/proc/self/fd/{memory}")
    slowest, read_whole, refused = 0.0, 0, 0
    for number in range(INPUTS):
        data = mutated(seed, draw)
        os.truncate(memory, 0)
        os.pwrite(memory, data, 0)
        began = time.process_time()
        for read in (read_head, read_numbers):
            try:
                read(file)
                read_whole += 1
            except BadWeightsError:
                refused += 1
            except Exception as error:  # noqa: BLE001 - the point of the test
                pytest.fail(f"input {number}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.process_time() - began)
    os.close(memory)
    assert slowest < 5
    assert min(read_whole, refused) > INPUTS // 20, (read_whole, refused)


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    """One key-value pair of a head."""
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value


def head(*pairs: bytes) -> bytes:
    """A head without tensors."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


@pytest.mark.parametrize(
    "data",
    [
        head(pair(b"general.alignment", 4, struct.pack("<I", 0))),
        head(pair(b"general.alignment", 5, struct.pack("<i", -32))),
        head(pair(b"a", 9, struct.pack("<IQ", 9, 1) * 5000 + struct.pack("<IQ", 4, 0))),
        head(pair(b"a", 9, struct.pack("<IQ", 8, 2**24) + bytes(2**25))),
    ],
    ids=["alignment 0", "alignment below 0", "nested arrays", "millions of strings"],
)
def test_heads_that_broke_the_reader_are_refused(tmp_path: Path, data: bytes) -> None:
    """ZeroDivisionError, RecursionError, and seconds of work."""
    file = tmp_path / "bad.gguf"
    file.write_bytes(data)
    began = time.process_time()
    with pytest.raises(BadWeightsError):
        read_head(file)
    assert time.process_time() - began < 2
