"""The system calls generated code may not make, as a classic BPF program for seccomp.

Namespaces, mounts, tracing, keyrings, kernel interfaces with a long record of holes, and socket
families other than unix and IP are refused with EPERM (``clone3`` with ENOSYS, so that the C library
falls back to ``clone``, whose flags a filter can read). Everything else is allowed: this is a second
barrier behind the namespaces, not a list of what Python needs.

Numbers: Linux ``asm/unistd_64.h`` (x86_64) and ``asm-generic/unistd.h`` (aarch64, riscv64).
Layout of ``struct seccomp_data`` and of instructions: Documentation/userspace-api/seccomp_filter.rst.
"""

import errno
import platform
import struct

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}

_X86_64 = {
    "ptrace": 101, "syslog": 103, "pivot_root": 155, "chroot": 161, "acct": 163, "mount": 165,
    "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "mbind": 237, "migrate_pages": 256, "unshare": 272,
    "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304,
    "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    "clone": 56, "socket": 41,
}  # fmt: skip
_GENERIC = {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "acct": 89,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "syslog": 116,
    "ptrace": 117, "reboot": 142, "add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224,
    "swapoff": 225, "mbind": 235, "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241,
    "fanotify_init": 262, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
    "kexec_file_load": 294, "clone": 220, "socket": 198,
}  # fmt: skip
# The same on every architecture: all calls added since Linux 5.1 are.
_COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443, "open_tree_attr": 467,
}  # fmt: skip
_CLONE3 = 435

# CLONE_NEWTIME..CLONE_NEWNET, from linux/sched.h.
NEW_NAMESPACE_FLAGS = 0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000  # fmt: skip
_ALLOWED_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _ARG0 = 0, 4, 16


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


def program(machine: str | None = None) -> bytes:
    """The filter for ``machine`` (as ``platform.machine()`` names it) as an array of ``struct sock_filter``.

    Empty for an architecture whose numbers this table does not hold: the namespaces still stand.
    """
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        return b""
    numbers = dict((_X86_64 if machine == "x86_64" else _GENERIC) | _COMMON)
    clone, socket = numbers.pop("clone"), numbers.pop("socket")
    eperm = _op(_RET, _ERRNO | errno.EPERM)
    out = [_op(_LD, _ARCH), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), _op(_RET, _KILL), _op(_LD, _NR)]
    if machine == "x86_64":  # the x32 calls are the same ones under other numbers
        out += [_op(_JGE, 0x40000000, 0, 1), eperm]
    out += [_op(_JEQ, _CLONE3, 0, 1), _op(_RET, _ERRNO | errno.ENOSYS)]
    for number in sorted(numbers.values()):
        out += [_op(_JEQ, number, 0, 1), eperm]
    out += [_op(_JEQ, clone, 0, 4), _op(_LD, _ARG0), _op(_JSET, NEW_NAMESPACE_FLAGS & ~0x80, 0, 1), eperm]
    out += [_op(_RET, _ALLOW)]
    families = [
        _op(_JEQ, family, len(_ALLOWED_FAMILIES) - at, 0) for at, family in enumerate(_ALLOWED_FAMILIES)
    ]
    out += [_op(_JEQ, socket, 0, len(families) + 2), _op(_LD, _ARG0), *families, eperm, _op(_RET, _ALLOW)]
    return b"".join(out)
