"""A tiny random CLIP projector for the tiny model, in the form of LLaVA: an image becomes a few embeddings. It sees nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np
from tests.tiny_model import WIDTH

SIZE, PATCH, HIDDEN, LAYERS = 28, 14, 32, 2
IMAGE_TOKENS = (SIZE // PATCH) ** 2
"""Tokens that an image takes."""


def write_tiny_projector(path: Path, *, seed: int = 1) -> Path:
    """Write the projector to ``path`` and return it."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    writer.add_uint32("clip.vision.image_size", SIZE)
    writer.add_uint32("clip.vision.patch_size", PATCH)
    writer.add_uint32("clip.vision.embedding_length", HIDDEN)
    writer.add_uint32("clip.vision.feed_forward_length", 2 * HIDDEN)
    writer.add_uint32("clip.vision.block_count", LAYERS)
    writer.add_uint32("clip.vision.projection_dim", WIDTH)
    writer.add_uint32("clip.vision.attention.head_count", 4)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def matrix(*shape: int) -> np.ndarray:
        return random.normal(0.0, 0.3, shape).astype(np.float32)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(HIDDEN, dtype=np.float32))

    def linear(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", matrix(rows, columns))
        writer.add_tensor(f"{name}.bias", np.zeros(rows, dtype=np.float32))

    writer.add_tensor("v.class_embd", matrix(HIDDEN))
    writer.add_tensor("v.patch_embd.weight", matrix(HIDDEN, 3, PATCH, PATCH))
    writer.add_tensor("v.position_embd.weight", matrix(IMAGE_TOKENS + 1, HIDDEN))
    norm("v.pre_ln")
    for layer in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"v.blk.{layer}.{part}", HIDDEN, HIDDEN)
        norm(f"v.blk.{layer}.ln1")
        norm(f"v.blk.{layer}.ln2")
        linear(f"v.blk.{layer}.ffn_up", 2 * HIDDEN, HIDDEN)
        linear(f"v.blk.{layer}.ffn_down", HIDDEN, 2 * HIDDEN)
    linear("mm.0", WIDTH, HIDDEN)
    linear("mm.2", WIDTH, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(red: int, green: int, blue: int, *, size: int = SIZE) -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
