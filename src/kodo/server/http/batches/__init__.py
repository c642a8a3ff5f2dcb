"""Batches: files of requests as background work on the one lifecycle, which a crash does not undo."""
