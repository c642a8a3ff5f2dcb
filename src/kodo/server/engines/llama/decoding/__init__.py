"""From token ids to events: one turn of generation, its slot and key-value cache, its continuation; and embeddings."""
