"""The full level: the bubblewrap command line, and the way to it when kodo runs as root.

Knows mounts and namespaces; knows nothing of what runs inside. Every path outside the list of sources
is absent in the sandbox, not merely forbidden.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kodo.sandbox.model import ResourceLimits

_INSIDE = Path(__file__).parent / "inside"
_SANDBOX_ID = "1000"
# A host user that owns nothing: systemd documents 1879048192 and up as unused (UIDS-GIDS.md).
_HOST_ID_BASE, _HOST_ID_SPAN = 1_900_000_000, 10_000_000
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")


@dataclass(frozen=True, slots=True)
class Source:
    """A host path, and where it is seen read-only in the sandbox."""

    host: Path
    inside: str


def find() -> Path | None:
    """The bubblewrap program, if there is one; a set-uid copy is not wanted and not used."""
    found = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    if found is None:
        return None
    return None if Path(found).stat().st_mode & 0o4000 else Path(found)


def command(
    bwrap: Path,
    sources: Sequence[Source],
    limits: ResourceLimits,
    seccomp_fd: int | None,
    cwd: str,
    folders: Mapping[str, int] | None = None,
) -> list[str]:
    """The command line up to and without the program that runs inside.

    User, mount, process, network, IPC, host name and cgroup namespaces of its own; no capability; no
    further user namespace; a session of its own; ends with kodo. The sandbox's root and /dev are
    read-only and its writable folders (``folders`` besides the usual two) have a size, so that files cannot fill the
    memory.
    """
    binds: list[Source] = [Source(Path("/usr"), "/usr")]
    links: list[str] = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            links += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            binds.append(Source(path, str(path)))
    binds += [Source(path.resolve(), str(path)) for path in map(Path, _ETC) if path.exists()]
    binds += sources
    prefix: list[str] = []
    if os.geteuid() == 0:
        spec = {"uid": _host_id(), "gid": _host_id(), "binds": [str(bind.host) for bind in binds]}
        prefix = [sys.executable, "-I", "-S", str(_INSIDE / "launcher.py"), json.dumps(spec)]
        binds = [Source(Path(f"/tmp/{at}"), bind.inside) for at, bind in enumerate(binds)]  # noqa: S108 - see launcher.py
    mounts: list[str] = []
    for bind in binds:
        mounts += ["--ro-bind", str(bind.host), bind.inside]
    size = str(limits.tmp_bytes)
    out = [
        *prefix, str(bwrap),
        "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--uid", _SANDBOX_ID, "--gid", _SANDBOX_ID, "--hostname", "sandbox",
        "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--clearenv",
        "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev",
        "--size", size, "--tmpfs", "/dev/shm",  # noqa: S108 - inside
        "--size", size, "--perms", "1777", "--tmpfs", "/tmp",  # noqa: S108 - inside
        *(part for path, most in (folders or {}).items() for part in ("--size", str(most), "--perms", "1777", "--tmpfs", path)),
        *mounts, *links,  # after the fresh file systems, which would hide a source below /tmp
        "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", cwd,
    ]  # fmt: skip
    return out if seccomp_fd is None else [*out, "--seccomp", str(seccomp_fd)]


def _host_id() -> int:
    """A user id for this kodo process: two running processes do not share a count of processes."""
    return _HOST_ID_BASE + os.getpid() % _HOST_ID_SPAN


def missing_reason() -> str:
    """How to get bubblewrap on this machine, in one line."""
    for tool, call in (("apt-get", "apt-get install bubblewrap"), ("dnf", "dnf install bubblewrap")):
        if shutil.which(tool):
            return (
                f"bubblewrap is not installed; install it with: {'' if os.geteuid() == 0 else 'sudo '}{call}"
            )
    return "bubblewrap is not installed (https://github.com/containers/bubblewrap)"
