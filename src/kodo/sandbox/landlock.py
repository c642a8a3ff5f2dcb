"""The level below bubblewrap: Landlock, ``unshare`` and resource limits. Named ``partial``.

Files are forbidden, not absent: names, sizes and permissions of files outside can still be asked for,
and paths are those of the host. Where the kernel refuses user namespaces the network stays open but
for TCP. What is open on this machine is found by the probes, not assumed here.
"""

import shutil
import subprocess
from pathlib import Path

_READ = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def prefix() -> list[str]:
    """``unshare`` with as many namespaces as this machine allows; empty where it allows none.

    ``--kill-child`` makes the command end with kodo, as bubblewrap's --die-with-parent does.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    command = [unshare, "-r", "-n", "-i", "-u", "-p", "-f", "--kill-child=SIGKILL"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=10)
    return command if tried.returncode == 0 else []


def rules(readable: list[Path], tmp: Path) -> dict[str, list[str]]:
    """The folders ``inside/entry.py`` gives to Landlock."""
    return {"read": [*_READ, *(str(path) for path in readable)], "write": [str(tmp), *_DEVICES]}
