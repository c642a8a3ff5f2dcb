"""Chat Completions, as a translation of the one lifecycle: request in, events out. No engine path of its own."""
