"""Where state lives: sqlite (default)."""
