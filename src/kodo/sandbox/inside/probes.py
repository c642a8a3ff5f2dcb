"""Attempts to get out of the sandbox. Run inside; prints the names of those that succeeded.

    python -I -S probes.py BAIT.json   ->   {"tried": [...], "open": [...]}

Each attempt is a function whose name is the name of the hole and which returns True when it got
through. An OSError means that the attempt was blocked; anything else is a bug of the probe and is raised. Stands alone. Only
ever run where a success does no harm: every attempt reaches for decoys or for something it undoes.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

DecoyMap = dict[str, Any]
_ALLOWED_ENVIRONMENT = {
    "PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "PWD", "LC_CTYPE", "PYTHONPATH",
}  # fmt: skip
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_KEYCTL = {"x86_64": 250}.get(os.uname().machine, 219)
_BPF = {"x86_64": 321}.get(os.uname().machine, 280)
_PERF = {"x86_64": 298}.get(os.uname().machine, 241)
_PTRACE = {"x86_64": 101}.get(os.uname().machine, 117)
_IO_URING_SETUP = 425


def _system(name: str, *arguments: object) -> bool:
    """Call a C function that returns -1 on error; True when it did not."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(getattr(libc, name)(*arguments) >= 0)


def _status(field: str) -> str:
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(field + ":"))


def _in_child(attempt: Callable[[], bool]) -> bool:
    """Try in a child, so that what succeeds (a namespace, a new root) does not stay with the probes."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if attempt() else 1)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def read_host_file(decoys: DecoyMap) -> bool:
    """Read a file of the host that is not in the project."""
    with open(decoys["file"], encoding="utf-8") as file:
        return bool(file.read() == decoys["token"])


def list_host_folder(decoys: DecoyMap) -> bool:
    """List a folder of the host."""
    return "secret.txt" in os.listdir(decoys["folder"])


def stat_host_file(decoys: DecoyMap) -> bool:
    """Learn that a file of the host exists, and how long it is."""
    return os.stat(decoys["file"]).st_size > 0


def write_host(decoys: DecoyMap) -> bool:
    """Make a file on the host."""
    with open(decoys["folder"] + "/written", "w", encoding="utf-8") as file:
        file.write("x")
    return True


def write_project(decoys: DecoyMap) -> bool:
    """Make or change a file in the project, at its place inside or outside."""
    for folder in ("/project", decoys["project"]):
        try:
            with open(folder + "/written.py", "w", encoding="utf-8") as file:
                file.write("x")
            return True
        except OSError:
            continue
    return False


def write_system(decoys: DecoyMap) -> bool:
    """Make a file beside the system's programs, the interpreter's library or in the root."""
    for folder in ("/", "/usr/bin", "/etc", "/dev", os.path.dirname(os.__file__), os.path.dirname(__file__)):
        try:
            name = os.path.join(folder, "kodo-probe")
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
            os.unlink(name)
            return True
        except OSError:
            continue
    return False


def remount_writable(decoys: DecoyMap) -> bool:
    """Mount the project again, writable."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mount(b"none", b"/project", None, ctypes.c_ulong(0x20 | 0x1000), None) == 0)


def mount_tmpfs(decoys: DecoyMap) -> bool:
    """Mount a file system."""

    def attempt() -> bool:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(
            libc.unshare(_CLONE_NEWNS) == 0
            and libc.mount(b"t", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None) == 0
        )

    return _in_child(attempt)


def tcp_connect(decoys: DecoyMap) -> bool:
    """Connect to a TCP port of the host."""
    with socket.create_connection(("127.0.0.1", decoys["tcp"]), timeout=1):
        return True


def udp_send(decoys: DecoyMap) -> bool:
    """Send a datagram to the host; only the other side can tell whether it arrived."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", decoys["udp"]))
    return False


def unix_connect(decoys: DecoyMap) -> bool:
    """Connect to a unix socket of the host by its path, from its folder: a path may be too long for an address."""
    before = os.getcwd()
    os.chdir(decoys["folder"])
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(decoys["unix"])
            return True
    finally:
        os.chdir(before)


def abstract_connect(decoys: DecoyMap) -> bool:
    """Connect to an abstract unix socket of the host."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        client.connect("\0" + decoys["abstract"])
        return True


def vsock_open(decoys: DecoyMap) -> bool:
    """Open the channel from a virtual machine to its host, which no network namespace holds."""
    with socket.socket(40, socket.SOCK_STREAM):
        return True


def raw_socket(decoys: DecoyMap) -> bool:
    """Open a packet socket."""
    with socket.socket(17, socket.SOCK_RAW):
        return True


def signal_host(decoys: DecoyMap) -> bool:
    """End a process of the host; only the other side can tell."""
    os.kill(decoys["pid"], signal.SIGKILL)
    return False


def see_host_process(decoys: DecoyMap) -> bool:
    """Read the arguments of a process of the host."""
    with open(f"/proc/{decoys['pid']}/cmdline", "rb") as file:
        return decoys["token"].encode() in file.read()


def inherit_environment(decoys: DecoyMap) -> bool:
    """Find an environment variable that was not given."""
    return bool(set(os.environ) - _ALLOWED_ENVIRONMENT)


def inherit_descriptor(decoys: DecoyMap) -> bool:
    """Read through a descriptor that was open outside."""
    for fd in range(3, 256):
        try:
            if os.pread(fd, 64, 0) == decoys["token"].encode():
                return True
        except OSError:
            continue
    return False


def new_user_namespace(decoys: DecoyMap) -> bool:
    """Become root in a new user namespace."""
    return _in_child(lambda: _system("unshare", _CLONE_NEWUSER))


def new_network_namespace(decoys: DecoyMap) -> bool:
    """Make a namespace by clone, the other way."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 56}.get(os.uname().machine, 220)
    pid = libc.syscall(
        ctypes.c_long(number), ctypes.c_ulong(_CLONE_NEWUSER | _CLONE_NEWNET | signal.SIGCHLD), 0, 0, 0, 0
    )
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return bool(pid > 0)


def join_namespace(decoys: DecoyMap) -> bool:
    """Enter the namespace of another process."""

    def attempt() -> bool:
        fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
        return _system("setns", fd, 0)

    return _in_child(attempt)


def change_root(decoys: DecoyMap) -> bool:
    """Change the root folder."""

    def attempt() -> bool:
        os.chroot("/tmp")  # noqa: S108 - any folder will do
        return True

    return _in_child(attempt)


def hold_capability(decoys: DecoyMap) -> bool:
    """Hold a capability, or be able to gain one by starting a program."""
    return any(int(_status(field), 16) for field in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))


def gain_privilege(decoys: DecoyMap) -> bool:
    """Become root by a set-uid program or call."""
    if _status("NoNewPrivs") != "1":
        return True

    def attempt() -> bool:
        before = os.getuid()
        os.setuid(0)
        return before != 0

    return _in_child(attempt)


def be_root_outside(decoys: DecoyMap) -> bool:
    """Be the host's root on its files: read one in the project that only root may read."""
    for folder in ("/project", decoys["project"]):
        try:
            with open(folder + "/owner-only.txt", encoding="utf-8"):
                return bool(decoys["uid"] == 0)
        except OSError:
            continue
    return False


def trace_process(decoys: DecoyMap) -> bool:
    """Trace another process."""

    def attempt() -> bool:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.syscall(ctypes.c_long(_PTRACE), 0, 0, 0, 0) == 0)

    return _in_child(attempt)


def open_device(decoys: DecoyMap) -> bool:
    """Open a device that shows memory, disks or the kernel's log, or make one."""
    for name in (
        "/dev/mem",
        "/dev/kmsg",
        "/dev/port",
        "/dev/vda",
        "/dev/sda",
        "/dev/nvme0n1",
        "/dev/fuse",
        "/dev/kvm",
    ):
        try:
            os.close(os.open(name, os.O_RDONLY))
            return True
        except OSError:
            continue
    os.mknod("kodo-device", 0o600 | 0o060000, os.makedev(254, 0))
    os.unlink("kodo-device")
    return True


def change_kernel_setting(decoys: DecoyMap) -> bool:
    """Open a kernel setting for writing."""
    for name in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"):
        try:
            os.close(os.open(name, os.O_WRONLY))
            return True
        except OSError:
            continue
    return False


def reach_terminal(decoys: DecoyMap) -> bool:
    """Open the terminal kodo was started from, where keys could be pushed."""
    os.close(os.open("/dev/tty", os.O_RDWR))
    return True


def use_keyring(decoys: DecoyMap) -> bool:
    """Read the user's kernel keyring."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(ctypes.c_long(_KEYCTL), 0, ctypes.c_int(-4), 0) >= 0)


def enter_kernel_machines(decoys: DecoyMap) -> bool:
    """Start a kernel interface with a long record of holes: io_uring, bpf, perf."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)
    calls = ((_IO_URING_SETUP, (1, buffer)), (_BPF, (0, buffer, 64)), (_PERF, (buffer, 0, -1, -1, 0)))
    for number, arguments in calls:
        fd = libc.syscall(ctypes.c_long(number), *arguments)
        if fd >= 0:
            os.close(fd)
            return True
    return False


def fork_without_end(decoys: DecoyMap) -> bool:
    """Have more processes than the limit. Stops by itself a little above it and ends its children."""
    children: list[int] = []
    try:
        for _ in range(decoys["processes"] + 8):
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
        return True
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def take_memory(decoys: DecoyMap) -> bool:
    """Map more memory than the limit; nothing is written to it."""
    mmap.mmap(-1, decoys["memory_bytes"] * 2).close()
    return True


def write_long_file(decoys: DecoyMap) -> bool:
    """Make a file longer than the limit; it is sparse."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("long", "wb") as file:
        try:
            os.pwrite(file.fileno(), b"x", decoys["file_bytes"] * 4)
        finally:
            os.unlink("long")
    return True


def raise_limit(decoys: DecoyMap) -> bool:
    """Raise a limit again."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if hard == resource.RLIM_INFINITY:
        return True
    resource.setrlimit(resource.RLIMIT_NPROC, (hard + 1, hard + 1))
    return True


ATTEMPTS: tuple[Callable[[DecoyMap], bool], ...] = (
    read_host_file, list_host_folder, stat_host_file, write_host, write_project, write_system, remount_writable,
    mount_tmpfs, tcp_connect, udp_send, unix_connect, abstract_connect, vsock_open, raw_socket, see_host_process,
    signal_host, inherit_environment, inherit_descriptor, new_user_namespace, new_network_namespace,
    join_namespace, change_root, hold_capability, gain_privilege, be_root_outside, trace_process, open_device,
    change_kernel_setting, reach_terminal, use_keyring, enter_kernel_machines, fork_without_end, take_memory,
    write_long_file, raise_limit,
)  # fmt: skip


def succeeds(attempt: Callable[[DecoyMap], bool], decoys: DecoyMap) -> bool:
    """Whether an attempt got through; an operating system error or a limit means that it did not."""
    try:
        return attempt(decoys)
    except (OSError, MemoryError, ValueError):  # ValueError: setrlimit above the hard limit
        return False


def main() -> None:
    """Try everything and print what got through."""
    with open(sys.argv[1], encoding="utf-8") as file:
        decoys = json.load(file)
    through = [attempt.__name__ for attempt in ATTEMPTS if succeeds(attempt, decoys)]
    print(json.dumps({"tried": [attempt.__name__ for attempt in ATTEMPTS], "open": through}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
