"""What a run in the sandbox gives, and its limits."""

import ast
import os
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

import pytest

from kodo.sandbox import (
    FILES,
    LIB,
    PROJECT,
    PYTHON,
    TMP,
    Isolation,
    IsolationRefused,
    ResourceLimits,
    Sandbox,
    SandboxError,
    bubblewrap,
    process,
    seccomp,
)

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def sandbox():
    """The strongest sandbox of this machine; its mechanism is asserted elsewhere."""
    return Sandbox()


def python(sandbox, code, **more):
    """Run a piece of Python in the sandbox."""
    return sandbox.run([PYTHON, "-I", "-c", code], **more)


def test_output_and_status_come_back(sandbox):
    """Standard output, standard error and the exit status are those of the command."""
    seen = python(sandbox, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (seen.stdout, seen.stderr, seen.status, seen.ok) == ("out\n", "err\n", 3, False)


def test_a_crash_is_a_status(sandbox):
    """A command that ends by a signal is reported and is not ok."""
    seen = python(sandbox, "import os; os.abort()")
    assert not seen.ok
    assert seen.status in (-6, 134)


def test_commands_are_ended_with_the_process_that_waits_for_them(sandbox, monkeypatch):
    """Whoever waits gets a result at once; no other command begins."""
    monkeypatch.setattr(process, "_ending", threading.Event())
    begun = time.monotonic()
    ending = threading.Timer(1.0, process.end_all)
    ending.start()
    assert python(sandbox, "import time; time.sleep(50)").status != 0
    ending.join()
    assert time.monotonic() - begun < 40
    with pytest.raises(SandboxError, match="ending"):
        python(sandbox, "pass")
    assert not process._running


def test_standard_input_is_given(sandbox):
    """Bytes for standard input arrive; without them it is empty."""
    assert python(sandbox, "print(input())", stdin="é\n".encode()).stdout == "é\n"
    assert "EOFError" in python(sandbox, "input()").stderr


def test_project_and_files_are_seen_read_only(sandbox, tmp_path):
    """The project and the given files can be read and not written."""
    (tmp_path / "a.txt").write_text("project")
    tmp_path.chmod(0o755)
    code = """
import sys
for path in sys.argv[1:]:
    print(open(path).read())
    try:
        open(path, "a")
        print("WRITABLE")
    except OSError:
        pass
"""
    argv = [PYTHON, "-I", "-c", code, f"{PROJECT}/a.txt", f"{FILES}/deep/b.txt"]
    seen = sandbox.run(argv, project=tmp_path, files={"deep/b.txt": "given"})
    assert seen.stdout.split() == ["project", "given"], seen.stderr


def test_the_environment_is_clean(sandbox, monkeypatch):
    """No variable of kodo's own environment is handed on; what is given is, with its tokens filled in."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    seen = python(
        sandbox, "import os; print(sorted(os.environ)); print(os.environ['WHERE'])", env={"WHERE": LIB}
    )
    assert "OPENAI_API_KEY" not in seen.stdout
    assert "canary" not in seen.stdout
    assert LIB not in seen.stdout


def test_the_working_folder_is_private_and_empty_each_time(sandbox):
    """What one run writes, the next does not see."""
    code = "import os; print(os.listdir('.')); open('left', 'w').write('x')"
    first = python(sandbox, code).stdout
    assert "left" not in first
    assert python(sandbox, code).stdout == first
    # A checkout or an environment below /tmp is mounted at its own place; nothing else is there.
    mounted = {Path(path).parts[2] for path in (sys.prefix, sys.base_prefix) if path.startswith("/tmp/")}
    assert set(ast.literal_eval(first)) == mounted


def test_the_kodo_package_can_be_imported_from_lib(sandbox):
    """LIB on the import path gives the package, for workers."""
    seen = sandbox.run(
        [PYTHON, "-c", "import kodo; print(kodo.__version__)"], env={"PYTHONPATH": LIB}, cwd=TMP
    )
    assert seen.ok, seen.stderr


def test_wall_time_ends_a_run_and_all_it_started(sandbox):
    """A command that does not end is ended, with its background children, and says so."""
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(600)"
    started = time.monotonic()
    seen = python(sandbox, code, limits=ResourceLimits(wall_seconds=2))
    assert seen.timed_out
    assert not seen.ok
    assert time.monotonic() - started < 200  # far from the 600 s it wanted


def test_a_daemon_does_not_outlive_its_run():
    """A child that left its session ends with the sandbox: nothing holds the pipe it inherited."""
    sandbox = Sandbox()
    if sandbox.mechanism == "none":
        assert Sandbox(mechanism="none").probe().level == "none"
        return
    read, write = os.pipe()
    os.set_inheritable(write, True)
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.close(1); os.close(2)\n    time.sleep(600)"
    seen = python(sandbox, code, limits=ResourceLimits(wall_seconds=20))
    os.close(write)
    assert not seen.timed_out
    assert os.read(read, 1) == b""
    os.close(read)


def test_output_has_a_limit(sandbox):
    """A command that writes without end is ended at the limit, and says so."""
    seen = python(sandbox, "while True: print('x' * 1000)", limits=ResourceLimits(output_bytes=MIB))
    assert seen.truncated
    assert len(seen.stdout) < 8 * MIB


def test_memory_has_a_limit(sandbox):
    """An allocation above the limit fails inside and does no harm outside."""
    seen = python(sandbox, "x = bytearray(600 * 2**20)", limits=ResourceLimits(memory_bytes=512 * MIB))
    assert "MemoryError" in seen.stderr


def test_the_private_folder_has_a_size():
    """Files cannot fill the memory: the writable folder has a limit of its own."""
    sandbox = Sandbox()
    if sandbox.mechanism != "bubblewrap":
        assert sandbox.probe().level != "full"
        return
    code = "for n in range(64):\n    open(f'{n}', 'wb').write(b'x' * 2**20)"
    seen = python(sandbox, code, limits=ResourceLimits(tmp_bytes=8 * MIB))
    assert "No space left" in seen.stderr


def test_root_kodo_does_not_lend_its_eyes(tmp_path):
    """With kodo as root, a file that only root may read stays unread in the project."""
    sandbox = Sandbox()
    if os.geteuid() != 0 or sandbox.mechanism != "bubblewrap":
        assert os.geteuid() != 0 or sandbox.probe().level != "full"
        return
    tmp_path.chmod(0o755)
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o600)
    seen = sandbox.run([PYTHON, "-I", "-c", f"print(open('{PROJECT}/key').read())"], project=tmp_path)
    assert "Permission denied" in seen.stderr
    assert "secret" not in seen.stdout


def test_a_project_that_is_no_folder_is_refused(sandbox, tmp_path):
    """The error names the argument."""
    with pytest.raises(SandboxError, match="project"):
        sandbox.run([PYTHON, "-c", ""], project=tmp_path / "gone")


def test_file_names_may_not_leave_their_folder(sandbox):
    """A name with .. is refused before anything runs."""
    with pytest.raises(SandboxError, match="files"):
        sandbox.run([PYTHON, "-c", ""], files={"../out": "x"})


@pytest.mark.parametrize("name", ["wall_seconds", "memory_bytes", "processes", "output_bytes"])
def test_limits_are_above_zero(name):
    """A limit of zero is a mistake and is named."""
    with pytest.raises(ValueError, match=name):
        ResourceLimits(**{name: 0})


def weak(monkeypatch, *, root):
    """A sandbox that found its isolation partial."""
    sandbox = Sandbox()
    monkeypatch.setattr(
        sandbox, "probe", lambda: Isolation("partial", "landlock", ("a",), ("stat_host_file",))
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    return sandbox


def test_a_weak_level_is_refused_unless_it_is_typed(monkeypatch):
    """Without the flag the sandbox refuses and says what is open; with it the level is handed on."""
    sandbox = weak(monkeypatch, root=False)
    with pytest.raises(IsolationRefused, match=r"stat_host_file.*--allow-weak-isolation"):
        sandbox.require()
    assert sandbox.require(allow_weak=True).level == "partial"


def test_the_flag_never_works_as_root(monkeypatch):
    """Root is refused a weak level whatever is typed."""
    with pytest.raises(IsolationRefused, match="root"):
        weak(monkeypatch, root=True).require(allow_weak=True)


def test_the_command_line_is_hardened(monkeypatch, tmp_path):
    """Each protection of the full level is on bubblewrap's command line."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    command = bubblewrap.command(tmp_path / "bwrap", [], ResourceLimits(), 9, "/tmp")
    for flag in (
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--disable-userns",
        "--new-session", "--die-with-parent", "--clearenv", "--seccomp",
    ):  # fmt: skip
        assert flag in command
    assert command[command.index("--cap-drop") + 1] == "ALL"
    assert "--bind" not in command
    assert "--share-net" not in command


def test_root_goes_through_a_stage_that_becomes_nobody(monkeypatch, tmp_path):
    """As root the command starts with the launcher, and its user id is one no host account has."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    command = bubblewrap.command(tmp_path / "bwrap", [], ResourceLimits(), None, "/tmp")
    assert command[3].endswith("launcher.py")
    assert '"uid": 19' in command[4]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_the_call_filter_is_made_of_whole_instructions(machine):
    """The program is an array of eight-byte instructions that starts by loading the architecture."""
    program = seccomp.program(machine)
    assert len(program) % 8 == 0
    assert program[:2] == b"\x20\x00"
    assert 30 < len(program) // 8 < 256


def test_an_unknown_architecture_has_no_filter():
    """Numbers are never guessed."""
    assert seccomp.program("z80") == b""


def test_what_lies_in_a_temporary_folder_is_seen_like_any_other(tmp_path):
    """An environment or folder below /tmp or /dev/shm is not hidden by the sandbox's own fresh one."""
    for parent in (Path("/tmp"), Path("/dev/shm")):
        with tempfile.TemporaryDirectory(dir=parent) as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / "seen.txt").write_text("here")
            seen = python(
                Sandbox(readable=[folder]),
                f"print(open({str(folder / 'seen.txt')!r}).read())",
                project=folder,
            )
            assert seen.stdout == "here\n", (parent, seen.stderr)


def test_a_temporary_folder_with_a_long_name_is_probed_too(monkeypatch):
    """A socket's address has 107 bytes; the review of a project ended with an error where the folder's name had more."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        deep = folder / ("long" * 30)
        deep.mkdir(mode=0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(deep))
        for mechanism, blocked in (("none", False), ("bubblewrap", True)):
            seen = Sandbox(mechanism=mechanism).probe()
            assert ("unix_connect" in seen.blocked, "unix_connect" in seen.open) == (blocked, not blocked)


def test_an_interpreter_in_a_temporary_folder_runs_in_full_isolation():
    """A virtual environment below /tmp is a full sandbox, as anywhere else."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        venv.create(folder / "environment", with_pip=False)
        own = Sandbox(python=folder / "environment" / "bin" / "python")
        assert own.probe().level == "full"
        assert python(own, "import sys; print(sys.prefix)").stdout == f"{folder / 'environment'}\n"
