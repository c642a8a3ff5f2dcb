"""`kodo doctor`: every check says what it found, and none of them throws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kodo.cli import doctor_checks
from kodo.cli.exit_codes import ExitCode
from kodo.cli.main import run
from kodo.client.testing import FakeResponses
from kodo.sandbox import Isolation, SandboxError


class FakeSandbox:
    """A sandbox whose probes have already been run."""

    found: Isolation | SandboxError = Isolation("full", "bubblewrap", ("a", "b"), ())

    def probe(self) -> Isolation:
        """What was found."""
        if isinstance(self.found, SandboxError):
            raise self.found
        return self.found


@pytest.fixture(autouse=True)
def sandbox(monkeypatch: pytest.MonkeyPatch) -> type[FakeSandbox]:
    """The real probes take seconds and have tests of their own."""
    monkeypatch.setattr(doctor_checks, "Sandbox", FakeSandbox)
    return FakeSandbox


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = run(["doctor", "--format", "json", *arguments])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_with_nothing_configured_it_warns_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No server is no failure: one would be started for a command."""
    monkeypatch.setattr("kodo.client.endpoint.find_running", lambda: None)
    code, checks = report(capsys)
    assert code == ExitCode.DONE
    assert (checks["endpoint"]["state"], checks["server"]["state"]) == ("warning", "warning")
    assert checks["sandbox"] == {
        "name": "sandbox",
        "state": "ok",
        "detail": "isolation: full (bubblewrap; 2 escape probes blocked)",
        "code": 0,
    }


def test_a_server_that_is_gone_fails_with_the_server_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5; the checks after it are still made."""
    code, checks = report(capsys, "--base-url", "http://127.0.0.1:9/v1")
    assert code == ExitCode.SERVER
    assert checks["server"]["state"] == "failed"
    assert {"ledger", "sandbox", "git"} <= set(checks)


def test_a_wrong_setting_is_named(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the field."""
    own_home.mkdir()
    (own_home / "config.toml").write_text("[client]\ntimeout = -1\n")
    code, checks = report(capsys)
    assert code == ExitCode.BAD_INPUT
    assert checks["settings"]["detail"].startswith("timeout")


def test_a_home_that_cannot_be_made_is_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what stands in the way: here a file, where a folder above it would be."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("KODO_HOME", str(tmp_path / "file" / "deep" / "home"))
    code, checks = report(capsys)
    assert code == ExitCode.BAD_INPUT
    assert checks["home"]["state"] == "failed"
    assert f"{tmp_path / 'file'} is not a folder" in checks["home"]["detail"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Isolation("partial", "landlock", ("a",), ("udp",), "no bubblewrap"), "open: udp"),
        (SandboxError("the escape probes did not finish"), "did not finish"),
    ],
)
def test_a_weak_sandbox_is_a_warning_that_says_what_stays_open(
    found: Isolation | SandboxError,
    said: str,
    sandbox: type[FakeSandbox],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It matters to some commands only, so it does not fail the others."""
    monkeypatch.setattr(sandbox, "found", found)
    _, checks = report(capsys, "--base-url", "http://127.0.0.1:9/v1")
    assert checks["sandbox"]["state"] == "warning"
    assert said in checks["sandbox"]["detail"]


@pytest.mark.parametrize(("model", "state"), [("mini", "ok"), ("maxi", "warning")])
def test_the_model_is_looked_for_in_what_the_server_lists(
    model: str, state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that the server does not know is found before the first call."""
    from openai.resources.models import Models
    from openai.types import Model

    listed = [Model(id="mini", created=0, object="model", owned_by="x")]
    monkeypatch.setattr(Models, "list", lambda self: listed)
    with FakeResponses() as server:
        code, checks = report(capsys, "--base-url", server.base_url, "-m", model)
    assert (code, checks["server"]["state"]) == (ExitCode.DONE, state)


def test_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only whether there is one."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    assert run(["doctor", "--base-url", "http://127.0.0.1:9/v1", "--lang", "ja"]) == ExitCode.SERVER
    captured = capsys.readouterr()
    assert "very-secret" not in captured.out + captured.err
    assert "キー: あり" in captured.out


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        (64, "64.0 GB of memory; kodo model pull could fetch coder: qwen3.6-35b-a3b (23.1 GB), small: qwen3.5-4b (3.6 GB), vision: qwen3.6-35b-a3b (23.1 GB)"),
        (2, "2.0 GB of memory; kodo model pull could fetch small: qwen3.5-0.8b (0.8 GB), vision: qwen3.5-0.8b (0.8 GB)"),
        (1, "1.0 GB of memory; kodo model pull could fetch none of the catalogue"),
    ],
)  # fmt: skip
def test_it_says_what_this_machine_could_run(
    gigabytes: int, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best of the catalogue for each use that fits the memory, with the size of its download."""
    monkeypatch.setattr("kodo.server.http.admin.available_memory", lambda: gigabytes * 10**9)
    monkeypatch.setattr("kodo.client.endpoint.find_running", lambda: None)
    _, checks = report(capsys)
    assert checks["models"]["detail"] == expected
