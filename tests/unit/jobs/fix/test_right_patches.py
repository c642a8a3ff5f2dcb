"""The rules believe the right patch of each fault of the bench; one that they refuse is as wrong as a false proof."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.fix.faults import FAULTS, Fault
from bench.fix.models import module_test
from tests.unit.jobs.fix.two_versions import Project

from kodo.jobs.fix import policy


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_right_patch_is_believed(tmp_path: Path, fault: Fault) -> None:
    """By the texts, and by what its calls give; no sandbox."""
    path = f"{fault.name}.py"
    passing = module_test(fault, fault.passing).replace("test_it", "test_before")
    project = Project(
        {path: fault.faulty}, {path: fault.source}, f"{passing}\n\ndef test_fault():\n    {fault.failing}\n"
    )
    assert policy.suspicious({path: (fault.faulty, fault.source)}, project.test) == []
    assert project.objection(tmp_path) == ""
