"""Another machine for each process that observes calls, so that a result which rests on the machine is another one each time.

A test that expects this host's name, its number of processors or the home of this user fails elsewhere. Such calls are
rejected like all that do something else in a second run. The version of Python, the platform's kind and encodings
are not changed: too much decides by them while it is imported.
"""

from __future__ import annotations

import os
import sys
import time


def pretend(seed: str) -> None:
    """Change what this process says of its machine and its user; before the module under test is imported."""
    number = int(seed) if seed.isdecimal() else 0
    other = f"other-{number}"
    sys.argv = [
        other,
        *map(str, range(1, number)),
    ]  # without and with an argument: a parser fails on one of them
    sys.executable = f"/{other}/bin/python"
    os.environ.update(
        HOME=f"/{other}",
        LOGNAME=other,
        USER=other,
        LNAME=other,
        USERNAME=other,
        HOSTNAME=other,
        TZ=f"KDO-{number}",
    )
    time.tzset()
    uname = os.uname_result((os.uname().sysname, other, f"{number}.0", f"#{number}", other))
    values = {
        "cpu_count": 2 + number,
        "getuid": 2000 + number,
        "geteuid": 2000 + number,
        "getgid": 2000 + number,
        "getegid": 2000 + number,
        "getlogin": other,
        "uname": uname,
        "getloadavg": (float(number), 0.0, 0.0),
    }
    for name, value in values.items():
        setattr(os, name, lambda *_, value=value: value)
    import _socket  # here: the other jobs do without
    import platform

    platform._uname_cache = None  # type: ignore[attr-defined]
    _socket.gethostname = lambda: other  # what socket and platform ask
