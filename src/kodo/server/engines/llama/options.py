"""What the llama engine is told besides the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kodo.server.engines.llama.process.supervisor import ChildConfig


@dataclass(frozen=True)
class LlamaOptions:
    """Settings of one engine. Sampling: where the client set none."""

    name: str
    threads: int = 2
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
            parallel=self.parallel,
            batch=self.batch,
            context=self.context,
            kv_cache_dir=self.kv_cache_dir,
            runtime_dir=self.runtime_dir,
            projector=self.projector,
        )
