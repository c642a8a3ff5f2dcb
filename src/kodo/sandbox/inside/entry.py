"""The first program in the sandbox: sets the limits, drops what is left of privilege, starts the command.

    python -I -S entry.py SPEC command argument...

SPEC is JSON: ``limits`` (resource name -> value) and, at the level below bubblewrap, ``landlock``
(folders to read, folders to write) and ``seccomp`` (the filter in hexadecimal). Stands alone: it is
started by path, before ``kodo`` can be imported. Resource limits are set here and not outside because the count
of processes is kept for each user namespace and would otherwise take in the user's other programs.
"""

import ctypes
import json
import os
import resource
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_DUMPABLE = 38, 22, 24, 4
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91}

# linux/landlock.h: the rights that exist at each version of the interface.
_FS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_FS_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute, read file, read directory
_FS_FILE = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
_NET_TCP = 3
_SCOPES = 3  # abstract unix sockets, signals


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def restrict_files(libc: ctypes.CDLL, readable: list[str], writable: list[str]) -> None:
    """Allow only these folders (Landlock), no TCP from version 4, no signals out from version 6."""
    abi = _call(libc, _LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    rights = _FS_BY_ABI[min(abi, 5)]
    fields = [rights] + ([_NET_TCP] if abi >= 4 else []) + ([_SCOPES] if abi >= 6 else [])
    attribute = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _call(libc, _LANDLOCK_CREATE, attribute, ctypes.c_size_t(len(attribute)), ctypes.c_uint(0))
    for paths, allowed in ((readable, _FS_READ), (writable, rights)):
        for path in paths:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # e.g. no /lib64 on this machine; what is not there needs no rule
            mask = allowed & rights if os.path.isdir(path) else allowed & rights & _FS_FILE
            rule = struct.pack("=Qi", mask, fd)
            _call(libc, _LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))
            os.close(fd)
    _call(libc, _LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Empty the bounding and the own set, where this process holds any."""
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header = struct.pack("=Ii", 0x20080522, 0)
    number = _CAPSET.get(os.uname().machine)
    if number is not None:
        _call(libc, number, header, struct.pack("=6I", 0, 0, 0, 0, 0, 0))


def filter_calls(libc: ctypes.CDLL, program: bytes) -> None:
    """Install a seccomp filter for this process and all its children."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")


def main() -> None:
    """Set the limits, apply the restrictions, exec the command."""
    spec = json.loads(sys.argv[1])
    libc = _libc()
    if "landlock" in spec:
        drop_capabilities(libc)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "landlock" in spec:
        restrict_files(libc, spec["landlock"]["read"], spec["landlock"]["write"])
    for name, value in spec["limits"].items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (allowed, allowed))
    if spec.get("seccomp"):
        filter_calls(libc, bytes.fromhex(spec["seccomp"]))
    os.closerange(3, 1 << 16)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is what this program is for


if __name__ == "__main__":
    main()
