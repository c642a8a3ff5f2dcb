"""A tiny llama-architecture GGUF, written in a few milliseconds: 259 byte tokens, one layer, random weights.

It speaks nonsense in ASCII, deterministically, and everything else works on it: templates, grammars, slots, caching.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = (
    "{% for message in messages %}{{ '<s>' + message['role'] + '\n' + message['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)
WIDTH, HEADS, FEED = 64, 4, 128


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    spare = 256
    for byte in range(256):
        if byte not in symbols:
            symbols[byte] = chr(spare)
            spare += 1
    return [symbols[byte] for byte in range(256)]


def write_tiny_model(
    path: Path,
    *,
    template: str = TEMPLATE,
    context: int = 1024,
    seed: int = 1,
    splitter: str = "default",
    control: Sequence[str] = (),
) -> Path:
    """Write the model to ``path`` and return it. ``control`` are further control tokens, with the ids from 259 on.

    ``splitter``: how llama.cpp cuts a text before it looks for tokens; the default, a std::regex, overflows its stack on
    some ten thousand characters of one kind.
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    tokens = ["<unk>", "<s>", "</s>", *byte_symbols(), *control]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(control)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splitter)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])  # the loader insists on one; "ab" is no token, so it does nothing
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0.0, 0.5, (rows, columns)).astype(np.float32)

    writer.add_tensor("token_embd.weight", matrix(len(tokens), WIDTH))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, dtype=np.float32))
    output = matrix(len(tokens), WIDTH)
    printable = [3 + byte for byte in range(32, 127)]
    mute = [token for token in range(len(tokens)) if token not in printable]
    output[mute] *= 0.01  # left free, it says printable ASCII: lone bytes of other characters are no text
    writer.add_tensor("output.weight", output)
    for name, rows, columns in (
        ("attn_q", WIDTH, WIDTH),
        ("attn_k", WIDTH, WIDTH),
        ("attn_v", WIDTH, WIDTH),
        ("attn_output", WIDTH, WIDTH),
        ("ffn_gate", FEED, WIDTH),
        ("ffn_up", FEED, WIDTH),
        ("ffn_down", WIDTH, FEED),
    ):
        writer.add_tensor(f"blk.0.{name}.weight", matrix(rows, columns))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
