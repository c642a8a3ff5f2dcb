"""On the way into the sandbox when kodo runs as root: become an ordinary user that can see the sources.

    python -I -S launcher.py SPEC bwrap argument...

SPEC is JSON: ``uid``, ``gid`` and ``binds`` (host paths). Root inside a user namespace would be root on the
host's files, so bubblewrap is started as a user that owns nothing. That user cannot enter a folder
such as /root, where the interpreter may be; so root first opens the sources and mounts them, in a
mount namespace of its own, under /tmp as 0, 1, 2...; bubblewrap binds them from there.
"""

import ctypes
import json
import os
import sys

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 4096, 16384, 1 << 18, 2, 4
MOUNT_ROOT = "/tmp"  # noqa: S108 - a fresh tmpfs in a private mount namespace
NOBODY = 65534


def _mount(
    libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: str | None
) -> None:
    encode = [None if x is None else x.encode() for x in (source, target, kind, data)]
    if libc.mount(encode[0], encode[1], encode[2], ctypes.c_ulong(flags), encode[3]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def drop_privileges(uid: int, gid: int) -> None:
    """Drop root permanently; ``nobody`` where this machine's namespace does not map ``uid``."""
    os.setgroups([])
    try:
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def main() -> None:
    """Mount the sources where any user can enter, drop root, exec bubblewrap."""
    spec = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: no mount namespace")
    _mount(libc, "none", "/", None, _MS_REC | _MS_PRIVATE, None)
    sources = [(os.open(path, os.O_PATH | os.O_CLOEXEC), os.path.isdir(path)) for path in spec["binds"]]
    _mount(libc, "tmpfs", MOUNT_ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
    for at, (fd, is_folder) in enumerate(sources):
        target = f"{MOUNT_ROOT}/{at}"
        if is_folder:
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(libc, f"/proc/self/fd/{fd}", target, None, _MS_BIND | _MS_REC, None)
        os.close(fd)
    os.chdir("/")
    drop_privileges(spec["uid"], spec["gid"])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming bubblewrap is what this program is for


if __name__ == "__main__":
    main()
