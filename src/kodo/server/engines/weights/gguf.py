"""Reads the header of a GGUF file: whether it is a complete model, and its metadata.

GGUF versions 2 and 3, little-endian: magic, counts, key-value pairs, tensor descriptions, padding, tensor data
(docs/gguf.md of ggml-org/ggml). Only the header is read, a few MB at most, and never the weights; what a key means to
the engine is not known here.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kodo.server.engines.weights.errors import BadWeightsError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_ALIGNMENT = 1 << 20
_MAX_ARRAYS = 8
"""Arrays inside each other; real heads have one level."""
_MAX_VALUES = 1 << 22
"""Strings and arrays in a head, which are read one by one: some 40 times the largest vocabulary."""
_MAX_COUNT = 1 << 24
"""No count or string in a real head is larger; a broken file must not make this reader allocate."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# Tensor type -> (elements a block, bytes a block), from ggml's GGML_QUANT_SIZES; a test compares it with theirs.
# fmt: off
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Head:
    """The metadata of a GGUF file."""

    text: dict[str, str]
    """The keys whose value is a string, such as `general.name` and `general.license`."""
    size: int
    """Bytes that the whole file has at least, by its own table of tensors."""


def read_head(path: Path) -> Head:
    """Read and check the header of the file at ``path``.

    Raises:
        BadWeightsError: it is not a GGUF, is truncated, or holds only a part of a model.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        actual = os.fstat(file.fileno()).st_size
        try:
            head = _Reader(file).head()
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            raise BadWeightsError(f"{path}: not a whole GGUF file ({error})") from None
    if actual < head.size:
        raise BadWeightsError(f"{path}: cut short, {actual:,} of {head.size:,} bytes: download it again")
    return head


def read_numbers(path: Path) -> dict[str, int]:
    """Return the integers among the keys before the vocabulary: the model's shape, such as ``llama.context_length``.
    Takes well under a millisecond; reading the whole header takes more than 0.1 s.

    Raises:
        BadWeightsError: the file is not a GGUF.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _Reader(file).numbers()
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            raise BadWeightsError(f"{path}: not a whole GGUF file ({error})") from None


class _Reader:
    """Reads one header from front to back."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._values = 0

    def head(self) -> Head:
        tensors, pairs = self.counts()
        text: dict[str, str] = {}
        numbers: dict[str, int] = {}
        for _ in range(pairs):
            key, value = self.string(), self.value(*self.take("I"))
            if isinstance(value, str):
                text[key] = value
            elif isinstance(value, int):
                numbers[key] = value
        if numbers.get("split.count", 1) > 1:
            raise ValueError("one part of a split model; join the parts with llama-gguf-split --merge")
        end = max((self.tensor_end() for _ in range(tensors)), default=0)
        alignment = numbers.get("general.alignment", 32)
        if not 0 < alignment <= _MAX_ALIGNMENT:
            raise ValueError(f"an alignment of {alignment}")
        start = -(-self.file.tell() // alignment) * alignment
        return Head(text, start + end)

    def numbers(self) -> dict[str, int]:
        _, pairs = self.counts()
        integers: dict[str, int] = {}
        for _ in range(pairs):
            key = self.string()
            if key.startswith("tokenizer."):
                break
            value = self.value(*self.take("I"))
            if isinstance(value, int):
                integers[key] = value
        return integers

    def counts(self) -> tuple[int, int]:
        """Read the number of tensors and of key-value pairs, which come first."""
        if self.file.read(4) != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        (version,) = self.take("I")
        if version not in _VERSIONS:
            raise ValueError(f"GGUF version {version}, supported are 2 and 3")
        return self.count(), self.count()

    def take(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.file.read(struct.calcsize("<" + layout)))

    def count(self) -> int:
        (number,) = self.take("Q")
        if number > _MAX_COUNT:
            raise ValueError(f"a count of {number:,} in its head")
        return number

    def string(self) -> str:
        length = self.count()
        raw = self.file.read(length)
        if len(raw) != length:
            raise ValueError("it ends inside its head")
        return raw.decode()

    def value(self, kind: int, depth: int = 0) -> str | int | float | None:
        """Read a value of type ``kind``; an array is skipped and returned as None."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            (element,) = self.take("I")
            length = self.count()
            if element in _SCALARS:
                self.file.seek(length * struct.calcsize("<" + _SCALARS[element]), os.SEEK_CUR)
            else:
                self._values += length
                if depth >= _MAX_ARRAYS or self._values > _MAX_VALUES:
                    raise ValueError("too many values in its head")
                for _ in range(length):
                    self.value(element, depth + 1)
            return None
        if kind not in _SCALARS:
            raise ValueError(f"a value of type {kind} in its head")
        return self.take(_SCALARS[kind])[0]

    def tensor_end(self) -> int:
        """Read a tensor's description; return its end in bytes from the start of the data, or its start if its type is
        unknown."""
        self.string()
        (dimensions,) = self.take("I")
        if dimensions > 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        elements = 1
        for size in self.take("Q" * dimensions):
            elements *= size
        kind, offset = self.take("IQ")
        block, width = BLOCKS.get(kind, (1, 0))
        return offset + -(-elements // block) * width
