"""The local models: one folder each under KODO_HOME/models, holding a GGUF and its manifest.

    models/smollm2-135m-instruct/manifest.json
    models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf
    models/.staging/smollm2-135m-instruct/      what is being fetched

A model is made whole in the staging folder and then renamed into place, so one that can be seen is complete, and
a crash leaves nothing but staging, which the next pull continues. Where a model comes from is not known here
(`kodo.server.engines.weights.sources`).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec

from kodo.server.engines.weights.errors import BadWeightsError, UnknownModelError, WeightsError
from kodo.server.wire.foreign_json import NotJson, read_json_as

MANIFEST = "manifest.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_CHUNK = 1 << 20

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, the latter 0 where it is unknown."""


class LocalModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of one model."""

    name: str
    file: str
    """The GGUF's name in the model's folder."""
    sha256: str
    size: int
    """Bytes."""
    source: str
    """Where it came from: `pypi:NAME==VERSION`, `hf:OWNER/REPO/FILE@COMMIT`, or a path."""
    licence: str
    """As its maker states it (an SPDX name where possible), or `unknown`."""
    projector: str | None = None
    """The name of the GGUF in the model's folder that turns images into tokens; None: it sees none."""
    temperature: float | None = None
    top_p: float | None = None
    """The sampling that its maker recommends; None: not known."""


_manifest = msgspec.json.Decoder(LocalModel)


class Registry:
    """The models under one KODO_HOME, the folder ``home``; no folder is created before it is needed."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "models"

    def all(self) -> list[LocalModel]:
        """Return every installed model, by name. Raises ``WeightsError`` if a manifest cannot be read."""
        manifests = sorted(self.folder.glob(f"[!.]*/{MANIFEST}"))
        return [self.get(path.parent.name) for path in manifests]

    def get(self, name: str) -> LocalModel:
        """Return the model called ``name``. Raises ``UnknownModelError``, or ``WeightsError`` if its manifest cannot be
        read."""
        path = self.folder / check_name(name) / MANIFEST
        try:
            return read_json_as(_manifest, path.read_bytes())
        except FileNotFoundError:
            raise UnknownModelError(
                f"no local model is called {name!r}: `kodo model list` shows them, `kodo model pull` fetches one"
            ) from None
        except NotJson as error:
            raise BadWeightsError(f"{path}: {error}: remove its folder and pull the model again") from None

    def path(self, name: str) -> Path:
        """The GGUF of the model called `name`, there and of the right size.

        Its sha256 was checked when it was installed; `verify` checks it again. Raises UnknownModelError or
        BadWeightsError.
        """
        model = self.get(name)
        path = self.folder / name / model.file
        size = path.stat().st_size if path.exists() else 0
        if size != model.size:
            raise BadWeightsError(
                f"{path}: {size:,} bytes instead of {model.size:,}: run `kodo model pull` to replace it"
            )
        return path

    def resolve(self, target: str) -> Path:
        """The GGUF that a setting means: the name of an installed model, or the path of a file.

        Raises UnknownModelError or BadWeightsError.
        """
        if self._installed(target) is not None:
            return self.path(target)
        file = Path(target).expanduser().absolute()
        if not file.is_file():
            raise UnknownModelError(f"{file}: no such file")
        return file

    def projector(self, target: str) -> Path | None:
        """The projector that belongs to :meth:`resolve`'s file, if it is an installed model that has one."""
        model = self._installed(target)
        return None if model is None or model.projector is None else self.folder / target / model.projector

    def sampling(self, target: str) -> tuple[float | None, float | None]:
        """The temperature and ``top_p`` that are recommended for :meth:`resolve`'s file, where they are known."""
        model = self._installed(target)
        return (None, None) if model is None else (model.temperature, model.top_p)

    def _installed(self, target: str) -> LocalModel | None:
        """The installed model that a setting names; None: it is the path of a file."""
        return None if "/" in target or target.endswith(".gguf") else self.get(target)

    def verify(self, name: str) -> LocalModel:
        """Read the model's weights and compare their sha256. Raises UnknownModelError or BadWeightsError."""
        model, path = self.get(name), self.path(name)
        if sha256_of(path) != model.sha256:
            raise BadWeightsError(f"{path}: damaged, its sha256 differs: run `kodo model pull` to replace it")
        return model

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """A folder to make the model `name` in, the only one at a time; kept for the next try if this one fails.

        Raises OSError where KODO_HOME cannot be written.
        """
        folder = self.folder / ".staging" / check_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.parent / f"{name}.lock"):
            folder.mkdir(exist_ok=True)
            yield folder
            shutil.rmtree(folder)

    def install(self, model: LocalModel, staged: Path) -> Path:
        """Make the staged file `staged` the model `model`, in place of one of that name; returns its new path.

        To be called inside `staging(model.name)`, whose folder is dropped at its end with all that is left in it.
        """
        whole = self.folder / ".staging" / f"{model.name}.whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        staged.rename(whole / model.file)
        if model.projector is not None:
            (staged.parent / model.projector).rename(whole / model.projector)
        manifest = whole / MANIFEST
        manifest.write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=2) + b"\n")
        for path in (*whole.iterdir(), whole):
            _fsync(path)
        self._delete(model.name)
        whole.rename(self.folder / model.name)
        _fsync(self.folder)
        return self.folder / model.name / model.file

    def remove(self, name: str) -> LocalModel:
        """Delete a model; a server that has it open keeps using it. Raises UnknownModelError."""
        model = self.get(name)
        with self.staging(name):
            self._delete(name)
        return model

    def _delete(self, name: str) -> None:
        """Move a model away in one step, so that no reader sees half of it, and then delete it."""
        old, trash = self.folder / name, self.folder / ".staging" / f"{name}.old"
        shutil.rmtree(trash, ignore_errors=True)
        if old.exists():
            old.rename(trash)
            shutil.rmtree(trash)


def check_name(name: str) -> str:
    """Return ``name`` if it can name a model and its folder. Raises ``WeightsError``."""
    if not _NAME.fullmatch(name):
        raise WeightsError(f"{name!r} cannot be a model's name: use a-z, 0-9, '.', '_' and '-', at most 100")
    return name


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """Return the sha256 of a file in hexadecimal; about 1.6 GB/s. Raises ``OSError``."""
    total, done, sha = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    return sha.hexdigest()


def _fsync(path: Path) -> None:
    """Sync a file or folder to disk, so that the following rename survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
