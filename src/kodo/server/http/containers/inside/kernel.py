"""The Python of a container: runs pieces of code one after the other in one namespace.

    python -I kernel.py REQUESTS ANSWERS FOLDER

The first two are descriptors: a request is the code's length on a line, then the code; the answer is ``ok`` or ``error``. What the code
writes, and the value of a last expression, go to standard output, tracebacks to standard error. Stands alone.
"""

from __future__ import annotations

import ast
import linecache
import os
import signal
import sys
import traceback
import types
from typing import Any, BinaryIO

MAX_FIGURES = 8
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp")


class CodeSession:
    """One namespace, and the number of pieces that ran in it."""

    def __init__(self) -> None:
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__builtins__"] = __builtins__
        sys.modules["__main__"] = self.module
        self.count = 0
        self.pid = os.getpid()

    def run(self, code: str) -> bool:
        """Run a piece; whether it ended without an error."""
        self.count += 1
        name = f"<code {self.count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        before = _images()
        _reap()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._execute(code, name)
            ended = True
        except SystemExit as error:
            ended = error.code in (None, 0)
        except BaseException as error:  # noqa: BLE001 - all that the code raises is the caller's to see
            _show(error, name)
            ended = False
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.getpid() != self.pid:  # a child that the code forked and forgot
            os._exit(0)
        _save_figures(self.count, drawn=_images() != before)
        return ended

    def _execute(self, code: str, name: str) -> None:
        tree = ast.parse(code, name)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        space = self.module.__dict__
        exec(compile(tree, name, "exec"), space)  # noqa: S102 - what this program is for
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)  # noqa: S307 - the same
            if value is not None:
                space["_"] = value
                print(repr(value))  # noqa: T201 - its output


def _show(error: BaseException, name: str) -> None:
    """A traceback that begins in the code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    try:
        traceback.print_exception(type(error), error, trace)
    except BaseException:  # noqa: BLE001 - an error whose text cannot be made
        sys.stderr.write(f"{type(error).__name__}\n")


def _reap() -> None:
    """Forget the children that were ended when the last call was over."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _images() -> set[tuple[str, int]]:
    """The image files in the working folder."""
    try:
        with os.scandir(".") as entries:
            return {
                (entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.name.endswith(_IMAGES)
            }
    except OSError:
        return set()


def _save_figures(number: int, *, drawn: bool) -> None:
    """Figures that are open become files, unless the code has made an image itself; then they are closed."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    try:
        for figure in [] if drawn else pyplot.get_fignums()[:MAX_FIGURES]:
            pyplot.figure(figure).savefig(f"figure-{number}-{figure}.png")
        pyplot.close("all")
    except BaseException as error:  # noqa: BLE001 - drawing is the code's, and its errors too
        sys.stderr.write(f"The figure could not be saved: {error!r}\n")


def main() -> None:
    """Run what is asked for until the requests end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests: BinaryIO = os.fdopen(int(sys.argv[1]), "rb")
    answers = int(sys.argv[2])
    sys.path.insert(0, sys.argv[3])
    sys.argv[:] = [""]
    session = CodeSession()
    while line := requests.readline():
        code = requests.read(int(line)).decode("utf-8", "replace")
        ended = session.run(code)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # closed by the code
                pass
        os.write(answers, b"ok\n" if ended else b"error\n")


if __name__ == "__main__":
    main()
