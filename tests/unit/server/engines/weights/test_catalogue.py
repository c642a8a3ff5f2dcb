"""The catalogue: what fits is chosen, what is chosen is fetched from the hub, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.paths import DOCS, REPOSITORY
from tests.stand_in_hub import StandInHub, serving_hub
from tests.weights_files import tiny_gguf

from kodo.server.engines.weights.catalogue import USES, choose, entries
from kodo.server.engines.weights.errors import WeightsError
from kodo.server.engines.weights.registry import Registry

GB = 10**9


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    """A hub of one's own."""
    with serving_hub() as found:
        yield found


def run(hub: StandInHub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, with the hub over HF_ENDPOINT."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "KODO_"))}
    return subprocess.run(
        [Path(sys.executable).with_name("kodo"), *arguments],
        env={**kept, "KODO_HOME": str(home), "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home / "hf")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_every_entry_can_be_chosen_and_every_use_has_one() -> None:
    """Names are unique and lower case, files are single GGUFs, uses are known, and each use has a small model."""
    names = [entry.name for entry in entries()]
    assert len(set(names)) == len(names)
    for entry in entries():
        assert entry.name == entry.name.lower()
        assert entry.file.endswith(".gguf")
        assert set(entry.uses) <= set(USES)
        assert (entry.projector is None) == (entry.projector_bytes == 0)
        assert "vision" not in entry.uses or entry.projector is not None
        assert entry.memory(8192) > entry.download_bytes
    for use in USES:
        assert choose(use, 8 * GB, 8192) is not None


@pytest.mark.parametrize(
    ("word", "memory", "name"),
    [
        ("coder", 64 * GB, "qwen3.6-35b-a3b"),
        ("coder", 24 * GB, "gpt-oss-20b"),
        ("coder", 12 * GB, "qwen3.5-9b"),
        ("coder", 8 * GB, "qwen3.5-4b"),
        ("vision", 24 * GB, "qwen3.5-9b"),
        ("small", 64 * GB, "qwen3.5-4b"),
        ("small", 2 * GB, "qwen3.5-0.8b"),
        ("qwen3.8-27b", 1 * GB, "qwen3.8-27b"),
    ],
)
def test_the_first_that_fits_is_taken(word: str, memory: int, name: str) -> None:
    """By use: the most preferred that the memory is enough for; by name: that one, whatever the memory."""
    chosen = choose(word, memory, 8192)
    assert chosen is not None
    assert chosen.name == name


def test_a_longer_context_needs_more_memory() -> None:
    """What fits at 8,192 tokens may not fit at 131,072."""
    chosen = choose("coder", 16 * GB, 131_072)
    assert chosen is not None
    assert chosen.name == "qwen3.5-2b"


def test_where_nothing_fits_it_says_what_the_smallest_needs() -> None:
    """An error in one line with both numbers; a word that is no use is none of the catalogue's."""
    with pytest.raises(WeightsError, match=r"smallest needs \d+\.\d GB of 0\.4 GB usable"):
        choose("small", GB // 2, 8192)
    assert choose("smollm2-135m-instruct", GB, 8192) is None


def test_a_use_is_fetched_with_its_projector(hub: StandInHub, tmp_path: Path) -> None:
    """`kodo model pull small` says size and licence first, then installs both files under the entry's name."""
    weights = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.files = {entry.file: weights for entry in entries()} | {"mmproj-F16.gguf": weights}
    done = run(hub, tmp_path / "home", "model", "pull", "small")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    chosen = next(entry for entry in entries() if entry.name == path.parent.name)
    assert "small" in chosen.uses
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(
        f"{chosen.name}: {chosen.download_bytes / 1e9:.1f} GB from {chosen.repo}, Apache-2.0"
    )
    assert last == f"use it: kodo serve --model {chosen.name}"
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert (manifest["temperature"], manifest["top_p"]) == (chosen.temperature, chosen.top_p)
    assert manifest["projector"] == "mmproj-F16.gguf"
    assert (path.parent / "mmproj-F16.gguf").read_bytes() == weights


def test_a_download_that_breaks_off_is_resumed(hub: StandInHub, tmp_path: Path) -> None:
    """The rest alone is asked for, and the whole has the sha256 that the hub states."""
    weights = tiny_gguf(tmp_path / "tiny.gguf").read_bytes() + bytes(
        30 * 2**20
    )  # it is written 10 MiB at a time
    hub.files, hub.cut = {"gpt-oss-20b-mxfp4.gguf": weights}, {"gpt-oss-20b-mxfp4.gguf"}
    done = run(hub, tmp_path / "home", "model", "pull", "gpt-oss-20b")
    if done.returncode != 0:  # whether the library tries again itself or the user does: both go on
        done = run(hub, tmp_path / "home", "model", "pull", "gpt-oss-20b")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == weights
    assert hub.ranges
    assert all(int(one.removeprefix("bytes=").partition("-")[0]) > 0 for one in hub.ranges)


@pytest.mark.parametrize("file", ["Qwen3.5-0.8B-UD-Q4_K_XL.gguf", "mmproj-F16.gguf"])
def test_a_damaged_file_installs_nothing(hub: StandInHub, tmp_path: Path, file: str) -> None:
    """A sha256 that differs, of the weights or of the projector, is an error in one line, and no model is there."""
    weights = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.files = {"Qwen3.5-0.8B-UD-Q4_K_XL.gguf": weights, "mmproj-F16.gguf": weights}
    hub.damaged = {file}
    done = run(hub, tmp_path / "home", "model", "pull", "qwen3.5-0.8b")
    assert done.returncode == 2
    assert "the download is damaged" in done.stderr.splitlines()[-1]
    assert run(hub, tmp_path / "home", "model", "list").stdout.splitlines()[1:] == []


def test_a_home_of_an_older_version_is_read(tmp_path: Path) -> None:
    """A manifest without recommended sampling or projector is one that recommends nothing."""
    folder = tmp_path / "models" / "old"
    folder.mkdir(parents=True)
    fields = {"name": "old", "file": "a.gguf", "sha256": "0" * 64, "size": 1, "source": "x", "licence": "MIT"}
    (folder / "manifest.json").write_text(json.dumps(fields))
    registry = Registry(tmp_path)
    assert registry.sampling("old") == (None, None)
    assert registry.sampling("/a/file.gguf") == (None, None)
    assert registry.projector("old") is None


def test_make_run_hands_the_model_on() -> None:
    """`make run MODEL=coder` is `kodo serve --model coder`; without it there is no such option."""
    for model, expected in (("MODEL=coder", " --model coder"), ("MODEL=", "")):
        said = subprocess.run(
            ["make", "-n", "run", model], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout
        served = next(line for line in said.splitlines() if "kodo serve" in line)
        assert served.rstrip().endswith(f"--hello{expected}")


def test_the_guide_lists_the_catalogue() -> None:
    """The table of docs/guides/models.md has every entry with its uses, sizes and licence."""
    rows = []
    for entry in entries():
        uses = ", ".join(entry.uses) or "by name"
        sizes = f"{entry.download_bytes / 1e9:.1f} GB | {entry.memory(8192) / 1e9:.1f} GB"
        rows.append(f"| {entry.name} | {uses} | {sizes} | {entry.licence} |")
    assert "\n".join(rows) in (DOCS / "guides" / "models.md").read_text()
