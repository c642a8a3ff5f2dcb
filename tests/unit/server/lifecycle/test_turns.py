"""What a turn costs does not grow with its chain."""

from __future__ import annotations

from pathlib import Path

from bench.bench_turns import turns


async def test_a_long_chain_costs_what_a_short_one_does(tmp_path: Path) -> None:
    """CPU time outside the engine, two chains continued in turns; the bound is loose, `make bench-state` has the figure."""
    cost = await turns(tmp_path, 400, rounds=25)
    assert cost["ratio"] < 1.5
    assert cost["bytes_second_half"] < 2 * 8000
