"""How large a model's context is, and how many slots of it fit.

Each slot takes the memory of a whole context from the start. Decoded together, 8 requests take 1.5 times the tokens a
second of 4 (docs/explanation/engine.md), so there are 8 where memory allows it: in an eighth of the machine's memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kodo.server.engines.weights.errors import BadWeightsError
from kodo.server.engines.weights.gguf import read_numbers

MIN_SLOTS, MAX_SLOTS = 4, 8
MEMORY_DIVISOR = 8
"""Slots may take this fraction of the machine's memory: 1 / ``MEMORY_DIVISOR``."""
_ELEMENT_BYTES = 2
"""A key or a value is kept as a 16-bit float."""


@dataclass(frozen=True)
class MemoryFit:
    """``context`` in tokens per slot; ``slots`` that are decoded together."""

    context: int
    slots: int


def fit_memory(model: Path, context: int, memory: int | None = None) -> MemoryFit:
    """What fits: at most ``context`` tokens per slot, and at most what the model was trained for.

    ``memory`` in bytes; None: :func:`available_memory`. A file that is not a GGUF model gets
    ``MIN_SLOTS``; the engine reports the fault when it loads the file.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        numbers = {key.partition(".")[2]: value for key, value in read_numbers(model).items()}
    except BadWeightsError:
        return MemoryFit(context, MIN_SLOTS)
    context = min(context, numbers.get("context_length") or context)
    slot = context * _token_bytes(numbers)
    if not slot:
        return MemoryFit(context, MIN_SLOTS)
    return MemoryFit(
        context, max(MIN_SLOTS, min(MAX_SLOTS, (memory or available_memory()) // MEMORY_DIVISOR // slot))
    )


def available_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of memory: the machine's, or what a container may take of it (Linux, control groups v2)."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = limit.read_text().strip()
    except OSError:
        return whole  # another system, or no limits of this kind
    return min(whole, int(text)) if text.isdigit() else whole


def _token_bytes(numbers: dict[str, int]) -> int:
    """Bytes of state a token, keys and values of all layers; 0 where the model does not say."""
    layers, heads = numbers.get("block_count", 0), numbers.get("attention.head_count", 0)
    if not layers or not heads:
        return 0
    width = numbers.get("embedding_length", 0) // heads
    kv_heads = numbers.get("attention.head_count_kv", heads)
    keys, values = numbers.get("attention.key_length", width), numbers.get("attention.value_length", width)
    return layers * kv_heads * (keys + values) * _ELEMENT_BYTES
