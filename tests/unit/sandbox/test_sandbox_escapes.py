"""Every escape probe, at each level, inside a mount and process namespace made for this module alone.

Where this machine has no bubblewrap that works, no test is skipped: each then states that the level is not
`full` and that the sandbox refuses.
"""

import json
import os
import subprocess
import sys
import warnings

import pytest
from tests.paths import REPOSITORY

from kodo.sandbox.inside.probes import ATTEMPTS

ALL = sorted(attempt.__name__ for attempt in ATTEMPTS)
# What a plain child process can do; with these the probes are known to be able to succeed.
SUCCEED_UNSANDBOXED = {
    "read_host_file", "list_host_folder", "stat_host_file", "write_host", "write_project", "tcp_connect", "udp_send",
    "unix_connect", "abstract_connect", "signal_host", "see_host_process",
}  # fmt: skip

PROBE = """
import json, sys
from kodo.sandbox import Sandbox, IsolationRefused, SandboxError
out = {}
for name in ("bubblewrap", "landlock", "none"):
    sandbox = Sandbox(mechanism=name)
    try:
        seen = sandbox.probe()
    except SandboxError as error:
        out[name] = {"error": str(error)}
        continue
    try:
        sandbox.require()
        refused = ""
    except IsolationRefused as error:
        refused = str(error)
    out[name] = {"level": seen.level, "blocked": seen.blocked, "open": seen.open, "refused": refused, "line": seen.line()}
out["chosen"] = Sandbox().mechanism
print(json.dumps(out))
"""


def disposable(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process and mount namespace of its own, with a read-only root and an empty /tmp."""
    unshare = [
        "unshare",
        *([] if os.geteuid() == 0 else ["-r"]),
        "-m",
        "-p",
        "-f",
        "--mount-proc",
        "--kill-child",
    ]
    return subprocess.run(
        [*unshare, "sh", "-c", PREPARE, "sh", " ".join(_below_tmp()), sys.executable, "-c", script],
        capture_output=True, text=True, timeout=240, check=False, cwd="/",
    )  # fmt: skip


PREPARE = """
set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/old
mount --rbind /tmp /mnt/old
mount -t tmpfs tmpfs /tmp
for folder in $1; do mkdir -p "$folder"; mount --bind "/mnt/old/${folder#/tmp/}" "$folder"; done
umount -l /mnt
mount -o remount,bind,ro /
shift
exec "$@"
"""


def _below_tmp() -> list[str]:
    """The folders that the process needs and that an empty /tmp would hide: a checkout or environment that is there."""
    needed = {str(REPOSITORY), sys.prefix, sys.base_prefix}
    below = sorted(folder for folder in needed if folder.startswith("/tmp/"))
    return [folder for folder in below if not any(folder.startswith(f"{other}/") for other in below)]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, object]]:
    """What each level blocked and let through."""
    done = disposable(PROBE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def no_full_level(found) -> bool:
    """Say loudly that bubblewrap does not work here, and check that this is told and refused."""
    if found["chosen"] == "bubblewrap":
        return False
    warnings.warn("bubblewrap does not work on this machine; only the refusal could be tested", stacklevel=2)
    for name in ("bubblewrap", "landlock", "none"):
        assert "error" in found[name] or (found[name]["level"] != "full" and found[name]["refused"])
    return True


def test_there_are_at_least_twenty_escape_probes():
    """The list of attempts is long, and each attempt is named once."""
    assert len(ALL) >= 20
    assert len(set(ALL)) == len(ALL)


@pytest.mark.parametrize("name", ALL)
def test_no_escape_succeeds_in_the_full_sandbox(name, found):
    """Every attempt fails under bubblewrap."""
    if no_full_level(found):
        return
    assert name in found["bubblewrap"]["blocked"]
    assert name not in found["bubblewrap"]["open"]


@pytest.mark.parametrize("name", sorted(SUCCEED_UNSANDBOXED))
def test_the_probes_can_succeed(name, found):
    """Without a sandbox the attempts get through, so their failure inside means something."""
    assert name in found["none"]["open"]


def test_bubblewrap_is_the_full_level(found):
    """Under bubblewrap nothing is open, the level is full and nothing is refused."""
    if no_full_level(found):
        return
    assert found["bubblewrap"]["level"] == "full"
    assert found["bubblewrap"]["open"] == []
    assert found["bubblewrap"]["refused"] == ""


def test_landlock_is_named_partial_with_what_stays_open(found):
    """The level below keeps files, TCP and privileges, is called partial, names its holes and is refused by default."""
    seen = found["landlock"]
    if "error" in seen:
        warnings.warn(f"Landlock does not work on this machine: {seen['error']}", stacklevel=2)
        return
    assert seen["level"] == "partial"
    assert {"read_host_file", "write_host", "tcp_connect", "gain_privilege"} <= set(seen["blocked"])
    assert "stat_host_file" in seen["open"]
    assert "stat_host_file" in seen["line"]
    assert "refused" in seen["refused"]


def test_no_sandbox_is_named_none_and_refused(found):
    """With resource limits alone the level is none."""
    assert found["none"]["level"] == "none"
    assert found["none"]["refused"]


def test_limits_hold_at_every_level(found):
    """Memory, file size and the limits themselves hold with any mechanism."""
    for name in ("bubblewrap", "landlock", "none"):
        if "error" not in found[name]:
            assert {"take_memory", "write_long_file"} <= set(found[name]["blocked"])
