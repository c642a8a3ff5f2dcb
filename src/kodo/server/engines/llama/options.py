"""What the llama engine is told besides the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kodo.server.engines.llama.process.supervisor import ChildConfig

SMALL_FILE = 500 * 10**6
"""Bytes of a model below which a step of one token is shorter than what its threads wait for each other where a core is
not free: such a step leaves one core to the rest (docs/decisions/waiting-threads.md)."""


@dataclass(frozen=True)
class LlamaOptions:
    """Settings of one engine. Sampling: where the client set none."""

    name: str
    threads: int = 2
    decode_threads: int | None = None
    """Threads for a step that computes one token. None: all, but one fewer for a small file (``SMALL_FILE``)."""
    parallel: int = 4
    batch: int = 128
    context: int = 8192
    temperature: float = 0.2
    top_p: float = 0.9
    projector: Path | None = None
    """The GGUF that turns images into tokens; None: images are not seen."""
    kv_cache_dir: Path | None = None
    """Folder for saved prompt state; None saves none."""
    disk_bytes: int = 2 * 2**30
    minimum_tokens: int = 256
    runtime_dir: Path | None = None
    """Folder for the sockets of the engine's processes; None: the system's folder for temporary files."""
    end_loops: bool | None = None
    """Whether text that goes round in a loop is ended; None: for models under a billion parameters."""

    def child(self, model: Path) -> ChildConfig:
        """What its process is told."""
        return ChildConfig(
            model=model,
            threads=self.threads,
            decode_threads=self.decode_threads or _decode_threads(model, self.threads),
            parallel=self.parallel,
            batch=self.batch,
            context=self.context,
            kv_cache_dir=self.kv_cache_dir,
            runtime_dir=self.runtime_dir,
            projector=self.projector,
        )


def _decode_threads(model: Path, threads: int) -> int:
    """Threads for a step of one token, by the size of the model's file."""
    small = model.is_file() and model.stat().st_size < SMALL_FILE
    return max(threads - 1, 1) if small else threads
