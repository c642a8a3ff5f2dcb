"""The lines that a diff shows, read by another parser than ``kodo.ci.diff_lines``, which the fakes judge."""

from __future__ import annotations

from collections.abc import Mapping

from unidiff.patch import PatchSet


def patch_lines(patches: Mapping[str, str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Path and number after the change of each line that is shown: its hunk, and its number before (0: added)."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for path, patch in patches.items():
        if not patch:
            continue
        file = PatchSet(f"--- a/x\n+++ b/x\n{patch}\n")[0]
        for at, hunk in enumerate(file):
            for line in hunk:
                if line.target_line_no is not None:
                    found[path, line.target_line_no] = (at, line.source_line_no or 0)
    return found
