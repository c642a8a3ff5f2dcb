"""The project's own tests run against each mutant with the plugins of their environment, which are imported once for all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from kodo.jobs.execution.worker.jobs import OWN, ModuleLocation
from kodo.jobs.testgen.mutate import mutants
from kodo.jobs.testgen.worker.jobs import Killed, ScoreMutants, Spent

SOURCE = "def double(n):\n    return n * 2\n"
PLUGIN = """import os
from pathlib import Path

import pytest

with Path(__file__).with_name("imports.txt").open("a") as notes:
    notes.write("imported\\n")


@pytest.fixture
def three():
    return 3
"""


def test_plugins_are_there_for_every_mutant_and_imported_once(tmp_path: Path) -> None:
    """A weak test with a plugin's fixture lets a mutant live; not one child imports the plugin anew."""
    project, site = tmp_path / "project", tmp_path / "site"
    for folder in (project, site / "noted-1.dist-info"):
        folder.mkdir(parents=True)
    (project / "m.py").write_text(SOURCE)
    (project / "test_m.py").write_text("from m import double\n\ndef test_it(three): assert double(three)\n")
    (site / "noted.py").write_text(PLUGIN)
    (site / "noted-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: noted\nVersion: 1\n")
    (site / "noted-1.dist-info" / "entry_points.txt").write_text("[pytest11]\nnoted = noted\n")
    every = [mutant.place.id for mutant in mutants(SOURCE, frozenset({"double"}), 3, 0)]
    job = ScoreMutants(
        ModuleLocation("m.py", "", "m", SOURCE, ("double",)),
        (f"{OWN}test_m.py",),
        False,
        ("double",),
        3,
        0,
        tuple(every),
        20.0,
        200.0,
    )
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kodo.jobs.testgen.worker", str(tmp_path / "job.json")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site), "KODO_PROJECT": str(project)},
        capture_output=True,
        check=True,
    )
    answers = [msgspec.json.decode(line, type=Killed | Spent) for line in done.stdout.splitlines()]
    killed = [one for one in answers if isinstance(one, Killed)]
    assert isinstance(answers[-1], Spent)
    assert [one.mutant for one in killed] == every
    assert () in [one.killers for one in killed], "without the fixture each mutant fails the test"
    assert (site / "imports.txt").read_text() == "imported\n"
