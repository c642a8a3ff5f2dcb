"""pip's failures become one line that says what to do."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from kodo.server.engines.weights import pip

REFUSED = (
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
    "'NewConnectionError(': Failed to establish a new connection: [Errno 111] Connection refused')'\n"
    "ERROR: Could not find a version that satisfies the requirement six==1.17.0 (from versions: none)\n"
    "ERROR: No matching distribution found for six==1.17.0\n"
)


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (REFUSED, "cannot be reached"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device: 'x'\n", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n", "refused"),
        ("ERROR: [Errno 30] Read-only file system: '/x'\n", "cannot be written"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')) Max retries", "PIP_CERT"),
        ("ERROR: No matching distribution found for xllamacpp==1\n", "has no xllamacpp==1 for this Python"),
        ("/usr/bin/python3: No module named pip\n", "ensurepip"),
        ("WARNING: a\nERROR: first\nERROR: the last word\n", "pip failed: the last word"),
        ("", "without a word"),
    ],
)
def test_each_cause_has_its_own_advice(output: str, advice: str) -> None:
    """The surest sign in the output decides, and the text is one line."""
    text = pip.explain(output)
    assert advice in text
    assert "\n" not in text


def test_pip_is_told_nothing_about_where_packages_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only how to talk is set; the index, proxies and certificates stay the user's own."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.example/simple")
    pip.run(sys.executable, ["config", "debug"], tmp_path / "log")
    set_for_pip = set(re.findall(r"^ *(PIP_\w+)=", (tmp_path / "log").read_text(), re.MULTILINE))
    ours = {"PIP_NO_INPUT", "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_PROGRESS_BAR", "PIP_RESUME_RETRIES"}
    assert set_for_pip == ours | {"PIP_CONFIG_FILE", "PIP_INDEX_URL"}
    assert "PIP_INDEX_URL='http://mirror.example/simple'" in (tmp_path / "log").read_text()


def test_a_failed_run_is_one_pip_error(tmp_path: Path) -> None:
    """pip's many lines stay in the log; the error has the cause."""
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    with pytest.raises(pip.PipError, match=r"has no kodo-no-such-thing==1\.0"):
        pip.run(
            sys.executable, ["download", "kodo-no-such-thing==1.0"], tmp_path / "log", environment=environment
        )
    assert "No matching distribution" in (tmp_path / "log").read_text()
