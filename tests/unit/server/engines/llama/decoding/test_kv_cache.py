"""The prompt state on disk."""

from __future__ import annotations

from pathlib import Path

from kodo.server.engines.llama.decoding.kv_cache import DiskKVCache


def test_saved_states_go_over_quota_and_time(tmp_path: Path) -> None:
    """The least recently used go first, expired ones always, and a state without its meta is not whole."""
    now = [1000.0]
    cache = DiskKVCache(tmp_path / "cache", "model", max_bytes=25, min_tokens=2, now=lambda: now[0])
    names = [cache.entry_name("owner", key) for key in "abc"]
    assert len(set(names)) == 3
    for name in names:
        (tmp_path / "cache" / cache.begin_save(name)).write_bytes(b"x" * 10)
        cache.commit_save(name, (1, 2, 3), 60)
    assert sum(bool(cache.find(name, (1, 2, 3, 4))) for name in names) == 2
    assert not cache.find(names[2], (9, 9, 9))
    now[0] += 61
    cache.prune()
    (tmp_path / "cache" / "torn.kv").write_bytes(b"x")
    DiskKVCache(tmp_path / "cache", "model", max_bytes=25, min_tokens=2, now=lambda: now[0])
    assert not list((tmp_path / "cache").glob("*.kv"))
    assert (
        DiskKVCache(tmp_path / "cache", "another model", max_bytes=1, min_tokens=2).entry_name("owner", "a")
        != names[0]
    )
