"""Run as a program: fill a disk of 24 MB that only this process has, then let `kodo store prune` free some of it.

``full_disk.py FOLDER``: the disk is mounted on FOLDER, in namespaces of its own, without a right of the system. Prints
one JSON object: what happened, or ``{"refused": why}`` where the system allows no such namespace.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.contract.stores import answered, response, said

from kodo.server.http import reserve
from kodo.server.store.sqlite import SqliteStore

_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
SIZE = 24 * 2**20


def mount_disk(folder: Path) -> None:
    """A disk of ``SIZE`` bytes on a folder, for this process and its children. Raises ``OSError``."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % SIZE):
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")


async def store_old_responses(home: Path, count: int) -> None:
    """Finished responses of 1970, of 64 kB each."""
    store = SqliteStore(home)
    await store.open()
    for number in range(count):
        row = response(f"r{number}", status="completed")
        await store.store_response(row, [said(f"i{number}", "x" * 65_536)], [answered(f"o{number}")])
    await store.close()


def fill(folder: Path) -> int:
    """Write until nothing more fits; the bytes that did."""
    written = 0
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                written += ballast.write(b"x" * 4096)
        except OSError:
            return written


def main(folder: Path) -> dict[str, object]:
    """Fill the disk, prune, and look at what is left."""
    try:
        mount_disk(folder)
    except OSError as error:
        return {"refused": str(error)}
    home = folder / "home"
    asyncio.run(store_old_responses(home, 100))
    if "--without-reserve" not in sys.argv:
        reserve.keep(home)
    filled = fill(folder)
    done = subprocess.run(
        [sys.executable, "-m", "kodo", "store", "prune", "--days", "1"],
        env={**os.environ, "KODO_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    left = asyncio.run(_count(home)) if done.returncode == 0 else None
    return {
        "filled": filled,
        "code": done.returncode,
        "said": done.stdout + done.stderr,
        "left": left,
        "reserve": (home / reserve.NAME).exists(),
    }


async def _count(home: Path) -> int:
    store = SqliteStore(home)
    await store.open()
    rows = int((await store.stats())["rows"]["responses"])
    await store.close()
    return rows


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
