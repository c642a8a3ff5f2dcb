"""Install bubblewrap where this may be done: as root, with apt or dnf. Else say how.

bootstrap.py calls `ensure()`. Test generation and review refuse to run generated code without a full
sandbox, but nothing else of kodo needs it, so its absence is told and does not fail the set-up.
"""

import os
import shutil
import subprocess

_CALLS = {
    "apt-get": (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", "bubblewrap"],
    ),
    "dnf": (["dnf", "install", "-y", "-q", "bubblewrap"],),
}


def ensure() -> str:
    """One line that says how it stands; never raises for a machine that has no bubblewrap."""
    if shutil.which("bwrap"):
        return "bubblewrap: installed"
    tool = next((name for name in _CALLS if shutil.which(name)), None)
    how = f"{tool} install bubblewrap" if tool else "https://github.com/containers/bubblewrap"
    if tool is None or os.geteuid() != 0:
        return f"bubblewrap: missing; `kodo tests` and suggested fixes will refuse to run code until it is installed ({how})"
    for call in _CALLS[tool]:
        done = subprocess.run(
            call,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return f"bubblewrap: {' '.join(call)} failed ({said[-1] if said else done.returncode}); install it by hand: {how}"
    return "bubblewrap: installed now"


if __name__ == "__main__":
    print(ensure())
